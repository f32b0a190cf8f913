"""One label per sample: UAR, WAR (accuracy), weighted and macro F1, per-class recall, fold protocols.

An answer that names none of the classes is wrong and counts in every denominator; it is never dropped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .base import MetricInputError, Score, check_pair, f_of, mean, ratio


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts: `rows[i][j]` samples of class i answered j; `other[i]` answered outside the classes."""

    classes: tuple[Any, ...]
    rows: tuple[tuple[int, ...], ...]
    other: tuple[int, ...]

    @property
    def n(self) -> int:
        return sum(map(sum, self.rows)) + sum(self.other)

    @property
    def support(self) -> list[int]:
        """Samples per class in the ground truth."""
        return [sum(row) + extra for row, extra in zip(self.rows, self.other)]

    @property
    def recalls(self) -> list[float | None]:
        """Recall per class; None for a class without samples."""
        return [self.rows[i][i] / n if n else None for i, n in enumerate(self.support)]

    @property
    def f1s(self) -> list[float]:
        """F1 per class, 0 where it is undefined."""
        columns = [sum(column) for column in zip(*self.rows)]
        return [ratio(2 * self.rows[i][i], n + columns[i]) for i, n in enumerate(self.support)]

    @property
    def war(self) -> float:
        """Weighted average recall = accuracy."""
        return ratio(sum(self.rows[i][i] for i in range(len(self.rows))), self.n, float("nan"))

    @property
    def uar(self) -> float:
        """Unweighted average recall over the classes present in the ground truth."""
        return mean(recall for recall in self.recalls if recall is not None)

    @property
    def weighted_f1(self) -> float:
        return ratio(sum(n * f1 for n, f1 in zip(self.support, self.f1s)), self.n, float("nan"))

    def macro_f1(self, absent_classes: bool = False) -> float:
        """Mean F1 over classes; classes without ground truth count as 0 only when `absent_classes` is set."""
        return mean(f1 for n, f1 in zip(self.support, self.f1s) if n or absent_classes)

    def __add__(self, other: "Confusion") -> "Confusion":
        if self.classes != other.classes:
            raise MetricInputError(f"cannot pool confusions over different classes: {self.classes}, {other.classes}")
        rows = tuple(tuple(map(sum, zip(a, b))) for a, b in zip(self.rows, other.rows))
        return Confusion(self.classes, rows, tuple(map(sum, zip(self.other, other.other))))


def confusion(gt: Sequence[Any], pred: Sequence[Any], classes: Sequence[Any] | None = None) -> Confusion:
    """Confusion counts. Without `classes`, those of the ground truth are used, sorted."""
    check_pair(gt, pred)
    for position, label in enumerate(gt):
        if not isinstance(label, (str, int)):
            raise MetricInputError(f"`gt`[{position}] must be one label, got {label!r:.80}")
    order = tuple(classes) if classes is not None else tuple(sorted(set(gt), key=str))
    index = {label: i for i, label in enumerate(order)}
    rows = [[0] * len(order) for _ in order]
    other = [0] * len(order)
    for g, p in zip(gt, pred):
        if g not in index:
            raise MetricInputError(f"ground truth {g!r} is not one of the classes {', '.join(map(str, order))}")
        j = index.get(p) if isinstance(p, (str, int)) else None
        if j is None:
            other[index[g]] += 1
        else:
            rows[index[g]][j] += 1
    return Confusion(order, tuple(map(tuple, rows)), tuple(other))


def uar(gt: Sequence[Any], pred: Sequence[Any], classes: Sequence[Any] | None = None) -> Score:
    """Unweighted average recall, in [0, 1], over the classes that occur in the ground truth."""
    table = confusion(gt, pred, classes)
    return Score("uar", table.uar, table.n, "macro over classes", True, _correct(gt, pred), _parts(table))


def war(gt: Sequence[Any], pred: Sequence[Any], classes: Sequence[Any] | None = None) -> Score:
    """Weighted average recall = accuracy, in [0, 1]."""
    table = confusion(gt, pred, classes)
    return Score("war", table.war, table.n, "mean over samples", True, _correct(gt, pred), _parts(table))


def weighted_f1(gt: Sequence[Any], pred: Sequence[Any], classes: Sequence[Any] | None = None) -> Score:
    """F1 averaged over classes by their share of the ground truth (WAF)."""
    table = confusion(gt, pred, classes)
    averaging = "over classes, weighted by support"
    return Score("weighted_f1", table.weighted_f1, table.n, averaging, True, _correct(gt, pred), _parts(table))


def macro_f1(
    gt: Sequence[Any], pred: Sequence[Any], classes: Sequence[Any] | None = None, absent_classes: bool = False
) -> Score:
    """F1 averaged over classes; says in `averaging` whether classes without ground truth count."""
    table = confusion(gt, pred, classes)
    averaging = f"macro over {'all' if absent_classes else 'present'} classes"
    value = table.macro_f1(absent_classes)
    return Score("macro_f1", value, table.n, averaging, True, _correct(gt, pred), _parts(table))


def classification(gt: Sequence[Any], pred: Sequence[Any], classes: Sequence[Any] | None = None) -> dict[str, Any]:
    """All of the above as plain values, with the confusion counts."""
    table = confusion(gt, pred, classes)
    return {
        "n": table.n, "war": table.war, "uar": table.uar, "weighted_f1": table.weighted_f1,
        "macro_f1": table.macro_f1(), **_parts(table), "confusion": table.rows,
    }  # fmt: skip


def folds(gt: Sequence[Sequence[Any]], pred: Sequence[Sequence[Any]], classes: Sequence[Any]) -> dict[str, Any]:
    """UAR and WAR over cross-validation folds, both as mean of the folds and from the pooled confusion.

    The literature mixes the two; UAR differs most. Each list holds one list per fold.
    """
    check_pair(gt, pred)
    if not gt:
        raise MetricInputError("`gt` has no folds; give one list of labels per fold")
    tables = [confusion(g, p, classes) for g, p in zip(gt, pred)]
    pooled = tables[0]
    for table in tables[1:]:
        pooled = pooled + table
    return {
        "n": pooled.n, "folds": len(tables),
        "mean_of_folds": {"uar": mean(t.uar for t in tables), "war": mean(t.war for t in tables)},
        "pooled": {"uar": pooled.uar, "war": pooled.war},
        "per_fold": [{"n": t.n, "uar": t.uar, "war": t.war} for t in tables],
    }  # fmt: skip


def _correct(gt: Sequence[Any], pred: Sequence[Any]) -> tuple[float, ...]:
    return tuple(float(g == p) for g, p in zip(gt, pred))


def _parts(table: Confusion) -> dict[str, Any]:
    recalls = dict(zip(map(str, table.classes), table.recalls))
    return {"classes": list(table.classes), "recall": recalls, "outside_classes": sum(table.other)}


def set_f1(gt: Sequence[str], pred: Sequence[str]) -> tuple[float, float, float]:
    """(precision, recall, F1) of two label sets; both empty scores 1, exactly one empty scores 0."""
    truth, named = set(gt), set(pred)
    if not truth and not named:
        return 1.0, 1.0, 1.0
    hits = len(truth & named)
    precision, recall = ratio(hits, len(named)), ratio(hits, len(truth))
    return precision, recall, f_of(precision, recall)
