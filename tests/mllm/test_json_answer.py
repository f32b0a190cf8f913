"""JSON answers: what is read from them, and schemas that end."""

import json

import pytest

from cuewise.mllm.json_answer import bounded, read_json, report_schema

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
