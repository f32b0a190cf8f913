"""Doubly right, and the filter that keeps the label out of the reason."""

import pytest

from cuewise.eval.metrics.reasons import doubly_right, inflections, reason_check, without_labels
from cuewise.mllm.taxonomy import normalise, same_core


def test_four_cells():
    result = doubly_right([True, True, False, False], [True, False, True, False])
    assert result == {"n": 4, "RR": 0.25, "RW": 0.25, "WR": 0.25, "WW": 0.25}


@pytest.mark.parametrize("word", ["sad", "Sadness", "sadly", "SADDER"])
def test_label_and_inflections_are_removed(word):
    assert word.lower() not in without_labels(f"He looks {word}, eyes down.", ["sad"]).lower()
    assert "eyes down" in without_labels(f"He looks {word}, eyes down.", ["sad"])


def test_other_words_stay_and_long_reasons_are_cut():
    assert without_labels("crusade of sadists", ["sad"]) == "crusade of sadists"
    assert len(without_labels("word " * 200, ["sad"])) <= 300
    assert "angry" in inflections("anger")


def test_whole_procedure_with_a_keyword_reader():
    def read(text):
        return next((w for w in map(normalise, text.split()) if w in ("tears", "smile")), None)

    def same(a, b):
        return same_core({"tears": "sad", "smile": "happy"}.get(a, a), b)

    result = reason_check(
        ["sad", "happy", "sad"], ["sadness", "angry", "sad"], ["tears and sadness", "a smile", "sad sad"], read, same
    )
    assert result == {
        "n": 3,
        "RR": pytest.approx(1 / 3),
        "RW": pytest.approx(1 / 3),
        "WR": pytest.approx(1 / 3),
        "WW": 0,
    }
