"""A measure: one metric of a suite, from records to a number with everything needed to believe and to resample it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from cuewise.eval.metrics.base import NAN, plain
from cuewise.eval.metrics.bootstrap import Statistic, bootstrap, mean_of
from cuewise.eval.reading import Answer
from cuewise.eval.suites.suite import Dataset

LEVEL = 0.95
MAX_RESAMPLES = 1000
RESAMPLE_BUDGET = 2_000_000
"""Samples drawn in all for one interval; fewer resamples for large data sets, stated in the interval's text."""


@dataclass(slots=True)
class Record:
    """One sample with its truth and the answer to it."""

    id: str
    gt: Any
    answer: Answer
    groups: dict[str, str] = field(default_factory=dict)
    judged: dict[str, Any] = field(default_factory=dict)
    """Replies of judges about this answer, by task."""


@dataclass(slots=True)
class Measured:
    """One number. `statistic` gives it for any subset of the records, which is what intervals are made of."""

    name: str
    value: float
    n: int
    averaging: str
    higher_is_better: bool = True
    samples: Sequence[float | None] = ()
    """One value per record, None where it was not scored; empty when the metric has none per sample."""
    statistic: Statistic | None = None
    cheap: bool = True
    """False for a statistic that runs through Python per sample, which gets fewer resamples."""
    parts: dict[str, Any] = field(default_factory=dict)
    scale: Literal["share", "plain"] = "share"
    """A share lies in [-1, 1] and is shown in percent."""
    unit: str = "samples"
    """What `n` counts."""
    beside: str | None = None
    """The published metric this one stands beside as our own variant, or the other way round."""


Measure = Callable[[list[Record], Dataset], list[Measured]]


def mean_measure(
    name: str, samples: Sequence[float | None], *, averaging: str = "mean over samples", higher_is_better: bool = True,
    beside: str | None = None, **parts: Any,
) -> Measured:  # fmt: skip
    """A plain mean of per-sample values."""
    scored = [value for value in samples if value is not None]
    value = math.fsum(scored) / len(scored) if scored else NAN
    return Measured(name, value, len(scored), averaging, higher_is_better, tuple(samples), mean_of(samples),
                    parts=parts, beside=beside)  # fmt: skip


def subset_statistic(records: Sequence[Any], function: Callable[[list[Any]], float]) -> Statistic:
    """Statistic that runs `function` on the drawn records themselves; NaN where it is undefined."""

    def statistic(indices: np.ndarray) -> float:
        try:
            return float(function([records[i] for i in indices]))
        except (ValueError, ZeroDivisionError):
            return NAN

    return statistic


def interval_of(measured: Measured, records: list[Record], dataset: Dataset, seed: int = 0) -> dict[str, Any]:
    """`low`, `high` and how the interval was made; nulls with the reason when there is none."""
    n = len(records)
    clusters = [record.groups.get(dataset.cluster or "", record.id) for record in records]
    groups = clusters if dataset.cluster else None
    if measured.statistic is None or n < 2 or not math.isfinite(measured.value):
        why = "too few samples" if n < 2 else "undefined" if measured.statistic else "not resampled"
        return {"low": None, "high": None, "interval": f"none: {why}"}
    if groups is not None and len(set(groups)) < 2:
        return {"low": None, "high": None, "interval": f"none: only one {dataset.cluster}"}
    resamples = resample_count(n, measured.cheap)
    found = bootstrap(measured.statistic, n, groups=groups, resamples=resamples, level=LEVEL, seed=seed)
    over = _drawn(records, dataset.cluster) if groups is not None else f"{n} samples"
    return plain({"low": found.low, "high": found.high,
                  "interval": f"{LEVEL:.0%} bootstrap over {over}, {found.resamples} resamples"})  # fmt: skip


def _drawn(records: list[Record], cluster: str | None) -> str:
    """What a bootstrap over clusters draws: samples that name no cluster are drawn by themselves."""
    named = {record.groups[cluster] for record in records if cluster in record.groups}
    alone = sum(cluster not in record.groups for record in records)
    return f"{len(named)} {cluster}s" + (f" and {alone} samples without one" if alone else "")


def resample_count(n: int, cheap: bool) -> int:
    """Resamples within the budget, at least 100."""
    budget = RESAMPLE_BUDGET * (10 if cheap else 1)
    return int(min(MAX_RESAMPLES, max(100, budget // max(n, 1) // 10 * 10)))
