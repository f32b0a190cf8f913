"""Answers in our own text format: how they parse, and how often."""

from collections.abc import Sequence
from typing import Any

from cuewise.mllm.report import parse, render

from .base import MetricInputError, Score, mean


def parse_answer(length: float | None, text: str) -> dict[str, Any]:
    """One answer read by the one parser: content, problems, canonical text and whether the format is right.

    `length` is the clip length in seconds or None.
    """
    if not isinstance(text, str):
        raise MetricInputError(f"`pred` must be the answer as a string, got {text!r:.80}")
    if length is not None and (isinstance(length, bool) or not isinstance(length, (int, float))):
        raise MetricInputError(f"`gt` must be the clip length in seconds or null, got {length!r:.80}")
    answer = parse(text, length)
    keys = ("channel", "start", "end", "observation", "supports")
    return {
        "form": answer.form, "labels": answer.labels, "confidence": answer.confidence,
        "cues": [{key: getattr(cue, key) for key in keys} for cue in answer.cues],
        "reasoning": answer.reasoning, "problems": sorted(answer.problems),
        "canonical": None if answer.form == "unparsed" else render(answer),
        "format_ok": answer.format_ok,
    }  # fmt: skip


def parse_rate(texts: Sequence[str], lengths: Sequence[float | None] | None = None) -> Score:
    """Share of answers from which at least one label could be read; `format_ok` is the share without any problem."""
    answers = [parse(text, length) for text, length in zip(texts, lengths or [None] * len(texts))]
    samples = tuple(float(bool(answer.labels)) for answer in answers)
    ok = mean(float(answer.format_ok or answer.direct_ok) for answer in answers)
    return Score("parse_rate", mean(samples), len(samples), "mean over samples", True, samples, {"format_ok": ok})
