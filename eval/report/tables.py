"""Rows of the report that Markdown and HTML share: metrics beside published rows, samples worth reading, counts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .results import Baseline, DatasetResult, Metric, Results
from .samples import SampleRecord

Kind = Literal["ours", "repaired", "published"]
REPAIRED = "cuewise2026"
MOST_SAMPLES = 30
MOST_CHARS = 1200
NOT_STATED = "not stated"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a results table."""

    kind: Kind
    system: str
    metric: str
    value: float | None
    low: float | None = None
    high: float | None = None
    n: str = NOT_STATED
    averaging: str = NOT_STATED
    interval: str = ""
    rule: str = NOT_STATED
    comparable: str = ""
    source: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """One metric of one data set: our row, its repaired variant, then published rows, best first."""

    title: str
    direction: str
    scale: str
    rows: list[Row]
    parts: dict[str, str] = field(default_factory=dict)

    @property
    def stands_alone(self) -> bool:
        """Nothing is beside our number: no variant and no published row."""
        return len(self.rows) == 1

    @property
    def span(self) -> tuple[float, float]:
        """Lowest and highest value to draw."""
        seen = [v for row in self.rows for v in (row.value, row.low, row.high) if v is not None]
        if self.scale == "share":
            return (-1.0 if seen and min(seen) < 0 else 0.0), 1.0
        low, high = min([0.0, *seen]), max([0.0, *seen])
        return low, high if high > low else low + 1.0


def blocks(results: Results, dataset: DatasetResult) -> list[Block]:
    """The metrics of a data set with what belongs beside each; published rows without our number come last."""
    by_name = {metric.name: metric for metric in dataset.metrics}
    rows = [row for row in results.baselines if row.dataset == dataset.name]
    done: set[str] = set()
    found = []
    for metric in sorted(dataset.metrics, key=lambda m: REPAIRED in m.name):  # the published one opens its block
        if metric.name in done:
            continue
        group = [metric, *(m for m in dataset.metrics if _beside(metric, m) and m.name not in done)]
        done |= {m.name for m in group}
        found.append(_block(results, dataset, group, [row for row in rows if row.metric in {m.name for m in group}]))
    order = {metric.name: index for index, metric in enumerate(dataset.metrics)}
    found.sort(key=lambda block: min(order[row.metric] for row in block.rows if row.kind != "published"))
    for name in dict.fromkeys(row.metric for row in rows if row.metric not in by_name):
        others = [row for row in rows if row.metric == name]
        ours = Row("ours", results.system_name, name, None, note="not computed in this run")
        found.append(Block(name, "", "share", [ours, *map(_published, others)]))
    return found


def _beside(first: Metric, second: Metric) -> bool:
    return first.name != second.name and (first.beside == second.name or second.beside == first.name)


def _block(results: Results, dataset: DatasetResult, group: list[Metric], rows: Sequence[Baseline]) -> Block:
    first = group[0]
    best_first = sorted(rows, key=lambda row: row.value, reverse=first.direction.startswith("higher"))
    ours = [
        Row(
            "repaired" if REPAIRED in metric.name else "ours", results.system_name, metric.name, metric.value,
            metric.low, metric.high, f"{metric.n:,} {metric.unit}", metric.averaging, metric.interval or "",
            results.selection_rule,
        )
        for metric in group
    ]  # fmt: skip
    parts = {f"{m.name} · {key}": text for m in group for key, text in _scalars(m.parts)}
    return Block(first.name, first.direction, first.scale, [*ours, *map(_published, best_first)], parts)


def _published(row: Baseline) -> Row:
    return Row(
        "published", row.system, row.metric, row.value, n=NOT_STATED if row.n is None else f"{row.n:,} samples",
        averaging=row.averaging or NOT_STATED, rule=row.selection_rule or NOT_STATED, comparable=row.comparable,
        source=row.source, note=row.note,
    )  # fmt: skip


