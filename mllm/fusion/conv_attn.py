"""`conv_attn`: an attention branch and a convolution branch over the streams resampled to a common number of steps.

After Emotion-LLaMAv2 (arXiv:2601.16449), which uses three streams of 64 steps and weights without normalisation. Here
the weights are a softmax over the present streams, and an absent stream enters the convolution as zeros that carry no
information about it: its place is filled with a learned vector instead.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from cuewise.mllm.fusion.base import (
    Fusion,
    FusionConfig,
    StreamStates,
    given_streams,
    in_config_order,
    masked_softmax,
    resampled,
)
from cuewise.mllm.registry import FUSIONS


@dataclass(kw_only=True, slots=True)
class ConvAttnConfig(FusionConfig):
    """Sizes of the fusion."""

    steps: int = 8
    """Tokens, and steps to which each stream is resampled."""

    hidden: int = 128
    blocks: int = 4
    """Residual convolutions of width 3; the receptive field is ``2 blocks + 1`` steps."""

    attention: bool = True
    convolution: bool = True

    def __post_init__(self) -> None:
        if not (self.attention or self.convolution):
            raise ValueError("prefusion conv_attn needs attention or convolution; both are off")
        if self.steps < 1 or self.hidden < 1 or self.blocks < 0:
            raise ValueError(f"prefusion.steps and hidden must be >= 1 and blocks >= 0, got {self.steps}, "
                             f"{self.hidden}, {self.blocks}")  # fmt: skip

    def num_tokens(self, present: list[str]) -> int:
        return self.steps if any(name in self.streams for name in present) else 0


@FUSIONS.register("conv_attn", ConvAttnConfig)
class ConvAttn(Fusion):
    """`steps` tokens in time order."""

    needs_states = True

    def __init__(self, config: ConvAttnConfig, widths: dict[str, int], d_model: int):
        super().__init__()
        self.config = config
        hidden, wide = config.hidden, config.hidden * len(config.streams)
        self.inputs = nn.ModuleDict({
            name: nn.Sequential(nn.LayerNorm(widths[name]), nn.Linear(widths[name], 4 * hidden), nn.ReLU(),
                                nn.Linear(4 * hidden, hidden))
            for name in config.streams
        })  # fmt: skip
        self.absent = nn.Parameter(torch.zeros(len(config.streams), hidden))
        self.score = nn.Sequential(nn.Linear(wide, wide), nn.ReLU(), nn.Linear(wide, len(config.streams)))
        self.enter = nn.Conv1d(wide, hidden, 1)
        self.blocks = nn.ModuleList([nn.Conv1d(hidden, hidden, 3, padding=1) for _ in range(config.blocks)])
        self.out = nn.Sequential(nn.Linear(hidden, 2 * hidden), nn.Linear(2 * hidden, d_model))

    def forward(
        self, means: dict[str, Tensor], present: dict[str, Tensor], states: dict[str, StreamStates] | None = None
    ) -> tuple[Tensor, Tensor]:
        given = given_streams(self.config, means, "conv_attn")
        size = len(means[given[0]])
        there = torch.stack([present[name] if name in given else torch.zeros_like(present[given[0]])
                             for name in self.config.streams], 1)  # fmt: skip
        rows = [self._stream(name, states[name] if name in given else None, there[:, i], size, i)
                for i, name in enumerate(self.config.streams)]  # fmt: skip
        hidden, wide = torch.stack(rows, 2), torch.cat(rows, 2)
        weight = masked_softmax(self.score(wide).float(), there[:, None]).to(hidden.dtype)
        mixed = torch.zeros_like(rows[0])
        if self.config.attention:
            mixed = mixed + torch.einsum("bkm,bkmh->bkh", weight, hidden)
        if self.config.convolution:
            mixed = mixed + self._convolve(wide)
        mean_weight = weight.mean(1)[:, [self.config.streams.index(name) for name in given]]
        return self.out(mixed), in_config_order(mean_weight, given, self.config)

    def _stream(self, name: str, stream: StreamStates | None, there: Tensor, size: int, index: int) -> Tensor:
        """[B, K, H]; the learned vector where the stream is absent."""
        filler = self.absent[index].expand(size, self.config.steps, -1)
        if stream is None:
            return filler
        return torch.where(there[:, None, None], self.inputs[name](resampled(stream, self.config.steps)), filler)

    def _convolve(self, wide: Tensor) -> Tensor:
        x = self.enter(wide.mT)
        for block in self.blocks:
            x = x + functional.silu(block(x))
        return x.mT
