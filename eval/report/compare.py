"""Is one run better than another? A paired bootstrap over the samples that both answered.

Runs are only comparable on the same questions: another suite, another prompt or another truth is refused by name, or,
when forced, said as a warning. Judges and embedders that differ are named; what they scored is not compared unforced.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from cuewise.eval.measures.base import resample_count
from cuewise.eval.metrics.base import plain
from cuewise.eval.metrics.bootstrap import Statistic, paired_bootstrap

from .compare_text import write_comparison
from .comparison import Changed, Comparison, Difference
from .results import Metric, Results, ResultsError, read_results
from .samples import SampleRecord, read_samples
from .statistics import ITSELF, Basis, bases_of, sample_mean
from .tables import metric_to_read

RESAMPLES = 1000
MOST_CHANGED = 20
HELPERS = ("judge", "embedder")


class CompareError(ResultsError):
    """The runs cannot be compared; the message names what differs and what to do."""


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run and where it lies."""

    name: str
    results: Results
    records: list[SampleRecord]


def compare_folders(a: str | Path, b: str | Path, out: str | Path | None = None, force: bool = False) -> Comparison:
    """Compare the runs in two folders. `out`: a folder for compare.{json,md,html}, or one file with such an ending."""
    runs = [Run(Path(f).name or str(f), read_results(f), read_samples(f)) for f in (a, b)]
    names = [str(Path(f)) for f in (a, b)] if runs[0].name == runs[1].name else [run.name for run in runs]
    found = compare(*(Run(name, run.results, run.records) for name, run in zip(names, runs)), force=force)
    if out is not None:
        write_comparison(Path(out), found)
    return found


def compare(
    a: Run, b: Run, *, force: bool = False, speaker: str = "speaker", resamples: int = RESAMPLES, seed: int = 0
) -> Comparison:
    """Difference of every metric that both runs have, on the samples that both have."""
    pairs = _pairs(a, b)
    warnings = _same_questions(a, b, pairs, force)
    differences, left_out = [], []
    for dataset in a.results.datasets:
        rows = [pair for pair in pairs if pair[0].dataset == dataset.name]
        sides = [_side(run, dataset.name) for run in (a, b)] if rows else []
        for metric in dataset.metrics:
            why = _why_not(metric, b.results.metric(dataset.name, metric.name), force)
            found = None if why or not rows else _difference(metric, sides, rows, speaker, resamples, seed)
            if found is not None:
                differences.append(found)
            else:
                left_out.append(f"{dataset.name} {metric.name}: {why or 'the samples hold no values of it'}")
    read = metric_to_read(a.results, [one for one, _ in pairs])
    return Comparison(
        first=a.name, second=b.name, names=(a.results.system_name, b.results.system_name), suite=a.results.suite,
        n_shared=len(pairs), only_first=len(a.records) - len(pairs), only_second=len(b.records) - len(pairs),
        parse_rates=(a.results.parse_rate, b.results.parse_rate),
        selection_rules=(a.results.selection_rule, b.results.selection_rule),
        read_by=(read[0], read[1].name), differences=differences, left_out=left_out,
        warnings=warnings, changed=_changed(*read, pairs),
    )  # fmt: skip


def _pairs(a: Run, b: Run) -> list[tuple[SampleRecord, SampleRecord]]:
    """Samples that both runs have, in the order of the first."""
    keys = []
    for run in (a, b):
        found = {(record.dataset, record.id): record for record in run.records}
        if len(found) < len(run.records):
            raise CompareError(f"{run.name} holds {len(run.records) - len(found)} samples twice; run the suite again")
        keys.append(found)
    shared = [(record, keys[1][key]) for key, record in keys[0].items() if key in keys[1]]
    if not shared:
        raise CompareError(f"{a.name} and {b.name} share no sample; compare runs of the same suite and split")
    return shared


