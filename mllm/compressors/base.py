"""What every compressor offers: encoder states in, a declared number of tokens in time order out.

Shapes: B clips, N states, C channels, K tokens. The valid states of a clip are split, in order, into ``min(K, N)``
windows of equal length (lengths differ by at most one state), so no window is ever empty; a clip with fewer states than
K gets one token per state. Padding and batch neighbours do not change a token.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(kw_only=True, slots=True)
class CompressorConfig:
    """How many tokens a stream becomes."""

    tokens: int = 8
    """Most tokens in time order."""

    summary: bool = False
    """One more token, before the others, over all states."""

    def __post_init__(self) -> None:
        if self.tokens < 0 or (self.tokens == 0 and not self.summary):
            raise ValueError(f"compressor.tokens must be >= 1 (or 0 with compressor.summary), got {self.tokens}")

    def num_tokens(self, num_states: int) -> int:
        """Tokens produced from `num_states` >= 1 states."""
        if num_states < 1:
            raise ValueError(f"a present stream has at least one encoder state, got {num_states}")
        return min(self.tokens, num_states) + int(self.summary)


class Compressed(NamedTuple):
    """Tokens of one stream before projection."""

    tokens: Tensor
    """float [B, K, C]; zeros where `mask` is False."""

    mask: Tensor
    """bool [B, K]; True for tokens that exist."""

    times_s: Tensor
    """float [B, K] centre of each token's window in seconds; 0 without times and for the summary token."""

    is_summary: Tensor
    """bool [K]; True for the summary token."""


class Compressor(nn.Module):
    """Base of every compressor, built as ``Compressor(config, channels)``."""

    def __init__(self, config: CompressorConfig, channels: int):
        super().__init__()
        self.config = config
        self.channels = channels

    @property
    def d_out(self) -> int:
        """Channels of a token; those of the states unless a compressor says otherwise."""
        return self.channels

    def auxiliary(self) -> Tensor | None:
        """A weighted term of the last training pass that belongs to the mechanism itself, given once; None without."""
        return None

    def forward(self, states: Tensor, mask: Tensor, times_s: Tensor | None) -> Compressed:
        """states [B, N, C], bool mask [B, N] with a valid state in each row, times [B, N] s or None -> tokens."""
        raise NotImplementedError


class WindowCompressor(Compressor):
    """Weighted means over windows; subclasses give each state a score."""

    def score(self, states: Tensor) -> Tensor:
        """[B, N, C] -> [B, N] or [B, N, 2] (for windows, for the summary); weights are the softmax per window."""
        raise NotImplementedError

    def forward(self, states: Tensor, mask: Tensor, times_s: Tensor | None) -> Compressed:
        member = window_members(mask, self.config.tokens)
        is_summary = torch.zeros(member.shape[2], dtype=torch.bool, device=mask.device)
        if self.config.summary:
            member = torch.cat([mask.unsqueeze(-1), member], 2)
            is_summary = functional.pad(is_summary, (1, 0), value=True)
        score = self.score(states).float()
        weight = _window_softmax(torch.where(is_summary, score[..., 1:], score[..., :1]), member)
        exists = member.any(1)
        times = member_times(member, times_s) * ~is_summary
        tokens = torch.einsum("bnk,bnc->bkc", weight.to(states.dtype), states)
        return Compressed(tokens, exists, times, is_summary)


def window_members(mask: Tensor, windows: int) -> Tensor:
    """bool [B, N, k], True where a valid state belongs to a window; k = most windows any row has."""
    count = mask.sum(1, keepdim=True)
    used = count.clamp(max=windows)
    rank = mask.long().cumsum(1) - 1
    window = rank * used // count.clamp(min=1)
    columns = torch.arange(min(windows, mask.shape[1]), device=mask.device)
    member = (window.unsqueeze(-1) == columns) & mask.unsqueeze(-1)
    return member[..., : int(used.max())] if windows else member


def member_times(member: Tensor, times_s: Tensor | None) -> Tensor:
    """float [B, K]: mean time in seconds of the states of each window [B, N, K]; 0 without times."""
    if times_s is None:
        return torch.zeros(member.shape[0], member.shape[2], device=member.device)
    share = member / member.sum(1, keepdim=True).clamp(min=1)
    return torch.einsum("bnk,bn->bk", share, times_s.float())


def valid_first(states: Tensor, mask: Tensor, times_s: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """The same clips with the valid states of each in front, in order, and padding zeroed."""
    order = torch.argsort((~mask).long(), dim=1, stable=True)
    valid = mask.gather(1, order)
    states = states.gather(1, order.unsqueeze(-1).expand_as(states)) * valid.unsqueeze(-1)
    return states, valid, None if times_s is None else times_s.gather(1, order) * valid


def _window_softmax(score: Tensor, member: Tensor) -> Tensor:
    """score [B, N, K], member [B, N, K] -> weights that sum to 1 over the members of each non-empty window."""
    score = score.masked_fill(~member, float("-inf"))
    top = score.amax(1, keepdim=True)
    weight = torch.exp(score - top.masked_fill(top == float("-inf"), 0.0))
    return weight / weight.sum(1, keepdim=True).clamp(min=1e-20)
