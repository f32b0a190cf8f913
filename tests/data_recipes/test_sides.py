"""Viewers' labels and shown ones never meet in one target, and a viewer's row becomes an instruction."""

import pytest

from cuewise.data_recipes.schema import Row
from cuewise.data_recipes.sides import QUESTION, check_sides, side_of, viewer_answer


def row(name: str, **changes) -> Row:
    return Row(**({"id": name, "corpus": "t", "labels": ["awe"]} | changes))


SHOWN, EVOKED = row("s1"), row("v1", task="evoked", reasoning="Waves rise above the boat.")


def test_both_sides_in_one_target_are_refused_with_a_row_of_each():
    check_sides({"a": [SHOWN, SHOWN]}, "stage 'x'")
    check_sides({"a": [EVOKED], "b": [row("t", labels=[])]}, "stage 'x'")
    with pytest.raises(ValueError, match=r"stage 'x' mixes what people show \(a \(s1\)\) with .* \(b \(v1\)\)"):
        check_sides({"a": [SHOWN], "b": [EVOKED]}, "stage 'x'")
    assert side_of(SHOWN) == "shown" and side_of(EVOKED) == "evoked"


def test_a_viewers_row_says_what_is_felt_and_by_what():
    made = viewer_answer(EVOKED)
    assert (made.instruction, made.chosen) == (QUESTION, "The viewer feels awe because waves rise above the boat.")
    assert viewer_answer(row("v", task="evoked")).chosen == "The viewer feels awe."
    with pytest.raises(ValueError, match="does not say what a viewer feels"):
        viewer_answer(SHOWN)
