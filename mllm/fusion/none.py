"""`none`: all work across streams is left to the language model."""

from dataclasses import dataclass

from torch import Tensor

from cuewise.mllm.fusion.base import Fusion, FusionConfig, StreamStates
from cuewise.mllm.registry import FUSIONS


@dataclass(kw_only=True, slots=True)
class NoFusionConfig(FusionConfig):
    """No options."""

    def num_tokens(self, present: list[str]) -> int:
        return 0


@FUSIONS.register("none", NoFusionConfig)
class NoFusion(Fusion):
    """Makes no token."""

    def __init__(self, config: NoFusionConfig, widths: dict[str, int], d_model: int):
        super().__init__()
        self.config = config

    def forward(
        self, means: dict[str, Tensor], present: dict[str, Tensor], states: dict[str, StreamStates] | None = None
    ) -> tuple[Tensor, Tensor]:
        raise RuntimeError("prefusion `none` makes no token; ask num_tokens before calling it")
