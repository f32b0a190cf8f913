"""Rewards of judging: the scoring rule by its vectors, statements, critiques and follow-ups."""

import numpy as np
import pytest

from cuewise.data_recipes.schema import Row, Statement
from cuewise.train.rewards import RewardConfig, RewardSample, reward, score
from cuewise.train.rewards.base import Entry
from cuewise.train.rewards.judgment import (
    confidence_reward,
    critique_reward,
    follow_up_reward,
    statement_reward,
)


def sample(text: str, **row) -> RewardSample:
    return RewardSample.read("What?", text, Row(id="r", corpus="c", **({"labels": ["happy"]} | row)))


def stated(label: str, confidence: float | None) -> RewardSample:
    tail = "" if confidence is None else f"<confidence>{confidence}</confidence>"
    return sample(f"<answer>{label}</answer>{tail}")


@pytest.mark.parametrize(
    ("label", "confidence", "raw"),
    [("happy", 0.9, 1.7893), ("happy", 0.5, 0.6137), ("happy", 0.1, -2.6052), ("sad", 0.9, -3.6052),
     ("sad", 0.5, -0.3863), ("sad", 0.1, 0.7893), ("happy", None, -5.0)],
)  # fmt: skip
def test_confidence_scores_as_emocaliber_says(label, confidence, raw):
    assert confidence_reward([stated(label, confidence)])[0] == pytest.approx(raw, abs=1e-4)


def test_a_sure_miss_is_bounded_and_still_better_than_no_confidence():
    miss, silent = confidence_reward([stated("sad", 1.0), stated("sad", None)])
    assert -5.0 == silent < miss == pytest.approx(1 + 2 * np.log(0.05))


@pytest.mark.parametrize("skill", [0.3, 0.55, 0.8])
def test_the_best_confidence_after_the_map_is_the_true_chance_of_being_right(skill):
    rng = np.random.default_rng(0)
    right = rng.random(4000) < skill
    grid = [round(c, 2) for c in np.arange(0.05, 1.0, 0.05)]
    unit = reward("confidence").to_unit
    values = {c: confidence_reward([stated("happy", c), stated("sad", c)]) for c in grid}
    means = {c: np.where(right, unit(hit), unit(miss)).mean() for c, (hit, miss) in values.items()}
    assert max(means, key=means.get) == pytest.approx(right.mean(), abs=0.026)


def test_by_the_wheel_the_first_label_counts_and_a_list_hides_no_miss():
    def raw(labels):
        return confidence_reward([stated(labels, 0.95)], hit="ew")[0]

    assert raw("happy") == raw("joyful") == raw("happy, sad") > 1.5
    assert raw("sad") == raw("sad, angry, happy") == raw("sad, happy") < -4


def test_statements_are_right_or_wrong_and_silence_is_wrong():
    true = Statement(text="The person is happy.", correct=True)
    texts = ["<answer>Correct</answer>", "Incorrect.", "It is not correct", "maybe"]
    assert statement_reward([sample(text, statement=true) for text in texts]) == [1.0, 0.0, 0.0, 0.0]
    assert statement_reward([sample("Correct")]) == [None]


def test_a_critique_reward_is_the_mean_over_critiques():
    def critic(samples):
        return [[1.0, 3.0] if "happy" in s.text else [-2.0] for s in samples]

    assert critique_reward([sample("happy"), sample("sad")], critic=critic) == [2.0, -2.0]
    table = score([sample("happy"), sample("sad")], RewardConfig(rewards={"critique": Entry()}),
                  resources={"critic": critic})  # fmt: skip
    assert table.total[0] > 0.8 and table.total[1] < 0.2


def test_follow_ups_compare_approval_with_disapproval():
    def follow_up(pairs):
        return [-1.0 if ("good" in context) == ("Yes" in turn) else -3.0 for context, turn in pairs]

    found = follow_up_reward([sample("good"), sample("bad")], follow_up=follow_up, positive=["Yes."], negative=["No."])
    assert found == [2.0, -2.0]
