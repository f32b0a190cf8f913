"""Any system, asked again: told what was wrong, never when the first answer passes, all tokens counted."""

import pytest
from endpoint import serving

from cuewise.mllm.clip import Clip
from cuewise.mllm.systems.base import Ask, SystemLoadError, load_system

GOOD = "<answer>happy</answer>"
CLIP = Clip(transcript="we won")


def texts(request: dict) -> str:
    content = request["messages"][-1]["content"]
    return content if isinstance(content, str) else "\n".join(part.get("text", "") for part in content)


def improves(body: dict) -> str:
    """Right as soon as it is told what was wrong."""
    return GOOD if "no <answer> tag was written" in texts(body) else "She seems glad."


def test_feedback_reaches_the_system_and_resampling_does_not_help_this_one():
    with serving(improves) as endpoint:
        spec = f"openai:M@{endpoint.url}"
        told = next(iter(load_system(spec, tries=3).answer([Ask(id="a", clip=CLIP)])))
        asked = [texts(request) for request in endpoint.requests]
        assert told.text == GOOD and told.usage["attempts"] == 2 and told.usage["completion_tokens"] == 6
        assert asked[1].startswith(asked[0]) and "Your last answer:\nShe seems glad." in asked[1]
        blind = next(iter(load_system(spec, tries=3, tone="none").answer([Ask(id="a", clip=CLIP)])))
        assert blind.text == "She seems glad." and blind.usage["attempts"] == 3
        short = load_system(spec, tries=9, tone="none", token_budget=6)
        assert next(iter(short.answer([Ask(id="a", clip=CLIP)]))).usage["attempts"] == 2


def test_an_answer_that_passes_at_once_is_never_asked_again():
    with serving(lambda body: GOOD) as endpoint:
        system = load_system(f"openai:M@{endpoint.url}", tries=5, tone="varied")
        replies = list(system.answer([Ask(id=str(i), clip=CLIP) for i in range(3)]))
        assert len(endpoint.requests) == 3 and [reply.usage["attempts"] for reply in replies] == [1, 1, 1]
        assert system.describe()["tries"] == 5 and system.describe()["tone"] == "varied"


def test_a_failed_request_and_a_free_question_are_not_tried_again():
    with serving(lambda body: (400, "no")) as endpoint:
        reply = next(iter(load_system(f"openai:M@{endpoint.url}", tries=4).answer([Ask(id="a", clip=CLIP)])))
        assert reply.error is not None and len(endpoint.requests) == 1
    with serving(lambda body: "Correct") as endpoint:
        asks = [Ask(id="s", clip=CLIP, statement="She is glad."), Ask(id="q", clip=CLIP, prompt="A or B?")]
        assert len(list(load_system(f"openai:M@{endpoint.url}", tries=4).answer(asks))) == len(endpoint.requests) == 2


def test_a_later_attempt_that_fails_leaves_the_first_answer():
    with serving(lambda body: (400, "no") if "Your last answer" in texts(body) else "She seems glad.") as endpoint:
        reply = next(iter(load_system(f"openai:M@{endpoint.url}", tries=4).answer([Ask(id="a", clip=CLIP)])))
        assert reply.error is None and reply.text == "She seems glad." and len(endpoint.requests) == 2
        assert reply.usage["attempts"] == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [({"tries": 1}, "tries must be >= 2"), ({"tries": 3, "tone": "angry"}, "tone must be one of plain, varied, none"),
     ({"tone": "plain"}, "it needs tries")],
)  # fmt: skip
def test_options_that_make_no_sense_are_named(options, message):
    with serving(lambda body: GOOD) as endpoint:
        with pytest.raises(SystemLoadError, match=message):
            load_system(f"openai:M@{endpoint.url}", **options)
