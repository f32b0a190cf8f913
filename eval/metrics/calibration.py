"""Is a stated confidence true? ECE, Brier, AUC, coverage curve, and the proper scoring reward (EmoCaliber, VECBench).

`correct` holds 0 or 1 per sample, `confidence` a number in [0, 1] or None where the answer stated none. Samples without
confidence are counted in `stated` and, unless ``drop_unstated`` asks for comparability with the published scorer, score
as confidence 0.5 in Brier only; ECE and AUC are undefined for them and use the stated ones.
"""

import math
from collections.abc import Sequence
from typing import Any

from .base import NAN, MetricInputError, Score, check_pair, mean

BINS = 10


def ece(correct: Sequence[float], confidence: Sequence[float | None], bins: int = BINS) -> Score:
    """Expected calibration error: mean gap of accuracy and confidence over equal-width bins, weighted by bin size.

    Bins are half-open; the last one is closed, because a confidence of exactly 1 is an answer too.
    """
    pairs = _stated(correct, confidence)
    table = reliability(correct, confidence, bins)
    gap = sum(row["n"] * abs(row["accuracy"] - row["confidence"]) for row in table if row["n"])
    averaging = f"over {bins} equal bins, weighted by size"
    return Score("ece", gap / len(pairs) if pairs else NAN, len(pairs), averaging, False, (), {"bins": table})


def reliability(
    correct: Sequence[float], confidence: Sequence[float | None], bins: int = BINS
) -> list[dict[str, float]]:
    """Rows ``{low, high, n, accuracy, confidence}`` of a reliability diagram; empty bins have NaN."""
    rows: list[list[tuple[float, float]]] = [[] for _ in range(bins)]
    for hit, sure in _stated(correct, confidence):
        rows[_bin(sure, bins)].append((hit, sure))
    return [
        {"low": i / bins, "high": (i + 1) / bins, "n": len(row),
         "accuracy": mean(hit for hit, _ in row), "confidence": mean(sure for _, sure in row)}
        for i, row in enumerate(rows)
    ]  # fmt: skip


def brier(correct: Sequence[float], confidence: Sequence[float | None], drop_unstated: bool = False) -> Score:
    """Mean squared gap of confidence and correctness, in [0, 1]. An unstated confidence counts as 0.5."""
    _stated(correct, confidence)
    samples = tuple(
        (None if drop_unstated else 0.25) if sure is None else (sure - hit) ** 2
        for hit, sure in zip(correct, confidence)
    )
    scored = [value for value in samples if value is not None]
    return Score("brier", mean(scored), len(scored), "mean over samples", False, samples)


def auc(correct: Sequence[float], confidence: Sequence[float | None]) -> Score:
    """Chance that a right answer is stated with more confidence than a wrong one; ties count half."""
    pairs = sorted(_stated(correct, confidence), key=lambda pair: pair[1])
    right = sum(hit for hit, _ in pairs)
    wrong = len(pairs) - right
    if not right or not wrong:
        return Score("auc", NAN, len(pairs), "over pairs of samples")
    rank_sum, start = 0.0, 0
    while start < len(pairs):
        end = start
        while end < len(pairs) and pairs[end][1] == pairs[start][1]:
            end += 1
        rank_sum += (start + end + 1) / 2 * sum(hit for hit, _ in pairs[start:end])
        start = end
    return Score("auc", (rank_sum - right * (right + 1) / 2) / (right * wrong), len(pairs), "over pairs of samples")


def coverage_curve(
    correct: Sequence[float], confidence: Sequence[float | None],
    thresholds: Sequence[float] = tuple(i / 10 for i in range(1, 10)),
) -> list[dict[str, float]]:  # fmt: skip
    """Rows ``{threshold, coverage, accuracy, n}`` when only answers with confidence >= threshold are kept."""
    pairs, total = _stated(correct, confidence), len(correct)
    rows = []
    for threshold in thresholds:
        kept = [hit for hit, sure in pairs if sure >= threshold]
        rows.append({"threshold": threshold, "coverage": len(kept) / total if total else NAN,
                     "accuracy": mean(kept), "n": len(kept)})  # fmt: skip
    return rows


def calibration(correct: Sequence[float], confidence: Sequence[float | None]) -> dict[str, Any]:
    """All of the above as plain values, with the share of answers that state a confidence."""
    pairs = _stated(correct, confidence)
    return {
        "n": len(correct), "stated": len(pairs) / len(correct) if correct else NAN,
        "accuracy": mean(float(hit) for hit in correct), "ece": ece(correct, confidence).value,
        "brier": brier(correct, confidence).value, "auc": auc(correct, confidence).value,
        "coverage": coverage_curve(correct, confidence), "reliability": reliability(correct, confidence),
    }  # fmt: skip


def log_score_reward(correct: bool, confidence: float, valid: bool = True, clamp: float = 0.0) -> float:
    """EmoCaliber's reward: ``1 + i + 2 (i ln c + (1 - i) ln(1 - c))``, -5 for an invalid answer.

    Its expectation is largest when the confidence equals the true success probability. `clamp` keeps the confidence in
    [clamp, 1 - clamp], so that a sure miss is bounded.

    >>> round(log_score_reward(True, 0.9), 4), round(log_score_reward(False, 0.9), 4)
    (1.7893, -3.6052)
    """
    sure = min(max(confidence, clamp), 1 - clamp) if clamp else confidence
    if not valid or not 0 < sure < 1:
        return -5.0
    return 1 + correct + 2 * (math.log(sure) if correct else math.log1p(-sure))


def match_candidate(answer: str, candidates: Sequence[str]) -> str | None:
    """VECBench's label matching: the first candidate that occurs in the answer as a substring."""
    text = answer.lower()
    return next((label for label in candidates if label.lower() in text), None)


def _bin(sure: float, bins: int) -> int:
    # 0.3 * 10 and (1 - 0.9) * 10 fall short of the integer by rounding; compare with the edge itself instead.
    index = min(int(sure * bins), bins - 1)
    return index + 1 if index + 1 < bins and sure >= (index + 1) / bins else index


def _stated(correct: Sequence[float], confidence: Sequence[float | None]) -> list[tuple[int, float]]:
    check_pair(correct, confidence)
    pairs = []
    for index, (hit, sure) in enumerate(zip(correct, confidence)):
        if hit not in (0, 1):
            raise MetricInputError(f"`gt`[{index}] must be 0 (wrong) or 1 (right), got {hit!r:.80}")
        if sure is None:
            continue
        if isinstance(sure, bool) or not isinstance(sure, (int, float)) or not 0 <= sure <= 1:
            raise MetricInputError(f"`pred`[{index}] must be a confidence in [0, 1] or null, got {sure!r:.80}")
        pairs.append((int(hit), float(sure)))
    return pairs
