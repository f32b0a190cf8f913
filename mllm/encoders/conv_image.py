"""`conv_face` and `conv_scene`: small residual networks per picture, then mixing over the pictures of a clip.

Input [B, T, S, S, channels] uint8 or [0, 255] float. Each picture is normalised by its own mean and deviation, so
lighting does not matter. Pictures marked invalid never enter the network.
"""

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from cuewise.mllm.encoders.base import Encoder, EncoderStates, ImageEncoderConfig, clip_means
from cuewise.mllm.encoders.layers import temporal_layer, time_features
from cuewise.mllm.registry import ENCODERS


@dataclass(kw_only=True, slots=True)
class ConvImageConfig(ImageEncoderConfig):
    """Sizes of a picture network. Every stage halves the side of the picture."""

    channels: list[int] = field(default_factory=lambda: [16, 32, 64, 96])
    """Channels of the four stages, each a multiple of 8."""

    keep_layout: bool = True
    """Read the last map position by position (where in the face), instead of its mean over positions."""

    width: int = 128
    """Channels of the states."""

    norm: Literal["batch", "group"] = "batch"
    """Normalisation inside the network: running statistics of the training data, or of each picture alone."""

    temporal: Literal["none", "attention"] = "attention"
    """Mixing of the pictures of a clip; `attention` knows their times."""

    layers: int = 1
    """Number of mixing layers."""

    dropout: float = 0.1
    """Share of channels dropped while training."""

    def __post_init__(self) -> None:
        if len(self.channels) != 4 or any(size % 8 for size in self.channels):
            raise ValueError(f"encoder.channels must be four multiples of 8, got {self.channels}")
        if self.image_size % 16 or self.image_size < 32:
            raise ValueError(f"encoder.image_size must be a multiple of 16 from 32 on, got {self.image_size}")
        if self.norm not in ("batch", "group"):
            raise ValueError(f"encoder.norm must be batch or group, got {self.norm!r}")
        if self.temporal not in ("none", "attention"):
            raise ValueError(f"encoder.temporal must be none or attention, got {self.temporal!r}")

    @property
    def d_out(self) -> int:
        return self.width


@dataclass(kw_only=True, slots=True)
class ConvFaceConfig(ConvImageConfig):
    """Face crops; luminance alone by default, so that skin colour cannot carry a label."""

    colour: bool = False


@dataclass(kw_only=True, slots=True)
class ConvSceneConfig(ConvImageConfig):
    """Whole frames; small, because a scene says little about an emotion."""

    image_size: int = 48
    channels: list[int] = field(default_factory=lambda: [8, 16, 32, 48])
    keep_layout: bool = False
    width: int = 64


def picture_norm(kind: str, channels: int) -> nn.Module:
    """``batch`` or ``group`` normalisation; only valid pictures are ever in the batch."""
    return nn.BatchNorm2d(channels) if kind == "batch" else nn.GroupNorm(8, channels)


class ImageBlock(nn.Module):
    """Residual block of two 3 x 3 convolutions."""

    def __init__(self, d_in: int, d_out: int, stride: int, norm: str):
        super().__init__()
        self.conv1 = nn.Conv2d(d_in, d_out, 3, stride, padding=1, bias=False)
        self.conv2 = nn.Conv2d(d_out, d_out, 3, padding=1, bias=False)
        self.norm1, self.norm2 = picture_norm(norm, d_out), picture_norm(norm, d_out)
        same = d_in == d_out and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(d_in, d_out, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm2(self.conv2(functional.silu(self.norm1(self.conv1(x)))))
        return functional.silu(y + self.shortcut(x))


class ConvImage(Encoder):
    """One state per picture."""

    REDUCED = 32

    def __init__(self, config: ConvImageConfig):
        super().__init__(config)
        c = config.channels
        self.stem = nn.Conv2d(config.in_channels, c[0], 3, 2, padding=1, bias=False)
        self.stem_norm = picture_norm(config.norm, c[0])
        self.stages = nn.Sequential(
            *(ImageBlock(c[max(i - 1, 0)], c[i], 1 if i == 0 else 2, config.norm) for i in range(4))
        )
        if config.keep_layout:
            side = config.image_size // 16
            self.reduce = nn.Conv2d(c[3], self.REDUCED, 1)
            self.project = nn.Linear(self.REDUCED * side * side, config.width)
        else:
            self.reduce = nn.AdaptiveAvgPool2d(1)
            self.project = nn.Linear(c[3], config.width)
        self.dropout = nn.Dropout(config.dropout)
        layers = config.layers if config.temporal != "none" else 0
        self.mix = nn.ModuleList(temporal_layer(config.temporal, config.width, config.dropout) for _ in range(layers))
        self.time = nn.Linear(32, config.width) if layers else None
        self.norm = nn.LayerNorm(config.width)

    def forward(self, values: Tensor, mask: Tensor, times_s: Tensor | None) -> EncoderStates:
        """pictures [B, T, S, S, channels] -> states [B, T, width], zeros for invalid pictures."""
        wanted = (self.config.image_size, self.config.image_size, self.config.in_channels)
        if tuple(values.shape[2:]) != wanted:
            raise ValueError(
                f"pictures of shape {tuple(values.shape[2:])} arrived but the encoder was built for {wanted}; "
                "use the processor saved with this model"
            )
        maps = self.stage_maps(values[mask])
        seen = self.project(self.dropout(self.reduce(maps[-1]).flatten(1)))
        self.keep_depths([clip_means(stage.mean((2, 3)), mask) for stage in maps] if self.depths is not None else [])
        x = seen.new_zeros(*mask.shape, seen.shape[-1])
        x[mask] = seen
        if self.time is not None:
            if times_s is None:
                raise ValueError("pictures need their times in seconds; pass times_s [B, T]")
            x = (x + self.time(time_features(times_s, 32).to(x.dtype))) * mask.unsqueeze(-1)
        for layer in self.mix:
            x = layer(x, mask)
        return EncoderStates(self.norm(x) * mask.unsqueeze(-1), mask, times_s)

    @property
    def depth_widths(self) -> list[int]:
        return list(self.config.channels)

    def stage_maps(self, pictures: Tensor) -> list[Tensor]:
        """[n, S, S, channels] -> features [n, C, h, w] after each stage; of the last alone unless depths are kept."""
        x = pictures.permute(0, 3, 1, 2).float() / 255
        centred = x - x.mean((1, 2, 3), keepdim=True)
        x = centred * torch.rsqrt(centred.square().mean((1, 2, 3), keepdim=True) + 1e-4)
        x = functional.silu(self.stem_norm(self.stem(x.to(self.stem.weight.dtype))))
        kept = []
        for stage in self.stages:
            x = stage(x)
            kept = [*kept, x] if self.depths is not None else [x]
        return kept

    def picture_maps(self, pictures: Tensor) -> Tensor:
        return self.stage_maps(pictures)[-1].permute(0, 2, 3, 1)


@ENCODERS.register("conv_face", ConvFaceConfig)
class ConvFace(ConvImage):
    """Face crops of one person."""


@ENCODERS.register("conv_scene", ConvSceneConfig)
class ConvScene(ConvImage):
    """Whole frames."""
