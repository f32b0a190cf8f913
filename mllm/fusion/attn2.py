"""`attn2`: mean over time per stream, a score per stream, softmax over the present streams, one fused token.

After AffectGPT (arXiv:2501.16566), which scores the concatenation of two streams and uses the scores without
normalisation. Here any number of streams may be there: each is scored together with the mean of the present ones, and
the softmax runs over the present streams only.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cuewise.mllm.fusion.base import (
    Fusion,
    FusionConfig,
    StreamStates,
    given_streams,
    in_config_order,
    masked_softmax,
)
from cuewise.mllm.registry import FUSIONS


@dataclass(kw_only=True, slots=True)
class Attn2Config(FusionConfig):
    """Sizes of the fusion."""

    hidden: int = 128
    """Width H in which the streams are mixed."""

    def __post_init__(self) -> None:
        if self.hidden < 1:
            raise ValueError(f"prefusion.hidden must be >= 1, got {self.hidden}")

    def num_tokens(self, present: list[str]) -> int:
        return int(any(name in self.streams for name in present))


@FUSIONS.register("attn2", Attn2Config)
class Attn2(Fusion):
    """One token, a convex combination of the present streams."""

    def __init__(self, config: Attn2Config, widths: dict[str, int], d_model: int):
        super().__init__()
        self.config = config
        self.inputs = nn.ModuleDict({
            name: nn.Sequential(nn.LayerNorm(widths[name]), nn.Linear(widths[name], config.hidden))
            for name in config.streams
        })  # fmt: skip
        self.score = nn.Sequential(
            nn.Linear(2 * config.hidden, config.hidden), nn.GELU(), nn.Linear(config.hidden, 1)
        )  # fmt: skip
        self.out = nn.Linear(config.hidden, d_model)

    def forward(
        self, means: dict[str, Tensor], present: dict[str, Tensor], states: dict[str, StreamStates] | None = None
    ) -> tuple[Tensor, Tensor]:
        given = given_streams(self.config, means, "attn2")
        there = torch.stack([present[name] for name in given], 1)
        hidden = torch.stack([self.inputs[name](means[name]) for name in given], 1) * there.unsqueeze(-1)
        context = hidden.sum(1, keepdim=True) / there.sum(1).clamp(min=1)[:, None, None]
        score = self.score(torch.cat([hidden, context.expand_as(hidden)], -1)).squeeze(-1)
        weight = masked_softmax(score.float(), there)
        token = self.out(torch.einsum("bm,bmh->bh", weight.to(hidden.dtype), hidden)).unsqueeze(1)
        return token, in_config_order(weight, given, self.config)
