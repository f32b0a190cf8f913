"""`qformer_mm`: learned queries over the states of all streams in one row.

After AffectGPT's multimodal Q-Former (arXiv:2501.16566): the streams' states with their positions side by side, read by
a fixed number of queries. A learned vector per stream says which stream a state belongs to.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cuewise.mllm.compressors.queries import QueryLayer
from cuewise.mllm.fusion.base import Fusion, FusionConfig, StreamStates, given_streams, in_config_order
from cuewise.mllm.registry import FUSIONS


@dataclass(kw_only=True, slots=True)
class QFormerMMConfig(FusionConfig):
    """Sizes of the query transformer."""

    tokens: int = 4
    hidden: int = 128
    layers: int = 2
    heads: int = 4
    positions: int = 512

    def __post_init__(self) -> None:
        if self.tokens < 1 or self.hidden % self.heads:
            raise ValueError(f"prefusion.tokens must be >= 1 and hidden a multiple of heads, got {self.tokens}, "
                             f"{self.hidden}, {self.heads}")  # fmt: skip

    def num_tokens(self, present: list[str]) -> int:
        return self.tokens if any(name in self.streams for name in present) else 0


@FUSIONS.register("qformer_mm", QFormerMMConfig)
class QFormerMM(Fusion):
    """`tokens` tokens without a time of their own; the weights say how many of the read states each stream had."""

    needs_states = True

    def __init__(self, config: QFormerMMConfig, widths: dict[str, int], d_model: int):
        super().__init__()
        self.config = config
        self.inputs = nn.ModuleDict({
            name: nn.Sequential(nn.LayerNorm(widths[name]), nn.Linear(widths[name], config.hidden))
            for name in config.streams
        })  # fmt: skip
        self.stream = nn.Parameter(torch.randn(len(config.streams), config.hidden) * 0.02)
        self.position = nn.Embedding(config.positions, config.hidden)
        self.queries = nn.Parameter(torch.randn(config.tokens, config.hidden) * 0.02)
        self.layers = nn.ModuleList([QueryLayer(config.hidden, config.heads) for _ in range(config.layers)])
        self.out = nn.Linear(config.hidden, d_model)

    def forward(
        self, means: dict[str, Tensor], present: dict[str, Tensor], states: dict[str, StreamStates] | None = None
    ) -> tuple[Tensor, Tensor]:
        given = given_streams(self.config, means, "qformer_mm")
        keys = torch.cat([self._keys(name, states[name].states) for name in given], 1)
        valid = torch.cat([states[name].valid & present[name][:, None] for name in given], 1)
        hidden = ~valid
        hidden[~valid.any(1)] = False  # a clip without any stream reads padding; its tokens are masked by the caller
        tokens = self.queries.expand(len(keys), -1, -1)
        for layer in self.layers:
            tokens = layer(tokens, keys, hidden=hidden)
        counts = torch.stack([(states[name].valid & present[name][:, None]).sum(1) for name in given], 1).float()
        weight = counts / counts.sum(1, keepdim=True).clamp(min=1)
        return self.out(tokens), in_config_order(weight, given, self.config)

    def _keys(self, name: str, states: Tensor) -> Tensor:
        at = torch.arange(states.shape[1], device=states.device).clamp(max=self.config.positions - 1)
        return self.inputs[name](states) + self.position(at) + self.stream[self.config.streams.index(name)]
