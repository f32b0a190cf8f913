"""Reward of valence and arousal: where the written emotion words lie, against where the row lies.

Answers write words, not numbers; a word has its place in `cuewise.mllm.taxonomy`, a list the mean of its words' places.
"""

import math
from collections.abc import Sequence
from typing import Literal

from cuewise.eval.metrics.regression import ccc
from cuewise.mllm.taxonomy import valence_arousal

from .base import RewardError, RewardSample, Values, register

FARTHEST = 2 * math.sqrt(2)
"""Distance of two opposite corners of the plane; that of an answer whose words have no place."""

WORST = (1.0, -1.0)
"""Place of such an answer for a row below zero, and for any other: the end that is farther away."""


@register("valence_arousal", low=0.0, high=FARTHEST, direction="lower")
def distance_reward(samples: Sequence[RewardSample]) -> Values:
    """Distance in the valence-arousal plane, 0 at the row's place."""
    values: Values = []
    for sample in samples:
        truth, place = row_place(sample), answer_place(sample)
        if truth is None:
            values.append(None)
        else:
            values.append(FARTHEST if place is None else min(FARTHEST, math.dist(truth, place)))
    return values


@register("concordance", low=-1.0, high=1.0)
def concordance_reward(
    samples: Sequence[RewardSample], *, axis: Literal["valence", "arousal", "both"] = "both"
) -> Values:
    """CCC over a batch of different rows; every sample gets the one of its place in the group.

    The n-th answers to all rows form one set, whose CCC all of them share: the measure needs a spread that a group of
    answers to one row does not have. An answer whose words have no place counts as the corner farthest from its row.
    None where a set has fewer than two different rows or no spread.
    """
    if axis not in ("valence", "arousal", "both"):
        raise RewardError(f"concordance.axis must be valence, arousal or both, got {axis!r}")
    seen: dict[str, int] = {}
    sets: dict[int, list[int]] = {}
    for index, sample in enumerate(samples):
        if row_place(sample) is not None:
            turn = seen[sample.row.id] = seen.get(sample.row.id, -1) + 1
            sets.setdefault(turn, []).append(index)
    values: Values = [None] * len(samples)
    for members in sets.values():
        shared = _ccc([samples[i] for i in members], axis)
        for index in members:
            values[index] = shared
    return values


def answer_place(sample: RewardSample) -> tuple[float, float] | None:
    """Mean valence and arousal of the answer's labels; None when no label has a place."""
    places = [place for label in sample.answer.labels if (place := valence_arousal(label))]
    if not places:
        return None
    return sum(v for v, _ in places) / len(places), sum(a for _, a in places) / len(places)


def row_place(sample: RewardSample) -> tuple[float, float] | None:
    """Valence and arousal of the row; None unless both are known."""
    if sample.row.valence is None or sample.row.arousal is None:
        return None
    return sample.row.valence, sample.row.arousal


def _ccc(samples: Sequence[RewardSample], axis: str) -> float | None:
    if len(samples) < 2:
        return None
    truths = [row_place(s) for s in samples]
    pairs = [(truth, answer_place(s) or tuple(WORST[value >= 0] for value in truth))
             for truth, s in zip(truths, samples)]  # fmt: skip
    axes = {"valence": (0,), "arousal": (1,), "both": (0, 1)}[axis]
    found = [ccc([truth[k] for truth, _ in pairs], [place[k] for _, place in pairs]).value for k in axes]
    return None if any(math.isnan(value) for value in found) else sum(found) / len(found)
