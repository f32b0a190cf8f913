"""The data of the figures, from sample records alone; every number comes from the functions of `eval/metrics`."""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from cuewise.eval.metrics.base import NAN
from cuewise.eval.metrics.bootstrap import Interval, bootstrap, mean_of, slices
from cuewise.eval.metrics.calibration import auc, brier, coverage_curve, ece, reliability
from cuewise.eval.metrics.classification import confusion
from cuewise.eval.metrics.conflict import SUBSETS, ca_mer
from cuewise.mllm.taxonomy import WHEELS, normalise, same_core, wheel_table

from .figures import (
    Absent,
    ConflictGap,
    Coverage,
    Estimate,
    Figures,
    Reliability,
    SliceTable,
    WheelConfusion,
    WheelTable,
)
from .results import Metric
from .samples import SampleRecord
from .statistics import gold_labels

PROFILE = "cuewise2026"
THRESHOLDS = tuple(i / 20 for i in range(20))
RESAMPLES = 1000
MOST_REASONS = 12
MOST_GROUPS = 14
SMALLEST_GROUP = 5
RIGHT_RULE = "right = the first label lies in the core sector of a gold label in most wheels; no answer is wrong"
SCORED_RULE = "right = the suite's own 0/1 score `right`; no answer is wrong"
WHEEL_RULE = (
    "first predicted label with a sector against the gold labels: the gold sector it meets, else the first gold sector"
)


def build_figures(
    records: Sequence[SampleRecord], metric: Metric | None = None, dataset: str | None = None, *,
    columns: Sequence[str] | None = None, speaker: str = "speaker", resamples: int = RESAMPLES, seed: int = 0,
) -> Figures:  # fmt: skip
    """All figures of a run. Slices are of `metric` on `dataset` over `columns` (all group columns by default)."""
    return Figures(
        wheel_confusion=wheel_confusion(records),
        reliability=reliability_of(records),
        coverage=coverage_of(records),
        conflict_gap=conflict_gap(records, speaker=speaker, resamples=resamples, seed=seed),
        slices=[] if metric is None else slice_tables(records, metric, dataset, columns=columns, speaker=speaker,
                                                      resamples=resamples, seed=seed),
        finish_reasons=finish_reasons(records),
    )  # fmt: skip


def finish_reasons(records: Sequence[SampleRecord]) -> dict[str, int]:
    """How answers ended, the most frequent first; what endpoints invent beyond `MOST_REASONS` is counted together."""
    counts = Counter(r.finish_reason or ("error" if r.error else "not stated") for r in records)
    order = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(count for _, count in order[MOST_REASONS:])
    return dict(order[:MOST_REASONS]) | ({"any other": rest} if rest else {})


def wheel_confusion(records: Sequence[SampleRecord]) -> WheelConfusion | Absent:
    """Gold against predicted core sectors on each of the five wheels, in the repaired profile (neutral is a sector)."""
    pairs = [(gold_labels(record.gt), record.labels) for record in records]
    pairs = [(gold, named) for gold, named in pairs if gold]
    wheels = [table for wheel in WHEELS if (table := _wheel_table(pairs, wheel)) is not None]
    if not wheels:
        return Absent(not_applicable="the ground truth of this suite holds no emotion word that a wheel knows")
    averaging = "counts; shares are within each gold sector"
    return WheelConfusion(profile=PROFILE, rule=WHEEL_RULE, averaging=averaging, wheels=wheels)


def _wheel_table(pairs: list[tuple[list[str], list[str]]], wheel: int) -> WheelTable | None:
    gt, pred, unknown = [], [], 0
    for gold, named in pairs:
        truth = _sectors(gold, wheel)
        if not truth:
            unknown += 1
            continue
        answer = next(iter(_sectors(named, wheel)), None)
        gt.append(answer if answer in truth else truth[0])
        pred.append(answer)
    if not gt:
        return None
    order = [s for s in wheel_table(PROFILE).values(f"case3_wheel{wheel}_level1") if s in {*gt, *pred}]
    table = confusion(gt, pred, order)
    rows, other = [list(row) for row in table.rows], list(table.other)
    return WheelTable(wheel=wheel, sectors=order, rows=rows, other=other, n=table.n, unknown_gold=unknown)