def _same_questions(
    a: Run, b: Run, pairs: Sequence[tuple[SampleRecord, SampleRecord]], force: bool
) -> list[str]:
    """Warnings; what makes a comparison wrong is an error unless it is forced."""
    wrong = []
    if a.results.suite != b.results.suite:
        wrong.append(f"the suites differ ({a.results.suite}, {b.results.suite})")
    for what, differs in (("prompt", lambda x, y: _hash(x.prompt) != _hash(y.prompt)),
                          ("ground truth", lambda x, y: plain(x.gt) != plain(y.gt))):  # fmt: skip
        ids = [x.id for x, y in pairs if differs(x, y)]
        if ids:
            wrong.append(f"the {what} differs in {len(ids):,} of {len(pairs):,} shared samples (first: {ids[0]})")
    if wrong and not force:
        raise CompareError(
            f"{a.name} and {b.name} cannot be compared: {'; '.join(wrong)}; run both with the same suite, "
            "or use --force"
        )
    notes = [f"forced: {words}" for words in wrong]
    for name in HELPERS:
        ours, theirs = getattr(a.results, name), getattr(b.results, name)
        if ours != theirs:
            notes.append(f"the {name} differs ({ours or 'none'}; {theirs or 'none'})")
    if a.results.selection_rule != b.results.selection_rule:
        notes.append(f"the selection rules differ ({a.results.selection_rule}; {b.results.selection_rule})")
    if a.results.config_hash == b.results.config_hash:
        notes.append(f"both runs have config hash {a.results.config_hash}: they ran the same configuration")
    return notes


def _hash(prompt: str) -> str:
    return sha256(prompt.encode("utf-8", "replace")).hexdigest()


def _why_not(metric: Metric, other: Metric | None, force: bool) -> str:
    if other is None:
        return "the second run does not have it"
    if other.averaging != metric.averaging:
        return f"averaged differently ({metric.averaging}; {other.averaging})"
    for name in HELPERS:
        ours, theirs = metric.parts.get(name), other.parts.get(name)
        if ours != theirs and not force:
            return f"scored by different {name}s ({ours}; {theirs})"
    return ""


@dataclass(frozen=True, slots=True)
class _Side:
    """The samples of one data set in one run, and what can be resampled on them."""

    records: list[SampleRecord]
    bases: dict[str, Basis]


def _side(run: Run, dataset: str) -> _Side:
    records = [record for record in run.records if record.dataset == dataset]
    result = next((found for found in run.results.datasets if found.name == dataset), None)
    return _Side(records, bases_of(run.results.suite, result, records) if result else {})


def _difference(
    metric: Metric, sides: Sequence[_Side], rows: Sequence[tuple[SampleRecord, SampleRecord]], speaker: str,
    resamples: int, seed: int,
) -> Difference | None:  # fmt: skip
    """One metric on the shared samples `rows` of one data set; None when the samples hold no values of it."""
    bases = [side.bases.get(metric.name) for side in sides]
    if {basis.what for basis in bases if basis} != {ITSELF}:  # one meaning for both: the mean of the sample values
        bases = [sample_mean(metric, side.records) for side in sides]
    if None in bases:
        return None
    first, second = (_among(bases[i], sides[i].records, [pair[i] for pair in rows]) for i in (0, 1))
    names = [record.groups.get(speaker) for record, _ in rows]
    groups = names if all(names) and 1 < len(set(names)) < len(names) else None
    count = min(resamples, *(resample_count(len(rows), basis.cheap) for basis in bases))
    found = paired_bootstrap(first, second, len(rows), groups=groups, resamples=count, seed=seed)
    return Difference(
        dataset=rows[0][0].dataset, metric=metric.name, scale=metric.scale, direction=metric.direction,
        averaging=metric.averaging, basis=bases[0].what, first=found.first, second=found.second,
        difference=found.difference, low=found.low, high=found.high, p_value=found.p_value, n=len(rows),
        over=f"{speaker}s" if groups else "samples", resamples=found.resamples,
    )  # fmt: skip


def _among(basis: Basis, side: Sequence[SampleRecord], shared: Sequence[SampleRecord]) -> Statistic:
    """The statistic of one run with indices that count the shared samples."""
    place = {record.id: index for index, record in enumerate(side)}
    positions = np.array([place[record.id] for record in shared])
    return lambda indices: basis.statistic(positions[indices])


def _changed(dataset: str, metric: Metric, pairs: Sequence[tuple[SampleRecord, SampleRecord]]) -> list[Changed]:
    """Samples whose value of one metric changed most, in both directions."""
    found = []
    for one, other in pairs:
        values = one.score(metric.name), other.score(metric.name)
        if one.dataset == dataset and None not in values and values[0] != values[1]:
            found.append(Changed(values[0] - values[1], one, other))
    found.sort(key=lambda change: (-abs(change.change), change.first.id))
    gained = [c for c in found if c.change > 0][: MOST_CHANGED // 2]
    lost = [c for c in found if c.change < 0][: MOST_CHANGED // 2]
    return gained + lost
