"""Where an action unit shows: heat maps from landmarks, a loss that pulls attention there, and overlap scores.

After guided interpretable expression recognition through action-unit cues: the units of a label, by a codebook, give
Gaussian bumps at their landmarks; the loss is one minus the correlation of a layer's attention with that map.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

LANDMARKS: dict[str, tuple[int, ...]] = {
    "AU1": (20, 21, 22, 23), "AU2": (17, 18, 25, 26), "AU4": (19, 20, 21, 22, 23, 24), "AU5": (37, 38, 43, 44),
    "AU6": (1, 2, 14, 15, 41, 46), "AU7": (37, 38, 40, 41, 43, 44, 46, 47), "AU9": (27, 28, 29, 31, 35),
    "AU10": (50, 51, 52, 61, 63), "AU12": (48, 54), "AU15": (48, 54, 59, 55), "AU17": (7, 8, 9, 57),
    "AU20": (48, 54, 60, 64), "AU23": (49, 53, 55, 59), "AU24": (61, 62, 63, 65, 66, 67), "AU25": (62, 66),
    "AU26": (8, 57, 66), "AU43": (37, 38, 40, 41, 43, 44, 46, 47),
}  # fmt: skip
"""Unit -> points of the 68-point scheme near which it shows."""

CODEBOOK: dict[str, tuple[str, ...]] = {
    "happy": ("AU6", "AU12", "AU25"), "sad": ("AU1", "AU4", "AU15", "AU17"), "angry": ("AU4", "AU5", "AU7", "AU23"),
    "fearful": ("AU1", "AU2", "AU4", "AU5", "AU20", "AU26"), "disgust": ("AU9", "AU10", "AU17"),
    "surprised": ("AU1", "AU2", "AU5", "AU26"),
}  # fmt: skip
"""Label -> units that usually show with it (after Ekman and Friesen's prototypes)."""


def mean_face(margin: float = 0.25) -> Tensor:
    """[68, 2] places (x, y in [0, 1]) of the landmarks of a frontal mean face within a crop that has `margin` of the
    face's side around it. Drawn from proportions, not measured; good to the width of a bump."""
    jaw = [(0.5 - 0.46 * math.cos(a), 0.38 + 0.60 * math.sin(a)) for a in (math.pi * i / 16 for i in range(17))]
    brow = [(0.14 + 0.07 * i, 0.24 - 0.035 * math.sin(math.pi * i / 4)) for i in range(5)]
    nose = [(0.5, 0.36 + 0.07 * i) for i in range(4)] + [(0.41 + 0.045 * i, 0.62 + 0.015 * (i == 2)) for i in range(5)]
    eye = [(0.22, 0.36), (0.27, 0.335), (0.33, 0.335), (0.38, 0.36), (0.33, 0.38), (0.27, 0.38)]
    lips = [(0.5 - 0.17 * math.cos(math.pi * i / 6), 0.77 - 0.045 * math.sin(math.pi * i / 6)) for i in range(7)]
    lips += [(0.5 + 0.17 * math.cos(math.pi * i / 6), 0.77 + 0.07 * math.sin(math.pi * i / 6)) for i in range(1, 6)]
    inner = [(0.5 - 0.13 * math.cos(math.pi * i / 4), 0.77 - 0.012 * math.sin(math.pi * i / 4)) for i in range(5)]
    inner += [(0.5 + 0.13 * math.cos(math.pi * i / 4), 0.77 + 0.02 * math.sin(math.pi * i / 4)) for i in range(1, 4)]
    other_brow, other_eye = ([(1 - x, y) for x, y in part] for part in (brow[::-1], eye))
    right_eye = [other_eye[i] for i in (3, 2, 1, 0, 5, 4)]
    points = [*jaw, *brow, *other_brow, *nose, *eye, *right_eye, *lips, *inner]
    return (torch.tensor(points) + margin) / (1 + 2 * margin)


def heat_map(
    landmarks: Tensor, units: Sequence[str], size: tuple[int, int], sigma: float = 0.05,
    table: Mapping[str, tuple[int, ...]] = LANDMARKS,
) -> Tensor:  # fmt: skip
    """float [H, W] in [0, 1]: the largest of the Gaussian bumps at the units' landmarks [68, 2] (x, y in [0, 1]).

    `sigma` is the width of a bump as a share of the picture. No unit gives zeros; an unknown unit is an error.
    """
    unknown = [unit for unit in units if unit not in table]
    if unknown:
        raise ValueError(f"no landmarks for {unknown[0]}; known units: {', '.join(table)}")
    height, width = size
    ys, xs = torch.meshgrid((torch.arange(height) + 0.5) / height, (torch.arange(width) + 0.5) / width, indexing="ij")
    points = sorted({point for unit in units for point in table[unit]})
    if not points:
        return torch.zeros(size)
    at = landmarks[points].float()
    distance = (xs[..., None] - at[:, 0]).square() + (ys[..., None] - at[:, 1]).square()
    return torch.exp(-distance / (2 * sigma**2)).amax(-1)


def correlation_loss(attention: Tensor, target: Tensor) -> Tensor:
    """Mean of one minus the Pearson correlation of maps [B, H, W]: 0 for equal maps, 2 for opposite ones.

    A map without any spread correlates with nothing: 1.
    """
    a, b = (x.flatten(1).float() - x.flatten(1).float().mean(1, keepdim=True) for x in (attention, target))
    norm = a.norm(dim=1) * b.norm(dim=1)
    return (1 - (a * b).sum(1) / norm.clamp(min=1e-8)).mean()


def map_iou(attention: Tensor, region: Tensor, share: float | None = None) -> float:
    """Intersection over union of the strongest places of a map [H, W] with a bool region [H, W].

    As many places as the region has, or `share` of the picture.
    """
    count = int(region.sum()) if share is None else max(1, round(share * region.numel()))
    if count == 0:
        raise ValueError("the region is empty; an overlap with it is undefined")
    chosen = torch.zeros(region.numel(), dtype=torch.bool)
    chosen[attention.flatten().topk(count).indices] = True
    chosen = chosen.view_as(region)
    return float((chosen & region).sum() / (chosen | region).sum())
