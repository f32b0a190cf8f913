"""Pre-fusion. Importing this package registers all mechanisms in `cuewise.mllm.registry.FUSIONS`."""

from cuewise.mllm.fusion import attn2, none
from cuewise.mllm.fusion.base import Fusion, FusionConfig

__all__ = ["Fusion", "FusionConfig", "attn2", "none"]
