"""Sentiment words against signed scores (CMU-MOSI, CMU-MOSEI, CH-SIMS) and the six-class challenge metric."""

from collections.abc import Sequence
from typing import Any

from .base import MetricInputError, check_numbers, check_pair
from .classification import confusion

SIX_CLASSES = ("neutral", "angry", "happy", "sad", "worried", "surprise")
_SIGN = {"positive": 1, "negative": -1}


def sentiment(gt: Sequence[float], pred: Sequence[Any]) -> dict[str, Any]:
    """Binary WAF and accuracy on the samples whose score is not zero.

    Only exactly "positive" is positive; neutral, mixed, unreadable and empty answers count as negative, as published.
    """
    check_pair(gt, pred)
    scores = check_numbers("gt", gt)
    kept = [(score > 0, _word(word) > 0) for score, word in zip(scores, pred) if score != 0]
    if not kept:
        raise MetricInputError("no ground-truth score differs from 0, so sentiment is undefined; give non-zero scores")
    table = confusion([g for g, _ in kept], [p for _, p in kept], (False, True))
    return {"n": table.n, "waf": table.weighted_f1, "acc": table.war}


def discrete6(gt: Sequence[str], pred: Sequence[Any]) -> dict[str, Any]:
    """Six-class WAF and accuracy of MER2024, MER2025 and MER2026 track 1; an unknown answer is wrong."""
    if not gt:
        raise MetricInputError("`gt` is empty; give at least one sample")
    table = confusion(gt, pred, SIX_CLASSES)
    return {"waf": table.weighted_f1, "acc": table.war}


def _word(word: Any) -> int:
    if word is not None and not isinstance(word, str):
        raise MetricInputError(f"`pred` must hold sentiment words, got {word!r:.80}")
    return _SIGN.get(word, 0)
