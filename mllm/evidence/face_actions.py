"""The face-action estimator: a small CNN that reads action units, head pose and gaze from one face crop.

Trained on rendered faces, whose truth is exact, and on a few photographs; see docs/face.md and
`cuewise.train.face_actions`, which rebuilds the shipped weights. What was validated, and on which kind of picture, is
stored beside the weights and obeyed by `FaceMeasures`.
Shapes: N crops of S x S pixels, uint8 RGB; outputs are in the order of `OUTPUTS`.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor, nn

from cuewise.mllm.evidence.face import ANGLES, UNITS

WEIGHTS = Path(__file__).with_name("face_actions.safetensors")
CROP = 96
ANGLE_SCALE = 20.0
"""Degrees per output unit."""
LOGITS = ("photograph", "upper covered", "lower covered")
OUTPUTS = UNITS + ANGLES + LOGITS
MIRRORED = torch.tensor([-1.0 if name in ("head yaw", "head roll", "gaze yaw") else 1.0 for name in OUTPUTS])
"""Sign of each output in a mirror."""


class FaceActionNet(nn.Module):
    """Convolutions down to 6 x 6, which keep where things are, then two linear layers."""

    def __init__(self, widths: tuple[int, ...] = (24, 32, 48, 64), hidden: int = 128):
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for stage, width in enumerate(widths):
            layers += _block(channels, width, stride=2)
            if stage:
                layers += _block(width, width, stride=1)
            channels = width
        self.features = nn.Sequential(*layers, nn.Conv2d(channels, 24, 1), nn.ReLU(), nn.Flatten())
        side = CROP // 2 ** len(widths)
        self.head = nn.Sequential(
            nn.Dropout(0.1), nn.Linear(24 * side * side, hidden), nn.ReLU(), nn.Linear(hidden, len(OUTPUTS))
        )

    def forward(self, pixels: Tensor) -> Tensor:
        """(N, 3, 96, 96) float in [0, 255] -> (N, OUTPUTS): units / 5, angles / `ANGLE_SCALE`, logits.

        Each crop is normalised by its own mean and spread, so that light and contrast matter little.
        """
        mean = pixels.mean((1, 2, 3), keepdim=True)
        spread = pixels.std((1, 2, 3), keepdim=True)
        return self.head(self.features((pixels - mean) / (spread + 4.0)))


def _block(channels: int, width: int, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]


@dataclass(frozen=True, slots=True)
class FaceActions:
    """Estimates for N crops."""

    values: dict[str, np.ndarray]
    """Action (a unit or an angle) -> float32 [N]; units 0-5, angles in degrees."""

    photograph: np.ndarray
    """float32 [N] probability that the crop is a photograph rather than a rendered face."""

    upper_covered: np.ndarray
    """float32 [N] probability that something lies before brows or eyes."""

    lower_covered: np.ndarray
    """float32 [N] probability that something lies before the mouth."""


class FaceActionEstimator:
    """The net with its weights and the facts stored beside them."""

    def __init__(self, net: FaceActionNet, facts: dict[str, Any]):
        self.net, self.facts = net.eval(), facts

    @classmethod
    def load(cls, path: str | Path | None = None) -> "FaceActionEstimator":
        """Load the shipped weights, or those at `path`; missing or unexpected weights are an error."""
        path = Path(path or WEIGHTS)
        if not path.is_file():
            raise FileNotFoundError(
                f"face-action weights {path} are not there; `cuewise.train.face_actions` makes them"
            )
        with safe_open(str(path), framework="pt") as stored:
            facts = json.loads((stored.metadata() or {}).get("facts", "{}"))
            state = {name: stored.get_tensor(name).float() for name in stored.keys()}  # noqa: SIM118
        net = FaceActionNet()
        for name, value in net.state_dict().items():
            if name.endswith("num_batches_tracked"):
                state.setdefault(name, value)
        net.load_state_dict(state)
        return cls(net, facts)

    @torch.inference_mode()
    def estimate(self, crops: np.ndarray) -> FaceActions:
        """uint8 [N, S, S, 3] -> actions; each crop and its mirror image are averaged."""
        pixels = torch.from_numpy(np.ascontiguousarray(crops)).permute(0, 3, 1, 2).float()
        if pixels.shape[-1] != CROP:
            pixels = nn.functional.interpolate(pixels, (CROP, CROP), mode="bilinear", antialias=True)
        both = [self.net(part) + self.net(part.flip(-1)) * MIRRORED for part in pixels.split(64)]
        out = (torch.cat(both) / 2).numpy() if both else np.zeros((0, len(OUTPUTS)), np.float32)
        column = {name: out[:, place] for place, name in enumerate(OUTPUTS)}
        values = {name: np.clip(column[name] * 5, 0, 5) for name in UNITS}
        values |= {name: column[name] * ANGLE_SCALE for name in ANGLES}
        photograph, upper, lower = (1 / (1 + np.exp(-column[name].clip(-30, 30))) for name in LOGITS)
        return FaceActions(values=values, photograph=photograph, upper_covered=upper, lower_covered=lower)
