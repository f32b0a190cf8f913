"""`report.md`: the same report as text for a terminal, a repository page or an appendix."""

import re
from collections.abc import Iterable, Sequence

from .figures import Absent
from .reading import truth_line
from .results import DatasetResult, Results
from .samples import SampleRecord
from .tables import (
    NOT_STATED,
    Block,
    Row,
    blocks,
    clipped,
    first_errors,
    headline,
    interval,
    number,
    percent,
    plain_number,
    worst_samples,
)

MOST_SAMPLES = 12
MOST_CHARS = 500
_MARKS = re.compile(r"([\\`*{}\[\]<>|#~$&]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|@(?=\w)|(?<=\bwww)\.)")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]+")


def render_markdown(results: Results, records: Sequence[SampleRecord] | None = None) -> str:
    """The whole report as Markdown. Text of models is escaped: it cannot become markup."""
    metric = results.primary_metric
    around = interval(metric.low, metric.high, metric.scale)
    unit = " %" if metric.scale == "share" and metric.value is not None else ""
    lines = [
        f"# {safe(results.system_name)} on {safe(results.suite)}", "",
        f"**{safe(metric.name)} on {safe(results.primary.dataset)}: {number(metric.value, metric.scale)}{unit}**"
        + (f" ({around}, {safe(metric.interval or '')})" if around else "")
        + f"; n {metric.n:,} {safe(metric.unit)}; {safe(metric.averaging)}; {metric.direction}.", "",
        *_table(("Fact", "Value"), headline(results)), "",
        "## Results beside published rows", "",
    ]  # fmt: skip
    for dataset in results.datasets:
        lines += _dataset(results, dataset)
    lines += ["## Figures", "", *_confusion(results), *_calibration(results), *_conflict(results), "## Slices", "",
              *_slices(results), "## How answers came out", "", *_outcomes(results, records or ()),
              "## Worst samples", "", *_worst(results, records), "## Notes", "",
              *([f"- {safe(note)}" for note in results.notes] or ["This run left no notes."]), ""]  # fmt: skip
    return "\n".join(lines)


def safe(text: str) -> str:
    """Text as one line that Markdown shows as it is."""
    line = _CONTROLS.sub(" ", text)
    return _MARKS.sub(r"\\\1", line).strip()


def _table(heads: Iterable[str], rows: Iterable[Sequence[str]]) -> list[str]:
    heads = list(heads)
    lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    return lines + [f"| {' | '.join(safe(str(cell)) for cell in row)} |" for row in rows]


def _dataset(results: Results, dataset: DatasetResult) -> list[str]:
    lines = [f"### {safe(dataset.name)}", "", f"n {dataset.n:,} samples; parse rate {percent(dataset.parse_rate)}; "
             f"selection rule: {safe(results.selection_rule)}.", ""]  # fmt: skip
    heads = ("System", "Metric", "Value", "95 % interval", "n", "Averaging", "Comparable", "Source and note")
    rows = [_row(block, row) for block in blocks(results, dataset) for row in block.rows]
    return [*lines, *_table(heads, rows), ""]


def _row(block: Block, row: Row) -> tuple[str, ...]:
    unit = " %" if block.scale == "share" and row.value is not None else ""
    who = {"ours": " (this run)", "repaired": " (this run, repaired profile)", "published": ""}[row.kind]
    rule = f"selection: {row.rule}" if row.kind == "published" and row.rule != NOT_STATED else ""
    value = row.note if row.value is None and row.note else f"{number(row.value, block.scale)}{unit}"
    source = "" if row.value is None else "; ".join(filter(None, (row.source, row.note, rule, row.interval)))
    metric = f"{row.metric} ({block.direction})" if block.direction else row.metric
    return (row.system + who, metric, value, interval(row.low, row.high, block.scale) or "none", row.n, row.averaging,
            row.comparable or "this run", source)  # fmt: skip


def _absent(title: str, why: Absent) -> list[str]:
    return [f"### {title}", "", f"not applicable: {safe(why.not_applicable)}", ""]


def _confusion(results: Results) -> list[str]:
    data = results.figures.wheel_confusion
    if isinstance(data, Absent):
        return _absent("Wheel confusion", data)
    wheel = data.wheels[0]
    rows = [(name, *map(str, row), str(other), f"{sum(row) + other:,}")
            for name, row, other in zip(wheel.sectors, wheel.rows, wheel.other)]  # fmt: skip
    caption = (f"Wheel {wheel.wheel}, profile {data.profile}, counts, n {wheel.n:,}; {wheel.unknown_gold:,} samples "
               f"without a gold sector left out. Rule: {safe(data.rule)}.")  # fmt: skip
    heads = ("gold \\\\ predicted", *wheel.sectors, "no sector", "n")
    return ["### Wheel confusion", "", *_table(heads, rows), "", caption, ""]


