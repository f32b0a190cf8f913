"""Open vocabulary: emotion-wheel set scores, hit rate and label overlap, each beside our repaired profile."""

import numpy as np

from cuewise.eval.metrics.base import NAN, f_of, mean
from cuewise.eval.metrics.bootstrap import Statistic
from cuewise.eval.metrics.emer import label_overlap
from cuewise.eval.metrics.ew import SetScore, ew_dataset, ew_score, set_scores
from cuewise.eval.metrics.hits import hit_rate, repaired_hit_rate
from cuewise.eval.suites.suite import Dataset
from cuewise.mllm.taxonomy import LEVEL1_IDS, LEVEL2_IDS, Profile, wheel_table

from .base import Measured, Record, mean_measure

EW_AVERAGING = "F of mean P and R per wheel, mean over 5 wheels"


def sides(records: list[Record]) -> tuple[list[list[str]], list[list[str]]]:
    """Truth and answer as label lists; a single label is a list of one."""
    gt = [record.gt if isinstance(record.gt, list) else _labels_of(record.gt) for record in records]
    return gt, [record.answer.labels for record in records]


def ew(records: list[Record], dataset: Dataset, level: int, profile: Profile = "affectgpt2025") -> list[Measured]:
    """F over the five wheels in a published profile, and beside it the repaired one."""
    name = f"ew_level{level}" + ("" if profile == "affectgpt2025" else f"_{profile}")
    ours = f"ew_level{level}_cuewise2026"
    published = _ew(records, level, profile, name, beside=ours)
    return [published, _ew(records, level, "cuewise2026", ours, beside=name)]


def _ew(records: list[Record], level: int, profile: Profile, name: str, beside: str) -> Measured:
    gt, pred = sides(records)
    score = ew_score(gt, pred, profile, level)
    ids = LEVEL1_IDS if level == 1 else LEVEL2_IDS
    wheels = list(set_scores(gt, pred, ids, profile).values())
    return Measured(name, score.value, score.n, EW_AVERAGING, True, score.samples,
                    _ew_statistic(wheels, 0.0 if profile != "affectgpt2025" else NAN),
                    parts=dict(score.parts), beside=beside)  # fmt: skip


def _ew_statistic(wheels: list[SetScore], undefined: float) -> Statistic:
    """The same aggregate on drawn samples, from (precision, recall) per sample and wheel."""
    nothing = (np.nan, np.nan)
    table = np.array([[pair if pair is not None else nothing for pair in wheel.samples] for wheel in wheels])

    def statistic(indices: np.ndarray) -> float:
        drawn = table[:, indices]
        scored = ~np.isnan(drawn[..., 0])
        counts = scored.sum(1)
        if not counts.all():
            return NAN
        precision, recall = (np.where(scored, drawn[..., k], 0).sum(1) / counts for k in (0, 1))
        return mean(f_of(p, r, undefined) for p, r in zip(precision.tolist(), recall.tolist()))

    return statistic


def m_avg(records: list[Record], dataset: Dataset) -> list[Measured]:
    """Mean F over the twelve metric ids (OV-MER)."""
    gt, pred = sides(records)
    return [Measured("m_avg", ew_dataset(gt, pred)["m_avg"], len(gt), "mean of F over 12 metric ids")]


def hits(records: list[Record], dataset: Dataset) -> list[Measured]:
    """Hit rate over five wheels as published, and the repaired one."""
    gt, pred = sides(records)
    found = hit_rate(gt, pred)
    table = _hit_table(gt, pred)

    def statistic(indices: np.ndarray) -> float:
        drawn = table[:, indices]
        scored = ~np.isnan(drawn)
        counts = scored.sum(1)
        return float((np.where(scored, drawn, 0).sum(1) / counts).mean()) if counts.all() else NAN

    rows = [[v for v in column if not np.isnan(v)] for column in table.T]
    samples = tuple(float(np.mean(row)) if row else None for row in rows)
    ours = repaired_hit_rate(gt, pred)
    n = sum(sample is not None for sample in samples)
    return [
        Measured("hit_rate", found["hit_rate"], n, "mean over samples per wheel, mean over 5 wheels", True, samples,
                 statistic, parts={"wheels": found["wheels"], "labels_per_sample": ours.parts["labels_per_sample"]},
                 beside="hit_rate_cuewise2026"),
        mean_measure("hit_rate_cuewise2026", ours.samples, beside="hit_rate", **ours.parts),
    ]  # fmt: skip


def _hit_table(gt: list[list[str]], pred: list[list[str]]) -> np.ndarray:
    """Hits [5 wheels, n] as the published metric counts them; NaN where the wheel does not know the truth."""
    table = wheel_table("affectgpt2025")
    rows = []
    for metric_id in LEVEL1_IDS:
        words = [[{value for label in side if (value := table.value(label, metric_id))} for side in pair]
                 for pair in zip(gt, pred)]  # fmt: skip
        rows.append([float(len(g & p)) if g else np.nan for g, p in words])
    return np.array(rows)


def overlap(records: list[Record], dataset: Dataset) -> list[Measured]:
    """Set F1 of emotion words by root: EMER's label overlap without a judge."""
    gt, pred = sides(records)
    return [mean_measure("label_overlap", label_overlap(gt, pred).samples)]


def _labels_of(gt: object) -> list[str]:
    if isinstance(gt, dict):
        return list(gt["labels"])
    return [str(gt)]
