"""Answer text: golden cases, the round trip, and the promise that parsing never raises."""

import json
import random
from pathlib import Path

import pytest

from cuewise.mllm.report import CHANNELS, Cue, ParsedAnswer, parse, render

CASES = [json.loads(line) for line in (Path(__file__).parents[1] / "data/answer_format.jsonl").open(encoding="utf-8")]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_golden_case(case):
    got, want = parse(case["pred"], case["gt"]), case["expected"]
    assert got.form == want["form"]
    assert got.labels == want["labels"]
    assert got.problems == sorted(want["problems"])
    assert got.reasoning == want["reasoning"]
    assert got.confidence == pytest.approx(want["confidence"], abs=1e-9)
    assert [c.model_dump(exclude={"claim", "check"}) for c in got.cues] == want["cues"]
    assert got.format_ok == want["format_ok"]
    if want["canonical"] is not None:
        assert render(got) == want["canonical"]


def random_answer(rng: random.Random) -> ParsedAnswer:
    words = ["happy", "not amused", "sad", "pitch clearly higher", "a => b", "it's fine", "笑顔", "brows lowered (AU4)"]
    cues = []
    for _ in range(rng.randint(1, 5)):
        start = rng.choice([None, round(rng.uniform(0, 5), 2)])
        end = None if start is None else round(start + rng.uniform(0.1, 3), 2)
        supports = rng.sample(["happy", "sad", "tense", "o'clock"], rng.randint(1, 3))
        cues.append(Cue(channel=rng.choice(CHANNELS), start=start, end=end,
                        observation=rng.choice(words), supports=supports))  # fmt: skip
    explained = rng.random() < 0.7
    return ParsedAnswer(
        form="explained" if explained else "direct",
        labels=rng.sample(["happy", "sad", "very angry", "开心"], rng.randint(1, 3)),
        confidence=rng.choice([None, 0.0, 0.35, 1.0]),
        cues=cues if explained else [],
        reasoning=rng.choice(["", "Voice and face agree.", "The smile comes late; the voice is flat."]) * explained,
    )


def test_parse_of_render_is_the_same_answer():
    rng = random.Random(0)
    for _ in range(500):
        answer = random_answer(rng)
        assert parse(render(answer), 10.0) == answer


def test_parse_never_raises_and_stays_stable_on_mutated_text():
    rng = random.Random(1)
    pieces = ["<think>", "</think>", "<answer>", "</ANSWER>", "< confidence >", "[face 0-", "]", "[", "=>", "\n", "%",
              "-1 to 1e9", "1" * 400, "happy", "，", "\x00", "•", "[voice nan-inf]",
              "[gesture]", "0.5", " ", "\ud800", "😀"]  # fmt: skip
    for _ in range(2000):
        answer = parse("".join(rng.choices(pieces, k=rng.randint(0, 14))), rng.choice([None, 2.5]))
        assert answer.problems == sorted(set(answer.problems))
        if answer.form != "unparsed":
            render(answer)


def test_render_refuses_an_unparsed_answer():
    with pytest.raises(ValueError, match="no canonical text"):
        render(parse("she looks happy"))
