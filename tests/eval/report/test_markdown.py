"""report.md: complete, and immune to what models write."""

import re

import pytest

from cuewise.eval.report.markdown import render_markdown, safe


def test_every_number_of_the_tables_has_n_and_averaging(run):
    text = render_markdown(*run)
    rows = [line for line in text.splitlines() if "(this run" in line]
    assert len(rows) == 8
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert re.fullmatch(r"[\d.]+ %", cells[2]) and re.fullmatch(r"\d+ samples", cells[4]) and cells[5], row
    for dataset in run[0].datasets:
        assert f"n {dataset.n:,} samples; parse rate {100 * dataset.parse_rate:.1f} %; selection rule:" in text


def test_all_parts_are_there(run):
    text = render_markdown(*run)
    for title in ("Results beside published rows", "Wheel confusion", "Reliability", "Accuracy and coverage",
                  "When voice and face disagree", "By speaker", "How answers came out", "Worst samples",
                  "Notes"):  # fmt: skip
        assert f"# {title}" in text, title
    assert "not applicable: the samples table" in render_markdown(run[0])


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a|b\n# c", r"a\|b \# c"), ("<img src=x>", r"\<img src=x\>"), ("[x](y) `z`", r"\[x\](y) \`z\`"),
     ("https://a.b", r"https\://a.b"), ("ew_level1 _x_", r"ew_level1 \_x\_"), ("\u202eevil\x1b", "evil")],
)  # fmt: skip
def test_text_of_models_stays_text(text, shown):
    assert safe(text) == shown
