"""`Clip`: what a caller hands in, one short piece of media and what is known about it.

A clip names its media in exactly one way (file, bytes or arrays), or none of them for words alone. Everything after
this type works on what `cuewise.mllm.media` decodes from it.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from cuewise.mllm.report import Word

Person = Literal["largest", "central", "active"] | int
PERSON_RULES = ("largest", "central", "active")


@dataclass(kw_only=True, slots=True)
class Clip:
    """One clip. Times are seconds from the beginning of the file."""

    path: str | Path | None = None
    """File with picture, sound or both: video, image, animated image or audio."""

    data: bytes | None = None
    """The same as the bytes of such a file."""

    frames: np.ndarray | None = None
    """uint8 [T, H, W, 3] RGB frames already decoded; needs `fps`."""

    fps: float | None = None
    """Frame rate of `frames`, in Hz."""

    samples: np.ndarray | None = None
    """float [n] or [channels, n] sound already decoded, in [-1, 1]; needs `sample_rate`."""

    sample_rate: int | None = None
    """Sample rate of `samples`, in Hz."""

    audio: str | Path | bytes | None = None
    """Separate sound; replaces the sound of the media file."""

    start: float | None = None
    """Begin of the span to read; None is the beginning of the file."""

    end: float | None = None
    """End of the span to read; None is the end of the file."""

    transcript: str | None = None
    """What is said, as plain text."""

    words: list[Word] = field(default_factory=list)
    """What is said, word by word with times."""

    language: str | None = None
    """BCP 47 tag of the speech."""

    context: str | None = None
    """Free text given to the model beside the media, e.g. what happened before, or measured action units in words."""

    person: Person = "largest"
    """Whose face is read when several are visible: a rule, or the number of the person from the left, from 0."""

    person_box: tuple[float, float, float, float] | None = None
    """Where the person is, as x0, y0, x1, y1 in pixels of the picture, for models that look at the person beside the
    scene; without it they look around the face."""

    id: str | None = None
    """Name of the clip in reports; by default the file name."""

    def __post_init__(self) -> None:
        given = [name for name in ("path", "data", "frames") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"a clip takes its picture from one place, got {' and '.join(given)}; keep one")
        if not given and self.audio is None and self.samples is None and not self.transcript and not self.words:
            raise ValueError("a clip needs media (path, data, frames, samples or audio) or a transcript")
        if self.frames is not None and not self.fps:
            raise ValueError("clip.frames needs clip.fps, the frame rate in Hz")
        if self.samples is not None and not self.sample_rate:
            raise ValueError("clip.samples needs clip.sample_rate in Hz")
        if self.samples is not None and self.audio is not None:
            raise ValueError("a clip takes its sound from one place, got samples and audio; keep one")
        for name in ("start", "end"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise ValueError(f"clip.{name} must be a number of seconds from 0, got {value:g}")
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise ValueError(f"clip.end must lie after clip.start, got {self.start} to {self.end} s")
        for number, word in enumerate(self.words):
            if word.start is not None and word.end is not None and word.end < word.start:
                raise ValueError(f"clip.words[{number}] ends at {word.end:g} s, before it begins at {word.start:g} s; "
                                 "swap its times, or leave them out")  # fmt: skip
        box = self.person_box
        if box is not None and (len(box) != 4 or box[2] <= box[0] or box[3] <= box[1]):
            raise ValueError(f"clip.person_box must be x0, y0, x1, y1 with x0 < x1 and y0 < y1, got {box}")
        if not isinstance(self.person, int) and self.person not in PERSON_RULES:
            raise ValueError(f"clip.person must be one of {', '.join(PERSON_RULES)} or a number, got {self.person!r}")

    @property
    def name(self) -> str:
        """Name of the clip in reports."""
        if self.id is not None:
            return self.id
        if self.path is not None:
            return Path(self.path).name
        return Path(self.audio).name if isinstance(self.audio, str | Path) else "clip"


def as_clip(given: "Clip | str | Path") -> Clip:
    """A clip as it is, or the clip of a file. Raises TypeError for anything else."""
    if isinstance(given, Clip):
        return given
    if isinstance(given, str | Path):
        return Clip(path=given)
    raise TypeError(f"a clip is a cuewise.Clip or the path of a file, got {type(given).__name__}")
