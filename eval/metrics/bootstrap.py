"""How sure is a number? Bootstrap intervals, paired comparisons of two runs, and slices by group.

Samples are drawn with replacement; where samples of one speaker are alike, whole groups are drawn instead
(`groups`), which gives the honest, wider interval. Everything is reproducible from `seed`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .base import MetricInputError, check_pair

Statistic = Callable[[np.ndarray], float]
"""Value of a statistic on the samples with the given indices; NaN where it is undefined."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A number with its bootstrap percentile interval."""

    value: float
    low: float
    high: float
    level: float
    n: int
    groups: int | None
    """Number of groups drawn instead of samples; None when samples were drawn."""
    resamples: int
    """Resamples on which the statistic was defined."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Difference first minus second of two runs on the same samples."""

    first: float
    second: float
    difference: float
    low: float
    high: float
    level: float
    p_value: float
    """Two-sided: how often chance alone gives a difference at least this large (resamples shifted to zero)."""
    n: int
    groups: int | None
    resamples: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def bootstrap(
    statistic: Statistic, n: int, *, groups: Sequence[Any] | None = None, resamples: int = 1000, level: float = 0.95,
    seed: int = 0,
) -> Interval:  # fmt: skip
    """Percentile interval of `statistic` over `n` samples."""
    draws = _draws(n, groups, resamples, seed)
    values = np.array([statistic(indices) for indices in draws])
    values = values[np.isfinite(values)]
    low, high = _quantiles(values, level)
    group_count = None if groups is None else len(set(groups))
    return Interval(float(statistic(np.arange(n))), low, high, level, n, group_count, len(values))


def paired_bootstrap(
    first: Statistic, second: Statistic, n: int, *, groups: Sequence[Any] | None = None, resamples: int = 1000,
    level: float = 0.95, seed: int = 0,
) -> Comparison:  # fmt: skip
    """Compare two runs: both statistics see the same draws of the same samples."""
    everything = np.arange(n)
    one, other = float(first(everything)), float(second(everything))
    differences = np.array([first(indices) - second(indices) for indices in _draws(n, groups, resamples, seed)])
    differences = differences[np.isfinite(differences)]
    low, high = _quantiles(differences, level)
    extreme = np.abs(differences - (one - other)) >= abs(one - other) - 1e-12
    p_value = (1 + int(extreme.sum())) / (1 + len(differences))
    group_count = None if groups is None else len(set(groups))
    return Comparison(one, other, one - other, low, high, level, p_value, n, group_count, len(differences))


def slices(
    statistic: Statistic, names: Sequence[Any], *, resamples: int = 1000, level: float = 0.95, seed: int = 0
) -> dict[Any, Interval]:
    """The statistic within each group of `names` (speaker, gender, corpus ...), each with its interval."""
    labels = np.array([str(name) for name in names], dtype=object)
    result = {}
    for name in sorted(set(labels.tolist())):
        inside = np.flatnonzero(labels == name)

        def within(indices: np.ndarray, inside: np.ndarray = inside) -> float:
            return statistic(inside[indices])

        result[name] = bootstrap(within, len(inside), resamples=resamples, level=level, seed=seed)
    return result


def group_gap(
    values: Sequence[float], names: Sequence[Any], one: Any, other: Any, *, resamples: int = 1000, level: float = 0.95,
    seed: int = 0,
) -> Interval:  # fmt: skip
    """Mean of group `one` less that of group `other`, with its interval: each group is drawn by itself.

    Compare two groups that were named beforehand: the largest of many gaps is large by chance.
    """
    groups = []
    for name in (one, other):
        inside = np.array([value for value, own in zip(values, names, strict=True) if own == name], dtype=float)
        if not len(inside):
            raise MetricInputError(f"there is no sample of the group {name!r}")
        groups.append(inside)
    rng = np.random.default_rng(seed)
    drawn = [rng.choice(group, (resamples, len(group))).mean(1) for group in groups]
    low, high = _quantiles(drawn[0] - drawn[1], level)
    value = float(groups[0].mean() - groups[1].mean())
    return Interval(value, low, high, level, sum(map(len, groups)), 2, resamples)


def mean_of(values: Sequence[float | None]) -> Statistic:
    """Statistic: mean of per-sample values; samples that were not scored (None) are left out."""
    array = np.array([np.nan if value is None else value for value in values], dtype=float)

    def statistic(indices: np.ndarray) -> float:
        drawn = array[indices]
        drawn = drawn[~np.isnan(drawn)]
        return float(drawn.mean()) if drawn.size else float("nan")

    return statistic


