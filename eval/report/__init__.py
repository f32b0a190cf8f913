"""From a finished run to what people read: results.json, samples.parquet, report.md, report.html, comparisons.

```python
figures = build_figures(records, primary_metric, dataset)
write_report(folder, Results(..., figures=figures), records)
compare_folders("runs/a", "runs/b", out="runs/a-against-b")
```
"""

from collections.abc import Sequence
from pathlib import Path

from .compare import compare_folders
from .compare_text import render_text
from .comparison import Comparison
from .figures_data import build_figures
from .files import write_text
from .html import render_html
from .markdown import render_markdown
from .results import Results, ResultsError, read_results, write_results
from .samples import SampleRecord, read_samples, write_samples

__all__ = [
    "Comparison", "Results", "ResultsError", "SampleRecord", "build_figures", "compare_folders", "read_results",
    "read_samples", "remake_report", "render_html", "render_markdown", "render_text", "write_report", "write_results",
    "write_samples",
]  # fmt: skip


def write_report(folder: str | Path, results: Results, records: Sequence[SampleRecord]) -> None:
    """All four files of a finished run; results.json comes last, so a folder that has it is complete."""
    folder = Path(folder)
    write_samples(folder, records)
    write_text(folder / "report.md", render_markdown(results, records))
    write_text(folder / "report.html", render_html(results, records))
    write_results(folder, results)


def remake_report(folder: str | Path) -> None:
    """Make report.md and report.html again from results.json and samples.parquet."""
    folder = Path(folder)
    results, records = read_results(folder), read_samples(folder)
    write_text(folder / "report.md", render_markdown(results, records))
    write_text(folder / "report.html", render_html(results, records))