def _calibration(results: Results) -> list[str]:
    data, kept = results.figures.reliability, results.figures.coverage
    if isinstance(data, Absent):
        lines = _absent("Reliability", data)
    else:
        rows = [(f"{b.low:.1f} to {b.high:.1f}", f"{b.n:,}", plain_number(b.confidence), plain_number(b.accuracy))
                for b in data.bins if b.n]  # fmt: skip
        caption = (f"ECE {number(data.ece, 'plain')}, Brier {number(data.brier, 'plain')}, AUC "
                   f"{number(data.auc, 'plain')}; n {data.n:,}, {percent(data.stated)} state a confidence; "
                   f"{percent(data.accuracy)} right; averaging: {data.averaging}. "
                   f"Rule: {safe(data.rule)}.")  # fmt: skip
        lines = ["### Reliability", "", *_table(("Bin", "n", "Mean confidence", "Share right"), rows), "", caption, ""]
    if isinstance(kept, Absent):
        return [*lines, *_absent("Accuracy and coverage", kept)]
    rows = [(f"{p.threshold:.2f}", f"{p.n:,}", percent(p.coverage), percent(p.accuracy)) for p in kept.points[::2]]
    caption = f"n {kept.n:,}; averaging: {kept.averaging}."
    heads = ("Confidence from", "Kept (n)", "Coverage", "Right")
    return [*lines, "### Accuracy and coverage", "", *_table(heads, rows), "", caption, ""]


def _conflict(results: Results) -> list[str]:
    data, title = results.figures.conflict_gap, "When voice and face disagree"
    if isinstance(data, Absent):
        return _absent(title, data)
    rows = [(e.name, f"{e.n:,}", number(e.value), interval(e.low, e.high)) for e in [*data.subsets, data.gap]]
    caption = f"Protocol: {safe(data.protocol)}; averaging: {data.averaging}; {data.interval}."
    return [f"### {title}", "", *_table(("Subset", "n", "Score, %", "95 % interval"), rows), "", caption, ""]


def _slices(results: Results) -> list[str]:
    lines: list[str] = []
    for data in results.figures.slices:
        rows = [(e.name, f"{e.n:,}", number(e.value, data.scale), interval(e.low, e.high, data.scale))
                for e in [data.overall, *data.groups]]  # fmt: skip
        unit = "Value, %" if data.scale == "share" else "Value"
        caption = (f"{safe(data.metric)} on {safe(data.dataset)}: {data.averaging}; {data.interval}; "
                   f"{data.direction}.")  # fmt: skip
        caption += f" {data.note[:1].upper()}{data.note[1:]}." if data.note else ""
        caption += f" {data.left_out:,} groups are left out here." if data.left_out else ""
        lines += [f"### By {safe(data.column)}", "", *_table((safe(data.column), "n", unit, "95 % interval"), rows), "",
                  caption, ""]  # fmt: skip
    return lines or ["not applicable: no group column holds at least two groups of scored samples", ""]


def _outcomes(results: Results, records: Sequence[SampleRecord]) -> list[str]:
    lines: list[str] = []
    for title, counts, n in (("Problems in answers", results.problems, results.answered),
                             ("Why answers ended", results.figures.finish_reasons, results.n),
                             ("Samples without an answer", results.errors, results.n)):  # fmt: skip
        words = ", ".join(f"{safe(k)} {v:,}" for k, v in sorted(counts.items(), key=lambda i: (-i[1], i[0]))) or "none"
        lines.append(f"- {title} (n {n:,}): {words}")
    lines += [f"- First {safe(code)}: sample {safe(r.id)}: {safe(clipped(r.error or '', 300))}"
              for code, r in first_errors(records).items()]  # fmt: skip
    return [*lines, ""]


def _worst(results: Results, records: Sequence[SampleRecord] | None) -> list[str]:
    if records is None:
        return ["not applicable: the samples table of this run was not given", ""]
    found = worst_samples(results, records, MOST_SAMPLES)
    name = found.metric
    if not found.records:
        return [f"No sample scored below the best value of {safe(name)} (n {found.n:,}).", ""]
    lines = [f"{len(found.records)} of n {found.n:,} scored samples: {safe(found.rule)}.", ""]
    for record in found.records:
        sure = "none stated" if record.confidence is None else f"{record.confidence:.2f}"
        lines += [
            f"- **{safe(record.id)}** {safe(name)} {plain_number(record.score(name))}, confidence {sure}; gold: "
            f"{safe(truth_line(record.gt))}; answered: {safe(', '.join(record.labels)) or 'nothing readable'}",
            f"  - answer: {safe(clipped(record.text, MOST_CHARS)) or '(empty)'}",
        ]  # fmt: skip
    return [*lines, ""]
