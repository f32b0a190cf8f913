"""The statistic behind a metric, so that it can be resampled: the metric itself where the samples allow it.

Accuracy is a mean of per-sample values, UAR and the wheel F are not. A statistic counts as the metric itself only when
it gives the value of the results on all samples; otherwise the mean of the per-sample values stands in, and says so.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cuewise.eval.metrics.base import MetricInputError
from cuewise.eval.metrics.bootstrap import Statistic, class_statistics, mean_of
from cuewise.eval.metrics.ew import set_scores
from cuewise.mllm.taxonomy import LEVEL1_IDS, LEVEL2_IDS, PROFILES, Profile

from .results import Metric
from .samples import SampleRecord

TOLERANCE = 1e-9
ITSELF = "the metric itself"
STAND_IN = "mean of the per-sample values"


@dataclass(frozen=True, slots=True)
class Basis:
    """A statistic over sample indices, and what it is: `ITSELF` or `STAND_IN`."""

    statistic: Statistic
    what: str


def gold_labels(gt: Any) -> list[str]:
    """The emotion words of a ground truth: a word, a list of words, the winner of votes, or `labels` in an object."""
    if isinstance(gt, str):
        return [gt]
    if isinstance(gt, (list, tuple)):
        return [word for word in gt if isinstance(word, str)]
    if isinstance(gt, dict):
        if "labels" in gt or "label" in gt:
            return gold_labels(gt.get("labels", gt.get("label")))
        if gt and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in gt.values()):
            best = max(gt.values())
            return [word for word, share in gt.items() if share == best]
    return []


def basis_of(metric: Metric, records: Sequence[SampleRecord]) -> Basis | None:
    """How to resample `metric` on these samples; None when no sample has a value under it."""
    everything = np.arange(len(records))
    for statistic in _candidates(metric, records):
        value = statistic(everything)
        if metric.value is not None and math.isclose(value, metric.value, rel_tol=0, abs_tol=TOLERANCE):
            return Basis(statistic, ITSELF)
    mean = sample_mean(metric, records)
    same = mean is not None and metric.value is not None
    if same and math.isclose(mean.statistic(everything), metric.value, rel_tol=0, abs_tol=TOLERANCE):
        return Basis(mean.statistic, ITSELF)
    return mean


def sample_mean(metric: Metric, records: Sequence[SampleRecord]) -> Basis | None:
    """The mean of the per-sample values; None when there are none."""
    values = [record.score(metric.name) for record in records]
    return None if all(value is None for value in values) else Basis(mean_of(values), STAND_IN)


def wheel_f(records: Sequence[SampleRecord], profile: Profile, level: int) -> Statistic:
    """F of mean precision and recall, averaged over the five wheels, as a statistic over samples."""
    ids = LEVEL1_IDS if level == 1 else LEVEL2_IDS
    scores = set_scores([gold_labels(r.gt) for r in records], [r.labels for r in records], ids, profile)
    missing = (math.nan, math.nan)
    table = np.array([[missing if s is None else s for s in scores[i].samples] for i in ids], dtype=float)
    scored = ~np.isnan(table[:, :, 0])
    table = np.nan_to_num(table)

    def statistic(indices: np.ndarray) -> float:
        counts = scored[:, indices].sum(1)
        with np.errstate(invalid="ignore", divide="ignore"):
            precision, recall = (table[:, indices].sum(1) / counts[:, None]).T
            f = 2 * precision * recall / (precision + recall)
        if profile != "affectgpt2025":
            f = np.where(precision + recall == 0, 0.0, f)
        return float(f.mean())

    return statistic


def _candidates(metric: Metric, records: Sequence[SampleRecord]) -> Iterator[Statistic]:
    words = f"{metric.name} {metric.averaging}".lower()
    if any(word in words for word in ("uar", "war", "f1", "waf", "recall", "classes")):
        yield from _class_statistics(metric, records)
    if "ew" in words or "wheel" in words:
        for profile in PROFILES:
            for level in (1, 2):
                yield wheel_f(records, profile, level)


def _class_statistics(metric: Metric, records: Sequence[SampleRecord]) -> Iterator[Statistic]:
    truth = [gold_labels(record.gt)[:1] for record in records]
    if not all(truth):
        return
    gt = [label for (label,) in truth]
    classes = metric.parts.get("classes")
    for key in ("class", "label", None):
        pred = [record.parsed.get(key) if key else next(iter(record.labels), None) for record in records]
        if not any(pred):
            continue
        try:
            yield from class_statistics(gt, pred, classes).values()
        except MetricInputError:
            return
