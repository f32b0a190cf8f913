"""Answers as JSON: the schema of our own report form, the grammar of a question, and how such an answer is read.

JSON is only ever written under a grammar, so its shape is certain unless the answer was cut off by its length. A model
that was not trained to write JSON answers in its usual text, which `render_json` turns into the same object.
"""

import json
import math
from collections.abc import Sequence
from typing import Any

from cuewise.mllm.question import Question
from cuewise.mllm.report import (
    CHANNELS,
    MAX_LABEL_CHARS,
    MAX_LABELS,
    Cue,
    EmotionReport,
    ParsedAnswer,
    parse,
    render_cue,
)

MAX_CUES = 12
MAX_SUPPORTS = 4
MAX_OBSERVATION_CHARS = 160
MAX_REASONING_CHARS = 400
JUDGEMENTS = ("Correct", "Incorrect")
"""Answers to a statement."""

CALLER_CHARS, CALLER_ITEMS, CALLER_NUMBER = 80, 4, 9999
"""Limits of texts, lists and numbers in schemas of callers that name none."""

_LITERAL = frozenset({"enum", "const", "default", "examples", "required", "description", "title"})
_NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions"})


def report_schema(explained: bool = True, channels: Sequence[str] = CHANNELS) -> dict[str, Any]:
    """JSON schema of an answer: `emotions` last, after the cues and the reasoning that lead to them."""
    label = {"type": "string", "minLength": 1, "maxLength": MAX_LABEL_CHARS}
    properties: dict[str, Any] = {}
    if explained:
        span = {"anyOf": [{"type": "number", "minimum": 0}, {"type": "null"}]}
        cue = {
            "channel": {"enum": list(channels) or list(CHANNELS)}, "start": span, "end": span,
            "observation": {"type": "string", "minLength": 1, "maxLength": MAX_OBSERVATION_CHARS},
            "supports": {"type": "array", "items": label, "maxItems": MAX_SUPPORTS},
        }  # fmt: skip
        properties["cues"] = {"type": "array", "maxItems": MAX_CUES, "items": _object(cue)}
        properties["reasoning"] = {"type": "string", "maxLength": MAX_REASONING_CHARS}
    properties["emotions"] = {"type": "array", "items": label, "minItems": 1, "maxItems": MAX_LABELS}
    properties["confidence"] = {"type": "number", "minimum": 0, "maximum": 1}
    return _object(properties)


