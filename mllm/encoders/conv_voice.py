"""`conv_voice`: a small convolutional network over log-mel frames of one voice, 12.5 states a second.

Input [B, T, bands] log-mel; every 80 ms one state. The clip is normalised by its own valid frames twice: by one mean
and deviation (keeps the spectral tilt) and by a mean per band (removes room and microphone); both are input channels.
With `prosody`, the columns after the bands (`features.PROSODY`) go through a branch of their own over time.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from cuewise.mllm.encoders.base import Encoder, EncoderConfig, EncoderStates, InputKind
from cuewise.mllm.encoders.features import PROSODY
from cuewise.mllm.encoders.layers import ConvBlock, temporal_layer
from cuewise.mllm.registry import ENCODERS

STRIDES = ((2, 2), (2, 2), (2, 2), (1, 2))
"""(time, band) stride of each stage."""

KERNELS = (5, 3, 3, 3)
TOTAL_STRIDE = 8
LEVEL_MEAN, LEVEL_DEVIATION = -4.5, 1.6
"""Of log-mel values of speech at usual levels, in decibel / 10."""


@dataclass(kw_only=True, slots=True)
class ConvVoiceConfig(EncoderConfig):
    """Sizes of the voice network."""

    input_kind: ClassVar[InputKind] = "log_mel"

    bands: int = 64
    """Mel bands of the input; the same number as `features.bands`."""

    prosody: list[int] = field(default_factory=list)
    """Channels of the three stages of the melody branch; empty without. The input then has the columns of
    `features.prosody` after the bands."""

    keep_melody: bool = False
    """Each state ends with the mean of the prosody columns over its frames, so that what is written about pitch and
    loudness does not hang on what the network was trained to tell."""

    channels: list[int] = field(default_factory=lambda: [32, 64, 96, 128])
    """Channels of the four stages, each a multiple of 8."""

    keep_level: bool = False
    """The first input channel is scaled by constants instead of the clip's own mean and deviation, so that it tells
    loud voices from quiet ones."""

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
        if len(self.prosody) not in (0, 3) or any(size % 8 for size in self.prosody):
            raise ValueError(f"conv_voice.prosody must be empty or three multiples of 8, got {self.prosody}")
        if self.keep_melody and not self.prosody:
            raise ValueError("conv_voice.keep_melody needs conv_voice.prosody, which says that the input has a melody")
        if self.bands % 16:
            raise ValueError(f"conv_voice.bands must be a multiple of 16, got {self.bands}")
        if self.norm not in ("batch", "group"):
            raise ValueError(f"conv_voice.norm must be batch or group, got {self.norm!r}")
        if self.temporal not in ("none", "conv", "attention"):
            raise ValueError(f"conv_voice.temporal must be none, conv or attention, got {self.temporal!r}")

    @property
    def d_out(self) -> int:
        return self.width + (len(PROSODY) if self.keep_melody else 0)

    @property
    def columns(self) -> int:
        """Values of an input frame."""
        return self.bands + (len(PROSODY) if self.prosody else 0)

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
        given = [len(PROSODY), *config.prosody]
        self.melody = nn.ModuleList(
            ConvBlock(given[i], given[i + 1], (5, 1), (2, 1), config.norm, config.dropout)
            for i in range(len(config.prosody))
        )
        self.project = nn.Linear(config.channels[-1] * (config.bands // 16) + sum(config.prosody[-1:]), config.width)
        layers = config.layers if config.temporal != "none" else 0
        self.mix = nn.ModuleList(temporal_layer(config.temporal, config.width, config.dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(config.width)

    @property
    def depth_widths(self) -> list[int]:
        return list(self.config.channels)

    def forward(self, values: Tensor, mask: Tensor, times_s: Tensor | None) -> EncoderStates:
        """log-mel [B, T, columns] -> states [B, ceil(T / 8), width]."""
        if values.shape[-1] != self.config.columns:
            raise ValueError(
                f"voice: {values.shape[-1]} values a frame arrived but the encoder reads {self.config.columns}; "
                "make features.bands and encoder.bands equal, and features.prosody what encoder.prosody needs"
            )
        melody = values[..., self.config.bands :]
        mel = values[..., : self.config.bands].float()
        x = normalise_clip(mel, mask)
        if self.config.keep_level:
            x[:, 0] = (mel - LEVEL_MEAN) / LEVEL_DEVIATION * mask.unsqueeze(-1)
        x = x.to(self.project.weight.dtype)
        padded = None if bool(mask.all()) else mask
        valid = padded
        x = x.contiguous(memory_format=torch.channels_last)
        depths = []
        for stage in self.stages:
            x, valid = stage(x, valid)
            if self.depths is not None:
                depths.append(_stage_mean(x, valid))
        self.keep_depths(depths)
        x = x.permute(0, 2, 1, 3).flatten(2)
        if self.config.prosody:
            x = torch.cat([x, self._follow(melody.to(x.dtype), padded)], -1)
        mask = mask[:, ::TOTAL_STRIDE]
        x = self.project(x) * mask.unsqueeze(-1)
        for layer in self.mix:
            x = layer(x, mask)
        times = None if times_s is None else times_s[:, ::TOTAL_STRIDE]
        states = self.norm(x) * mask.unsqueeze(-1)
        if self.config.keep_melody:
            states = torch.cat([states, block_means(melody, padded).to(states.dtype)], -1)
        return EncoderStates(states, mask, times)

    def _follow(self, melody: Tensor, mask: Tensor | None) -> Tensor:
        """[B, T, `PROSODY`] -> [B, ceil(T / 8), channels of the last stage]."""
        x = (melody if mask is None else melody * mask.unsqueeze(-1)).transpose(1, 2).unsqueeze(-1)
        for stage in self.melody:
            x, mask = stage(x, mask)
        return x.squeeze(-1).transpose(1, 2)


def _stage_mean(x: Tensor, valid: Tensor | None) -> Tensor:
    """[B, C, T, F], zeros at invalid steps -> mean of each clip [B, C]."""
    bands = x.mean(3)
    return bands.mean(2) if valid is None else bands.sum(2) / valid.sum(1, keepdim=True)


def block_means(values: Tensor, mask: Tensor | None) -> Tensor:
    """[B, T, F] -> [B, ceil(T / 8), F]: mean over the valid frames of each state; zeros where there are none."""
    valid = values.new_ones(values.shape[:2]) if mask is None else mask.to(values.dtype)
    missing = -values.shape[1] % TOTAL_STRIDE
    values = functional.pad(values * valid.unsqueeze(-1), (0, 0, 0, missing)).unflatten(1, (-1, TOTAL_STRIDE))
    counts = functional.pad(valid, (0, missing)).unflatten(1, (-1, TOTAL_STRIDE)).sum(2, keepdim=True)
    return values.sum(2) / counts.clamp(min=1)


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
