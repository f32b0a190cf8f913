"""The figures of the HTML report, each with a caption that says n and averaging, and its numbers as a table."""

from . import drawings as draw
from .figures import Absent, SliceTable
from .markup import Markup, breakable, join, tag
from .results import Results
from .sections import folded, section, table
from .tables import interval, number, percent, plain_number


def figure(title: str, drawing: Markup | None, caption: str, numbers: Markup | None, ident: str) -> Markup:
    """A drawing with its caption and its numbers; without a drawing the caption says why."""
    return tag("figure", tag("h3", title), drawing, tag("figcaption", caption),
               folded("The numbers", numbers) if numbers else None, class_="card", id=ident)  # fmt: skip


def _absent(title: str, why: Absent, ident: str) -> Markup:
    return figure(title, None, f"not applicable: {why.not_applicable}", None, ident)


def figures(results: Results) -> Markup:
    """The four figures of a run."""
    drawn = (_confusion(results), _reliability(results), _coverage(results), _conflict(results))
    return section("figures", "Figures", tag("div", *drawn, class_="figures"))


def _confusion(results: Results) -> Markup:
    data, title = results.figures.wheel_confusion, "Wheel confusion"
    if isinstance(data, Absent):
        return _absent(title, data, "wheel-confusion")
    tables = []
    for wheel in data.wheels:
        rows = [(name, *map(str, row), str(other), f"{sum(row) + other:,}")
                for name, row, other in zip(wheel.sectors, wheel.rows, wheel.other)]  # fmt: skip
        heads = ("gold \\ predicted", *wheel.sectors, "no sector", "n")
        drawing = draw.heat_map(wheel) if wheel is not data.wheels[0] else None
        caption = f"Wheel {wheel.wheel}: counts, n {wheel.n:,}; {wheel.unknown_gold:,} samples have no gold sector here"
        words = tag("div", table(heads, rows, caption, "small-table grid-table"), class_="scroll", tabindex=0,
                    role="region", aria_label=f"Counts of wheel {wheel.wheel}")  # fmt: skip
        tables.append(join(drawing, words))
    first = data.wheels[0]
    caption = (
        f"Core sectors of wheel {first.wheel}, profile {data.profile}, n {first.n:,} samples; cells are percent of "
        f"their gold row (averaging: {data.averaging}). {_sentence(data.rule)} {first.unknown_gold:,} samples whose "
        "gold the wheel does not know are left out; an answer without a sector counts in its own column."
    )
    return figure(title, draw.heat_map(first), caption, join(*tables), "wheel-confusion")


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."


def _reliability(results: Results) -> Markup:
    data, title = results.figures.reliability, "Reliability"
    if isinstance(data, Absent):
        return _absent(title, data, "reliability")
    caption = (
        f"ECE {number(data.ece, 'plain')}, Brier {number(data.brier, 'plain')}, AUC {number(data.auc, 'plain')}; "
        f"n {data.n:,} samples, {percent(data.stated)} state a confidence; {percent(data.accuracy)} right. Averaging: "
        f"{data.averaging}. On the dashed line confidence is true; below it the system is too sure. "
        f"{_sentence(data.rule)}"
    )
    rows = [(f"{b.low:.1f} to {b.high:.1f}", f"{b.n:,}", plain_number(b.confidence), plain_number(b.accuracy))
            for b in data.bins if b.n]  # fmt: skip
    numbers = table(("Bin", "n", "Mean confidence", "Share right"), rows, "Bins that hold answers", "small-table")
    return figure(title, draw.reliability_diagram(data), caption, numbers, "reliability")


def _coverage(results: Results) -> Markup:
    data, title = results.figures.coverage, "Accuracy and coverage"
    if isinstance(data, Absent):
        return _absent(title, data, "coverage")
    caption = (
        f"Share right when only answers with at least the marked confidence are kept; n {data.n:,} samples, averaging: "
        f"{data.averaging}. Hollow points are fewer than {draw.FEW_ANSWERS} answers. Useful confidence rises to the "
        f"left of the dashed line. {_sentence(data.rule)}"
    )
    rows = [(f"{p.threshold:.2f}", f"{p.n:,}", percent(p.coverage), percent(p.accuracy)) for p in data.points]
    numbers = table(("Confidence from", "Kept (n)", "Coverage", "Right"), rows, f"Of {data.n:,} samples", "small-table")
    return figure(title, draw.coverage_drawing(data), caption, numbers, "coverage")


def _conflict(results: Results) -> Markup:
    data, title = results.figures.conflict_gap, "When voice and face disagree"
    if isinstance(data, Absent):
        return _absent(title, data, "conflict")
    gap = data.gap
    caption = (
        f"Gap audio-aligned minus video-aligned {number(gap.value)} points"
        f"{f' ({interval(gap.low, gap.high)})' if gap.low is not None else ''}; n {gap.n:,} conflict clips. "
        f"Protocol: {data.protocol}; averaging: {data.averaging}; {data.interval}."
    )
    rows = [(e.name, f"{e.n:,}", number(e.value), interval(e.low, e.high)) for e in [*data.subsets, gap]]
    numbers = table(("Subset", "n", "Score, %", "95 % interval"), rows, data.interval, "small-table")
    return figure(title, draw.conflict_drawing(data), caption, numbers, "conflict")


def slices(results: Results) -> Markup:
    """One table per column of groups."""
    found = results.figures.slices
    if not found:
        why = "not applicable: no group column holds at least two groups of scored samples"
        return section("slices", "Slices", tag("p", why, class_="card soft"))
    small_first = sorted(found, key=lambda data: len(data.groups))
    return section("slices", "Slices", tag("div", *map(_slices, small_first), class_="figures"))


def _slices(data: SliceTable) -> Markup:
    entries = [data.overall, *data.groups]
    seen = [v for e in entries for v in (e.value, e.low, e.high) if v is not None]
    span = (0.0, 1.0) if data.scale == "share" and min(seen, default=0) >= 0 else (min([0, *seen]), max([1e-9, *seen]))
    rows = [(breakable(e.name), number(e.value, data.scale),
             draw.strip(e.value, e.low, e.high, span, data.overall.value),
             interval(e.low, e.high, data.scale) or "none", f"{e.n:,}") for e in entries]  # fmt: skip
    classes = ["overall", *("" for _ in data.groups)]
    unit = "Value, %" if data.scale == "share" else "Value"
    caption = (
        f"{data.metric} on {data.dataset} by {data.column}: {data.averaging}; {data.interval}; {data.direction}; "
        f"n {data.overall.n:,}. The upright line is all samples together."
    )
    caption += f" {_sentence(data.note)}" if data.note else ""
    caption += f" {data.left_out:,} groups are left out here; samples.parquet holds all." if data.left_out else ""
    words = table((data.column, unit, "Drawn", "95 % interval", "n"), rows, "", "slices", classes)
    return tag("figure", tag("h3", f"By {data.column}"), words, tag("figcaption", caption), class_="card")
