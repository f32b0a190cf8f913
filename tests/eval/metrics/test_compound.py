"""Compound expressions: the published example."""

import pytest

from cuewise.eval.metrics.base import MetricInputError
from cuewise.eval.metrics.compound import BASICS, COMPOUNDS, compound, compound_scores, predict_compound

P = dict(zip(BASICS, (0.30, 0.05, 0.05, 0.10, 0.05, 0.15, 0.30)))


def test_reference_vector():
    assert list(compound_scores(P).values()) == pytest.approx([0.40, 0.35, 0.45, 0.35, 0.35, 0.25, 0.20])
    assert predict_compound(P) == "sadly surprised"
    masked = compound_scores(P, mask=True)
    assert list(masked.values()) == pytest.approx([0.30, 0.30, 0.45, 0.30, 0.30, 0.15, 0.15])


def test_frequencies_weigh_the_two_parts():
    frequency = dict.fromkeys(BASICS, 1.0) | {"surprise": 3.0}
    assert compound_scores(P, frequency)["sadly surprised"] == pytest.approx(0.25 * 0.15 + 0.75 * 0.30)


def test_data_set_scores_from_names_or_probabilities():
    result = compound(["sadly surprised", "sadly angry"], [P, "sadly fearful"])
    assert result == {"n": 2, "f1_macro": 0.5, "uar": 0.5, "accuracy": 0.5}
    assert len(COMPOUNDS) == 7


def test_unknown_basics_are_named():
    with pytest.raises(MetricInputError, match="unknown basic emotion 'joy'"):
        compound_scores({"joy": 1.0})
