"""Pre-fusion. Importing this package registers all mechanisms in `cuewise.mllm.registry.FUSIONS`."""

from cuewise.mllm.fusion import attn2, conv_attn, none, prompt_gate, qformer_mm, text_anchor, xattn_experts
from cuewise.mllm.fusion.base import Fusion, FusionConfig, StreamStates

__all__ = [
    "Fusion", "FusionConfig", "StreamStates", "attn2", "conv_attn", "none", "prompt_gate", "qformer_mm",
    "text_anchor", "xattn_experts",
]  # fmt: skip
