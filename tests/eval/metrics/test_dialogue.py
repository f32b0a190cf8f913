"""Dialogue difficulty: the published example and its two readings."""

import pytest

from cuewise.eval.metrics.base import MetricInputError
from cuewise.eval.metrics.dialogue import dialogue_difficulty


def test_reference_vector():
    assert dialogue_difficulty("ABAB", ["joy", "anger", "anger", "anger"]) == pytest.approx(0.4667, abs=5e-5)


def test_shift_within_one_speaker_looks_past_the_other():
    value = dialogue_difficulty("ABA", ["joy", "joy", "anger"])
    # same speaker joy -> anger 0.4, cross joy -> anger 0.4, two speakers, three utterances
    assert value == pytest.approx((0.4 + 0.4 + 2) / 5)


def test_papers_reading_counts_equal_emotions_across_speakers():
    released = dialogue_difficulty("AB", ["joy", "joy"])
    paper = dialogue_difficulty("AB", ["joy", "joy"], cross_needs_shift=False)
    assert released == pytest.approx(2 / 4) and paper == pytest.approx((1.4 + 2) / 4)


def test_similar_emotions_are_harder():
    assert dialogue_difficulty("AA", ["joy", "excitement"]) > dialogue_difficulty("AA", ["joy", "sadness"])


def test_unknown_emotions_and_lengths_are_refused():
    with pytest.raises(MetricInputError, match="no place on the circumplex"):
        dialogue_difficulty("AA", ["joy", "zorp"])
    with pytest.raises(MetricInputError, match="2 speakers but 1"):
        dialogue_difficulty("AB", ["joy"])
