"""Three-part explanations: headings in order, claims held against intensities, the answer last."""

import pytest

from cuewise.data_recipes.three_part import (
    FEAFA,
    HEADINGS,
    Bins,
    as_target,
    check_claims,
    explain,
    feafa_units,
    read_three_part,
)
from cuewise.mllm.report import parse, render

UNITS = {"AU6": 0.6, "AU12": 0.9, "AU25": 0.3, "AU4": 0.1}


def test_the_three_headings_stand_in_order_and_the_label_last():
    text = explain(UNITS, "happy")
    assert [line.rstrip(":") for line in text.splitlines() if line.endswith(":")] == list(HEADINGS)
    assert text.splitlines()[-1] == "happy" and "AU4" not in text
    read = read_three_part(text)
    assert read.problems == () and read.conclusion == "happy"
    assert "happy" not in read.interpretation and read.observations.startswith("- AU12")


def test_every_claim_of_an_explanation_holds():
    claims = check_claims(explain(UNITS, "happy"), UNITS)
    assert [(c.unit, c.claimed) for c in claims] == [("AU12", "strong"), ("AU6", "clear"), ("AU25", "slight")]
    assert all(claim.holds for claim in claims)


def test_a_claimed_unit_below_its_threshold_is_flagged():
    text = "Key Observations:\n- AU4 (brows lowered), clear\n- AU12, slight\n- AU9, strong\n"
    claims = {claim.unit: claim for claim in check_claims(text, UNITS)}
    assert (claims["AU4"].measured, claims["AU4"].holds) == ("absent", False)
    assert (claims["AU12"].measured, claims["AU12"].holds) == ("strong", False)
    assert (claims["AU9"].measured, claims["AU9"].holds) == (None, False)
    assert check_claims("AU4, slight", UNITS, Bins(0.05, 0.5, 0.8))[0].holds


def test_an_answer_before_the_reasoning_is_a_problem():
    text = explain(UNITS, "happy")
    assert read_three_part("The person is happy.\n" + text).problems == ("label_before_conclusion",)
    parts = [f"{heading}:\nx\n" for heading in HEADINGS]
    assert read_three_part("".join([parts[2], parts[0], parts[1]])).problems == ("wrong_order",)
    assert read_three_part("".join(parts[:2])).problems == ("missing_part",)
    assert read_three_part("".join(parts).replace("x\n", "", 1)).problems == ("empty_part",)
    assert read_three_part("Well.").problems == ("missing_part",)


def test_our_own_answer_form_carries_the_same_units():
    answer = as_target(UNITS, "happy")
    text = render(answer)
    assert parse(text) == answer and answer.format_ok
    assert [cue.observation for cue in answer.cues] == [
        "lip corners strongly up (AU12)", "cheeks clearly raised (AU6)", "lips slightly parted (AU25)"
    ]  # fmt: skip
    assert text.rstrip().endswith("<answer>happy</answer>")
    with pytest.raises(ValueError, match="no action unit is shown that a cue can name; shown: none"):
        as_target({"AU6": 0.1}, "happy")


def test_feafa_vectors_take_the_stronger_side():
    vector = [0.0] * 24
    vector[FEAFA.index("AU12 left")], vector[FEAFA.index("AU12 right")] = 0.4, 0.7
    vector[FEAFA.index("jaw left")] = 0.9
    units = feafa_units(vector)
    assert units["AU12"] == 0.7 and units["AU26"] == 0.0 and not any("jaw" in unit for unit in units)
    with pytest.raises(ValueError, match="has 24 numbers, got 3"):
        feafa_units([0, 0, 0])
    with pytest.raises(ValueError, match=r"\[0, 1\], got 1.5 for AU43 left"):
        feafa_units([1.5] + [0.0] * 23)


def test_bins_must_rise_and_intensities_stay_in_range():
    with pytest.raises(ValueError, match="bins must rise"):
        Bins(0.5, 0.4, 0.8)
    with pytest.raises(ValueError, match=r"got 3\.0 for AU12; divide a 0-5 scale by 5"):
        explain({"AU12": 3.0}, "happy")
    assert "no action unit stands out" in explain({}, "neutral")
