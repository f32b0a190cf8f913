"""Hit rate: does an open-vocabulary prediction name the one-hot ground truth, per wheel at level 1?

Used by MER2023, MER2024, MELD and IEMOCAP in MER-UniBench. It is not accuracy: a neutral sample is never scored, and
one label per sector would score 1. Print the mean list length beside it. `repaired_hit_rate` is our own variant.
"""

from collections.abc import Sequence
from typing import Any

from cuewise.mllm.taxonomy import LEVEL1_IDS, Profile, wheel_table

from .base import Score, check_pair, mean
from .ew import label_mask, length_penalty, mean_length
from .labels import parse_labels


def hit_rate(gt: Sequence[Any], pred: Sequence[Any], profile: Profile = "affectgpt2025") -> dict[str, Any]:
    """`wheels[k]` with n, hit_rate, mscore; overall `hit_rate` and `mscore` as means over the wheels.

    A hit is a *count* of shared core words, so several ground-truth labels can exceed 1. `mscore` divides by the
    predicted words that are candidates at all, where candidates are the raw ground-truth strings of the data set,
    neither parsed nor lower-cased. A wheel that scores no sample is NaN, and so are the means.
    """
    check_pair(gt, pred)
    table = wheel_table(profile)
    masks = table.masks(LEVEL1_IDS)
    pairs = [(label_mask(g, masks), label_mask(p, masks)) for g, p in zip(gt, pred)]
    wheels = []
    for field in masks.fields:
        bit = {value: 1 << index for index, value in enumerate(field.values)}
        known = {table.value(raw, field.metric_id) for raw in _raw_strings(gt)} - {None}
        candidates = sum(bit[word] for word in known)
        hits, scores = [], []
        for g, p in pairs:
            g, p = g >> field.shift & field.ones, p >> field.shift & field.ones
            if g:
                hits.append((g & p).bit_count())
                named = (p & candidates).bit_count()
                scores.append(hits[-1] / named if named else 0.0)
        wheels.append({"n": len(hits), "hit_rate": mean(hits), "mscore": mean(scores)})
    return {
        "wheels": wheels,
        "hit_rate": mean(wheel["hit_rate"] for wheel in wheels),
        "mscore": mean(wheel["mscore"] for wheel in wheels),
    }


def repaired_hit_rate(gt: Sequence[Any], pred: Sequence[Any]) -> Score:
    """Hit rate in profile ``cuewise2026``: neutral scored, mappings repaired, a hit at most 1, long lists penalised.

    A sample counts the share of wheels that know its ground truth and are hit, times `length_penalty`.
    """
    check_pair(gt, pred)
    masks = wheel_table("cuewise2026").masks(LEVEL1_IDS)
    samples: list[float | None] = []
    for g, p in zip(gt, pred):
        truth, named = label_mask(g, masks), label_mask(p, masks)
        hits = [bool(truth & named & field.ones << field.shift) for field in masks.fields
                if truth & field.ones << field.shift]  # fmt: skip
        samples.append(mean(hits) * length_penalty(g, p) if hits else None)
    scored = [value for value in samples if value is not None]
    parts = {"profile": "cuewise2026", "labels_per_sample": mean_length(pred)}
    return Score("hit_rate", mean(scored), len(scored), "mean over samples", True, tuple(samples), parts)


def hit_or_not(gt: Any, pred: Any, profile: Profile = "affectgpt2025") -> dict[str, Any]:
    """Whether one sample is hit, per wheel and in any wheel, with neutral and empty lists as *neutral*.

    Used for filtering training data. A list of unknown words is the empty set and hits nothing.
    """
    masks = wheel_table(profile).masks(LEVEL1_IDS)
    sides = [(label_mask(value, masks), _is_neutral(value)) for value in (gt, pred)]
    (g, g_neutral), (p, p_neutral) = sides
    wheels = [(g_neutral and p_neutral) or bool(g & p & field.ones << field.shift) for field in masks.fields]
    return {"wheels": wheels, "hit": any(wheels)}


def _is_neutral(value: Any) -> bool:
    labels = parse_labels(value)
    return not labels or "neutral" in labels


def _raw_strings(gt: Sequence[Any]) -> set[str]:
    return {raw for value in gt for raw in ([value] if isinstance(value, str) else parse_labels(value))}
