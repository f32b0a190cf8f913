"""The parts of the HTML report: headline, tables beside published rows, figures, slices, counts, notes."""

from collections.abc import Sequence

from . import drawings as draw
from .markup import Markup, breakable, join, tag
from .results import DatasetResult, Results
from .samples import SampleRecord
from .tables import Block, Row, blocks, first_errors, headline, interval, number, percent

HOW = "How the interval was found"
SCALE_WORD = {"share": "in %", "plain": "as is"}
NUMBERS = frozenset({"Value", "Value, %", "95 % interval", "n", "p", "Count", "First", "Second", "Difference", "Change",
                     "Parse rate", "Kept (n)", "Coverage", "Right", "Bin", "Share right", "Score, %"})  # fmt: skip
"""Columns whose cells must not be broken inside a word."""


def section(ident: str, title: str, *children: Markup | None) -> Markup:
    """A part of the page that the contents can lead to."""
    return tag("section", tag("h2", title, id=f"{ident}-title"), *children, id=ident, aria_labelledby=f"{ident}-title")


def table(
    heads: Sequence[str], rows: Sequence[Sequence[Markup | str]], caption: str, class_: str = "",
    row_classes: Sequence[str] = (),
) -> Markup:  # fmt: skip
    """An accessible table whose cells carry their column's name, so that narrow screens can stack them."""
    head = tag("thead", tag("tr", *(tag("th", name, scope="col", role="columnheader") for name in heads), role="row"),
               role="rowgroup")  # fmt: skip
    body = []
    for index, row in enumerate(rows):
        first = tag("th", row[0], scope="row", role="rowheader", data_label=heads[0])
        cells = (
            tag("td", tag("div", cell), role="cell", data_label=head, class_="num" if head in NUMBERS else None)
            for head, cell in zip(heads[1:], row[1:])
        )
        body.append(tag("tr", first, *cells, role="row", class_=row_classes[index] if row_classes else None))
    words = tag("caption", caption) if caption else None
    return tag("table", words, head, tag("tbody", *body, role="rowgroup"), role="table", class_=class_ or None)


def folded(summary: str, *children: Markup | None) -> Markup:
    """Something to open."""
    return tag("details", tag("summary", summary), *children)


def top(results: Results) -> Markup:
    """The headline: what was asked of whom, the one number, and what is needed to believe it."""
    metric = results.primary_metric
    beside = [m for d in results.datasets if d.name == results.primary.dataset for m in d.metrics
              if m.name == metric.beside or m.beside == metric.name]  # fmt: skip
    unit = tag("span", "%", class_="unit") if metric.scale == "share" and metric.value is not None else None
    around = interval(metric.low, metric.high, metric.scale)
    lines = [
        tag("p", f"{metric.name} on {results.primary.dataset}", class_="kicker"),
        tag("p", number(metric.value, metric.scale), unit, class_="big"),
        tag("p", f"{around} ({metric.interval})" if around else "no interval was computed", class_="range-words"),
        tag("p", f"n {metric.n:,} {metric.unit}; {metric.averaging}; {metric.direction}", class_="soft"),
    ]
    for other in beside:
        words = number(other.value, other.scale) + (" %" if other.scale == "share" and other.value is not None else "")
        lines.append(tag("p", tag("b", words), f" {other.name}, n {other.n:,} {other.unit}; {other.averaging}",
                         class_="beside"))  # fmt: skip
    facts = [tag("div", tag("dt", name), tag("dd", value)) for name, value in headline(results)]
    versions = {**{f"system {key}": value for key, value in results.system.items()}, **results.created_with}
    rows = [(name, _one_line(value)) for name, value in versions.items()]
    made = folded("System and versions in full", table(("What", "Value"), rows, "", "small-table"))
    return tag("div", tag("div", *lines, class_="card primary"),
               tag("div", tag("dl", *facts, class_="facts"), made, class_="card"), class_="top")  # fmt: skip


def _one_line(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_one_line(item)}" for key, item in value.items())
    return str(value)


def overview(results: Results) -> Markup | None:
    """The first metric of every data set, when there are several."""
    if len(results.datasets) < 2:
        return None
    rows = []
    for dataset in results.datasets:
        ours = [row for block in blocks(results, dataset)[:1] for row in block.rows if row.kind != "published"]
        scale = {m.name: m.scale for m in dataset.metrics}
        for row in ours:
            kind = scale[row.metric]
            rows.append((breakable(dataset.name), breakable(row.metric), _value(row, kind),
                         interval(row.low, row.high, kind), row.n, row.averaging,
                         percent(dataset.parse_rate)))  # fmt: skip
    heads = ("Data set", "Metric", "Value", "95 % interval", "n", "Averaging", "Parse rate")
    caption = f"First metric of each data set. Selection rule: {results.selection_rule}."
    return section("overview", "Data sets at a glance", tag("div", table(heads, rows, caption), class_="card"))


def datasets(results: Results) -> Markup:
    """Every metric of every data set, beside published rows."""
    cards = [_dataset(results, dataset) for dataset in results.datasets]
    cards += [_unseen(results, names) for names in [_unseen_names(results)] if names]
    note = tag("p", "Filled dots are this run, with the interval where one was computed; rings are published values as "
               "their sources state them; the upright line repeats this run. Read the comparability before the "
               "difference.", class_="soft lead")  # fmt: skip
    return section("results", "Results beside published rows", note, *cards)


