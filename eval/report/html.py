"""`report.html`: one file that needs nothing else, runs no script, and reaches no other host."""

from collections.abc import Sequence
from pathlib import Path
from string import Template

from . import figure_sections, reading, sections
from .markup import Markup, escape, join, tag
from .results import Results
from .samples import SampleRecord

_FOLDER = Path(__file__).parent
FOOTER = (
    "Numbers carry n and averaging where they stand; parse rate and selection rule stand with each data set. An answer "
    "that cannot be read counts as wrong, a failed sample too. results.json beside this page holds every number and "
    "samples.parquet every sample. Scores describe agreement with annotators on these clips, not what people feel."
)


def render_html(results: Results, records: Sequence[SampleRecord] | None = None) -> str:
    """The whole report. Without `records` the worst samples and the first errors are left out, which it says."""
    parts = [
        sections.overview(results), sections.datasets(results), figure_sections.figures(results),
        figure_sections.slices(results),
        reading.worst(results, records), sections.outcomes(results, records or ()), sections.notes(results),
    ]  # fmt: skip
    links = [("overview", "Data sets")] if parts[0] is not None else []
    links += [("results", "Results"), ("figures", "Figures"), ("slices", "Slices"), ("worst", "Worst samples"),
              ("outcomes", "Outcomes"), ("notes", "Notes")]  # fmt: skip
    title = f"{results.system_name} on {results.suite}"
    return page(title, join(tag("h1", title), contents(links), sections.top(results), *parts))


def contents(links: Sequence[tuple[str, str]]) -> Markup:
    """Links to the parts of the page."""
    return tag("nav", *(tag("a", words, href=f"#{ident}") for ident, words in links), aria_label="Parts of the report")


def page(title: str, body: Markup, footer: str = FOOTER) -> str:
    """The page around its sections; `footer` is text."""
    style = (_FOLDER / "report.css").read_text(encoding="utf-8")
    around = Template((_FOLDER / "report.html").read_text(encoding="utf-8"))
    return around.substitute(title=escape(title), style=style, body=body, footer=tag("p", footer))
