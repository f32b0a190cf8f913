"""Building blocks whose result for a clip depends on that clip's valid items alone.

Shapes: B clips, T time steps, F frequency bands or C channels. Masks are bool, True for valid steps; None says that all
are, which spares the work of masking. Values at invalid steps are held at zero before every convolution, which makes
padding equal to the border a convolution sees anyway.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

SHORTEST_PERIOD_S = 0.25
LONGEST_PERIOD_S = 120.0


def time_features(times_s: Tensor, size: int) -> Tensor:
    """Sine and cosine of each time at `size` / 2 periods from 0.25 s to 120 s: [...] -> [..., size]."""
    if size % 2:
        raise ValueError(f"time features come in pairs of sine and cosine; got an odd size, {size}")
    steps = torch.linspace(0, 1, size // 2, device=times_s.device, dtype=torch.float32)
    periods = SHORTEST_PERIOD_S * (LONGEST_PERIOD_S / SHORTEST_PERIOD_S) ** steps
    phase = times_s.float().unsqueeze(-1) * (2 * math.pi / periods)
    return torch.cat([phase.sin(), phase.cos()], -1)


class MaskedGroupNorm(nn.Module):
    """Group normalisation over the valid steps of each clip: x [B, C, T, F], mask [B, T] -> [B, C, T, F].

    Batch statistics would let neighbours in, and plain group normalisation would let padding in.
    """

    def __init__(self, channels: int, groups: int = 8, eps: float = 1e-5):
        super().__init__()
        if channels % groups:
            raise ValueError(f"{channels} channels cannot be split into {groups} groups; choose a divisor")
        self.groups, self.eps = groups, eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if mask is None:
            mask = x.new_ones(x.shape[0], x.shape[2], dtype=torch.bool)
        grouped = x.float().unflatten(1, (self.groups, -1))
        weight = mask[:, None, None, :, None].float()
        count = weight.sum((2, 3, 4), keepdim=True) * grouped.shape[2] * grouped.shape[4]
        mean = (grouped * weight).sum((2, 3, 4), keepdim=True) / count
        centred = (grouped - mean) * weight
        variance = centred.square().sum((2, 3, 4), keepdim=True) / count
        normed = (centred * torch.rsqrt(variance + self.eps)).flatten(1, 2).to(x.dtype)
        return (normed * self.weight[:, None, None] + self.bias[:, None, None]) * mask[:, None, :, None]


class MaskedBatchNorm(nn.Module):
    """Batch normalisation over the valid steps of a batch while training, by running statistics afterwards.

    In eval mode a channel is scaled by constants, so neighbours and padding change nothing, and differences between
    clips in level and spread survive, which normalisation within a clip removes.
    """

    def __init__(self, channels: int, momentum: float = 0.1, eps: float = 1e-5):
        super().__init__()
        self.momentum, self.eps = momentum, eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """x [B, C, T, F], mask [B, T] -> [B, C, T, F], zeros at invalid steps."""
        if mask is None and x[:, 0].numel() == 1:
            mask = x.new_ones(x.shape[0], x.shape[2], dtype=torch.bool)
        if mask is None:
            return functional.batch_norm(
                x, self.mean, self.variance, self.weight, self.bias, self.training, self.momentum, self.eps
            )
        weight = mask[:, None, :, None].to(x.dtype)
        mean, variance = self.mean, self.variance
        if self.training:
            values = x.float()
            count = weight.sum() * x.shape[3]
            mean = (values * weight).sum((0, 2, 3)) / count
            variance = ((values - mean[:, None, None]).square() * weight).sum((0, 2, 3)) / count
            with torch.no_grad():
                self.mean.lerp_(mean.to(self.mean.dtype), self.momentum)
                self.variance.lerp_(variance.to(self.variance.dtype), self.momentum)
        scale = self.weight * torch.rsqrt(variance.float() + self.eps)
        shift = self.bias - mean * scale
        return (x * scale.to(x.dtype)[:, None, None] + shift.to(x.dtype)[:, None, None]) * weight


def masked_norm(kind: str, channels: int) -> nn.Module:
    """``batch`` or ``group`` normalisation over valid steps."""
    return MaskedBatchNorm(channels) if kind == "batch" else MaskedGroupNorm(channels)


class SqueezeExcite(nn.Module):
    """Channel gates from the mean over valid steps and all bands (arXiv:1709.01507); dropout closes whole channels."""

    def __init__(self, channels: int, reduction: int = 4, dropout: float = 0.0):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.net = nn.Sequential(
            nn.Linear(channels, channels // reduction), nn.SiLU(), nn.Linear(channels // reduction, channels)
        )

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """x [B, C, T, F] with zeros at invalid steps, mask [B, T] -> [B, C, T, F]."""
        mean = x.mean((2, 3)) if mask is None else x.mean(3).sum(2) / mask.sum(1, keepdim=True)
        return x * self.dropout(self.net(mean).sigmoid())[:, :, None, None]


class ConvBlock(nn.Module):
    """Convolution with strides in time and band, normalisation, SiLU, channel gates."""

    def __init__(
        self, d_in: int, d_out: int, kernel: int | tuple[int, int], stride: tuple[int, int], norm: str = "batch",
        dropout: float = 0.0,
    ):  # fmt: skip
        super().__init__()
        self.time_stride = stride[0]
        size = (kernel, kernel) if isinstance(kernel, int) else kernel
        self.conv = nn.Conv2d(d_in, d_out, size, stride, padding=(size[0] // 2, size[1] // 2), bias=False)
        self.norm = masked_norm(norm, d_out)
        self.gate = SqueezeExcite(d_out, dropout=dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """x [B, C, T, F], zeros at invalid steps, mask [B, T] -> the same at ceil(T / time stride) steps."""
        if mask is None:
            return self.gate(functional.silu(self.norm(self.conv(x), None)), None), None
        mask = mask[:, :: self.time_stride]
        y = functional.silu(self.norm(self.conv(x), mask)) * mask[:, None, :, None]
        return self.gate(y, mask), mask


def _mlp(channels: int, hidden: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(channels, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, channels))


class TemporalConv(nn.Module):
    """Residual depth-wise convolution over time and a two-layer MLP (arXiv:2201.03545, in one dimension)."""

    def __init__(self, channels: int, kernel: int = 9, expand: int = 2, dropout: float = 0.0):
        super().__init__()
        self.depthwise = nn.Conv1d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.mlp = _mlp(channels, expand * channels, dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x [B, T, C], mask [B, T] -> [B, T, C], zeros at invalid steps."""
        y = self.depthwise((x * mask.unsqueeze(-1)).transpose(1, 2)).transpose(1, 2)
        return (x + self.mlp(self.norm(y))) * mask.unsqueeze(-1)


class TemporalAttention(nn.Module):
    """Pre-norm transformer layer over the valid steps of each clip."""

    def __init__(self, channels: int, heads: int = 4, expand: int = 2, dropout: float = 0.0):
        super().__init__()
        if channels % heads:
            raise ValueError(f"{channels} channels cannot be split into {heads} attention heads; choose a divisor")
        self.heads, self.dropout = heads, dropout
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.qkv, self.out = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        self.mlp = _mlp(channels, expand * channels, dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x [B, T, C], mask [B, T] with a valid step in each row -> [B, T, C], zeros at invalid steps."""
        q, k, v = self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        rate = self.dropout if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None, :], dropout_p=rate)
        x = x + functional.dropout(self.out(mixed.transpose(1, 2).flatten(2)), rate)
        return (x + functional.dropout(self.mlp(self.norm2(x)), rate)) * mask.unsqueeze(-1)


def temporal_layer(kind: str, channels: int, dropout: float) -> nn.Module:
    """One layer that mixes states over time: ``conv`` or ``attention``."""
    return TemporalConv(channels, dropout=dropout) if kind == "conv" else TemporalAttention(channels, dropout=dropout)
