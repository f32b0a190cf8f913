"""Rates of text rows: copies and labels without a place."""

import pytest

from cuewise.data_recipes.schema import Row
from cuewise.data_recipes.text_rows import text_rates, without_duplicates


def row(text: str, *labels: str, context: str | None = None) -> Row:
    return Row(id=text, corpus="c", transcript=text, labels=list(labels), context=context)


ROWS = [row("I am glad.", "joy"), row("i am GLAD", "glee", context="before"), row("Oh no!", "blorple", "sad"),
        row("Fine", "fine")]  # fmt: skip


def test_duplicates_and_outsiders_are_counted():
    rates = text_rates(ROWS)
    assert (rates.rows, rates.duplicates, rates.with_context, rates.labels) == (4, 1, 1, 5)
    assert rates.duplicate_rate == 0.25 and rates.outside["blorple"] == 1
    assert rates.outside_rate == pytest.approx(sum(rates.outside.values()) / 5)
    assert "duplicates 25.0%" in str(rates) and "blorple 1" in str(rates)
    assert [kept.transcript for kept in without_duplicates(ROWS)] == ["I am glad.", "Oh no!", "Fine"]
    assert text_rates([]).duplicate_rate == 0.0 == text_rates([]).outside_rate
