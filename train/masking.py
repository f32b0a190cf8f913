"""Masks for masked pretraining: exact ratios, tubes through time, and losses on what was hidden only.

After HiCMAE (80 % of the voice, 90 % of the face as tubes, one InfoNCE per depth) and XEmoGPT's masked frame modelling.
"""

import torch
from torch import Generator, Tensor


def random_mask(shape: tuple[int, int], ratio: float, generator: Generator | None = None) -> Tensor:
    """bool [B, N], True = hidden; exactly ``round(ratio * N)`` places of every row."""
    hidden = _count(ratio, shape[1])
    order = torch.rand(shape, generator=generator).argsort(1)
    return order < hidden


def random_places(valid: Tensor, ratio: float, generator: Generator | None = None) -> Tensor:
    """bool [B, N], True = hidden; of each row's `valid` places ``round(ratio * n)``, at least one and never all.

    A row with a single valid place hides nothing, because nothing would be left to read it from.
    """
    if not 0 < ratio < 1:
        raise ValueError(f"mask ratio must lie between 0 and 1, got {ratio}")
    count = valid.sum(1)
    hidden = (ratio * count).round().long().clamp(min=1).minimum(count - 1).clamp(min=0)
    noise = torch.rand(valid.shape, generator=generator).to(valid.device).masked_fill(~valid, 2.0)
    return noise.argsort(1).argsort(1) < hidden[:, None]


def tube_mask(size: int, frames: int, places: int, ratio: float, generator: Generator | None = None) -> Tensor:
    """bool [B, frames * places], True = hidden; the same places in every frame."""
    return random_mask((size, places), ratio, generator).repeat(1, frames)


def masked_mse(prediction: Tensor, target: Tensor, hidden: Tensor, normalise: bool = False) -> Tensor:
    """Mean squared error [B, N, C] over hidden places only. `normalise` standardises each target place (MAE).

    Raises ValueError when nothing is hidden, because such a loss would teach nothing.
    """
    if not hidden.any():
        raise ValueError("masked reconstruction with nothing hidden; raise the mask ratio")
    if normalise:
        target = (target - target.mean(-1, keepdim=True)) / (target.var(-1, keepdim=True) + 1e-6).sqrt()
    return (prediction - target).square().mean(-1)[hidden].mean()


def shuffled_frames(states: Tensor, generator: Generator | None = None) -> Tensor:
    """Each clip [B, N, C] with its frames in another order: the negative of temporal discrimination."""
    if states.shape[1] < 2:
        raise ValueError(f"one frame has no other order, got states of shape {tuple(states.shape)}")
    rows = []
    for clip in states:
        order = torch.randperm(len(clip), generator=generator)
        while torch.equal(order, torch.arange(len(clip))):
            order = torch.randperm(len(clip), generator=generator)
        rows.append(clip[order])
    return torch.stack(rows)


def _count(ratio: float, places: int) -> int:
    if not 0 < ratio < 1:
        raise ValueError(f"mask ratio must lie between 0 and 1, got {ratio}")
    hidden = round(ratio * places)
    if not 0 < hidden < places:
        raise ValueError(f"a ratio of {ratio} hides {hidden} of {places} places; hide at least one and keep one")
    return hidden
