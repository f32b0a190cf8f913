"""Rewards of judging: stated confidence, statements, critiques, and what people would say next."""

import math
from collections.abc import Callable, Sequence
from typing import Literal

from cuewise.eval.metrics.calibration import log_score_reward
from cuewise.eval.metrics.choices import read_judgment

from .answers import first_in_wheel, is_exact
from .base import RewardSample, Values, linear, register, sigmoid

CLAMP = 0.05
"""With it a sure miss costs 4.99, so that an invalid answer (5) stays the worst of all."""

Critic = Callable[[Sequence[RewardSample]], list[list[float]]]
"""Samples -> scores of each answer, one per critique that was written about it."""

FollowUps = Callable[[Sequence[tuple[str, str]]], list[float]]
"""(context, what is said next) -> mean log-probability per token."""

POSITIVE = ("That is exactly what I see and hear too.",)
NEGATIVE = ("That is not what the clip shows.",)


@register("confidence", low=-5.0, high=2.0, to_unit=linear(-5.0, 2.0))
def confidence_reward(
    samples: Sequence[RewardSample], *, clamp: float = CLAMP, hit: Literal["exact", "ew"] = "exact"
) -> Values:
    """EmoCaliber's logarithmic score of the stated confidence; -5 for an answer without one.

    The map to [0, 1] is straight, so the best confidence stays the true chance of being right. `hit` says what counts
    as right of the first label: that it is the row's first, or that it shares a sector of an emotion wheel with any of
    the row's. Further labels change nothing. With a `clamp` below 0.05 sure misses are cut at -5.
    """
    right = first_in_wheel(samples) if hit == "ew" else None
    values: Values = []
    for index, sample in enumerate(samples):
        if not sample.row.labels:
            values.append(None)
            continue
        correct = is_exact(sample) if right is None else right[index]
        stated = sample.answer.confidence
        valid = stated is not None and bool(sample.answer.labels)
        values.append(max(-5.0, log_score_reward(correct, stated if valid else 0.5, valid, clamp)))
    return values


@register("statement")
def statement_reward(samples: Sequence[RewardSample]) -> Values:
    """1 if the row's statement is judged rightly; no judgment is wrong. None for a row without a statement."""
    return [None if s.row.statement is None else float(_judged(s) is s.row.statement.correct) for s in samples]


@register("critique", low=-math.inf, high=math.inf, to_unit=sigmoid(), needs=("critic",))
def critique_reward(samples: Sequence[RewardSample], *, critic: Critic) -> Values:
    """Mean score over the critiques of an answer (MM-RLHF: critique first, then a score conditioned on it)."""
    scores = critic(samples)
    return [sum(found) / len(found) if found else None for found in scores]


@register("follow_up", low=-math.inf, high=math.inf, to_unit=sigmoid(), needs=("follow_up",))
def follow_up_reward(
    samples: Sequence[RewardSample], *, follow_up: FollowUps, positive: Sequence[str] = POSITIVE,
    negative: Sequence[str] = NEGATIVE,
) -> Values:  # fmt: skip
    """Likelihood of an approving next turn less that of a disapproving one, mean log-probability per token (FLR)."""
    turns = [*positive, *negative]
    found = follow_up([(f"{s.prompt}{s.text}", turn) for s in samples for turn in turns])
    values: Values = []
    for index in range(len(samples)):
        mine = found[index * len(turns) : (index + 1) * len(turns)]
        good, bad = mine[: len(positive)], mine[len(positive) :]
        values.append(sum(good) / len(good) - sum(bad) / len(bad))
    return values


def _judged(sample: RewardSample) -> bool | None:
    answer = sample.answer
    return read_judgment(sample.text if answer.form == "unparsed" else ", ".join(answer.labels))