def bounded(schema: Any) -> Any:
    """A caller's schema with an end: texts, lists and numbers without a limit of their own get one.

    A weak model can write digits, characters or items up to its token limit; what is cut off there is no JSON. Limits
    only forbid, so an answer to the bounded schema is one to the caller's as well.
    """
    if isinstance(schema, list):
        return [bounded(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: value if name in _LITERAL else _bounded_names(value) if name in _NAMED else bounded(value)
              for name, value in schema.items()}  # fmt: skip
    if "enum" in closed or "const" in closed:
        return closed
    kinds = closed.get("type")
    for kind in kinds if isinstance(kinds, list) else [kinds]:
        if kind == "string" and not {"pattern", "format"} & closed.keys():
            closed.setdefault("maxLength", max(CALLER_CHARS, _number(closed.get("minLength"))))
        elif kind == "array":
            closed.setdefault("maxItems", max(CALLER_ITEMS, _number(closed.get("minItems"))))
        elif kind in ("integer", "number") and not {"multipleOf", "exclusiveMinimum",
        "exclusiveMaximum"} & closed.keys():
            low, high = closed.get("minimum"), closed.get("maximum")
            closed["minimum"] = low if low is not None else min(-CALLER_NUMBER, (high or 0) - CALLER_NUMBER)
            closed["maximum"] = high if high is not None else max(CALLER_NUMBER, (low or 0) + CALLER_NUMBER)
            if kind == "number":
                closed["multipleOf"] = 0.001
        elif kind == "object" and closed.get("properties"):
            closed.setdefault("additionalProperties", False)
    return closed


def grammar_of(
    question: Question, duration_s: float | None, channels: Sequence[str], knows_tags: bool = True
) -> Any:  # fmt: skip
    """What the engine holds the answer to: a JSON schema, the grammar of the text form, or None.

    Candidates hold the labels of every answer, where the tokenizer knows the tags between which they stand.
    """
    if question.schema is not None:
        return bounded(question.schema)
    if not question.guided and not (question.candidates and knows_tags and question.statement is None):
        return None
    from cuewise.mllm.engine.grammar import report_grammar, words_grammar

    if question.statement is not None:
        return words_grammar(JUDGEMENTS)
    return report_grammar(
        question.form, duration_s, channels, candidates=question.candidates, free=not question.guided
    )


def render_json(report: EmotionReport) -> str:
    """The answer of a report as the object of `report_schema`, within its limits.

    An answer that names no emotion has an empty list and a `confidence` of null.
    """
    found: dict[str, Any] = {}
    if report.form != "direct":
        found["cues"] = [
            {"channel": cue.channel, "start": cue.start, "end": cue.end,
             "observation": cue.observation[:MAX_OBSERVATION_CHARS], "supports": cue.supports[:MAX_SUPPORTS]}
            for cue in report.cues[:MAX_CUES]
        ]  # fmt: skip
        found["reasoning"] = report.reasoning[:MAX_REASONING_CHARS]
    found |= {"emotions": [emotion.label for emotion in report.emotions], "confidence": report.confidence}
    return json.dumps(found, ensure_ascii=False)


def read_answer(text: str, question: Question, length: float | None) -> ParsedAnswer:
    """The answer to `question`; `length` is that of the clip in seconds. Never raises."""
    if question.schema is not None:
        return read_json(text, length)
    answer = parse(text, length)
    if question.statement is not None and text.strip() in JUDGEMENTS:
        answer.problems = []  # a judgement has no tags
    return answer


def read_json(text: str, length: float | None = None) -> ParsedAnswer:
    """A JSON answer. Fields of our schema are taken where they are; an answer of another schema has no labels."""
    try:
        found = json.loads(text)
    except ValueError:
        return ParsedAnswer(form="unparsed", problems=["truncated" if text.strip() else "empty"])
    if not isinstance(found, dict) or not isinstance(found.get("emotions"), list):
        return ParsedAnswer(form="unparsed", problems=["missing_answer"])
    # Through the one text form, so that labels, times and confidence are held to the same rules.
    cues = [cue for cue in (_cue(item) for item in found.get("cues") or [] if isinstance(item, dict)) if cue]
    labels = [str(item) for item in found["emotions"]]
    lines = [f"<answer>{', '.join(_plain(label) for label in labels)}</answer>"]
    if "cues" in found:
        shown = [render_cue(cue) for cue in cues]
        lines = ["<think>", *shown, _plain(str(found.get("reasoning") or "")), "</think>", *lines]
    confidence = found.get("confidence")
    if isinstance(confidence, int | float) and not isinstance(confidence, bool) and math.isfinite(confidence):
        lines.append(f"<confidence>{float(confidence)!r}</confidence>")
    return parse("\n".join(lines), length)


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _bounded_names(value: Any) -> Any:
    return {name: bounded(item) for name, item in value.items()} if isinstance(value, dict) else value


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _cue(item: dict[str, Any]) -> Cue | None:
    observation = _plain(str(item.get("observation") or ""))
    if item.get("channel") not in CHANNELS or not observation.strip():
        return None
    times = [item.get(name) for name in ("start", "end")]
    timed = all(isinstance(t, int | float) and math.isfinite(t) for t in times)
    return Cue(
        channel=item["channel"], start=float(times[0]) if timed else None, end=float(times[1]) if timed else None,
        observation=observation, supports=[_plain(str(label)) for label in item.get("supports") or []],
    )  # fmt: skip


def _plain(text: str) -> str:
    """Text on one line that can neither open a tag nor look like the end of an observation."""
    return " ".join(text.replace("<", "‹").replace(">", "›").split())
