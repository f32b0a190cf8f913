"""The simulated user: bounded emotion, three endings, private thoughts, one trajectory per seed."""

import numpy as np
import pytest

from cuewise.train.simulated_user import (
    Dialogue,
    Reaction,
    Scenario,
    benchmark,
    converse,
    last_token_reward,
    next_emotion,
    split_thought,
    state_of,
)

SCENE = Scenario("a nurse", "long shifts", "to be heard", "wants praise", "I had such a day.")


def kind(turns, words):
    return "<think>SECRET: she wants praise</think>That sounds hard, and you did well."


def rude(turns, words):
    return "<think>SECRET</think>So what."


def scripted(scene, turns, reply, emotion, rng):
    """Kind words help, others hurt; a little chance; goodbye when all is well."""
    change = (9.0 if "well" in reply else -25.0) + rng.normal()
    return Reaction(change, f"turn {len(turns) + 1}", goodbye=emotion + change >= 90, reason="because")


def test_the_reward_is_the_last_emotion_and_kind_replies_earn_it():
    good, bad = converse(SCENE, kind, scripted), converse(SCENE, rude, scripted)
    assert 0 <= bad.reward < 0.05 < 0.8 < good.reward <= 1
    assert good.ending in ("goodbye", "turns") and bad.ending == "gave up" and len(bad.turns) == 3
    assert good.emotions[0] == 30.0 and len(good.emotions) == len(good.turns) + 1
    assert bad.emotions == [30.0, 20.0, 10.0, 0.0] and bad.state == "failed"


def test_changes_are_clamped_and_the_emotion_is_capped():
    assert [next_emotion(50, change) for change in (99, -99, 3, float("nan"), float("inf"))] == [60, 40, 53, 50, 50]
    assert next_emotion(96, 8) == 100
    raised = converse(SCENE, kind, lambda *_: Reaction(1e9, "more"), start=40.0)
    assert raised.emotions == [40, 50, 60, 70, 80, 90, 100, 100, 100] and raised.reward == 1.0
    assert raised.ending == "turns" and raised.state == "best"


def test_a_goodbye_ends_it_at_once():
    left = converse(SCENE, kind, lambda *_: Reaction(5, "bye", goodbye=True))
    assert (len(left.turns), left.ending, left.reward) == (1, "goodbye", 0.35)


def test_private_reasoning_never_reaches_the_simulator():
    heard = []

    def analyse(scene, turns, reply, emotion, rng):
        heard.append(repr((turns, reply)))
        return Reaction(1, "go on")

    done = converse(SCENE, kind, analyse)
    assert len(heard) == 8 and not any("SECRET" in text for text in heard)
    assert all("SECRET" in turn.thought and "SECRET" not in turn.reply for turn in done.turns)
    assert split_thought("<THINK>never closed, SECRET") == ("never closed, SECRET", "")
    assert split_thought("<think>a</think>x<think>b</think> y") == ("a b", "x y")


def test_the_policy_never_sees_the_hidden_intention():
    seen = []

    def policy(turns, words):
        seen.append(repr((turns, words)))
        return "hm"

    converse(SCENE, policy, lambda *_: Reaction(0, "so"))
    assert not any(SCENE.hidden_intention in text for text in seen)


def test_the_same_seed_gives_the_same_trajectory():
    assert converse(SCENE, kind, scripted, seed=4) == converse(SCENE, kind, scripted, seed=4)
    assert converse(SCENE, kind, scripted, seed=4).emotions != converse(SCENE, kind, scripted, seed=5).emotions


def test_states_and_the_benchmark():
    names = [state_of(x) for x in (100, 99, 70, 40, 10, 9, -3)]
    assert names == ["best", "good", "good", "even", "low", "failed", "failed"]
    runs = [Dialogue(emotions=[40, last]) for last in (100.0, 60.0, -5.0)]
    assert benchmark(runs) == {"n": 3, "score": pytest.approx(160 / 3), "best": 1, "failed": 1}


def test_the_reward_lies_on_the_last_token():
    np.testing.assert_array_equal(last_token_reward(3, 0.4), [0, 0, 0.4])
    with pytest.raises(ValueError, match="without tokens"):
        last_token_reward(0, 1.0)
    with pytest.raises(ValueError, match=r"start must lie in \(0, 100\], got 0"):
        converse(SCENE, kind, scripted, start=0)
