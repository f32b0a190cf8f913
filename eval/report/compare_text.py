"""A comparison of two runs as a text table, Markdown, JSON and one HTML page."""

from pathlib import Path

from . import drawings as draw
from .comparison import Comparison, Difference, to_json
from .files import write_text
from .html import contents, page
from .markdown import safe
from .markup import Markup, breakable, join, tag
from .reading import sample_line
from .sections import section, table
from .statistics import ITSELF
from .tables import interval, number, percent

FORMATS = (".json", ".md", ".html")
FOOTER = (
    "Both runs are seen through the same draws of the same samples. An interval that leaves out zero speaks of these "
    "samples and speakers, not of other data; with many metrics, some will leave out zero by chance."
)


def render_text(found: Comparison) -> str:
    """For a terminal: what was compared, warnings, and one line per metric."""
    heads = ("data set", "metric", "first", "second", "difference", "95 % interval", "p", "n", "verdict")
    rows = [(d.dataset, d.metric, *_cells(d)) for d in found.differences]
    widths = [max(map(len, column)) for column in zip(heads, *rows)]
    lines = [*_facts(found), *(f"warning: {words}" for words in found.warnings), ""]
    lines += ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in (heads, *rows)]
    lines += ["", *_how(found)]
    return printable("\n".join([*lines, *(f"not compared: {words}" for words in found.left_out)]))


def printable(text: str) -> str:
    """Text without control characters, which a name could use to rewrite a terminal."""
    return "".join(c for c in text if c == "\n" or c.isprintable())


def render_markdown(found: Comparison) -> str:
    """The same as Markdown."""
    heads = ("Data set", "Metric", "First", "Second", "Difference", "95 % interval", "p", "n", "Verdict", "Resampled")
    lines = [f"# {safe(found.first)} against {safe(found.second)}", "",
             *(f"- {safe(words)}" for words in _facts(found)),
             *(f"- **Warning:** {safe(words)}" for words in found.warnings), "",
             f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]  # fmt: skip
    for d in found.differences:
        lines.append(f"| {' | '.join(map(safe, (d.dataset, d.metric, *_cells(d), d.basis)))} |")
    lines += ["", *(f"- {safe(words)}" for words in _how(found))]
    lines += [f"- Not compared: {safe(words)}" for words in found.left_out]
    lines += ["", f"## Samples that changed most ({safe(found.read_by[1])} on {safe(found.read_by[0])})", ""]
    for c in found.changed:
        lines.append(f"- {safe(c.first.id)} ({c.change:+.3f}): gold {safe(sample_line(c.first)[0])}; first "
                     f"{safe(sample_line(c.first)[1])}; second {safe(sample_line(c.second)[1])}")  # fmt: skip
    return "\n".join([*lines, ""] if found.changed else [*lines, "No shared sample changed.", ""])


def render_html(found: Comparison) -> str:
    """The same as one page of its own."""
    title = f"{found.first} against {found.second}"
    facts = [tag("li", words) for words in _facts(found)]
    warned = [tag("p", f"Warning: {words}", class_="card warning") for words in found.warnings]
    body = join(
        tag("h1", title), contents([("differences", "Differences"), ("changed", "Samples that changed most")]), *warned,
        tag("ul", *facts, class_="card notes"), section("differences", "Differences", _differences(found)),
        section("changed", "Samples that changed most", _changed(found)),
    )  # fmt: skip
    return page(title, body, FOOTER)


def write_comparison(out: Path, found: Comparison) -> list[Path]:
    """Write one file where `out` ends in .json, .md or .html, else all three as compare.* into the folder `out`."""
    render = {".json": to_json, ".md": render_markdown, ".html": render_html}
    files = [out] if out.suffix in FORMATS else [out / f"compare{ending}" for ending in FORMATS]
    for file in files:
        write_text(file, render[file.suffix](found))
    return files


def signed(d: Difference) -> str:
    """The difference with its sign."""
    words = number(d.difference, d.scale)
    return words if words.startswith(("−", "u")) else f"+{words}"


def _cells(d: Difference) -> tuple[str, ...]:
    """First, second, difference, interval, p, n, verdict."""
    return (number(d.first, d.scale), number(d.second, d.scale), signed(d), interval(d.low, d.high, d.scale),
            f"{d.p_value:.3f}", f"{d.n:,}", d.verdict)  # fmt: skip


def _facts(found: Comparison) -> list[str]:
    scope = f"{found.n_shared:,} shared samples; {found.only_first:,} only in the first, {found.only_second:,} only in "
    lines = [f"first: {found.first} ({found.names[0]}), parse rate {percent(found.parse_rates[0])}, selection rule: "
             f"{found.selection_rules[0]}",
             f"second: {found.second} ({found.names[1]}), parse rate {percent(found.parse_rates[1])}, selection rule: "
             f"{found.selection_rules[1]}"]  # fmt: skip
    return [*lines, f"suite {found.suite}: {scope}the second"]


def _how(found: Comparison) -> list[str]:
    """What was drawn, and per metric how samples became one number."""
    drawn = dict.fromkeys(f"{d.over}, {d.resamples:,} resamples" for d in found.differences)
    lines = [f"95 % paired bootstrap over {' or '.join(drawn)}; p is two-sided"] if drawn else []
    for d in found.differences:
        words = f"{d.metric}: {d.averaging}; {d.direction}"
        lines.append(words if d.basis == ITSELF else f"{words}; what is compared is the {d.basis}")
    return list(dict.fromkeys(lines))


def _differences(found: Comparison) -> Markup:
    if not found.differences:
        return tag("p", "not applicable: the runs share no metric with values per sample", class_="card soft")
    rows = []
    for d in found.differences:
        alike = [e for e in found.differences if e.scale == d.scale]
        reach = max(abs(v) for e in alike for v in (e.difference, e.low, e.high, 1e-9))
        drawn = draw.strip(d.difference, d.low, d.high, (-reach, reach), 0.0)
        first, second, change, around, p, n, verdict = _cells(d)
        tone = {"first is better": " yes", "second is better": " no"}.get(verdict, "")
        name = join(tag("b", breakable(d.metric)), tag("small", d.dataset))
        badge = tag("span", verdict, class_=f"badge{tone}")
        rows.append((name, first, second, tag("b", change), drawn, around, p, n, badge))
    heads = ("Metric", "First", "Second", "Difference", "Drawn", "95 % interval", "p", "n", "Verdict")
    how = [tag("li", words) for words in _how(found)]
    how += [tag("li", f"not compared: {words}") for words in found.left_out]
    caption = "First minus second on the shared samples; shares in %, the upright line is no difference"
    return tag("div", table(heads, rows, caption, "differences"), tag("ul", *how, class_="notes soft"), class_="card")


def _changed(found: Comparison) -> Markup:
    if not found.changed:
        return tag("p", f"No shared sample changed under {found.read_by[1]}.", class_="card soft")
    rows = []
    for c in found.changed:
        gold, first = sample_line(c.first)
        rows.append((c.first.id, f"{c.change:+.3f}".replace("-", "−"), gold, first, sample_line(c.second)[1]))
    heads = ("Sample", "Change", "Gold", "First answered", "Second answered")
    caption = (f"{found.read_by[1]} on {found.read_by[0]}, value of the sample in the first run minus the second (n 1 "
               f"each); the largest of both signs among {found.n_shared:,} shared samples")  # fmt: skip
    return tag("div", table(heads, rows, caption, ""), class_="card")
