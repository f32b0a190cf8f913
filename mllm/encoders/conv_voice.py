"""`conv_voice`: a small convolutional network over log-mel frames of one voice, 12.5 states a second.

Input [B, T, bands] log-mel; every 80 ms one state. The clip is normalised by its own valid frames twice: by one mean
and deviation (keeps the spectral tilt) and by a mean per band (removes room and microphone); both are input channels.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from cuewise.mllm.encoders.base import Encoder, EncoderConfig, EncoderStates, InputKind
from cuewise.mllm.encoders.layers import ConvBlock, temporal_layer
from cuewise.mllm.registry import ENCODERS

STRIDES = ((2, 2), (2, 2), (2, 2), (1, 2))
"""(time, band) stride of each stage."""

KERNELS = (5, 3, 3, 3)
TOTAL_STRIDE = 8


@dataclass(kw_only=True, slots=True)
class ConvVoiceConfig(EncoderConfig):
    """Sizes of the voice network."""

    input_kind: ClassVar[InputKind] = "log_mel"

    bands: int = 64
    """Mel bands of the input; the same number as `features.bands`."""

    channels: list[int] = field(default_factory=lambda: [32, 64, 96, 128])
    """Channels of the four stages, each a multiple of 8."""

    width: int = 128
    """Channels of the states."""

    norm: Literal["batch", "group"] = "batch"
    """Normalisation inside the network: running statistics of the training data, or of each clip alone."""

    temporal: Literal["none", "conv", "attention"] = "conv"
    """Mixing of the states over time."""

    layers: int = 1
    """Number of mixing layers."""

    dropout: float = 0.1
    """Share of channels dropped while training."""

    def __post_init__(self) -> None:
        if len(self.channels) != 4 or any(size % 8 for size in self.channels):
            raise ValueError(f"conv_voice.channels must be four multiples of 8, got {self.channels}")
        if self.bands % 16:
            raise ValueError(f"conv_voice.bands must be a multiple of 16, got {self.bands}")
        if self.norm not in ("batch", "group"):
            raise ValueError(f"conv_voice.norm must be batch or group, got {self.norm!r}")
        if self.temporal not in ("none", "conv", "attention"):
            raise ValueError(f"conv_voice.temporal must be none, conv or attention, got {self.temporal!r}")

    @property
    def d_out(self) -> int:
        return self.width

    def num_states(self, length: int) -> int:
        return -(-length // TOTAL_STRIDE)


@ENCODERS.register("conv_voice", ConvVoiceConfig)
class ConvVoice(Encoder):
    """Four stages, one linear layer over the remaining bands, mixing over time."""

    def __init__(self, config: ConvVoiceConfig):
        super().__init__(config)
        sizes = [2, *config.channels]
        self.stages = nn.ModuleList(
            ConvBlock(sizes[i], sizes[i + 1], KERNELS[i], STRIDES[i], config.norm, config.dropout) for i in range(4)
        )
        self.project = nn.Linear(config.channels[-1] * (config.bands // 16), config.width)
        layers = config.layers if config.temporal != "none" else 0
        self.mix = nn.ModuleList(temporal_layer(config.temporal, config.width, config.dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(config.width)

    def forward(self, values: Tensor, mask: Tensor, times_s: Tensor | None) -> EncoderStates:
        """log-mel [B, T, bands] -> states [B, ceil(T / 8), width]."""
        if values.shape[-1] != self.config.bands:
            raise ValueError(
                f"voice: {values.shape[-1]} mel bands arrived but the encoder was built for {self.config.bands}; "
                "make features.bands and encoder.bands equal"
            )
        x = normalise_clip(values.float(), mask).to(self.project.weight.dtype)
        for stage in self.stages:
            x, mask = stage(x, mask)
        x = self.project(x.permute(0, 2, 1, 3).flatten(2)) * mask.unsqueeze(-1)
        for layer in self.mix:
            x = layer(x, mask)
        times = None if times_s is None else times_s[:, ::TOTAL_STRIDE]
        return EncoderStates(self.norm(x) * mask.unsqueeze(-1), mask, times)


def normalise_clip(values: Tensor, mask: Tensor, eps: float = 1e-3) -> Tensor:
    """[B, T, F] -> [B, 2, T, F]: by the clip's mean, and by its mean per band; zeros at invalid frames."""
    weight = mask.unsqueeze(-1).to(values.dtype)
    frames = weight.sum(1, keepdim=True)
    band_mean = (values * weight).sum(1, keepdim=True) / frames
    clip_mean = band_mean.mean(2, keepdim=True)

    def scaled(centred: Tensor) -> Tensor:
        variance = (centred.square() * weight).sum((1, 2), keepdim=True) / (frames * values.shape[2])
        return centred * torch.rsqrt(variance + eps) * weight

    return torch.stack([scaled(values - clip_mean), scaled(values - band_mean)], 1)
