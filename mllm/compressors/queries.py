"""`qformer` and `window_qformer`: learned queries read the states by cross-attention.

`qformer` after AffectGPT (arXiv:2501.16566) and Nano-EmoX: a fixed number of queries over the whole clip, learned
positions on the keys, no feed-forward on the state path. `window_qformer`: one query per time window, which keeps the
tokens in time order.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cuewise.mllm.compressors.base import (
    Compressed,
    Compressor,
    CompressorConfig,
    member_times,
    valid_first,
    window_members,
)
from cuewise.mllm.registry import COMPRESSORS


@dataclass(kw_only=True, slots=True)
class QFormerConfig(CompressorConfig):
    """Sizes of a query transformer."""

    hidden: int = 128
    """Width of queries and attention."""

    layers: int = 2
    heads: int = 4
    positions: int = 512
    """Most states that are told apart by position; later ones share the last position."""

    def __post_init__(self) -> None:
        CompressorConfig.__post_init__(self)
        if self.summary:
            raise ValueError("compressor.summary: query tokens already see the whole clip; leave it off")
        if self.hidden % self.heads:
            raise ValueError(f"compressor.hidden must be a multiple of heads, got {self.hidden} and {self.heads}")

    def num_tokens(self, num_states: int) -> int:
        """Always `tokens`, however short the clip."""
        CompressorConfig.num_tokens(self, num_states)
        return self.tokens


class QueryLayer(nn.Module):
    """Self-attention among queries, cross-attention to states, feed-forward of the queries."""

    def __init__(self, hidden: int, heads: int):
        super().__init__()
        self.self_attention = nn.MultiheadAttention(hidden, heads, batch_first=True)
        self.cross_attention = nn.MultiheadAttention(hidden, heads, batch_first=True)
        self.norms = nn.ModuleList([nn.LayerNorm(hidden) for _ in range(3)])
        self.feed_forward = nn.Sequential(nn.Linear(hidden, 4 * hidden), nn.GELU(), nn.Linear(4 * hidden, hidden))

    def forward(
        self, queries: Tensor, keys: Tensor, hidden: Tensor | None = None, blocked: Tensor | None = None,
        absent: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """queries [B, K, H], keys [B, N, H] -> queries.

        True in `hidden` [B, N] or `blocked` [B * heads, K, N] is a state that is not read, in `absent` [B, K] a query
        that the others do not see.
        """
        x = self.norms[0](queries)
        queries = queries + self.self_attention(x, x, x, key_padding_mask=absent, need_weights=False)[0]
        x = self.norms[1](queries)
        queries = queries + self.cross_attention(
            x, keys, keys, key_padding_mask=hidden, attn_mask=blocked, need_weights=False
        )[0]
        return queries + self.feed_forward(self.norms[2](queries))


class _Queries(Compressor):
    config: QFormerConfig

    def __init__(self, config: QFormerConfig, channels: int):
        super().__init__(config, channels)
        self.queries = nn.Parameter(torch.randn(config.tokens, config.hidden) * 0.02)
        self.position = nn.Embedding(config.positions, config.hidden)
        self.read = nn.Linear(channels, config.hidden)
        self.layers = nn.ModuleList([QueryLayer(config.hidden, config.heads) for _ in range(config.layers)])
        self.out = nn.Linear(config.hidden, channels)

    def keys(self, states: Tensor) -> Tensor:
        """[B, N, C] -> [B, N, H] with the position of each state."""
        at = torch.arange(states.shape[1], device=states.device).clamp(max=self.config.positions - 1)
        return self.read(states) + self.position(at)


@COMPRESSORS.register("qformer", QFormerConfig)
class QFormer(_Queries):
    """A fixed number of tokens, each over the whole clip; they carry no time of their own."""

    def forward(self, states: Tensor, mask: Tensor, times_s: Tensor | None) -> Compressed:
        states, valid, _ = valid_first(states, mask, times_s)
        keys = self.keys(states)
        tokens = self.queries.expand(len(states), -1, -1)
        for layer in self.layers:
            tokens = layer(tokens, keys, hidden=~valid)
        shape = (len(states), self.config.tokens)
        exists = torch.ones(shape, dtype=torch.bool, device=states.device)
        none = torch.zeros(self.config.tokens, dtype=torch.bool, device=states.device)
        return Compressed(self.out(tokens), exists, torch.zeros(shape, device=states.device), none)


@dataclass(kw_only=True, slots=True)
class WindowQFormerConfig(QFormerConfig):
    """As `qformer`, with one query per time window."""

    def num_tokens(self, num_states: int) -> int:
        return CompressorConfig.num_tokens(self, num_states)


@COMPRESSORS.register("window_qformer", WindowQFormerConfig)
class WindowQFormer(_Queries):
    """Token k reads the states of time window k, so the tokens stand in time order."""

    def forward(self, states: Tensor, mask: Tensor, times_s: Tensor | None) -> Compressed:
        states, valid, times_s = valid_first(states, mask, times_s)
        member = window_members(valid, self.config.tokens)
        exists = member.any(1)
        blocked = ~member.transpose(1, 2) & exists.unsqueeze(-1)
        blocked = blocked.repeat_interleave(self.config.heads, 0)
        keys = self.keys(states)
        tokens = self.queries[: member.shape[2]].expand(len(states), -1, -1)
        for layer in self.layers:
            tokens = layer(tokens, keys, blocked=blocked, absent=~exists)
        none = torch.zeros(member.shape[2], dtype=torch.bool, device=states.device)
        return Compressed(self.out(tokens) * exists.unsqueeze(-1), exists, member_times(member, times_s), none)
