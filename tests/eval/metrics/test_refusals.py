"""Refusals are told from answers that only sound like them."""

import pytest

from cuewise.eval.measures.base import Record
from cuewise.eval.measures.evidence import refusal
from cuewise.eval.metrics.refusals import is_refusal, refusals
from cuewise.eval.reading import read_answer

DECLINED = [
    "I'm sorry, but I can't assist with that.", "I cannot determine how this person feels.",
    "As an AI, I do not judge feelings.", "I won't analyze this clip.", "I’m afraid I am unable to comment on that.",
    "This would be against my guidelines.", "I am not able to identify emotions of people.",
]  # fmt: skip
ANSWERED = [
    "<answer>sad</answer>", "She says she can't go on; her voice breaks.", "He is sorry for what he did.",
    "I cannot believe it, he shouts: anger.", "The person feels helpless and unable to act.", "sad, afraid",
]  # fmt: skip


@pytest.mark.parametrize("text", DECLINED)
def test_declining_is_seen(text):
    assert is_refusal(text)


@pytest.mark.parametrize("text", ANSWERED)
def test_harmless_answers_are_no_refusals(text):
    assert not is_refusal(text)


def test_the_rate_counts_refusals_without_an_answer():
    assert refusals([None] * 4, [DECLINED[0], *ANSWERED[:3]]).value == 0.25
    texts = [DECLINED[0], *ANSWERED[:3], f"{DECLINED[2]} <answer>sad</answer>"]
    records = [Record(str(i), ["sad"], read_answer(text)) for i, text in enumerate(texts)]
    assert refusal(records, None)[0].value == 0.2
