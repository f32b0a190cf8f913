"""Qwen3-Omni: as Qwen2.5-Omni, with another sound tower and experts in the thinker."""

from pathlib import Path
from typing import Any

from torch import Tensor

from cuewise.mllm.systems.qwen2_5_omni import Qwen25Omni


class Qwen3Omni(Qwen25Omni):
    """Sound is read in chunks of `2 * n_window` mel frames, 13 tokens for each whole chunk of 100."""

    model_types = ("qwen3_omni_moe", "qwen3_omni_moe_thinker")
    not_needed = ("talker.", "code2wav.")

    @classmethod
    def model_class(cls, folder: Path) -> Any:
        from transformers import Qwen3OmniMoeThinkerForConditionalGeneration

        return Qwen3OmniMoeThinkerForConditionalGeneration

    def sound_tokens(self, frames: Tensor) -> Tensor:
        def halved(length: Tensor) -> Tensor:
            return (length - 1) // 2 + 1

        chunk = 2 * self.model.config.audio_config.n_window
        whole = halved(halved(halved(frames.new_tensor(chunk))))
        rest = frames % chunk
        return halved(halved(halved(rest))) * (rest > 0) + frames // chunk * whole
