"""Rewards of form and labels: the evaluator's own numbers, and the hacks their penalties stop."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cuewise.data_recipes.schema import Row
from cuewise.data_recipes.synthetic.config import SynthConfig
from cuewise.data_recipes.synthetic.conflict import final, reasoning
from cuewise.data_recipes.synthetic.plan import plan_clip, stream
from cuewise.eval.metrics.ew import ew_score
from cuewise.mllm.report import ParsedAnswer
from cuewise.mllm.taxonomy import LABELS
from cuewise.train.rewards import RewardSample
from cuewise.train.rewards.answers import (
    align_reward,
    dual_reward,
    ew_reward,
    exact_reward,
    format_reward,
    length_factor,
    think_labels,
    wheel_jaccard,
)

GOOD = "<think>\n[face] lip corners clearly up (AU12) => happy\nSo happy.\n</think>\n<answer>happy</answer>"


def sample(text: str, labels=("happy",), **known) -> RewardSample:
    return RewardSample.read("?", text, Row(id="r", corpus="c", labels=list(labels)), **known)


def answer(*labels: str) -> str:
    return f"<answer>{', '.join(labels)}</answer>"


@pytest.mark.parametrize(
    ("text", "ok"),
    [
        (GOOD, 1.0),
        (answer("happy"), 1.0),
        ("<think></think><answer>happy</answer>", 0.0),
        ("<think>happy</think><answer>happy</answer>", 0.0),
        (GOOD.replace("</think>", "<answer>x</think>"), 0.0),
        (GOOD + "<answer>sad</answer>", 0.0),
        ("<answer>happy</answer><think>[face] lips parted</think>", 0.0),
        (GOOD.replace(">happy<", "><"), 0.0),
        ("happy", 0.0),
    ],
)
def test_format_rejects_nested_repeated_reversed_and_empty_tags(text, ok):
    assert format_reward([sample(text)]) == [ok]


def test_format_is_that_which_was_asked_for_and_not_truncated():
    assert format_reward([sample(GOOD, form="explained"), sample(GOOD, form="direct")]) == [1.0, 0.0]
    assert format_reward([sample(answer("sad"), form="direct"), sample(GOOD, truncated=True)]) == [1.0, 0.0]


def test_exact_takes_the_first_label_in_any_spelling():
    texts = [answer("happiness"), answer("happy", "joyful"), answer("joyful", "happy"), "nothing"]
    assert exact_reward([sample(text) for text in texts]) == [1.0, 1.0, 0.0, 0.0]
    assert exact_reward([sample(text) for text in texts], single=True) == [1.0, 0.0, 0.0, 0.0]


def test_set_score_is_the_evaluators_on_the_same_strings():
    gold = [["happy", "joyful"], ["sad"], ["angry", "worried"], ["neutral"], ["teapot"]]
    said = [["joyful"], ["gloomy", "angry"], ["furious", "fear", "sad"], ["calm"], ["happy"]]
    samples = [sample(answer(*pred), gt) for gt, pred in zip(gold, said)]
    assert ew_reward(samples, penalty="none") == list(ew_score(gold, said, "cuewise2026").samples)
    assert ew_reward(samples)[-1] is None
    assert ew_reward(samples, penalty="P1")[1] == pytest.approx(ew_reward(samples, penalty="none")[1] / 2)


def test_length_factors_by_hand():
    assert [round(length_factor(2, 4, p), 3) for p in ("P1", "P2", "P3")] == [0.333, 0.5, 0.5]
    assert [length_factor(3, n, "P3") for n in (0, 1, 3)] == [1.0, 1.0, 1.0]
    assert 0 < length_factor(1, 16, "P3") < length_factor(1, 2, "P3") < 1


GOLD = st.lists(st.sampled_from(LABELS), min_size=1, max_size=3, unique=True)
OTHER = st.lists(st.sampled_from(("bored", "disgust", "lonely", "jealous", "tired", "zzz", "afraid")), unique=True)


@settings(deadline=None, max_examples=60)
@given(gold=GOLD, extra=OTHER, penalty=st.sampled_from(("P1", "P2", "P3")))
def test_an_unrelated_label_beyond_the_reference_never_raises_the_reward(gold, extra, penalty):
    said, before = list(gold), None
    for word in extra:
        if wheel_jaccard([word], gold) > 0:
            continue
        value = ew_reward([sample(answer(*said), gold)], penalty=penalty)[0]
        assert before is None or value <= before + 1e-12
        before, said = value, [*said, word]


def test_listing_every_emotion_pays_less_than_one_right_label():
    everything = answer(*LABELS, "bored", "proud", "jealous", "ashamed")
    for penalty in ("P1", "P2", "P3"):
        spam, honest = ew_reward([sample(everything), sample(answer("happy"))], penalty=penalty)
        assert spam < 0.2 < honest == 1.0


def test_agreement_and_dual_read_what_the_reasoning_concludes():
    said_sad = GOOD.replace("So happy.", "The face says happy but the voice says sad; so sad.")
    no_words = GOOD.replace("So happy.", "")
    samples = [sample(GOOD), sample(said_sad), sample(no_words), sample(answer("happy"))]
    assert align_reward(samples) == [1.0, 0.0, 1.0, 0.0]
    assert dual_reward(samples) == [1.0, 0.0, 1.0, 0.0]


def test_the_conclusion_of_every_kind_of_synthetic_reasoning_is_read():
    for seed in range(200):
        plan = plan_clip(seed, SynthConfig())
        winner = final(plan.carried)
        text = reasoning(stream(seed, "row"), plan.carried, winner)
        found = think_labels(ParsedAnswer(form="explained", reasoning=text))
        assert found in ([winner.label], []), text
