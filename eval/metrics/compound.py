"""Compound expressions (C-EXPR, AVCER): seven pairs of basic emotions scored from basic probabilities."""

from collections.abc import Mapping, Sequence
from typing import Any

from .base import MetricInputError, check_pair
from .classification import confusion

COMPOUNDS = {
    "fearfully surprised": ("fear", "surprise"),
    "happily surprised": ("happiness", "surprise"),
    "sadly surprised": ("sadness", "surprise"),
    "disgustedly surprised": ("disgust", "surprise"),
    "angrily surprised": ("anger", "surprise"),
    "sadly fearful": ("sadness", "fear"),
    "sadly angry": ("sadness", "anger"),
}
BASICS = ("neutral", "anger", "disgust", "fear", "happiness", "sadness", "surprise")


def compound_scores(
    basic: Mapping[str, float], frequency: Mapping[str, float] | None = None, mask: bool = False
) -> dict[str, float]:
    """Score of every compound: sum of its two basics, weighted by class frequency when given.

    `mask` drops basics that are not above chance (1/7) first.
    """
    unknown = [name for name in basic if name not in BASICS]
    if unknown:
        raise MetricInputError(f"unknown basic emotion {unknown[0]!r}; known: {', '.join(BASICS)}")
    chance = 1 / len(BASICS)
    p = {name: value if not mask or value > chance else 0.0 for name, value in basic.items()}
    scores = {}
    for name, (a, b) in COMPOUNDS.items():
        wa = wb = 1.0
        if frequency is not None:
            total = frequency[a] + frequency[b]
            wa, wb = frequency[a] / total, frequency[b] / total
        scores[name] = wa * p.get(a, 0.0) + wb * p.get(b, 0.0)
    return scores


def predict_compound(
    basic: Mapping[str, float], frequency: Mapping[str, float] | None = None, mask: bool = False
) -> str:
    """The compound with the highest score; the first in the published order when tied."""
    scores = compound_scores(basic, frequency, mask)
    return max(scores, key=lambda name: scores[name])


def compound(gt: Sequence[str], pred: Sequence[Any]) -> dict[str, Any]:
    """Macro F1 over the compounds that occur, UAR and accuracy; `pred` holds names or basic probabilities."""
    check_pair(gt, pred)
    answers = [predict_compound(p) if isinstance(p, Mapping) and _numeric(p) else p for p in pred]
    table = confusion(gt, answers, tuple(COMPOUNDS))
    return {"n": table.n, "f1_macro": table.macro_f1(), "uar": table.uar, "accuracy": table.war}


def _numeric(row: Mapping[str, Any]) -> bool:
    return all(isinstance(value, (int, float)) for value in row.values())
