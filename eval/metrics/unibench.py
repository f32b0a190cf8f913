"""MER-UniBench: nine data sets, one primary metric each, and the plain mean of the nine.

The published driver scores every saved checkpoint on the test sets and keeps, *per data set*, the best one; a NaN
score wins that search. `unibench_run` reproduces it. `unibench_selected` is the honest counterpart: the checkpoint is
chosen beforehand, on validation data, once for all data sets.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cuewise.mllm.taxonomy import LEVEL1_IDS

from .base import MetricInputError, mean
from .ew import level_mean, set_scores
from .hits import hit_rate
from .sentiment import sentiment


def _hits(gt: Sequence[Any], pred: Sequence[Any]) -> float:
    return hit_rate(gt, pred)["hit_rate"]


def _waf(gt: Sequence[Any], pred: Sequence[Any]) -> float:
    return sentiment(gt, pred)["waf"]


def _level1_f(gt: Sequence[Any], pred: Sequence[Any]) -> float:
    return level_mean(set_scores(gt, pred, LEVEL1_IDS), 1)[0]


PRIMARY: dict[str, Callable[[Sequence[Any], Sequence[Any]], float]] = {
    "mer2023": _hits, "mer2024": _hits, "meld": _hits, "iemocapfour": _hits,
    "cmumosi": _waf, "cmumosei": _waf, "sims": _waf, "simsv2": _waf,
    "ovmerdplus": _level1_f,
}  # fmt: skip
"""Primary score of each data set, in the published order."""


def primary_score(dataset: str, gt: Sequence[Any], pred: Sequence[Any]) -> float:
    """Primary score of one data set, in [0, 1]; NaN where undefined."""
    try:
        score = PRIMARY[dataset]
    except KeyError:
        raise MetricInputError(f"unknown data set {dataset!r}; known: {', '.join(PRIMARY)}") from None
    try:
        return score(gt, pred)
    except MetricInputError as error:
        raise MetricInputError(f"{dataset}: {error}") from None


def unibench_run(gt: Mapping[str, Sequence[Any]], pred: Mapping[str, Sequence[Sequence[Any]]]) -> dict[str, Any]:
    """Best checkpoint per data set, their mean, and the printed row; `pred` holds checkpoints per data set."""
    _check_datasets(gt, pred)
    best = {}
    for dataset in PRIMARY:
        checkpoints = pred[dataset]
        if not isinstance(checkpoints, (list, tuple)) or not checkpoints:
            raise MetricInputError(f"{dataset}: `pred` must be a non-empty list of checkpoints")
        best[dataset] = best_checkpoint([primary_score(dataset, gt[dataset], answers) for answers in checkpoints])
    return _table(best)


def unibench_selected(
    gt: Mapping[str, Sequence[Any]], pred: Mapping[str, Sequence[Sequence[Any]]], checkpoint: int
) -> dict[str, Any]:
    """The same table for one checkpoint, chosen on validation data and used for every data set."""
    _check_datasets(gt, pred)
    for dataset, checkpoints in pred.items():
        if not 0 <= checkpoint < len(checkpoints):
            raise MetricInputError(f"{dataset}: no checkpoint {checkpoint}; there are {len(checkpoints)}, from 0")
    return _table({name: primary_score(name, gt[name], pred[name][checkpoint]) for name in PRIMARY})


def best_checkpoint(scores: Sequence[float]) -> float:
    """The largest score; a NaN wins over everything, as it does in the published search."""
    return math.nan if any(map(math.isnan, scores)) else max(scores)


def _table(best: dict[str, float]) -> dict[str, Any]:
    overall = mean(best.values())
    return {"best": best, "mean": overall, "row": [f"{100 * value:.2f}" for value in (*best.values(), overall)]}


def _check_datasets(gt: Any, pred: Any) -> None:
    for name, side in (("gt", gt), ("pred", pred)):
        if not isinstance(side, Mapping):
            raise MetricInputError(f"`{name}` must map the nine data-set names to lists, got {type(side).__name__}")
        missing = [dataset for dataset in PRIMARY if dataset not in side]
        extra = [dataset for dataset in side if dataset not in PRIMARY]
        if missing or extra:
            problem = f"lacks {', '.join(missing)}" if missing else f"has unknown data sets {', '.join(extra)}"
            raise MetricInputError(f"`{name}` {problem}; the nine are {', '.join(PRIMARY)}")
