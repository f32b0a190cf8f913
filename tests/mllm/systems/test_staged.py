"""Long texts in stages: the planted passage reaches the answer, every stage is logged, short texts are left alone."""

import logging

import pytest
from endpoint import serving
from long_texts import EVIDENCE, long_text

from cuewise.mllm.clip import Clip
from cuewise.mllm.systems.base import Ask, SystemLoadError, load_system

QUESTION = "How does Mira feel about the letter?"


def text_of(request: dict) -> str:
    content = request["messages"][-1]["content"]
    return content if isinstance(content, str) else "\n".join(part.get("text", "") for part in content)


def reader(body: dict) -> str:
    """Notes say what a passage shows; the answer is right only where the evidence is before it."""
    text = text_of(body)
    if "Answer in one sentence" in text:
        return "It shows grief: wept." if "wept" in text else "It shows nothing."
    return "<answer>sad</answer>" if EVIDENCE in text else "<answer>neutral</answer>"


def test_the_passage_is_found_noted_and_shown_and_the_stages_are_logged(caplog):
    with serving(reader) as endpoint:
        system = load_system(f"openai:M@{endpoint.url}", staged={"first": 4, "kept": 1})
        ask = Ask(id="long", clip=Clip(transcript=long_text()), prompt=QUESTION)
        with caplog.at_level(logging.INFO, logger="cuewise.mllm.systems.staged"):
            reply = next(iter(system.answer([ask])))
        last = text_of(endpoint.requests[-1])
    assert reply.text == "<answer>sad</answer>" and len(endpoint.requests) == 5
    assert EVIDENCE in last and "[It shows grief: wept.]" in last and len(last) < 1000 < len(long_text())
    stages = ["cut", "rank", "enrich", "rerank", "answer"]
    assert list(reply.timing_ms)[-5:] == stages
    assert [record.getMessage().split()[1] for record in caplog.records] == stages
    assert system.describe()["staged"] == [60, 4, 1, True]


def test_without_notes_the_system_is_asked_once_and_the_context_is_searched_too():
    with serving(reader) as endpoint:
        system = load_system(f"openai:M@{endpoint.url}", staged={"enrich": False})
        ask = Ask(id="c", clip=Clip(transcript="What about Mira's letter?", context=long_text()))
        assert next(iter(system.answer([ask]))).text == "<answer>sad</answer>" and len(endpoint.requests) == 1


def test_a_short_text_is_asked_about_as_it_is():
    with serving(reader) as endpoint:
        ask = Ask(id="s", clip=Clip(transcript=EVIDENCE))
        plain = next(iter(load_system(f"openai:M@{endpoint.url}").answer([ask])))
        staged = next(iter(load_system(f"openai:M@{endpoint.url}", staged=True).answer([ask])))
        assert staged.prompt == plain.prompt and staged.timing_ms == plain.timing_ms


def test_impossible_stages_are_named():
    with serving(reader) as endpoint:
        with pytest.raises(SystemLoadError, match="1 <= kept <= first"):
            load_system(f"openai:M@{endpoint.url}", staged={"kept": 9})
        with pytest.raises(SystemLoadError, match=r"unknown option `staged\.keep`; did you mean `staged\.kept`"):
            load_system(f"openai:M@{endpoint.url}", staged={"keep": 1})
