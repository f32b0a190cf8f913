"""Compressors of states that lie on a grid: `adaptive_pool`, `group4` and `stc_conv`.

`group4` after Emotion-LLaMA, `adaptive_pool` after Emotion-LLaMAv2 (arXiv:2601.16449), `stc_conv` after the
spatio-temporal connector of HumanOmni (arXiv:2501.15111). The states of `stc_conv` are frames of `grid[0]` x `grid[1]`
places, frame after frame, row after row.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from cuewise.mllm.compressors.base import Compressed, Compressor, CompressorConfig, member_times, valid_first
from cuewise.mllm.registry import COMPRESSORS

GROUP = 4


@dataclass(kw_only=True, slots=True)
class AdaptivePoolConfig(CompressorConfig):
    """Exactly `tokens` tokens for a clip of any length."""

    def __post_init__(self) -> None:
        CompressorConfig.__post_init__(self)
        if self.summary:
            raise ValueError("compressor.summary is not made by adaptive_pool; use mean or attn_pool")

    def num_tokens(self, num_states: int) -> int:
        CompressorConfig.num_tokens(self, num_states)
        return self.tokens


@COMPRESSORS.register("adaptive_pool", AdaptivePoolConfig)
class AdaptivePool(Compressor):
    """Token k is the mean of states ``floor(k N / K)`` to ``ceil((k + 1) N / K)``: bins may share states."""

    def forward(self, states: Tensor, mask: Tensor, times_s: Tensor | None) -> Compressed:
        states, valid, times_s = valid_first(states, mask, times_s)
        member = adaptive_members(valid, self.config.tokens)
        exists = torch.ones_like(member[:, 0])
        return Compressed(adaptive_mean(states, member), exists, member_times(member, times_s), ~exists[0])


def adaptive_members(valid: Tensor, bins: int) -> Tensor:
    """bool [B, N, bins] for clips with their valid states in front; every bin of a clip with states has a member."""
    count, number = valid.sum(1)[:, None], torch.arange(bins, device=valid.device)[None]
    low, high = number * count // bins, -(-(number + 1) * count // bins)
    at = torch.arange(valid.shape[1], device=valid.device)[None, :, None]
    return (at >= low[:, None]) & (at < high[:, None])


def adaptive_mean(states: Tensor, member: Tensor) -> Tensor:
    """states [B, N, C], member [B, N, K] -> [B, K, C]: mean of each bin; 0 for a clip without states."""
    share = member / member.sum(1, keepdim=True).clamp(min=1)
    return torch.einsum("bnk,bnc->bkc", share.to(states.dtype), states)


def group4(states: Tensor) -> Tensor:
    """[B, 4 K, C] -> [B, K, 4 C]: states 4k, 4k+1, 4k+2, 4k+3 side by side, in this order."""
    return states.reshape(states.shape[0], -1, GROUP * states.shape[2])


def ungroup4(grouped: Tensor) -> Tensor:
    """The inverse of `group4`."""
    return grouped.reshape(grouped.shape[0], -1, grouped.shape[2] // GROUP)


@dataclass(kw_only=True, slots=True)
class GroupConfig(CompressorConfig):
    """Every four neighbours become one token; `tokens` bounds them."""

    tokens: int = 256

    def __post_init__(self) -> None:
        if self.summary:
            raise ValueError("compressor.summary is not made by group4; use mean or attn_pool")

    def num_tokens(self, num_states: int) -> int:
        count = -(-num_states // GROUP)
        if num_states < 1 or count > self.tokens:
            raise ValueError(f"group4 makes {count} tokens of {num_states} states; compressor.tokens allows "
                             f"{self.tokens}")  # fmt: skip
        return count


@COMPRESSORS.register("group4", GroupConfig)
class Group4(Compressor):
    """Four neighbouring states side by side in one wide token; a short last group is filled with zeros."""

    @property
    def d_out(self) -> int:
        return GROUP * self.channels

    def forward(self, states: Tensor, mask: Tensor, times_s: Tensor | None) -> Compressed:
        states, valid, times_s = valid_first(states, mask, times_s)
        short = -states.shape[1] % GROUP
        states, valid = functional.pad(states, (0, 0, 0, short)), functional.pad(valid, (0, short))
        exists = valid.view(len(valid), -1, GROUP)
        times = torch.zeros(exists.shape[:2], device=states.device)
        if times_s is not None:
            placed = functional.pad(times_s.float(), (0, short)).view_as(exists)
            times = (placed * exists).sum(2) / exists.sum(2).clamp(min=1)
        none = torch.zeros(exists.shape[1], dtype=torch.bool, device=states.device)
        return Compressed(group4(states), exists.any(2), times, none)


@dataclass(kw_only=True, slots=True)
class STCConfig(CompressorConfig):
    """Sizes of the spatio-temporal connector."""

    grid: list[int] = field(default_factory=lambda: [4, 4])
    """Rows and columns of places in each frame."""

    tokens: int = 512
    depth: int = 2
    """Residual blocks before and after the reduction."""

    def __post_init__(self) -> None:
        if self.summary:
            raise ValueError("compressor.summary is not made by stc_conv; use mean or attn_pool")
        if len(self.grid) != 2 or min(self.grid) < 1:
            raise ValueError(f"compressor.grid must be [rows, columns], got {self.grid}")

    def num_tokens(self, num_states: int) -> int:
        places = self.grid[0] * self.grid[1]
        if num_states < places or num_states % places:
            raise ValueError(f"{num_states} states are no whole frames of {self.grid[0]} x {self.grid[1]} places")
        count = (num_states // places + 1) * (self.grid[0] // 2 or 1) * (self.grid[1] // 2 or 1)
        if count > self.tokens:
            raise ValueError(f"stc_conv makes {count} tokens; compressor.tokens allows {self.tokens}")
        return count


class ResidualBlock(nn.Module):
    """3 x 3 convolution within each frame, normalised per place, with a shortcut."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.conv = nn.Conv3d(channels, channels, (1, 3, 3), padding=(0, 1, 1))

    def forward(self, maps: Tensor) -> Tensor:
        """[B, C, T, H, W] -> the same."""
        x = self.norm(maps.movedim(1, -1)).movedim(-1, 1)
        return maps + functional.silu(self.conv(x))


