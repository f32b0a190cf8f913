"""Qwen3-VL, dense and with experts: as Qwen2.5-VL, with the time of each frame written before it."""

from collections.abc import Sequence

from cuewise.mllm.systems.qwen2_5_vl import Qwen25VL


class Qwen3VL(Qwen25VL):
    """The processor writes ``<0.4 seconds>`` before the tokens of each pair of frames, from the times we pass."""

    model_types = ("qwen3_vl", "qwen3_vl_moe")

    def chat(self, kinds: Sequence[str], text: str) -> str:
        # Chat templates put marks around the whole video; they belong around each frame, where the processor puts them.
        video = self.processor.video_token
        return super().chat(kinds, text).replace(f"<|vision_start|>{video}<|vision_end|>", video)
