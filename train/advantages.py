"""Advantages: how much better a completion is than its peers. Pure functions of rewards.

Shapes: N prompts, G completions per prompt, R rewards. A reward that could not judge a completion is NaN: it counts
neither for the mean nor for the spread, and its completion gets advantage 0.
"""

from collections.abc import Callable

import torch
from torch import Tensor

EPSILON = 1e-4
"""Added to a standard deviation before dividing by it, as in the published implementations."""

SPREAD = 1e-6
"""Rewards of a group that differ by less than this are equal."""


def centred(rewards: Tensor) -> Tensor:
    """Reward minus the mean of its group (Dr. GRPO, arXiv:2503.20783): [N, G] -> [N, G]."""
    return _known(rewards - rewards.nanmean(1, keepdim=True))


def group_scaled(rewards: Tensor) -> Tensor:
    """Also divided by the standard deviation of the group (GRPO, arXiv:2402.03300)."""
    return centred(rewards) / (deviation(rewards, dim=1) + EPSILON)


def batch_scaled(rewards: Tensor) -> Tensor:
    """Divided by the standard deviation of all completions of the step instead (arXiv:2508.08221)."""
    return centred(rewards) / (deviation(rewards.flatten(), dim=0) + EPSILON)


def leave_one_out(rewards: Tensor) -> Tensor:
    """Reward minus the mean of the *other* completions of its group (RLOO, arXiv:2402.14740)."""
    count = (~rewards.isnan()).sum(1, keepdim=True)
    return centred(rewards) * count / (count - 1).clamp(min=1)


ADVANTAGES: dict[str, Callable[[Tensor], Tensor]] = {
    "none": centred, "group": group_scaled, "batch": batch_scaled, "rloo": leave_one_out,
}  # fmt: skip


def per_reward(rewards: Tensor, weights: Tensor) -> Tensor:
    """GDPO (arXiv:2601.05242): each reward scaled within its group, then weighted, added and scaled over the step.

    A reward with a small spread thus counts as much as its weight says, not as much as its range happens to be.

    Args:
        rewards: [R, N, G], NaN where a reward does not apply.
        weights: [R].
    """
    scaled = torch.stack([group_scaled(reward) for reward in rewards])
    judged = ~rewards.isnan().all(0)
    total = (scaled * weights.to(rewards).view(-1, 1, 1)).sum(0).masked_fill(~judged, torch.nan)
    return _known((total - total.nanmean()) / (deviation(total.flatten(), dim=0) + EPSILON))


def weighted_mean(rewards: Tensor, weights: Tensor) -> Tensor:
    """[R, N, G] and [R] -> [N, G], over the rewards that apply; NaN where none does."""
    weights = weights.to(rewards).view(-1, 1, 1) * ~rewards.isnan()
    return (rewards.nan_to_num(0.0) * weights).sum(0) / weights.sum(0)


def advantages(rewards: Tensor, weights: Tensor, kind: str) -> Tensor:
    """Advantages [N, G] of rewards [R, N, G] by `kind`: none, group, batch, rloo or gdpo."""
    if kind == "gdpo":
        return per_reward(rewards, weights)
    if kind not in ADVANTAGES:
        raise ValueError(f"unknown advantage `{kind}`; known: {', '.join([*ADVANTAGES, 'gdpo'])}")
    return ADVANTAGES[kind](weighted_mean(rewards, weights))


def has_spread(rewards: Tensor) -> Tensor:
    """bool [N]: True where the completions of a prompt differ in some reward of [R, N, G]; the others teach nothing."""
    low = rewards.nan_to_num(torch.inf).amin(-1)
    high = rewards.nan_to_num(-torch.inf).amax(-1)
    return (high - low > SPREAD).any(0)


def overlong_penalty(lengths: Tensor, max_tokens: int, buffer: int) -> Tensor:
    """Soft punishment of long answers (DAPO, arXiv:2503.14476): 0 up to `max_tokens - buffer`, then down to -1.

    Args:
        lengths: [...] tokens of each completion.
        buffer: tokens before the limit over which the penalty grows; 0 punishes nothing but the limit itself.
    """
    over = lengths.float() - (max_tokens - buffer)
    if buffer == 0:
        return -(over >= 0).float()
    return -(over / buffer).clamp(0.0, 1.0)


def deviation(values: Tensor, dim: int) -> Tensor:
    """Sample standard deviation (n - 1) over what is not NaN, kept as a dimension; 0 for fewer than two values."""
    count = (~values.isnan()).sum(dim, keepdim=True)
    squares = (values - values.nanmean(dim, keepdim=True)).square().nansum(dim, keepdim=True)
    return (squares / (count - 1).clamp(min=1)).sqrt()


def _known(values: Tensor) -> Tensor:
    return values.nan_to_num(0.0)
