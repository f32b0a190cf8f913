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

from cuewise.mllm.evidence.face_names import ANGLES, UNITS

WEIGHTS = Path(__file__).with_name("face_actions.safetensors")
CROP = 96
KNOWN_POINTS = 27
"""Places of brows, eyes, mouth, nose and chin that are taught."""
POINTS = KNOWN_POINTS + 9
"""All places; the others are found by the net itself."""
LEFT_EYE, RIGHT_EYE, MOUTH_CORNERS = (6, 7), (11, 12), (16, 17)
"""Which places are the corners of the eyes and of the mouth."""
PATCH = 32
"""Side of the patches that are looked at closely, in pixels."""
ANGLE_SCALE = 20.0
"""Degrees per output unit."""
LOGITS = ("photograph", "upper covered", "lower covered")
OUTPUTS = UNITS + ANGLES + LOGITS
MIRRORED = torch.tensor([-1.0 if name in ("head yaw", "head roll", "gaze yaw") else 1.0 for name in OUTPUTS])
"""Sign of each output in a mirror."""


class FaceActionNet(nn.Module):
    """Finds points of the face, then looks closely at eyes, nose and mouth where they lie.

    Convolutions go down to 6 x 6 and back up to 24 x 24, where each of `POINTS` maps becomes one place (the mean of its
    softmax). Upright patches around both eyes, the root of the nose and the mouth, sized by the distance of the eyes,
    are cut from the full picture; their look, and the places in a common frame, give the actions. A shifted, scaled or
    tilted crop so reads the same.
    """

    def __init__(self, widths: tuple[int, int, int] = (24, 32, 48), hidden: int = 96):
        super().__init__()
        stem, fine, deep = widths
        self.fine = nn.Sequential(*_block(3, stem, 2), *_block(stem, fine, 2), *_block(fine, fine, 1))
        self.middle = nn.Sequential(*_block(fine, deep, 2), *_block(deep, deep, 1))
        self.coarse = nn.Sequential(*_block(deep, deep, 2), *_block(deep, deep, 1))
        self.from_coarse, self.from_middle = nn.Conv2d(deep, deep, 1), nn.Conv2d(deep, fine, 1)
        self.points = nn.Sequential(*_block(fine, fine, 1), nn.Conv2d(fine, POINTS, 1))
        self.skin = nn.Sequential(nn.Conv2d(deep, 6, 1), nn.ReLU(), nn.Flatten())
        self.eye, self.nose, self.mouth = _close_look(), _close_look(), _close_look()
        given = 6 * (CROP // 16) ** 2 + 4 * 12 * (PATCH // 8) ** 2 + 2 * POINTS + 3
        self.head = nn.Sequential(nn.Linear(given, hidden), nn.ReLU(), nn.Linear(hidden, len(OUTPUTS)))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, 96, 96) float in [0, 255] -> (N, OUTPUTS) units / 5, angles / `ANGLE_SCALE`, logits; (N, POINTS, 2)
        places in the crop, -1 to 1.

        Each crop is normalised by its own mean and spread, so that light and contrast matter little.
        """
        mean = pixels.mean((1, 2, 3), keepdim=True)
        spread = pixels.std((1, 2, 3), keepdim=True)
        pixels = (pixels - mean) / (spread + 4.0)
        fine = self.fine(pixels)
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        up = nn.functional.interpolate(self.from_coarse(coarse), scale_factor=2.0, mode="nearest")
        up = nn.functional.interpolate(self.from_middle(up + middle), scale_factor=2.0, mode="nearest")
        places = expected_places(self.points(fine + up))
        known = places[:, :KNOWN_POINTS]
        centre = known.mean(1, keepdim=True)
        size = (known - centre).square().sum(-1).mean(1).add(1e-4).sqrt()
        shape = (places - centre) / size[:, None, None] * 4
        left, right, nose, mouth = close_ups(pixels, places.detach())
        looks = [self.eye(left), self.eye(right.flip(-1)), self.nose(nose), self.mouth(mouth)]
        features = [self.skin(coarse), *looks, shape.flatten(1), centre.flatten(1), size[:, None]]
        return self.head(torch.cat(features, 1)), places


def close_ups(pixels: Tensor, places: Tensor) -> list[Tensor]:
    """Upright patches (N, 3, `PATCH`, `PATCH`) of the left and the right eye, the root of the nose, and the mouth.

    pixels (N, 3, S, S); places (N, POINTS, 2). Patches are sized by the distance of the eyes.
    """
    left, right = places[:, LEFT_EYE].mean(1), places[:, RIGHT_EYE].mean(1)
    mouth = places[:, MOUTH_CORNERS].mean(1)
    across = right - left
    across = across * (
        across.norm(dim=-1, keepdim=True).clamp(min=0.1) / across.norm(dim=-1, keepdim=True).clamp(min=1e-3)
    )
    down = torch.stack([-across[:, 1], across[:, 0]], -1)
    t = (torch.arange(PATCH, device=pixels.device) + 0.5) * (2 / PATCH) - 1
    patches = []
    for centre, shift, half in (
        (left, -0.08, 0.5),
        (right, -0.08, 0.5),
        ((left + right) / 2, 0.1, 0.5),
        (mouth, 0.1, 0.65),
    ):
        middle = centre + shift * down
        grid = middle[:, None, None] + half * (
            t[None, None, :, None] * across[:, None, None] + t[None, :, None, None] * down[:, None, None]
        )
        patches.append(
            nn.functional.grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=False)
        )
    return patches


def _close_look() -> nn.Sequential:
    """A patch (N, 3, `PATCH`, `PATCH`) -> (N, 12 * (PATCH / 8) ** 2)."""
    layers = [*_block(3, 16, 1), *_block(16, 24, 2), *_block(24, 32, 2), *_block(32, 32, 2)]
    return nn.Sequential(*layers, nn.Conv2d(32, 12, 1), nn.ReLU(), nn.Flatten())


def expected_places(maps: Tensor) -> Tensor:
    """(N, P, h, w) logits -> (N, P, 2) mean x, y under the softmax over each map, -1 to 1."""
    height, width = maps.shape[-2:]
    weight = maps.flatten(2).softmax(-1).unflatten(-1, (height, width))
    x = (torch.arange(width, device=maps.device) + 0.5) * (2 / width) - 1
    y = (torch.arange(height, device=maps.device) + 0.5) * (2 / height) - 1
    return torch.stack([(weight.sum(2) * x).sum(-1), (weight.sum(3) * y).sum(-1)], -1)


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
        both = [self.net(part)[0] + self.net(part.flip(-1))[0] * MIRRORED for part in pixels.split(64)]
        out = (torch.cat(both) / 2).numpy() if both else np.zeros((0, len(OUTPUTS)), np.float32)
        column = {name: out[:, place] for place, name in enumerate(OUTPUTS)}
        values = {name: np.clip(column[name] * 5, 0, 5) for name in UNITS}
        values |= {name: column[name] * ANGLE_SCALE for name in ANGLES}
        photograph, upper, lower = (1 / (1 + np.exp(-column[name].clip(-30, 30))) for name in LOGITS)
        return FaceActions(values=values, photograph=photograph, upper_covered=upper, lower_covered=lower)