def _sectors(labels: Sequence[str], wheel: int) -> list[str]:
    return [sector for label in labels if (sector := _sector(label, wheel)) is not None]


@lru_cache(maxsize=10_000)
def _sector(label: str, wheel: int) -> str | None:
    return wheel_table(PROFILE).value(normalise(label), f"case3_wheel{wheel}_level1")


def right_of(record: SampleRecord) -> int | None:
    """1 for a right answer, 0 for a wrong or missing one, None where the truth is not of that kind."""
    scored = record.score("right")
    if scored in (0, 1):
        return int(scored)
    gold = gold_labels(record.gt)
    if not gold:
        return None
    return int(bool(record.labels) and any(same_core(record.labels[0], label) for label in gold))


def reliability_of(records: Sequence[SampleRecord]) -> Reliability | Absent:
    """Stated confidence against how often the answer is right: bins, ECE, Brier, AUC."""
    found = _right_and_sure(records)
    if isinstance(found, Absent):
        return found
    right, sure, rule = found
    stated = sum(value is not None for value in sure)
    rows: list[Any] = reliability(right, sure)
    score = ece(right, sure)
    return Reliability(
        n=len(right), stated=stated / len(right), accuracy=sum(right) / len(right), ece=score.value,
        brier=brier(right, sure).value, auc=auc(right, sure).value, rule=rule,
        averaging=f"ECE {score.averaging}; Brier mean over samples, unstated counts as 0.5", bins=rows,
    )  # fmt: skip


def coverage_of(records: Sequence[SampleRecord]) -> Coverage | Absent:
    """Accuracy of the answers that are kept when only confident ones are."""
    found = _right_and_sure(records)
    if isinstance(found, Absent):
        return found
    right, sure, rule = found
    points: list[Any] = coverage_curve(right, sure, THRESHOLDS)
    return Coverage(n=len(right), rule=rule, averaging="mean over the answers that are kept", points=points)


def _right_and_sure(records: Sequence[SampleRecord]) -> tuple[list[int], list[float | None], str] | Absent:
    known = [(right, record) for record in records if (right := right_of(record)) is not None]
    if not known:
        return Absent(not_applicable="the ground truth of this suite cannot be right or wrong as one label")
    sure = [r.confidence if r.confidence is not None and 0 <= r.confidence <= 1 else None for _, r in known]
    if all(value is None for value in sure):
        return Absent(not_applicable="no answer states a confidence")
    scored = all(record.score("right") is not None for _, record in known)
    return [right for right, _ in known], sure, SCORED_RULE if scored else RIGHT_RULE


def conflict_gap(
    records: Sequence[SampleRecord], *, speaker: str = "speaker", resamples: int = RESAMPLES, seed: int = 0
) -> ConflictGap | Absent:
    """Score per conflict subset and the audio-minus-video gap, with intervals over speakers where these are known."""
    rows = [(_subset(record), record) for record in records]
    rows = [(subset, record) for subset, record in rows if subset in SUBSETS]
    counts = Counter(subset for subset, _ in rows)
    if not counts["audio_aligned"] or not counts["video_aligned"]:
        return Absent(not_applicable="the samples are not marked as audio-aligned and video-aligned")
    gt = [{"subset": subset, "labels": gold_labels(record.gt)} for subset, record in rows]
    pred = [record.labels for _, record in rows]
    values = [ca_mer([g], [p])[g["subset"]]["avg"] for g, p in zip(gt, pred)]
    whole = ca_mer(gt, pred)
    names = np.array([subset for subset, _ in rows])
    groups, over = _draws_over([record for _, record in rows], speaker)
    found = {}
    for name in SUBSETS:
        kept = [value if subset == name else None for value, subset in zip(values, names)]
        found[name] = bootstrap(mean_of(kept), len(rows), groups=groups, resamples=resamples, seed=seed)
    audio, video = (
        mean_of([value if subset == name else None for value, subset in zip(values, names)])
        for name in ("audio_aligned", "video_aligned")
    )
    gap = bootstrap(lambda i: audio(i) - video(i), len(rows), groups=groups, resamples=resamples, seed=seed)
    return ConflictGap(
        protocol=f"ca_mer, label sets matched by {whole['matching']}", averaging=whole["averaging"],
        interval=f"95% bootstrap over {over}",
        subsets=[_estimate(name, found[name], counts[name]) for name in SUBSETS if counts[name]],
        gap=_estimate("audio minus video", gap, counts["audio_aligned"] + counts["video_aligned"]),
    )  # fmt: skip