def _scalars(parts: dict[str, Any]) -> list[tuple[str, str]]:
    found = []
    for key, value in parts.items():
        if isinstance(value, bool) or value is None or isinstance(value, str):
            found.append((key, str(value)))
        elif isinstance(value, (int, float)):
            found.append((key, f"{value:,}" if isinstance(value, int) else f"{value:.4f}"))
        elif isinstance(value, dict) and value and all(isinstance(v, (int, float, type(None))) for v in value.values()):
            found.append((key, clipped(", ".join(f"{k} {plain_number(v)}" for k, v in value.items()))))
    return found


def plain_number(value: float | None) -> str:
    """A number as it is, or that it is undefined."""
    if value is None or value != value:
        return "undefined"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def number(value: float | None, scale: str = "share") -> str:
    """A metric value: shares in percent with two decimals, everything else with three; null is said."""
    if value is None or value != value:
        return "undefined"
    words = f"{100 * value:.2f}" if scale == "share" else f"{value:.3f}"
    return words.replace("-", "−")


def interval(low: float | None, high: float | None, scale: str = "share") -> str:
    """`low to high`, or nothing."""
    return "" if low is None or high is None else f"{number(low, scale)} to {number(high, scale)}"


def percent(share: float | None) -> str:
    """A rate in percent with one decimal."""
    return "undefined" if share is None or share != share else f"{100 * share:.1f} %"


def clipped(text: str, most: int = MOST_CHARS) -> str:
    """Text of at most `most` characters; what is left out is counted."""
    return text if len(text) <= most else f"{text[:most]} … ({len(text) - most:,} more characters)"


@dataclass(frozen=True, slots=True)
class Worst:
    """Samples to read, why these, and how many there are."""

    records: list[SampleRecord]
    rule: str
    n: int
    metric: str


def metric_to_read(results: Results, records: Sequence[SampleRecord]) -> tuple[str, Metric]:
    """Data set and metric by which single samples are ranked: the primary one where samples have values of it.

    A mean over data sets has none; then the first data set and metric with values stand in.
    """
    scored = {(record.dataset, name) for record in records for name in record.scores if record.score(name) is not None}
    wanted = [(results.primary.dataset, results.primary_metric)]
    wanted += [(dataset.name, metric) for dataset in results.datasets for metric in dataset.metrics]
    return next((pair for pair in wanted if (pair[0], pair[1].name) in scored), wanted[0])


def worst_samples(results: Results, records: Sequence[SampleRecord], limit: int = MOST_SAMPLES) -> Worst:
    """The lowest-scoring samples of the metric that is read, the surest mistakes first."""
    dataset, metric = metric_to_read(results, records)
    sign = 1.0 if metric.direction.startswith("higher") else -1.0
    rows = [(sign * score, r) for r in records if r.dataset == dataset and (score := r.score(metric.name)) is not None]
    best = max((value for value, _ in rows), default=0.0)
    wrong = [row for row in rows if row[0] < best]
    wrong.sort(key=lambda row: (row[0], -(row[1].confidence or 0), row[1].id))
    end = "lowest" if sign > 0 else "highest"
    rule = f"{end} {metric.name} on {dataset} first; equal values by stated confidence, surest first"
    return Worst([record for _, record in wrong[:limit]], rule, len(rows), metric.name)


def first_errors(records: Sequence[SampleRecord], limit: int = 5) -> dict[str, SampleRecord]:
    """One sample for each code of error, the first of each."""
    found: dict[str, SampleRecord] = {}
    for record in records:
        if record.error:
            found.setdefault(record.error.split(":", 1)[0], record)
    return dict(list(found.items())[:limit])


def headline(results: Results) -> list[tuple[str, str]]:
    """The facts that every report opens with."""
    return [
        ("System", results.system_name), ("Suite", results.suite),
        ("Samples", f"{results.n:,}"), ("Answered", f"{results.answered:,} of {results.n:,}"),
        ("Parse rate", f"{percent(results.parse_rate)} of {results.n:,}"),
        ("Selection rule", results.selection_rule),
        ("Config hash", results.config_hash), ("Seed", str(results.seed)),
        *([("Judge", named(results.judge))] if results.judge else []),
        *([("Embedder", named(results.embedder))] if results.embedder else []),
    ]  # fmt: skip


def named(value: Any) -> str:
    """A judge or an embedder in one line."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return str(value)
