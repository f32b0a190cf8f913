"""Emotion-wheel (EW) set scores of OV-MER, OV-MERD+, MER2025 and MER2026 track 2.

Both sides of a sample become sets of mapped words per metric id. A sample whose ground truth maps to nothing is not
scored; a prediction that maps to nothing scores 0. Precision and recall are means over scored samples, F is computed
*from those means*. Undefined values are NaN in profile ``affectgpt2025`` and 0 in ``mer2026``.

Profile ``cuewise2026`` (ours) scores neutral, repairs wrong mappings, and multiplies precision and recall of a sample
by ``length_penalty``, so that reciting the vocabulary stops paying.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cuewise.mllm.taxonomy import LEVEL1_IDS, LEVEL2_IDS, METRIC_IDS, LabelMasks, Profile, normalise, wheel_table

from .base import NAN, Score, check_pair, f_of, mean
from .labels import normalised_labels, parse_labels, split_pieces

FREE_EXTRA_LABELS = 2
"""Labels a prediction may have beyond the ground truth before profile ``cuewise2026`` counts them against it."""


@dataclass(frozen=True, slots=True)
class SetScore:
    """One metric id over a data set. `samples` holds (precision, recall) per sample, None where not scored."""

    n: int
    precision: float
    recall: float
    f: float
    samples: tuple[tuple[float, float] | None, ...]

    def as_dict(self) -> dict[str, float]:
        return {"n": self.n, "precision": self.precision, "recall": self.recall, "f": self.f}


def label_mask(value: Any, masks: LabelMasks) -> int:
    """Packed mask of a label value."""
    mask = 0
    # A trimmed, lower-cased label and its raw piece share one mask, so strings need no separate parsing step.
    for piece in split_pieces(value) if isinstance(value, str) else parse_labels(value):
        mask |= masks[piece]
    return mask


def length_penalty(gt: Any, pred: Any) -> float:
    """1 while the prediction has at most `FREE_EXTRA_LABELS` distinct labels more than the ground truth, then falls.

    >>> length_penalty("happy", "happy, joy, excited, proud, calm, sad")
    0.5
    """
    written, wanted = len(set(normalised_labels(pred))), len(set(normalised_labels(gt)))
    return min(1.0, (wanted + FREE_EXTRA_LABELS) / written) if written else 1.0


def set_scores(
    gt: Sequence[Any], pred: Sequence[Any], metric_ids: Sequence[str] = METRIC_IDS, profile: Profile = "affectgpt2025"
) -> dict[str, SetScore]:
    """Metric id -> score over samples, for label values in any form `parse_labels` reads."""
    check_pair(gt, pred)
    masks = wheel_table(profile).masks(tuple(metric_ids))
    pairs = [(label_mask(g, masks), label_mask(p, masks)) for g, p in zip(gt, pred)]
    weights = [length_penalty(g, p) for g, p in zip(gt, pred)] if profile == "cuewise2026" else None
    zero = 0.0 if profile == "mer2026" else NAN
    return {
        field.metric_id: _aggregate(_samples(pairs, field.shift, field.ones, weights), profile, zero)
        for field in masks.fields
    }


def _samples(
    pairs: list[tuple[int, int]], shift: int, ones: int, weights: list[float] | None
) -> list[tuple[float, float] | None]:
    """(precision, recall) per sample from packed masks."""
    samples: list[tuple[float, float] | None] = []
    for g, p in pairs:
        g = g >> shift & ones
        if not g:
            samples.append(None)
            continue
        p = p >> shift & ones
        hits = (g & p).bit_count()
        samples.append((hits / p.bit_count(), hits / g.bit_count()) if hits else (0.0, 0.0))
    if weights is not None:
        samples = [sample and (sample[0] * w, sample[1] * w) for sample, w in zip(samples, weights)]
    return samples


def _aggregate(samples: list[tuple[float, float] | None], profile: Profile, zero: float) -> SetScore:
    scored = [sample for sample in samples if sample is not None]
    if not scored:
        return SetScore(0, zero, zero, zero, tuple(samples))
    precision, recall = mean(p for p, _ in scored), mean(r for _, r in scored)
    # In our own profile a defined score of nothing right is 0; only the published one is NaN there.
    return SetScore(
        len(scored), precision, recall, f_of(precision, recall, NAN if profile == "affectgpt2025" else 0.0),
        tuple(samples),
    )  # fmt: skip


def level_mean(scores: dict[str, SetScore], level: int) -> list[float]:
    """[F, precision, recall] averaged over the five wheels; NaN as soon as one wheel is NaN."""
    rows = [scores[metric_id] for metric_id in (LEVEL1_IDS if level == 1 else LEVEL2_IDS)]
    return [mean(row.f for row in rows), mean(row.precision for row in rows), mean(row.recall for row in rows)]


def ew_dataset(gt: Sequence[Any], pred: Sequence[Any], profile: Profile = "affectgpt2025") -> dict[str, Any]:
    """All twelve metric ids and their published aggregates for one data set.

    `level1` and `level2` are [F, P, R]; F of level 1 is the OV-MERD+ score. `mer2025_track2` and `m_avg` exist in the
    2025 profile only; the repaired profile adds mean list lengths, without which no set score should be read.
    """
    scores = set_scores(gt, pred, METRIC_IDS, profile)
    result: dict[str, Any] = {"metrics": {metric_id: score.as_dict() for metric_id, score in scores.items()}}
    result |= {"level1": level_mean(scores, 1), "level2": level_mean(scores, 2)}
    if profile == "affectgpt2025":
        result["mer2025_track2"] = mean([result["level1"][0], result["level2"][0]])
        result["m_avg"] = mean(score.f for score in scores.values())
    if profile == "cuewise2026":
        result["labels_per_sample"] = {"gt": mean_length(gt), "pred": mean_length(pred)}
    return result


def ew_score(gt: Sequence[Any], pred: Sequence[Any], profile: Profile = "affectgpt2025", level: int = 1) -> Score:
    """The one number of a data set: F averaged over the five wheels at `level`.

    Sample values are the F of that sample averaged over the wheels that score it; their mean is *not* the aggregate,
    because F is computed from mean precision and recall.
    """
    scores = set_scores(gt, pred, LEVEL1_IDS if level == 1 else LEVEL2_IDS, profile)
    f, precision, recall = level_mean(scores, level)
    by_sample = [[s for s in row if s is not None] for row in zip(*(score.samples for score in scores.values()))]
    samples = tuple(mean(f_of(*pair) for pair in row) if row else None for row in by_sample)
    parts = {
        "profile": profile, "precision": precision, "recall": recall,
        "n_per_wheel": [score.n for score in scores.values()], "labels_per_sample": mean_length(pred),
    }  # fmt: skip
    n = sum(bool(row) for row in by_sample)
    return Score(f"ew_level{level}", f, n, "F of mean P and R, mean over 5 wheels", True, samples, parts)


def ew_sample(gt: Any, pred: Any, profile: Profile = "affectgpt2025") -> dict[str, Any]:
    """One sample in full: parsed labels, mapped sets and scores per metric id, and the one-sample aggregates."""
    masks = wheel_table(profile).masks(METRIC_IDS)
    scores = set_scores([gt], [pred], METRIC_IDS, profile)
    g, p = label_mask(gt, masks), label_mask(pred, masks)
    metrics = {}
    for field in masks.fields:
        score = scores[field.metric_id]
        metrics[field.metric_id] = {
            "scored": score.n == 1,
            "gt": words_of(g, field), "pred": words_of(p, field),
            "precision": score.precision, "recall": score.recall, "f": score.f,
        }  # fmt: skip
    return {
        "gt_labels": [normalise(label) for label in parse_labels(gt)],
        "pred_labels": [normalise(label) for label in parse_labels(pred)],
        "metrics": metrics,
        "level1": level_mean(scores, 1), "level2": level_mean(scores, 2),
        "m_avg": mean(score.f for score in scores.values()),
    }  # fmt: skip


def words_of(mask: int, field: Any) -> list[str]:
    """Sorted words of one field of a packed mask."""
    bits = mask >> field.shift & field.ones
    return [value for index, value in enumerate(field.values) if bits >> index & 1]


def mean_length(values: Sequence[Any]) -> float:
    """Mean number of labels per sample, counted before any mapping."""
    return mean(len(parse_labels(value)) for value in values)
