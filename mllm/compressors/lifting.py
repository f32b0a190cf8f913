"""`lifting`: frames split into those that say what the rest says and those that say more, after IFDD (AAAI 2025).

Split: the frames most like all others are the approximation half, the rest the detail half. Lift: the approximation is
updated from the detail, and what the approximation predicts of the detail is taken off it. The regulariser keeps the
pooled approximation small, so that the content moves into the detail. As a compressor, `lifting` gives one token per
detail frame, in time order, and the mean of the approximation as the summary.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from cuewise.mllm.compressors.base import Compressed, Compressor, CompressorConfig, valid_first
from cuewise.mllm.registry import COMPRESSORS


class Lifted(NamedTuple):
    """Both halves and which frames they are."""

    approximation: Tensor
    """[B, T/2, C]."""
    detail: Tensor
    """[B, T/2, C]."""
    order: Tensor
    """[B, T] frame numbers: the approximation half in time order, then the detail half in time order."""


def split_order(frames: Tensor) -> Tensor:
    """[B, T, C] -> [B, T]: frame numbers, the T/2 most like the others first; each half in time order.

    Raises ValueError for an odd number of frames.
    """
    count = frames.shape[1]
    if count % 2:
        raise ValueError(f"the lifting split needs an even number of frames, got {count}; sample one more or one fewer")
    rows = functional.normalize(frames.float(), dim=2)
    alike = (rows @ rows.mT).softmax(2).sum(1)
    ranked = alike.argsort(dim=1, descending=True, stable=True)
    near, far = ranked[:, : count // 2].sort(1).values, ranked[:, count // 2 :].sort(1).values
    return torch.cat([near, far], 1)


class Lifting(nn.Module):
    """One lifting step over frame states of width `channels`."""

    def __init__(self, channels: int, heads: int = 4, detail_first: bool = False):
        super().__init__()
        self.detail_first = detail_first
        self.update = nn.MultiheadAttention(channels, heads, batch_first=True)
        self.predict = nn.MultiheadAttention(channels, heads, batch_first=True)

    def forward(self, frames: Tensor) -> Lifted:
        """[B, T, C] with T even -> both halves."""
        order = split_order(frames)
        rows = frames.gather(1, order.unsqueeze(-1).expand_as(frames))
        half = frames.shape[1] // 2
        a, d = rows[:, :half], rows[:, half:]
        if self.detail_first:
            d = d - self._read(self.predict, d, a)
            a = a + self._read(self.update, a, d)
        else:
            a = a + self._read(self.update, a, d)
            d = d - self._read(self.predict, d, a)
        return Lifted(a, d, order)

    def regulariser(self, lifted: Lifted, weight: float = 0.1) -> Tensor:
        """``weight * smooth L1(mean of the approximation, 0)``."""
        pooled = lifted.approximation.mean(1)
        return weight * functional.smooth_l1_loss(pooled, torch.zeros_like(pooled))

    @staticmethod
    def _read(attention: nn.MultiheadAttention, query: Tensor, keys: Tensor) -> Tensor:
        return attention(query, keys, keys, need_weights=False)[0]


@dataclass(kw_only=True, slots=True)
class LiftingConfig(CompressorConfig):
    """Sizes of the lifting step."""

    tokens: int = 64
    """Most detail frames."""

    summary: bool = True
    heads: int = 4
    detail_first: bool = False
    odd: Literal["refuse", "repeat"] = "refuse"
    """What an odd number of frames is: an error, or the last frame twice."""

    def num_tokens(self, num_states: int) -> int:
        if num_states % 2 and self.odd == "refuse":
            raise ValueError(f"lifting needs an even number of frames, got {num_states}; sample one more or one fewer, "
                             "or set compressor.odd: repeat")  # fmt: skip
        count = -(-num_states // 2)
        if num_states < 1 or count > self.tokens:
            raise ValueError(f"lifting makes {count} tokens of {num_states} frames; compressor.tokens allows "
                             f"{self.tokens}")  # fmt: skip
        return count + int(self.summary)


@COMPRESSORS.register("lifting", LiftingConfig)
class LiftingCompressor(Compressor):
    """Clips are taken one by one, because the split depends on a clip's own frames."""

    config: LiftingConfig

    def __init__(self, config: LiftingConfig, channels: int):
        super().__init__(config, channels)
        self.lift = Lifting(channels, config.heads, config.detail_first)
        self._terms: list[Tensor] = []

    def auxiliary(self) -> Tensor | None:
        terms, self._terms = self._terms, []
        return torch.stack(terms).mean() if terms else None

    def forward(self, states: Tensor, mask: Tensor, times_s: Tensor | None) -> Compressed:
        states, valid, times_s = valid_first(states, mask, times_s)
        counts = valid.sum(1).tolist()
        self._terms = []
        lead, longest = int(self.config.summary), max(-(-count // 2) for count in counts)
        tokens = states.new_zeros(len(states), lead + longest, self.channels)
        exists = torch.zeros(tokens.shape[:2], dtype=torch.bool, device=states.device)
        times = torch.zeros(tokens.shape[:2], device=states.device)
        for i, count in enumerate(counts):
            self.config.num_tokens(count)
            keep = torch.arange(count + count % 2, device=states.device).clamp(max=count - 1)
            lifted = self.lift(states[i : i + 1, keep])
            if self.training:
                self._terms.append(self.lift.regulariser(lifted))
            half = len(keep) // 2
            row = [lifted.approximation[0].mean(0, keepdim=True)] if lead else []
            tokens[i, : lead + half] = torch.cat([*row, lifted.detail[0]])
            exists[i, : lead + half] = True
            if times_s is not None:
                times[i, lead : lead + half] = times_s[i, keep[lifted.order[0, half:]]].float()
        is_summary = torch.arange(lead + longest, device=states.device) < lead
        return Compressed(tokens, exists, times, is_summary)
