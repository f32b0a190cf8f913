"""Guided decoding: whatever a model likes to write, the answer has its form."""

import json
import re

import jsonschema
import pytest
import torch
from tiny import tiny_tokenizer

from cuewise.mllm.engine.base import EngineRequest, SamplingParams, collect
from cuewise.mllm.engine.grammar import (
    Grammars,
    json_grammar,
    number_pattern,
    report_grammar,
    span_pattern,
    words_grammar,
)
from cuewise.mllm.engine.sequential import SequentialEngine
from cuewise.mllm.engine.slot import SlotEngine
from cuewise.mllm.engine.static import StaticEngine
from cuewise.mllm.report import parse

END = 257
SCHEMA = {
    "type": "object", "additionalProperties": False, "required": ["label", "score"],
    "properties": {"label": {"enum": ["happy", "sad"]}, "score": {"type": "integer", "minimum": 0, "maximum": 9}},
}  # fmt: skip


def write(grammars: Grammars, grammar, tokenizer, end: int, seed: int) -> str:
    """What a model of pure noise writes under a grammar."""
    draw, matcher, ids = torch.Generator().manual_seed(seed), grammars.matcher(grammar), []
    while len(ids) < 3000:
        token = int(matcher.constrain(torch.randn(grammars._vocabulary, generator=draw) * 3).argmax())
        if token == end:
            break
        ids.append(token)
        if matcher.accept(token):
            break
    return tokenizer.decode(ids)


@pytest.fixture(scope="module")
def ours():
    tokenizer = tiny_tokenizer()
    end = tokenizer.eos_token_id
    return tokenizer, Grammars(tokenizer, len(tokenizer), [end]), end


@pytest.mark.parametrize("length", [0.4, 3.07, 12.5, 119.99])
def test_an_explained_answer_of_pure_noise_has_no_problem(ours, length):
    tokenizer, grammars, end = ours
    channels = ["face", "voice"]
    for seed in range(6):
        text = "<think>" + write(grammars, report_grammar("explained", length, channels), tokenizer, end, seed)
        answer = parse(text, length)
        assert answer.problems == [] and answer.format_ok, text
        assert {cue.channel for cue in answer.cues} <= set(channels)


def test_a_direct_answer_of_pure_noise_has_no_problem(ours):
    tokenizer, grammars, end = ours
    for seed in range(10):
        text = "<answer>" + write(grammars, report_grammar("direct", None, []), tokenizer, end, seed)
        assert parse(text).direct_ok, text
        text = write(grammars, report_grammar("direct", None, [], opened=False), tokenizer, end, seed)
        assert parse(text).direct_ok, text


@pytest.mark.parametrize("free", [True, False])
@pytest.mark.parametrize("form", ["explained", "direct"])
def test_an_answer_of_pure_noise_names_candidates_alone(ours, form, free):
    tokenizer, grammars, end = ours
    candidates, opening = ["at ease", 'so-called "fine"', "überrascht"], {"explained": "<think>", "direct": "<answer>"}
    grammar, named = report_grammar(form, 2.0, ["face"], candidates=candidates, free=free), set()
    for seed in range(8):
        text = opening[form] + write(grammars, grammar, tokenizer, end, seed)
        if "</answer>" in text:
            answer = parse(text)
            assert answer.labels and set(answer.labels) <= {candidate.strip('"') for candidate in candidates}, text
            named |= set(answer.labels)
    assert named


def test_a_judgement_of_pure_noise_is_one_of_its_words(ours):
    tokenizer, grammars, end = ours
    found = {write(grammars, words_grammar(["Correct", "Incorrect"]), tokenizer, end, seed) for seed in range(20)}
    assert found <= {"Correct", "Incorrect"}


def test_a_clip_of_unknown_length_gets_cues_without_times(ours):
    tokenizer, grammars, end = ours
    for seed in range(5):
        text = "<think>" + write(grammars, report_grammar("explained", None, ["words"]), tokenizer, end, seed)
        answer = parse(text)
        assert answer.format_ok and all(cue.start is None for cue in answer.cues)


def test_a_tokenizer_without_our_tags_is_refused_with_the_reason(tokenizer):
    with pytest.raises(ValueError, match="cannot be used"):
        Grammars(tokenizer, 260, [END]).matcher(report_grammar("direct", None, []))


@pytest.mark.parametrize(("low", "high"), [(0, 0), (0, 5), (7, 112), (95, 1003), (100, 12_000), (311, 313)])
def test_number_patterns_match_exactly_their_numbers(low, high):
    pattern = re.compile(number_pattern(low, high))
    matched = {value for value in range(13_000) if pattern.fullmatch(f"{value / 100:.2f}")}
    assert matched == set(range(low, high + 1))


def test_span_patterns_take_every_span_of_a_tenth_and_no_impossible_one():
    pattern, last = re.compile(span_pattern(212)), 212
    for start in range(0, 260, 3):
        for end in range(0, 260, 3):
            takes = bool(pattern.fullmatch(f"{start / 100:.2f}-{end / 100:.2f}"))
            assert takes <= (start < end <= last)
            assert takes or not (start + 10 <= end <= last)
    assert span_pattern(0) == ""


@pytest.fixture(params=[SequentialEngine, SlotEngine, StaticEngine])
def engine(request, decoder, tokenizer):
    engine = request.param(decoder, tokenizer, [END], 512)
    yield engine
    engine.close()


@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_every_engine_holds_answers_to_a_schema_and_neighbours_stay_free(engine, temperature):
    sampling = SamplingParams(temperature=temperature, max_tokens=60, seed=4)
    asks = [EngineRequest(id=f"j{i}", segments=[[i, 2, 3]], sampling=sampling, grammar=SCHEMA) for i in range(4)]
    free = EngineRequest(id="free", segments=[[1, 2, 3]], sampling=sampling)
    alone = collect(engine.generate([free]))["free", 0].token_ids
    answers = collect(engine.generate([*asks, free]))
    for ask in asks:
        answer = answers[ask.id, 0]
        jsonschema.validate(json.loads(answer.text), SCHEMA)
        assert answer.finish_reason == "stop" and " " not in answer.text
    assert answers["free", 0].token_ids == alone


def test_an_answer_cut_by_its_length_says_so(engine):
    ask = EngineRequest(id="cut", segments=[[1]], sampling=SamplingParams(max_tokens=5), grammar=json.dumps(SCHEMA))
    assert collect(engine.generate([ask]))["cut", 0].finish_reason == "length"


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "object", "not": {"type": "null"}}, '"not"'), ({"type": "string", "format": "nope"}, "nope"),
        ('{"type": ', "no usable JSON schema"), ("[1]", "a JSON schema is an object, got list"),
        ({"type": "strin"}, "strin"), ({"$ref": "http://example.org/schema"}, "example.org"),
    ],
)  # fmt: skip
def test_a_schema_that_is_not_supported_is_refused_by_name(engine, schema, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        engine.submit(EngineRequest(id="bad", segments=[[1]], grammar=schema))
    assert engine.stats().waiting == 0


def test_unknown_forms_and_channels_are_named():
    with pytest.raises(ValueError, match="unknown answer form 'short'"):
        report_grammar("short", 1.0, ["face"])
    with pytest.raises(ValueError, match="unknown channel 'smell'"):
        report_grammar("direct", 1.0, ["smell"])
    with pytest.raises(ValueError, match="needs a channel"):
        report_grammar("explained", 1.0, [])
    with pytest.raises(ValueError, match="grammar: no usable JSON schema"):
        json_grammar("nonsense")
