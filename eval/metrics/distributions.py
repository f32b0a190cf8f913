"""Label distributions from votes against predicted distributions: KL, JS, the all-inclusive rule, n-best accuracy."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from .base import MetricInputError, check_pair, mean
from .multilabel import multilabel

FLOOR = 1e-8
"""Smallest predicted probability in KL, so that one confident miss does not make the whole score infinite."""


def distribution_scores(
    gt: Sequence[Mapping[str, float]], pred: Sequence[Mapping[str, float]], classes: Sequence[str] | None = None
) -> dict[str, Any]:
    """KL and JS divergence in nats, all-inclusive macro-F1 and n-best accuracy.

    Ground truth may be vote counts; both sides are normalised over `classes` (default: all that occur).
    """
    check_pair(gt, pred)
    _check(gt, "gt")
    _check(pred, "pred")
    order = list(classes) if classes is not None else sorted({label for row in (*gt, *pred) for label in row})
    targets = [normalise(row, order) for row in gt]
    answers = [normalise(row, order) for row in pred]
    inclusive = multilabel(
        [all_inclusive(t, order) for t in targets], [all_inclusive(a, order) for a in answers], order
    )
    return {
        "n": len(targets), "classes": order,
        "kl": mean(kl(t, a) for t, a in zip(targets, answers)),
        "js": mean(js(t, a) for t, a in zip(targets, answers)),
        "all_inclusive_f1_macro": inclusive["f1_macro"], "labels_per_sample": inclusive["labels_per_sample"],
        "best_1": n_best(targets, answers, 1), "best_2": n_best(targets, answers, 2),
        "best_3": n_best(targets, answers, 3),
    }  # fmt: skip


def normalise(row: Mapping[str, float], classes: Sequence[str]) -> list[float]:
    """Probabilities over `classes` in their order, from counts or unnormalised weights."""
    weights = [float(row.get(label, 0.0)) for label in classes]
    total = math.fsum(weights)
    if not total > 0 or min(weights) < 0:
        raise MetricInputError(f"a distribution needs non-negative weights with a positive sum, got {dict(row)!r:.120}")
    return [weight / total for weight in weights]


def kl(target: Sequence[float], answer: Sequence[float], floor: float = FLOOR) -> float:
    """KL(target || answer) in nats; the answer is floored and renormalised."""
    lifted = [max(a, floor) for a in answer]
    total = math.fsum(lifted)
    return max(0.0, math.fsum(t * math.log(t * total / a) for t, a in zip(target, lifted) if t > 0))


def js(target: Sequence[float], answer: Sequence[float]) -> float:
    """Jensen-Shannon divergence in nats, in [0, ln 2]."""
    middle = [(t + a) / 2 for t, a in zip(target, answer)]
    halves = [math.fsum(x * math.log(x / m) for x, m in zip(side, middle) if x > 0) for side in (target, answer)]
    return max(0.0, sum(halves) / 2)


def all_inclusive(row: Sequence[float], classes: Sequence[str]) -> list[str]:
    """Labels whose probability is strictly above 1/C (all-inclusive rule, arXiv:2510.05934).

    >>> all_inclusive([0.2, 0.4, 0.4, 0.0], ["N", "A", "S", "H"])
    ['A', 'S']
    """
    return [label for label, share in zip(classes, row) if share > 1 / len(classes) + 1e-12]


def n_best(targets: Sequence[Sequence[float]], answers: Sequence[Sequence[float]], n: int) -> float:
    """Share of samples whose most voted label (any of them, when tied) is among the n most probable answers."""
    hits = []
    for target, answer in zip(targets, answers):
        tops = {i for i, share in enumerate(target) if share == max(target)}
        ranked = sorted(range(len(answer)), key=lambda i: -answer[i])[:n]
        hits.append(float(bool(tops & set(ranked))))
    return mean(hits)


def _check(side: Sequence[Any], name: str) -> None:
    for index, row in enumerate(side):
        numbers = row.values() if isinstance(row, Mapping) else [None]
        if not all(isinstance(v, (int, float)) and abs(v) < 1e300 for v in numbers):
            raise MetricInputError(f"`{name}`[{index}] must map labels to numbers, got {row!r:.80}")
