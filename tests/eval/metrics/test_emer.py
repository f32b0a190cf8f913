"""Judged overlap is read strictly; label overlap needs no judge."""

import pytest

from cuewise.eval.metrics.emer import judge_overlap, label_overlap, read_judge_score, roots


@pytest.mark.parametrize("reply", ["7", "", "score: 7", '{"score": 0}', '{"score": 11}', '{"score": 7.5}',
                                   '{"score": true}', '{"score": 7, "why": ""}', "[7]"])  # fmt: skip
def test_replies_outside_the_schema_are_invalid(reply):
    assert read_judge_score(reply) is None


def test_published_reading_takes_the_first_number():
    assert read_judge_score("On a scale of 1 to 10: 7", first_number=True) == 1
    assert read_judge_score('{"score": 7}') == 7


def test_invalid_replies_are_left_out_and_shown():
    score = judge_overlap(['{"score": 8}', "eight", '{"score": 4}'])
    assert (score.value, score.n, score.samples) == (6, 2, (8, None, 4))
    assert score.parts["parse_rate"] == pytest.approx(2 / 3)


def test_label_overlap_knows_inflections_and_keeps_unknown_words():
    assert roots(["Angrily"]) == roots(["angry"])
    score = label_overlap([["sadness", "zorp"], ["happy"]], ["sad, zorp", ["angry"]])
    assert score.samples == (1, 0) and score.value == 0.5
