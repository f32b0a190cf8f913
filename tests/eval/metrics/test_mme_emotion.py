"""Rec, Rea, CoT from judged steps."""

import pytest

from cuewise.eval.metrics.base import MetricInputError
from cuewise.eval.metrics.mme_emotion import graded_sentiment, label_steps, mme_emotion, parse_steps

REPLY = "Fine. <score>Step 1: 1/1, Step 2: 1/1, Step 3: 0/1, Step 4: 1/1</score>"


def test_reference_vector():
    result = mme_emotion(["ER-Lab"], [REPLY])
    assert (result["rec"], result["rea"]) == (1, pytest.approx(2 / 3))
    assert result["cot"] == pytest.approx(0.8333, abs=5e-5) and result["avg_steps"] == 4


def test_a_bare_label_has_no_reasoning_score():
    result = mme_emotion(["SA"], ["<score>Step 1: 1/1</score>"])
    assert (result["rec"], result["rea"], result["cot"]) == (1, 0, 0.5)


def test_overall_is_pooled_not_the_mean_of_tasks():
    result = mme_emotion(["a", "a", "a", "b"], [[1.0], [1.0], [1.0], [0.0]])
    assert result["rec"] == 0.75
    assert {name: task["rec"] for name, task in result["tasks"].items()} == {"a": 1, "b": 0}


def test_unreadable_replies_count_as_wrong_unless_dropped():
    replies = [REPLY, "no score", None]
    assert mme_emotion(["a"] * 3, replies)["rec"] == pytest.approx(1 / 3)
    dropped = mme_emotion(["a"] * 3, replies, drop_unparsed=True)
    assert dropped["rec"] == 1 and dropped["n"] == 1 and dropped["parse_rate"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    "reply",
    ["", "Step 1: 1/1", "<score>Step 2: 1/1</score>", "<score>Step 1: 2/1</score>", "<score>Step 1: 0/0</score>",
     "<score>Step 1: 1/1, Step 3: 1/1</score>"],
)  # fmt: skip
def test_malformed_replies_are_not_guessed_at(reply):
    assert parse_steps(reply) is None


def test_multi_label_step_names_what_recall_hides():
    assert label_steps(["sad", "angry"], ["sad", "angry", "happy", "fear"]) == {
        "rec_recall": 1, "precision": 0.5, "f1": pytest.approx(2 / 3),
    }  # fmt: skip
    assert parse_steps("<score>Step 1: 1/2</score>").rec == 0.5


def test_graded_sentiment_has_one_rule():
    assert graded_sentiment("strong positive", "Positive") == {"exact": 0, "polarity": 1}
    assert graded_sentiment("weak-negative", "weak negative") == {"exact": 1, "polarity": 1}


def test_lengths_and_types_are_checked():
    with pytest.raises(MetricInputError, match="1 samples but"):
        mme_emotion(["a"], [])
    with pytest.raises(MetricInputError, match="judge reply"):
        mme_emotion(["a"], [3])
