"""The statistic behind a metric, so that two runs can be resampled: the metric itself where the samples allow it.

Accuracy is a mean of per-sample values; UAR, the wheel F and ECE are not. The measures of the suites bring the
statistic of each metric; it counts as the metric itself only when it gives the value of the results on all samples.
Otherwise the mean of the per-sample values stands in, and says so.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import ValidationError

from cuewise.eval.measures import MEASURES, Measured, Record, measure_of
from cuewise.eval.metrics.bootstrap import Statistic, mean_of
from cuewise.eval.reading import Answer
from cuewise.eval.suites.suite import Dataset, Source, SuiteError, load_suite
from cuewise.mllm.report import Cue

from .results import DatasetResult, Metric
from .samples import SampleRecord

TOLERANCE = 1e-9
ITSELF = "the metric itself"
STAND_IN = "mean of the per-sample values"


@dataclass(frozen=True, slots=True)
class Basis:
    """A statistic over sample indices, and what it is: `ITSELF` or `STAND_IN`."""

    statistic: Statistic
    what: str
    cheap: bool = True
    """False for a statistic that runs through Python per sample and gets fewer resamples."""


def gold_labels(gt: Any) -> list[str]:
    """The emotion words of a ground truth: a word, a list of words, the winner of votes, or `labels` in an object."""
    if isinstance(gt, str):
        return [gt]
    if isinstance(gt, (list, tuple)):
        return [word for word in gt if isinstance(word, str)]
    if isinstance(gt, dict):
        if "labels" in gt or "label" in gt:
            return gold_labels(gt.get("labels", gt.get("label")))
        if gt and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in gt.values()):
            best = max(gt.values())
            return [word for word, share in gt.items() if share == best]
    return []


def bases_of(suite: str, result: DatasetResult, records: Sequence[SampleRecord]) -> dict[str, Basis]:
    """Metric name -> how to resample it on `records`, all samples of that data set; without an entry, not at all."""
    found: dict[str, Basis] = {}
    rows, everything = [record_of(record) for record in records], np.arange(len(records))
    if not rows:
        return found
    for measured in _measured(suite, result, rows):
        metric = next((m for m in result.metrics if m.name == measured.name), None)
        if metric is None or measured.statistic is None or metric.name in found:
            continue
        if _equal(measured.statistic(everything), metric.value):
            found[metric.name] = Basis(measured.statistic, ITSELF, measured.cheap)
    for metric in result.metrics:
        mean = sample_mean(metric, records)
        if metric.name not in found and mean is not None:
            same = _equal(mean.statistic(everything), metric.value)
            found[metric.name] = Basis(mean.statistic, ITSELF) if same else mean
    return found


def sample_mean(metric: Metric, records: Sequence[SampleRecord]) -> Basis | None:
    """The mean of the per-sample values; None when there are none."""
    values = [record.score(metric.name) for record in records]
    return None if all(value is None for value in values) else Basis(mean_of(values), STAND_IN)


def record_of(sample: SampleRecord) -> Record:
    """A row of the samples table as the measures read it; what the table does not hold stays empty."""
    parsed = sample.parsed
    try:
        cues = [Cue.model_validate(cue) for cue in parsed.get("cues") or ()]
    except ValidationError:
        cues = []
    answer = Answer(
        text=sample.text, labels=sample.labels, read_by=parsed.get("read_by", "unread"),
        form=parsed.get("form", "unparsed"), problems=list(parsed.get("problems") or ()), confidence=sample.confidence,
        cues=cues, distribution=parsed.get("distribution") or {}, valence=parsed.get("valence"),
        arousal=parsed.get("arousal"), error=sample.error and sample.error.split(":", 1)[0],
    )  # fmt: skip
    return Record(sample.id, sample.gt, answer, {k: v for k, v in sample.groups.items() if v is not None})


def _measured(suite: str, result: DatasetResult, rows: list[Record]) -> Iterator[Measured]:
    """What the measures of the suite give on these records; a measure that does not fit the truth gives nothing."""
    dataset = _dataset(suite, result)
    for name in dataset.metrics:
        try:
            yield from measure_of(name)(rows, dataset)
        except (ValueError, KeyError, TypeError, AttributeError):  # a measure guessed from its name need not fit
            continue


def _dataset(suite: str, result: DatasetResult) -> Dataset:
    """The data set of a shipped suite; of any other, as much of it as the results tell."""
    try:
        shipped = load_suite(suite).datasets.get(result.name)
    except SuiteError:
        shipped = None
    if shipped is not None:
        return shipped
    classes = next((m.parts["classes"] for m in result.metrics if m.parts.get("classes")), [])
    names = [name for name in MEASURES if any(metric.name.startswith(name) for metric in result.metrics)]
    return Dataset(source=Source(synthetic=1), truth="labels", metrics=names, classes=classes)


def _equal(value: float, stated: float | None) -> bool:
    return stated is not None and math.isclose(value, stated, rel_tol=0, abs_tol=TOLERANCE)
