"""Measured face actions in words, ours and those of others."""

import re

import pytest

from cuewise.data_recipes.action_words import AU_NAMES, AU_WORDS, OTHERS, OURS, Wording, in_words, tells_actions

AUS = {"AU12": 2.314, "AU6": 1.4, "AU4": 0.3, "AU45": 0.0}


def test_ours_tells_the_strongest_first_and_leaves_out_what_is_not_there():
    assert in_words(AUS) == (
        "Measured face actions (mean, 0-5): lip corners up (AU12) 2.31, cheeks raised (AU6) 1.40, "
        "brows lowered (AU4) 0.30."
    )
    assert in_words({"AU12": 0.01}) == "Measured face actions (mean, 0-5): none reaches 0.02."
    assert AU_NAMES.keys() == AU_WORDS.keys()


@pytest.mark.parametrize("wording", [OURS, *OTHERS.values()], ids=["ours", *OTHERS])
def test_every_wording_tells_every_unit_with_its_value(wording):
    text = in_words(AUS, wording)
    for unit in ("AU12", "AU6", "AU4"):
        called = rf"(AU0?{unit[2:]}\b|AU0?{unit[2:]}_r|{AU_NAMES[unit]})"
        assert re.search(called, text), (unit, text)
        assert f"{AUS[unit]:.1f}" in text or f"{AUS[unit]:.2f}" in text
    assert tells_actions(text) == (wording is OURS)
    assert ("AU45" in text) == (wording.lowest == 0.0)


def test_units_stand_by_number_where_strength_does_not_order_them():
    text = in_words(AUS, Wording("{code}", between=" ", by_strength=False))
    assert text.endswith("AU4 AU6 AU12.")