@COMPRESSORS.register("stc_conv", STCConfig)
class STCConv(Compressor):
    """Blocks, a convolution that halves rows and columns and joins neighbouring frames, blocks."""

    config: STCConfig

    def __init__(self, config: STCConfig, channels: int):
        super().__init__(config, channels)
        self.before = nn.Sequential(*(ResidualBlock(channels) for _ in range(config.depth)))
        rows, columns = config.grid
        kernel = (2, min(2, rows), min(2, columns))
        self.reduce = nn.Conv3d(channels, channels, kernel, (1, *kernel[1:]), padding=(1, 0, 0))
        self.after = nn.Sequential(*(ResidualBlock(channels) for _ in range(config.depth)))

    def forward(self, states: Tensor, mask: Tensor, times_s: Tensor | None) -> Compressed:
        states, valid, times_s = valid_first(states, mask, times_s)
        rows, columns = self.config.grid
        size, places = len(states), rows * columns
        if states.shape[1] % places or (valid.sum(1) % places).any():
            raise ValueError(f"stc_conv got {states.shape[1]} states, no whole frames of {rows} x {columns} places")
        there = valid.view(size, -1, places).any(2)
        maps = states.view(size, -1, rows, columns, self.channels).movedim(-1, 1)
        maps = self.before(maps) * there[:, None, :, None, None]
        maps = self.after(functional.silu(self.reduce(maps)))
        exists = functional.pad(there, (1, 0)) | functional.pad(there, (0, 1))
        per_frame = maps.shape[-2] * maps.shape[-1]
        tokens = maps.movedim(1, -1).reshape(size, -1, self.channels)
        exists_each = exists.repeat_interleave(per_frame, 1)
        times = self._times(times_s, there, places).repeat_interleave(per_frame, 1)
        none = torch.zeros(tokens.shape[1], dtype=torch.bool, device=states.device)
        return Compressed(tokens * exists_each.unsqueeze(-1), exists_each, times, none)

    @staticmethod
    def _times(times_s: Tensor | None, there: Tensor, places: int) -> Tensor:
        """Time of each output frame: the mean of the one or two frames it joins."""
        if times_s is None:
            return torch.zeros(there.shape[0], there.shape[1] + 1, device=there.device)
        frame = times_s.float().view(len(there), -1, places)[..., 0] * there
        total = functional.pad(frame, (1, 0)) + functional.pad(frame, (0, 1))
        return total / (functional.pad(there, (1, 0)).float() + functional.pad(there, (0, 1))).clamp(min=1)
