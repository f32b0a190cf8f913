"""Samples asked under several conditions: pictures covered in part or made poor, another wording of the question.

How far accuracy falls from condition to condition says how robust a system is (occlusion and low quality of faces) or
how much it hangs on the wording (EmotionPrompt, NegativePrompt).
"""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cuewise.eval.suites.suite import Condition, Dataset
from cuewise.mllm.clip import Clip
from cuewise.mllm.media import MediaConfig, load_media
from cuewise.mllm.media.types import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from cuewise.eval.samples import Sample

GREY = 127
READ = MediaConfig(num_frames=32, frame_size=640, detector="none")


def under_conditions(samples: "Sequence[Sample]", dataset: Dataset) -> "list[Sample]":
    """Every sample once per condition, named ``ID@CONDITION``; the same samples where there is none."""
    if not dataset.conditions:
        return list(samples)
    return [
        replace(sample, id=f"{sample.id}@{name}", condition=name, groups={**sample.groups, "condition": name})
        for sample in samples for name in dataset.conditions
    ]  # fmt: skip


def changed_clip(clip: Clip, condition: Condition, sample_id: str) -> Clip:
    """The clip with its pictures under the condition; a clip without pictures stays as it is.

    The block lies at the same place under every condition of a sample. Raises MediaError for an unreadable clip.
    """
    media = load_media(clip, READ)
    if media.frames is None:
        return clip
    frames = np.stack([shrunk(frame, condition.shrink) for frame in media.frames])
    if condition.occlude:
        top, left, height, width = block(frames.shape[1:3], condition.occlude, sample_id.rsplit("@", 1)[0])
        frames[:, top : top + height, left : left + width] = GREY
    sound = {} if media.samples is None else {"samples": media.samples, "sample_rate": SAMPLE_RATE_HZ}
    return Clip(frames=frames, fps=max(len(frames) / media.duration_s, 0.1) if media.duration_s else 1.0, **sound,
                transcript=media.transcript, words=media.words, language=clip.language, context=clip.context,
                person=clip.person, id=clip.name)  # fmt: skip


def block(size: tuple[int, int], share: float, seed: str) -> tuple[int, int, int, int]:
    """(top, left, height, width) of a block that covers this share of a picture (height, width)."""
    height = min(size[0], max(1, round(size[0] * share**0.5)))
    width = min(size[1], max(1, round(size[0] * size[1] * share / height)))
    dice = random.Random(seed)
    return dice.randint(0, size[0] - height), dice.randint(0, size[1] - width), height, width


def shrunk(frame: np.ndarray, factor: float) -> np.ndarray:
    """A picture made smaller and then as large as before."""
    if factor == 1:
        return frame
    import cv2

    height, width = frame.shape[:2]
    less = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = cv2.resize(frame, less, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
