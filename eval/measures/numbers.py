"""Valence and arousal, and whether a stated confidence is true."""

from collections.abc import Callable, Sequence

import numpy as np

from cuewise.eval.metrics.base import NAN, Score
from cuewise.eval.metrics.bootstrap import Statistic
from cuewise.eval.metrics.calibration import auc, brier, coverage_curve, ece
from cuewise.eval.metrics.regression import ccc, grouped_ccc, mae, pearson, rmse
from cuewise.eval.reading import Answer, answered_class
from cuewise.eval.suites.suite import Dataset
from cuewise.mllm.taxonomy import normalise, same_core, valence_arousal

from .base import Measured, Record, subset_statistic

REGRESSION = {"ccc": ccc, "pearson": pearson, "mae": mae, "rmse": rmse}


def affect(records: list[Record], dataset: Dataset, metric: str) -> list[Measured]:
    """One regression metric for valence and for arousal.

    A system without such an output gets the mean place of its emotion words; an answer with neither is 0, the origin,
    and counted in `from_words` and `missing`.
    """
    measured = []
    for axis, name in enumerate(("valence", "arousal")):
        pairs, own, words = [], 0, 0
        places: list[int] = []
        for index, record in enumerate(records):
            truth = record.gt[axis]
            if truth is None:
                continue
            value, how = stated_affect(record.answer, axis)
            own, words = own + (how == "stated"), words + (how == "words")
            pairs.append((truth, value))
            places.append(index)
        score = REGRESSION[metric]([g for g, _ in pairs], [p for _, p in pairs])
        parts = {"stated": own, "from_words": words, "missing": len(pairs) - own - words}
        measured.append(Measured(f"{metric}_{name}", score.value, score.n, score.averaging, score.higher_is_better, (),
                                 _moments(pairs, places, len(records), REGRESSION[metric]), parts=parts,
                                 scale="share" if metric in ("ccc", "pearson") else "plain"))  # fmt: skip
    return measured


def affect_by_cluster(records: list[Record], dataset: Dataset) -> list[Measured]:
    """CCC within each cluster (speaker, subject), then the mean over clusters, for valence and for arousal."""
    measured = []
    for axis, name in enumerate(("valence", "arousal")):
        rows = [(r.gt[axis], stated_affect(r.answer, axis)[0], r.groups.get(dataset.cluster or "", "all"))
                for r in records]  # fmt: skip

        def value(drawn: list[tuple[float | None, float, str]]) -> Score:
            known = [row for row in drawn if row[0] is not None]
            return grouped_ccc(*map(list, zip(*known))) if known else Score("grouped_ccc", NAN, 0, "mean over groups")

        score = value(rows)
        measured.append(Measured(f"ccc_by_cluster_{name}", score.value, score.n, "mean over clusters", True, (),
                                 subset_statistic(rows, lambda drawn: value(drawn).value), cheap=False,
                                 parts=dict(score.parts), unit="clusters"))  # fmt: skip
    return measured


def stated_affect(answer: Answer, axis: int) -> tuple[float, str]:
    """Valence (axis 0) or arousal (axis 1) of an answer, and where it comes from."""
    stated = answer.valence if axis == 0 else answer.arousal
    if stated is not None:
        return stated, "stated"
    found = [place[axis] for label in answer.labels if (place := valence_arousal(label))]
    return (sum(found) / len(found), "words") if found else (0.0, "missing")


def _moments(
    pairs: Sequence[tuple[float, float]], places: Sequence[int], n: int,
    function: Callable[[Sequence[float], Sequence[float]], Score],
) -> Statistic:  # fmt: skip
    row = np.full(n, -1)
    row[np.array(places, dtype=int)] = np.arange(len(places))
    truth, answer = np.array([g for g, _ in pairs]), np.array([p for _, p in pairs])

    def statistic(indices: np.ndarray) -> float:
        drawn = row[indices]
        drawn = drawn[drawn >= 0]
        return function(truth[drawn].tolist(), answer[drawn].tolist()).value if drawn.size else NAN

    return statistic


def right(record: Record, dataset: Dataset) -> bool:
    """Whether the first label is right: its class in a closed set, the same core as any true word in an open one."""
    if dataset.classes and not isinstance(record.gt, dict):
        truths = record.gt if isinstance(record.gt, list) else [record.gt]
        return answered_class(record.answer, dataset) in truths
    words = record.gt["labels"] if isinstance(record.gt, dict) else record.gt
    words = [words] if isinstance(words, str) else words
    first = record.answer.labels[0] if record.answer.labels else None
    return first is not None and any(same_core(normalise(first), normalise(word)) for word in words)


def calibration(records: list[Record], dataset: Dataset) -> list[Measured]:
    """ECE, Brier and AUC of the stated confidence, with the accuracy-coverage curve in the parts of ECE."""
    pairs = [(float(right(record, dataset)), record.answer.confidence) for record in records]
    hits, sure = [hit for hit, _ in pairs], [c for _, c in pairs]
    stated = sum(c is not None for c in sure)
    measured = []
    for name, function in (("ece", ece), ("brier", brier), ("auc", auc)):
        score = function(hits, sure)
        parts = dict(score.parts) | {"stated": stated}
        if name == "ece":
            parts["coverage"] = coverage_curve(hits, sure)

        def value(rows: list[tuple[float, float | None]], function: Callable[..., Score] = function) -> float:
            return function([h for h, _ in rows], [c for _, c in rows]).value

        measured.append(Measured(name, score.value, score.n, score.averaging, score.higher_is_better, score.samples,
                                 subset_statistic(pairs, value), cheap=False, parts=parts))  # fmt: skip
    return measured
