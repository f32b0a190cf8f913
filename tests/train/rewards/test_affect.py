"""Valence and arousal of the written words against the row's."""

import math

import pytest

from cuewise.data_recipes.schema import Row
from cuewise.eval.metrics.regression import ccc
from cuewise.mllm.taxonomy import valence_arousal
from cuewise.train.rewards import RewardSample, reward
from cuewise.train.rewards.affect import FARTHEST, answer_place, concordance_reward, distance_reward


def sample(labels: str, place=None, name: str = "r") -> RewardSample:
    valence, arousal = place or (None, None)
    row = Row(id=name, corpus="c", labels=["happy"], valence=valence, arousal=arousal)
    return RewardSample.read("?", f"<answer>{labels}</answer>", row)


def test_distance_is_zero_at_the_place_and_largest_for_words_without_one():
    place = valence_arousal("happy")
    near, far, unknown, unplaced = distance_reward(
        [sample("happy", place), sample("sad", place), sample("teapot", place), sample("happy")]
    )
    assert near == 0.0 and far == pytest.approx(math.dist(place, valence_arousal("sad"))) and unplaced is None
    assert unknown == FARTHEST
    known = reward("valence_arousal")
    assert [known.to_unit(value) for value in (near, FARTHEST)] == [1.0, 0.0]
    assert known.to_unit(far) < known.to_unit(near)


def test_an_answer_of_several_words_lies_between_them():
    happy, sad = valence_arousal("happy"), valence_arousal("sad")
    assert answer_place(sample("happy, sad")) == pytest.approx(tuple((a + b) / 2 for a, b in zip(happy, sad)))


def test_concordance_is_that_of_the_metric_over_rows_and_shared_by_each_set():
    places = {"a": valence_arousal("happy"), "b": valence_arousal("sad"), "c": valence_arousal("angry")}
    right = [sample(word, places[name], name) for name, word in (("a", "happy"), ("b", "sad"), ("c", "angry"))]
    wrong = [sample(word, places[name], name) for name, word in (("a", "sad"), ("b", "happy"), ("c", "happy"))]
    found = concordance_reward(right + wrong, axis="valence")
    assert found[:3] == [pytest.approx(1.0)] * 3
    expected = ccc([places[n][0] for n in "abc"], [answer_place(s)[0] for s in wrong]).value
    assert found[3:] == [pytest.approx(expected)] * 3 and expected < 0


def test_one_row_alone_has_no_concordance():
    assert concordance_reward([sample("happy", (0.5, 0.5)), sample("sad", (0.5, 0.5))]) == [None, None]


def test_words_without_a_place_are_as_far_off_as_can_be():
    rows = {"a": (0.8, 0.5), "b": (-0.7, -0.3), "c": (0.0, 0.0)}

    def found(third):
        return concordance_reward([sample(word, rows[name], name) for word, name in
                                   zip(("happy", "sad", third), rows)])[0]  # fmt: skip

    assert found("teapot") == found("") < min(found(word) for word in ("neutral", "calm", "surprised"))
    garbage = concordance_reward([sample("teapot", place, name) for name, place in rows.items()])[0]
    assert garbage < -0.5
