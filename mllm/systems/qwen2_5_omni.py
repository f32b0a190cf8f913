"""Qwen2.5-Omni: pictures and sound. Only its thinker is loaded; it is the part that writes text."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cuewise.mllm.systems.qwen2_5_vl import Qwen25VL
from cuewise.mllm.systems.seen import Seen


class Qwen25Omni(Qwen25VL):
    """The frames as a video and the sound as an audio item after it."""

    model_types = ("qwen2_5_omni", "qwen2_5_omni_thinker")
    hears = True
    not_needed = ("talker.", "token2wav.")

    def mark(self, kind: str) -> str:
        p = self.processor
        if kind == "audio":
            return f"{p.audio_bos_token}{p.audio_token}{p.audio_eos_token}"
        return f"{p.vision_bos_token}{p.image_token if kind == 'image' else p.video_token}{p.vision_eos_token}"

    @classmethod
    def model_class(cls, folder: Path) -> Any:
        from transformers import Qwen2_5OmniThinkerForConditionalGeneration

        return Qwen2_5OmniThinkerForConditionalGeneration

    def inputs(self, seen: Sequence[Seen], prompts: list[str]) -> dict[str, Tensor]:
        given = self.pictures(seen)
        sounds = [one.samples for one in seen if one.samples is not None]
        if sounds:
            given["audio"] = sounds
        made = dict(self.processor(text=prompts, padding=True, return_tensors="pt", **given))
        films = [one for one in seen if one.frames is not None and len(one.frames) > 1]
        if films:
            # The processor assumes one frame rate for all; each clip has its own.
            step = self.processor.video_processor.temporal_patch_size
            made["video_second_per_grid"] = torch.tensor([step / film.frames_per_s for film in films])
        return made

    def media_ids(self) -> dict[str, int]:
        return {**super().media_ids(), "audio": self.token_id(self.processor.audio_token)}

    def expected_tokens(self, inputs: dict[str, Tensor]) -> dict[str, list[int]]:
        mask = inputs.get("feature_attention_mask")
        return {**super().expected_tokens(inputs),
                "audio": [] if mask is None else self.sound_tokens(mask.sum(-1)).tolist()}  # fmt: skip

    def sound_tokens(self, frames: Tensor) -> Tensor:
        """Tokens of the sound tower for a number of mel frames: two steps of stride two."""
        return ((frames - 1) // 2 + 1 - 2) // 2 + 1
