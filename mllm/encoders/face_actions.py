"""`face_actions`: what the evidence's face-action estimator reads from each crop, then mixing over the frames.

The estimator (`cuewise.mllm.evidence.face_actions`) knows action units, head pose and gaze; a small network over time
reads them. Its weights are part of the model's checkpoint; a new model takes them from the shipped estimator by
`load_weights`. Input [B, T, 96, 96, 3] uint8 crops, or [B, T, A] actions that `read_actions` made of them before, which
is what training uses.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from cuewise.mllm.encoders.base import Encoder, EncoderStates, ImageEncoderConfig
from cuewise.mllm.encoders.layers import temporal_layer, time_features
from cuewise.mllm.evidence.face_actions import (
    ANGLE_SCALE,
    CROP,
    LOGITS,
    MIRRORED,
    OUTPUTS,
    FaceActionEstimator,
    FaceActionNet,
)
from cuewise.mllm.evidence.face_names import ANGLES, UNITS
from cuewise.mllm.registry import ENCODERS

TIME_SIZE = 32
SCALE = torch.tensor([1 / 5] * len(UNITS) + [1 / ANGLE_SCALE] * len(ANGLES) + [1.0] * len(LOGITS))
"""What turns intensities, degrees and probabilities into the actions that the encoder reads."""

CHUNK = 32
"""Crops that enter the estimator at once."""


@dataclass(kw_only=True, slots=True)
class FaceActionsConfig(ImageEncoderConfig):
    """Sizes of the network over the estimates."""

    image_size: int = CROP
    width: int = 128
    """Channels of the states."""

    temporal: Literal["conv", "attention"] = "attention"
    """Mixing of the frames."""

    layers: int = 2
    """Number of mixing layers."""

    dropout: float = 0.1
    """Share of channels dropped while training."""

    def __post_init__(self) -> None:
        if self.image_size != CROP or not self.colour:
            raise ValueError(f"face_actions reads {CROP} pixels in colour, got {self.image_size}, colour {self.colour}")
        if self.temporal not in ("conv", "attention"):
            raise ValueError(f"face_actions.temporal must be conv or attention, got {self.temporal!r}")

    @property
    def d_out(self) -> int:
        return self.width


def read_actions(net: FaceActionNet, crops: Tensor) -> Tensor:
    """uint8 [n, S, S, 3] -> float32 [n, A]: units / 5, angles / 20 degrees, probabilities; mirror images averaged."""
    parts = []
    for part in crops.split(CHUNK):
        pixels = part.permute(0, 3, 1, 2).float()
        parts.append((net(pixels)[0] + net(pixels.flip(-1))[0] * MIRRORED.to(pixels.device)) / 2)
    out = torch.cat(parts)
    return torch.cat([out[:, : -len(LOGITS)], out[:, -len(LOGITS) :].sigmoid()], 1)


@ENCODERS.register("face_actions", FaceActionsConfig)
class FaceActionsEncoder(Encoder):
    """One state per crop."""

    def __init__(self, config: FaceActionsConfig):
        super().__init__(config)
        self.estimator = FaceActionNet()
        self.read = nn.Sequential(
            nn.Linear(2 * len(OUTPUTS), config.width), nn.GELU(), nn.Dropout(config.dropout),
            nn.Linear(config.width, config.width),
        )  # fmt: skip
        self.time = nn.Linear(TIME_SIZE, config.width)
        self.mix = nn.ModuleList(
            temporal_layer(config.temporal, config.width, config.dropout) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width)
        self.estimator.requires_grad_(False)

    def load_weights(self) -> None:
        """Fill the estimator with the shipped weights."""
        self.estimator.load_state_dict(FaceActionEstimator.load().net.state_dict())

    def train(self, mode: bool = True) -> "FaceActionsEncoder":
        """The estimator never learns here: it stays in eval mode and gets no gradients."""
        super().train(mode)
        self.estimator.eval().requires_grad_(False)
        return self

    def forward(self, values: Tensor, mask: Tensor, times_s: Tensor | None) -> EncoderStates:
        """Crops [B, T, 96, 96, 3] or their actions [B, T, A] -> states [B, T, width], zeros for invalid crops."""
        if times_s is None:
            raise ValueError("face crops need their times in seconds; pass times_s [B, T]")
        actions = self._actions(values, mask).to(self.norm.weight.dtype)
        rest = _masked_median(actions, mask)
        x = self.read(torch.cat([actions, actions - rest], -1)) + self.time(
            time_features(times_s, TIME_SIZE).to(actions.dtype)
        )
        x = x * mask.unsqueeze(-1)
        for layer in self.mix:
            x = layer(x, mask)
        return EncoderStates(self.norm(x) * mask.unsqueeze(-1), mask, times_s)

    @torch.no_grad()
    def _actions(self, values: Tensor, mask: Tensor) -> Tensor:
        if values.ndim == 3 and values.shape[-1] == len(OUTPUTS):
            return values * mask.unsqueeze(-1)
        if tuple(values.shape[2:]) != (CROP, CROP, 3):
            raise ValueError(
                f"face crops of shape {tuple(values.shape[2:])} arrived but the encoder was built for "
                f"({CROP}, {CROP}, 3); use the processor saved with this model"
            )
        seen = read_actions(self.estimator.float(), values[mask])
        out = seen.new_zeros(*mask.shape, seen.shape[-1])
        out[mask] = seen
        return out


def _masked_median(values: Tensor, mask: Tensor) -> Tensor:
    """[B, T, A], mask [B, T] -> [B, 1, A] median over valid steps (the lower one of an even count)."""
    ordered = values.masked_fill(~mask.unsqueeze(-1), float("inf")).sort(1).values
    middle = ((mask.sum(1) - 1) // 2)[:, None, None].expand(-1, 1, values.shape[2])
    return ordered.gather(1, middle)
