"""EmoCue-360: are the cues of a description those of the reference? Soft matching of short cue texts.

Input per sample: three lists of cue texts, ``visual``, ``auditory``, ``emotional``. The embedder is an argument,
because its choice moves every number; the result carries its name so that nobody compares across embedders by accident.
Unrelated cues still score above zero, so the shuffled-reference floor belongs beside the score.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .base import MetricInputError, check_pair, f_of, mean, ratio

Embedder = Callable[[list[str]], np.ndarray]
"""Texts -> float array (len(texts), dimensions); rows need no normalisation."""

CHANNELS = ("visual", "auditory", "emotional")
STRICT_THRESHOLD = 0.6


def soft_match(similarity: np.ndarray) -> tuple[float, float, float]:
    """(precision, recall, F1) of a similarity matrix, rows = reference cues, columns = predicted cues.

    Every reference cue takes its best prediction and vice versa; no threshold, no one-to-one matching.
    """
    if similarity.shape[1] == 0:
        return 0.0, 0.0, 0.0
    recall, precision = float(similarity.max(1).mean()), float(similarity.max(0).mean())
    return precision, recall, f_of(precision, recall)


def strict_match(similarity: np.ndarray, threshold: float = STRICT_THRESHOLD) -> int:
    """Number of one-to-one matches (Hungarian) whose similarity reaches the threshold."""
    from scipy.optimize import linear_sum_assignment

    if not similarity.size:
        return 0
    rows, columns = linear_sum_assignment(similarity, maximize=True)
    return int((similarity[rows, columns] >= threshold).sum())


def emocue360(
    gt: Sequence[Mapping[str, list[str]]], pred: Sequence[Mapping[str, list[str]]], embed: Embedder, embedder: str,
    shuffles: int = 5, seed: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """Precision, recall, F1 per channel as published, with the shuffled floor and the strict variant.

    F1 is the mean of per-sample F1. A sample whose reference has no cue of a channel is skipped there; a prediction
    without cues scores 0. `floor_f1` pairs references with other samples' predictions.
    """
    check_pair(gt, pred)
    result: dict[str, Any] = {"embedder": embedder, "averaging": "mean over samples"}
    unit = _unit_vectors(gt, pred, embed)
    rng = np.random.default_rng(seed)
    for channel in CHANNELS:
        pairs = [(_cues(g, channel), _cues(p, channel)) for g, p in zip(gt, pred)]
        pairs = [pair for pair in pairs if pair[0]]
        tables = [_similarity(g, p, unit) for g, p in pairs]
        rows = [soft_match(table) for table in tables]
        matches = sum(strict_match(table) for table in tables)
        strict_p = ratio(matches, sum(len(p) for _, p in pairs))
        strict_r = ratio(matches, sum(len(g) for g, _ in pairs))
        result[channel] = {
            "n": len(rows), "precision": mean(p for p, _, _ in rows), "recall": mean(r for _, r, _ in rows),
            "f1": mean(f for _, _, f in rows), "floor_f1": _floor(pairs, unit, shuffles, rng),
            "strict": {"precision": strict_p, "recall": strict_r, "f1": f_of(strict_p, strict_r),
                       "averaging": "pooled over cues", "threshold": STRICT_THRESHOLD},
        }  # fmt: skip
    return result


def emocue360_offline(
    gt: Sequence[Mapping[str, list[str]]], pred: Sequence[Mapping[str, list[str]]], embedder: str = "offline"
) -> dict[str, Any]:
    """`emocue360` with an embedder by name; the default needs no download, and its numbers are comparable with none."""
    from cuewise.eval.embedders import load_embedder

    check_pair(gt, pred)
    embed = load_embedder(embedder)
    return emocue360(gt, pred, embed, embed.name)


def _floor(
    pairs: list[tuple[list[str], list[str]]], unit: dict[str, np.ndarray], shuffles: int, rng: np.random.Generator
) -> float:
    """Mean F1 when every reference meets the prediction of another sample (a random cyclic order)."""
    if len(pairs) < 2:
        return float("nan")
    values = []
    for _ in range(shuffles):
        order = rng.permutation(len(pairs))
        for here, there in zip(order, np.roll(order, 1)):
            values.append(soft_match(_similarity(pairs[here][0], pairs[there][1], unit))[2])
    return mean(values)


def _cues(sample: Mapping[str, Any], channel: str) -> list[str]:
    cues = sample.get(channel) or []
    if not isinstance(cues, (list, tuple)) or not all(isinstance(cue, str) for cue in cues):
        raise MetricInputError(f"cues of {channel!r} must be a list of texts, got {cues!r:.80}")
    # Subtitle content is no sound: the published metric drops auditory cues that mention "text".
    return [cue for cue in cues if channel != "auditory" or "text" not in cue]


def _unit_vectors(gt: Sequence[Any], pred: Sequence[Any], embed: Embedder) -> dict[str, np.ndarray]:
    """Every distinct cue text -> unit vector, embedded in one call."""
    for name, side in (("gt", gt), ("pred", pred)):
        for index, sample in enumerate(side):
            if not isinstance(sample, Mapping):
                raise MetricInputError(f"`{name}`[{index}] must map channels to cue lists, got {sample!r:.80}")
    texts = sorted({cue for sample in (*gt, *pred) for channel in CHANNELS for cue in _cues(sample, channel)})
    if not texts:
        return {}
    vectors = np.asarray(embed(texts), dtype=float)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return dict(zip(texts, vectors / np.where(norms > 0, norms, 1)))


def _similarity(reference: list[str], predicted: list[str], unit: dict[str, np.ndarray]) -> np.ndarray:
    if not predicted:
        return np.zeros((len(reference), 0))
    return np.stack([unit[cue] for cue in reference]) @ np.stack([unit[cue] for cue in predicted]).T