def class_statistics(
    gt: Sequence[Any], pred: Sequence[Any], classes: Sequence[Any] | None = None
) -> dict[str, Statistic]:
    """Statistics ``uar``, ``war``, ``weighted_f1`` and ``macro_f1`` of one labelled run, fast enough to resample."""
    check_pair(gt, pred)
    order = list(classes) if classes is not None else sorted(set(gt), key=str)
    index = {label: i for i, label in enumerate(order)}
    outside = [label for label in gt if label not in index]
    if outside:
        raise MetricInputError(f"ground truth {outside[0]!r} is not one of the classes {', '.join(map(str, order))}")
    size = len(order)
    truth = np.array([index[label] for label in gt], dtype=np.int64)
    answer = np.array([index.get(p, size) if isinstance(p, (str, int)) else size for p in pred], dtype=np.int64)
    cell = truth * (size + 1) + answer

    def rates(indices: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        table = np.bincount(cell[indices], minlength=size * (size + 1)).reshape(size, size + 1)
        support, hits = table.sum(1), np.diagonal(table)
        f1 = 2 * hits / np.maximum(support + table[:, :size].sum(0), 1)
        return support, hits, f1

    def uar(indices: np.ndarray) -> float:
        support, hits, _ = rates(indices)
        present = support > 0
        return float((hits[present] / support[present]).mean()) if present.any() else float("nan")

    def war(indices: np.ndarray) -> float:
        support, hits, _ = rates(indices)
        return float(hits.sum() / support.sum()) if support.sum() else float("nan")

    def weighted_f1(indices: np.ndarray) -> float:
        support, _, f1 = rates(indices)
        return float((support * f1).sum() / support.sum()) if support.sum() else float("nan")

    def macro_f1(indices: np.ndarray) -> float:
        support, _, f1 = rates(indices)
        return float(f1[support > 0].mean()) if support.any() else float("nan")

    return {"uar": uar, "war": war, "weighted_f1": weighted_f1, "macro_f1": macro_f1}


def class_intervals(
    gt: Sequence[Any], pred: Sequence[Any], classes: Sequence[Any] | None = None, *,
    groups: Sequence[Any] | None = None, resamples: int = 1000, level: float = 0.95, seed: int = 0,
) -> dict[str, Interval]:  # fmt: skip
    """UAR, WAR, weighted and macro F1 of one run, each with its interval. Give speakers as `groups`."""
    return {
        name: bootstrap(statistic, len(gt), groups=groups, resamples=resamples, level=level, seed=seed)
        for name, statistic in class_statistics(gt, pred, classes).items()
    }


def compare_classes(
    gt: Sequence[Any], first: Sequence[Any], second: Sequence[Any], classes: Sequence[Any] | None = None, *,
    groups: Sequence[Any] | None = None, resamples: int = 1000, level: float = 0.95, seed: int = 0,
) -> dict[str, Comparison]:  # fmt: skip
    """Paired comparison of two runs on UAR, WAR, weighted and macro F1."""
    pairs: Mapping[str, Statistic] = class_statistics(gt, first, classes)
    others = class_statistics(gt, second, classes)
    return {
        name: paired_bootstrap(
            statistic, others[name], len(gt), groups=groups, resamples=resamples, level=level, seed=seed
        )
        for name, statistic in pairs.items()
    }


def _draws(n: int, groups: Sequence[Any] | None, resamples: int, seed: int) -> Any:
    """Index arrays, one per resample."""
    if n < 1:
        raise MetricInputError("a bootstrap needs at least one sample")
    rng = np.random.default_rng(seed)
    if groups is None:
        return (rng.integers(0, n, n) for _ in range(resamples))
    if len(groups) != n:
        raise MetricInputError(f"`groups` has {len(groups)} entries but there are {n} samples")
    labels = np.array([str(group) for group in groups], dtype=object)
    members = [np.flatnonzero(labels == name) for name in sorted(set(labels.tolist()))]
    count = len(members)
    return (np.concatenate([members[i] for i in rng.integers(0, count, count)]) for _ in range(resamples))


def _quantiles(values: np.ndarray, level: float) -> tuple[float, float]:
    if not values.size:
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
