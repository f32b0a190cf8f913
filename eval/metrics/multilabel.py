"""Several labels per sample: F1 (micro, macro, per sample), Jaccard, exact match, mean average precision."""

from collections.abc import Mapping, Sequence
from typing import Any

from .base import NAN, MetricInputError, check_pair, mean, ratio
from .classification import set_f1


def multilabel(
    gt: Sequence[Sequence[str]], pred: Sequence[Sequence[str]], classes: Sequence[str] | None = None
) -> dict[str, Any]:
    """F1 and Jaccard of label sets. Without `classes`, those of the ground truth are used for the macro average.

    Per-sample values of an empty ground truth and an empty prediction are 1, of exactly one empty side 0. A predicted
    label outside the classes costs precision in every average but has no class of its own.
    """
    truth, named = _sets("gt", gt), _sets("pred", pred)
    check_pair(gt, pred)
    order = list(classes) if classes is not None else sorted(set().union(*truth))
    rows = [set_f1(sorted(g), sorted(p)) for g, p in zip(truth, named)]
    hits = sum(len(g & p) for g, p in zip(truth, named))
    per_class = {}
    for label in order:
        tp = sum(label in g and label in p for g, p in zip(truth, named))
        total = sum(label in g for g in truth) + sum(label in p for p in named)
        per_class[label] = ratio(2 * tp, total)
    jaccards = [ratio(len(g & p), len(g | p), 1.0) for g, p in zip(truth, named)]
    return {
        "n": len(truth), "classes": order,
        "f1_micro": ratio(2 * hits, sum(map(len, truth)) + sum(map(len, named)), NAN),
        "f1_macro": mean(per_class.values()), "f1_samples": mean(f1 for _, _, f1 in rows),
        "precision_samples": mean(p for p, _, _ in rows), "recall_samples": mean(r for _, r, _ in rows),
        "jaccard_samples": mean(jaccards), "exact_match": mean(float(g == p) for g, p in zip(truth, named)),
        "f1_per_class": per_class, "labels_per_sample": mean(len(p) for p in named),
    }  # fmt: skip


def mean_average_precision(gt: Sequence[Sequence[str]], scores: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Average precision per class from ranked scores, and their mean over classes that occur (mAP).

    A class missing from a sample's scores counts as the lowest rank. Equal scores are taken as one block, so the
    result does not depend on the order of samples.
    """
    check_pair(gt, scores)
    truth = _sets("gt", gt)
    for index, row in enumerate(scores):
        if not isinstance(row, Mapping) or not all(isinstance(v, (int, float)) for v in row.values()):
            raise MetricInputError(f"`pred`[{index}] must map labels to scores, got {row!r:.80}")
    per_class = {}
    for label in sorted(set().union(*truth)):
        ranked = sorted(((row.get(label, -float("inf")), label in g) for row, g in zip(scores, truth)), reverse=True)
        per_class[label] = _average_precision(ranked)
    return {"n": len(truth), "map": mean(per_class.values()), "ap_per_class": per_class}


def _average_precision(ranked: list[tuple[float, bool]]) -> float:
    positives, found, seen, total, start = sum(hit for _, hit in ranked), 0, 0, 0.0, 0
    while start < len(ranked):
        end = start
        while end < len(ranked) and ranked[end][0] == ranked[start][0]:
            end += 1
        new = sum(hit for _, hit in ranked[start:end])
        found, seen = found + new, end
        total += new * found / seen
        start = end
    return total / positives


def _sets(name: str, side: Any) -> list[set[str]]:
    if not isinstance(side, (list, tuple)):
        raise MetricInputError(f"`{name}` must be a list with one label list per sample, got {type(side).__name__}")
    for index, labels in enumerate(side):
        if not isinstance(labels, (list, tuple, set, frozenset)) or not all(isinstance(x, str) for x in labels):
            raise MetricInputError(f"`{name}`[{index}] must be a list of labels, got {labels!r:.80}")
    return [set(labels) for labels in side]
