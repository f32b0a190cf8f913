"""Qwen2-Audio: sound, no pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from cuewise.mllm.systems.multimodal import MultimodalSystem
from cuewise.mllm.systems.seen import Seen


class Qwen2Audio(MultimodalSystem):
    """The sound as one audio item, at most 30 s of it."""

    model_types = ("qwen2_audio",)
    sees, hears = False, True

    def mark(self, kind: str) -> str:
        return f"{self.processor.audio_bos_token}{self.processor.audio_token}{self.processor.audio_eos_token}"

    @classmethod
    def model_class(cls, folder: Path) -> Any:
        from transformers import Qwen2AudioForConditionalGeneration

        return Qwen2AudioForConditionalGeneration

    def inputs(self, seen: Sequence[Seen], prompts: list[str]) -> dict[str, Tensor]:
        sounds = [one.samples for one in seen if one.samples is not None]
        given = {"audio": sounds, "sampling_rate": 16_000} if sounds else {}
        return dict(self.processor(text=prompts, padding=True, return_tensors="pt", **given))

    def media_ids(self) -> dict[str, int]:
        return {"audio": self.token_id(self.processor.audio_token)}

    def expected_tokens(self, inputs: dict[str, Tensor]) -> dict[str, list[int]]:
        mask = inputs.get("feature_attention_mask")
        return {"audio": [] if mask is None else (((mask.sum(-1) - 1) // 2 + 1 - 2) // 2 + 1).tolist()}
