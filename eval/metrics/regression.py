"""Continuous targets (valence, arousal, sentiment scores): CCC, Pearson, MAE, RMSE, and binned accuracies."""

import math
from collections.abc import Sequence
from typing import Any

from .base import NAN, MetricInputError, Score, check_numbers, check_pair, mean
from .classification import confusion


def ccc(gt: Sequence[float], pred: Sequence[float]) -> Score:
    """Concordance correlation, in [-1, 1], with population moments; NaN when both sides are one constant."""
    x, y = _pair(gt, pred)
    mx, my = mean(x), mean(y)
    covariance, vx, vy = _moments(x, y, mx, my)
    below = vx + vy + (mx - my) ** 2
    return Score("ccc", 2 * covariance / below if below else NAN, len(x), "over all samples")


def grouped_ccc(gt: Sequence[float], pred: Sequence[float], groups: Sequence[Any]) -> Score:
    """CCC of each group (subject), then their mean; groups in which it is undefined are left out and counted.

    OMG-Empathy scores listeners this way: one who never moves must not be made up for by another who does.
    """
    check_pair(gt, pred)
    check_pair(gt, list(groups))
    found = {}
    for group in dict.fromkeys(groups):
        rows = [(a, b) for a, b, own in zip(gt, pred, groups) if own == group]
        found[group] = ccc([a for a, _ in rows], [b for _, b in rows]).value if len(rows) > 1 else NAN
    known = [value for value in found.values() if not math.isnan(value)]
    parts = {"groups": {str(name): value for name, value in found.items()}, "undefined": len(found) - len(known)}
    return Score("grouped_ccc", mean(known), len(known), "mean over groups", parts=parts)


def pearson(gt: Sequence[float], pred: Sequence[float]) -> Score:
    """Pearson correlation, in [-1, 1]; NaN when a side is constant."""
    x, y = _pair(gt, pred)
    covariance, vx, vy = _moments(x, y, mean(x), mean(y))
    # A constant side can have a variance of rounding size; its correlation is undefined, not noise.
    flat = len(set(x)) < 2 or len(set(y)) < 2
    return Score("pearson", NAN if flat else covariance / math.sqrt(vx * vy), len(x), "over all samples")


def mae(gt: Sequence[float], pred: Sequence[float]) -> Score:
    """Mean absolute error."""
    samples = tuple(abs(a - b) for a, b in zip(*_pair(gt, pred)))
    return Score("mae", mean(samples), len(samples), "mean over samples", False, samples)


def rmse(gt: Sequence[float], pred: Sequence[float]) -> Score:
    """Root of the mean squared error; sample values are squared errors."""
    samples = tuple((a - b) ** 2 for a, b in zip(*_pair(gt, pred)))
    return Score("rmse", math.sqrt(mean(samples)), len(samples), "root of the mean over samples", False, samples)


def regression(gt: Sequence[float], pred: Sequence[float]) -> dict[str, Any]:
    """All four for one dimension."""
    scores = {function.__name__: function(gt, pred).value for function in (ccc, pearson, mae, rmse)}
    return {"n": len(gt), **scores}


def sentiment_regression(gt: Sequence[float], pred: Sequence[float]) -> dict[str, Any]:
    """CMU-MOSI / CMU-MOSEI habits for scores in [-3, 3]: MAE, correlation, 7-class and both 2-class accuracies.

    ``acc2_nonnegative`` splits at < 0 against >= 0 over all samples; ``acc2_nonzero`` leaves ground truth 0 out and
    splits at > 0. They differ by two to three points, so each has its own name. Seven classes are nearest integers
    (MOSI); ``acc7_away`` rounds away from zero (MOSEI's own label script).
    """
    x, y = _pair(gt, pred)
    nonzero = [(a > 0, b > 0) for a, b in zip(x, y) if a != 0]
    binary = [[a >= 0 for a in x], [b >= 0 for b in y]]
    result = {
        "n": len(x), "n_nonzero": len(nonzero), "mae": mae(gt, pred).value, "pearson": pearson(gt, pred).value,
        "acc7": mean(float(_nearest(a) == _nearest(b)) for a, b in zip(x, y)),
        "acc7_away": mean(float(mosei_class(a) == mosei_class(b)) for a, b in zip(x, y)),
    }  # fmt: skip
    for name, truth, answer in (
        ("nonnegative", *binary),
        ("nonzero", [a for a, _ in nonzero], [b for _, b in nonzero]),
    ):
        table = confusion(truth, answer, (False, True))
        result |= {f"acc2_{name}": table.war, f"f1_{name}": table.weighted_f1}
    return result


def mosei_class(score: float) -> int:
    """Seven-class sentiment of CMU-MOSEI: away from zero, at most 3.

    >>> [mosei_class(a) for a in (0, 0.2, -1.4, 3.0)]
    [0, 1, -2, 3]
    """
    return 0 if score == 0 else int(math.copysign(min(3, math.ceil(abs(score))), score))


def _nearest(score: float) -> int:
    return round(max(-3.0, min(3.0, score)))


def _pair(gt: Sequence[float], pred: Sequence[float]) -> tuple[list[float], list[float]]:
    check_pair(gt, pred)
    if not gt:
        raise MetricInputError("`gt` is empty; give at least one number")
    return check_numbers("gt", gt), check_numbers("pred", pred)


def _moments(x: list[float], y: list[float], mx: float, my: float) -> tuple[float, float, float]:
    covariance = mean((a - mx) * (b - my) for a, b in zip(x, y))
    return covariance, mean((a - mx) ** 2 for a in x), mean((b - my) ** 2 for b in y)