def _subset(record: SampleRecord) -> str | None:
    subset = record.gt.get("subset") if isinstance(record.gt, dict) else record.groups.get("subset")
    return subset.replace("-", "_") if isinstance(subset, str) else None


def _draws_over(records: Sequence[SampleRecord], speaker: str) -> tuple[list[str] | None, str]:
    """Groups to draw instead of samples, when every sample names a speaker and speakers repeat."""
    names = [record.groups.get(speaker) for record in records]
    if all(names) and 1 < len(set(names)) < len(names):
        return [str(name) for name in names], f"{speaker}s"
    return None, "samples"


def slice_tables(
    records: Sequence[SampleRecord], metric: Metric, dataset: str | None = None, *,
    columns: Sequence[str] | None = None, speaker: str = "speaker", resamples: int = RESAMPLES, seed: int = 0,
) -> list[SliceTable]:  # fmt: skip
    """Mean per-sample value of one metric within the groups of each column that has at least two."""
    rows = [r for r in records if (dataset is None or r.dataset == dataset) and metric.name in r.scores]
    if not rows:
        return []
    names = columns if columns is not None else list(dict.fromkeys(name for row in rows for name in row.groups))
    tables = [_slice_table(rows, metric, name, dataset or "all", resamples, seed) for name in names]
    return [table for table in tables if table is not None]


def _slice_table(
    rows: list[SampleRecord], metric: Metric, column: str, dataset: str, resamples: int, seed: int
) -> SliceTable | None:
    known = [row for row in rows if row.groups.get(column) is not None and row.score(metric.name) is not None]
    counts = Counter(str(row.groups[column]) for row in known)
    if len(counts) < 2 or len(counts) > len(known) // 2:
        return None
    statistic = mean_of([row.score(metric.name) for row in known])
    within = slices(statistic, [row.groups[column] for row in known], resamples=resamples, seed=seed)
    overall = bootstrap(statistic, len(known), resamples=resamples, seed=seed)
    kept, note = _readable(within, counts)
    if any(counts[name] < SMALLEST_GROUP for name in kept):
        note = f"groups under {SMALLEST_GROUP} samples have no interval"
    return SliceTable(
        column=column, dataset=dataset, metric=metric.name, averaging="mean over samples of the per-sample values",
        interval="95% bootstrap over samples", scale=metric.scale, direction=metric.direction,
        overall=_estimate("all", overall, len(known)),
        groups=[_estimate(name, within[name], counts[name]) for name in kept], left_out=len(within) - len(kept),
        note=note,
    )  # fmt: skip


def _readable(within: dict[str, Interval], counts: Counter[str]) -> tuple[list[str], str]:
    """All groups by name when they are few, else the lowest and the highest of those that are not tiny."""
    if len(within) <= MOST_GROUPS:
        return sorted(within), ""
    big = [name for name in within if counts[name] >= SMALLEST_GROUP] or list(within)
    order = sorted(big, key=lambda name: (within[name].value, name))
    half = MOST_GROUPS // 2
    kept = order if len(order) <= MOST_GROUPS else order[:half] + order[-half:]
    return kept, f"listed are the lowest and the highest of {len(within)} groups with at least {SMALLEST_GROUP} samples"


def _estimate(name: str, interval: Interval, n: int) -> Estimate:
    """A value with its interval; a handful of samples has none, because resampling them shows too little spread."""
    defined = interval.value == interval.value and n >= SMALLEST_GROUP
    low, high = (interval.low, interval.high) if defined else (NAN, NAN)
    return Estimate(name=name, value=interval.value, low=low, high=high, n=n)