def _dataset(results: Results, dataset: DatasetResult) -> Markup:
    facts = tag("p", f"n {dataset.n:,} samples; parse rate {percent(dataset.parse_rate)}; selection rule: "
                f"{results.selection_rule}", class_="soft")  # fmt: skip
    found = blocks(results, dataset)
    parts = [(name, text, block.rows[0].n) for block in found for name, text in block.parts.items()]
    more = folded(f"Parts of these metrics ({len(parts)})", table(("Part", "Value", "n"), parts, "", "small-table"))
    alone = [block for block in found if block.stands_alone]
    tables = [_metric_table(block) for block in found if not block.stands_alone]
    tables += [_alone_table(alone)] if alone else []
    return tag("div", tag("h3", dataset.name), facts, *tables,
               more if parts else None, class_="card dataset")  # fmt: skip


def _metric_table(block: Block) -> Markup:
    span, mark = block.span, block.rows[0].value
    rows = []
    for row in block.rows:
        ring = "ring" if row.kind == "published" else "dot repaired" if row.kind == "repaired" else "dot"
        drawn = draw.strip(row.value, row.low, row.high, span, mark if row.kind != "ours" else None, ring)
        rows.append((_system(row), _value(row, block.scale), drawn, interval(row.low, row.high, block.scale) or "none",
                     row.n, row.averaging, _comparable(row)))  # fmt: skip
    direction = f"; {block.direction}" if block.direction else ""
    caption = f"{block.title} ({SCALE_WORD[block.scale]}{direction})"
    published = any(row.kind == "published" for row in block.rows)
    last = "Source, comparability" if published else HOW
    heads = ("System", "Value", "Drawn", "95 % interval", "n", "Averaging", last)
    return table(heads, rows, caption, "results", [row.kind for row in block.rows])


def _alone_table(found: Sequence[Block]) -> Markup:
    """Metrics that nothing published stands beside, one line each."""
    rows = [(join(tag("b", breakable(row.metric)), tag("small", f"{SCALE_WORD[block.scale]}; {block.direction}")),
             _value(row, block.scale), draw.strip(row.value, row.low, row.high, block.span),
             interval(row.low, row.high, block.scale) or "none", row.n, row.averaging, _comparable(row))
            for block in found for row in block.rows]  # fmt: skip
    heads = ("Metric", "Value", "Drawn", "95 % interval", "n", "Averaging", HOW)
    return table(heads, rows, "Metrics of this run without a published row", "results", ["ours"] * len(rows))


def _system(row: Row) -> Markup:
    if row.kind == "published":
        return join(row.system)
    what = "this run, repaired profile" if row.kind == "repaired" else "this run"
    return join(tag("b", row.system), " ", tag("small", f"{what}: ", breakable(row.metric)))


def _value(row: Row, scale: str) -> Markup:
    return tag("b" if row.kind != "published" else "span", number(row.value, scale) if row.value is not None or
               not row.note else "not computed")  # fmt: skip


def _comparable(row: Row) -> Markup:
    if row.kind != "published":
        return tag("span", "this run; ", row.interval or row.note or "no interval was computed", class_="soft")
    words = {"yes": "comparable", "partly": "partly comparable", "no": "not comparable"}[row.comparable]
    rule = f" Selection: {row.rule}."
    badge = tag("span", words, class_=f"badge {row.comparable}")
    return join(badge, " ", tag("span", row.source, ".", class_="source"),
                tag("span", f" {row.note}." if row.note else "", rule, class_="soft"))  # fmt: skip


def _unseen_names(results: Results) -> list[str]:
    known = {dataset.name for dataset in results.datasets}
    return list(dict.fromkeys(row.dataset for row in results.baselines if row.dataset not in known))


def _unseen(results: Results, names: Sequence[str]) -> Markup:
    rows = [(row.system, row.dataset, row.metric, number(row.value), row.comparable, f"{row.source}. {row.note}")
            for row in results.baselines if row.dataset in names]  # fmt: skip
    heads = ("System", "Data set", "Metric", "Value", "Comparable", "Source")
    caption = "Published rows on data sets that this run does not hold (in %; n and averaging as in their sources)"
    return tag("div", table(heads, rows, caption), class_="card dataset")


def outcomes(results: Results, records: Sequence[SampleRecord]) -> Markup:
    """What went wrong and how answers ended, in counts."""
    answered, n = f"of {results.answered:,} answered samples", f"of {results.n:,} samples"
    parts = [_counts("Problems in answers", results.problems, "No answer had a problem.", answered),
             _counts("Why answers ended", results.figures.finish_reasons, "No sample was asked.", n),
             _counts("Samples without an answer", results.errors, "Every sample was answered.", n)]  # fmt: skip
    shown = first_errors(records)
    if shown:
        rows = [(record.id, record.error or "") for record in shown.values()]
        parts.append(tag("div", tag("h3", "First of each error"), table(("Sample", "Error"), rows, "", "small-table"),
                         class_="card"))  # fmt: skip
    return section("outcomes", "How answers came out", tag("div", *parts, class_="figures"))


def _counts(title: str, counts: dict[str, int], nothing: str, of: str) -> Markup:
    if not any(counts.values()):
        words = tag("p", nothing, f" (n {of.removeprefix('of ')})", class_="soft")
        return tag("div", tag("h3", title), words, class_="card")
    most = max(counts.values())
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rows = [(name, f"{count:,}", draw.count_bar(count, most)) for name, count in ordered]
    return tag("div", tag("h3", title), table(("What", "Count", "Drawn"), rows, "", "counts"),
               tag("p", f"Counts {of}.", class_="soft"), class_="card")  # fmt: skip


def notes(results: Results) -> Markup:
    """What the run wants to be known."""
    if not results.notes:
        return section("notes", "Notes", tag("p", "This run left no notes.", class_="card soft"))
    return section("notes", "Notes", tag("ul", *(tag("li", note) for note in results.notes), class_="card notes"))
