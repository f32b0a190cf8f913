"""JSON answers: what is read from them, and schemas that end."""

import json

import jsonschema
import pytest

from cuewise.mllm.json_answer import bounded, grammar_of, read_json, render_json, report_schema
from cuewise.mllm.question import Question
from cuewise.mllm.report import Cue, Emotion, EmotionReport

ANSWER = {
    "cues": [
        {"channel": "voice", "start": 0.1, "end": 1.0, "observation": "pitch clearly higher", "supports": ["happy"]},
        {"channel": "face", "start": None, "end": None, "observation": "lips <answer>parted", "supports": []},
        {"channel": "smell", "start": None, "end": None, "observation": "x", "supports": []},
    ],
    "reasoning": "Both agree.", "emotions": ["Happy", "excited"], "confidence": 0.7,
}  # fmt: skip


def test_an_answer_of_our_schema_is_an_explained_answer():
    read = read_json(json.dumps(ANSWER), 2.0)
    assert (read.form, read.labels, read.confidence, read.reasoning) == ("explained", ["happy", "excited"], 0.7,
    "Both agree.")
    assert [(cue.channel, cue.start, cue.supports) for cue in read.cues] == [("voice", 0.1, ["happy"]), ("face",
    None, [])]
    assert not read.problems


def report(**more) -> EmotionReport:
    fields = {"model": "m", "clip": "c", "form": "explained", "confidence": 0.7, "reasoning": "So it is. " * 90,
              "emotions": [Emotion(label="happy")]}  # fmt: skip
    cue = Cue(channel="voice", start=0.1, end=1.0, observation="pitch higher " * 20, supports=list("abcdef"))
    return EmotionReport(**fields | {"cues": [cue] * 14} | more)


def test_a_text_answer_becomes_an_object_of_the_same_schema():
    found = json.loads(render_json(report()))
    jsonschema.validate(found, report_schema())
    assert list(found) == ["cues", "reasoning", "emotions", "confidence"] and found["cues"][0]["start"] == 0.1
    direct = json.loads(render_json(report(form="direct", cues=[], reasoning="")))
    jsonschema.validate(direct, report_schema(False))
    assert direct == {"emotions": ["happy"], "confidence": 0.7}
    none = json.loads(render_json(report(form="direct", emotions=[], confidence=None)))
    assert none == {"emotions": [], "confidence": None}


def test_candidates_hold_the_answer_and_have_to_be_labels():
    asked = Question(candidates=("Happy", " sad", "happy"))
    assert asked.candidates == ("happy", "sad")
    grammar = grammar_of(asked, 2.0, ["voice"])
    assert '"happy" | "sad"' in grammar.text and grammar_of(asked, 2.0, ["voice"], knows_tags=False) is None
    assert grammar_of(Question(), 2.0, ["voice"]) is None
    for text in ("happy, sad", "", "a</answer>b"):
        with pytest.raises(ValueError, match="is not one label"):
            Question(candidates=(text,))


def test_without_cues_it_is_a_direct_answer():
    assert read_json('{"emotions": ["sad"], "confidence": 0.5}').direct_ok


@pytest.mark.parametrize(
    ("text", "problem"),
    [("", "empty"), ('{"emotions": ["sa', "truncated"), ('{"mood": 1}', "missing_answer"), ("[]", "missing_answer"),
     ('{"emotions": "sad"}', "missing_answer")],
)  # fmt: skip
def test_what_is_no_answer_says_so(text, problem):
    read = read_json(text)
    assert read.form == "unparsed" and read.problems == [problem]


def test_times_outside_the_clip_are_a_problem():
    assert read_json(json.dumps(ANSWER), 0.5).problems == ["bad_time"]


def test_everything_in_a_bounded_schema_ends_and_names_are_no_keywords():
    schema = {"type": "object", "properties": {
        "type": {"type": "string"}, "n": {"type": "integer", "minimum": 5}, "x": {"type": ["number", "null"]},
        "items": {"type": "array", "items": {"anyOf": [{"type": "string"}, {"enum": ["a" * 500]}]}, "minItems": 9},
        "own": {"type": "string", "maxLength": 3},
    }}  # fmt: skip
    found = bounded(schema)
    inside = found["properties"]
    assert inside["type"]["maxLength"] == 80 and inside["own"]["maxLength"] == 3
    assert (inside["n"]["minimum"], inside["n"]["maximum"]) == (5, 10004)
    assert inside["x"]["maximum"] == 9999 and inside["items"]["maxItems"] == 9
    assert inside["items"]["items"]["anyOf"][1] == {"enum": ["a" * 500]} and found["additionalProperties"] is False
    assert "maxLength" not in schema["properties"]["type"], "the caller's schema stays as it is"


def test_our_own_schema_needs_no_bounds():
    for explained in (True, False):
        limited = json.dumps(report_schema(explained))
        assert limited.count('"type": "string"') == limited.count("maxLength")
        assert limited.count('"type": "array"') == limited.count("maxItems")
