"""EMER: judged clue and label overlap (1 to 10), and a label overlap that needs no judge.

Our judges reply ``{"score": int}``; a reply outside 1..10 is invalid, not clipped, and counts in `parse_rate`.
The published scorer takes the first number (``first_number=True``), which reads "on a scale of 1 to 10: 7" as 1.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

from cuewise.mllm.taxonomy import normalise, wheel_table

from .base import Score, check_pair, mean
from .classification import set_f1
from .labels import parse_labels

_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def read_judge_score(reply: str, first_number: bool = False) -> float | None:
    """Score of a judge's reply; None when it is not one number from 1 to 10 in the agreed form.

    >>> read_judge_score('{"score": 7}'), read_judge_score('{"score": 11}'), read_judge_score("7")
    (7.0, None, None)
    """
    if not isinstance(reply, str):
        return None
    if first_number:
        found = _NUMBER.search(reply)
        return float(found.group()) if found else None
    try:
        values = json.loads(reply)
    except ValueError:
        return None
    score = values.get("score") if isinstance(values, dict) and set(values) == {"score"} else None
    return float(score) if isinstance(score, int) and not isinstance(score, bool) and 1 <= score <= 10 else None


def judge_overlap(replies: Sequence[str], first_number: bool = False) -> Score:
    """Mean judge score over readable replies, with the share of replies that were readable.

    An unreadable *reply* is the judge's failure, not the system's: it is left out and shown in `parse_rate`.
    """
    samples = tuple(read_judge_score(reply, first_number) for reply in replies)
    scored = [value for value in samples if value is not None]
    rate = len(scored) / len(samples) if samples else float("nan")
    return Score("judge_overlap", mean(scored), len(scored), "mean over samples", True, samples, {"parse_rate": rate})


def label_overlap(gt: Sequence[Any], pred: Sequence[Any]) -> Score:
    """Mean set F1 of emotion words after reduction to their roots; needs no judge and runs anywhere."""
    check_pair(gt, pred)
    rows = [set_f1(roots(g), roots(p)) for g, p in zip(gt, pred)]
    samples = tuple(f1 for _, _, f1 in rows)
    parts = {"precision": mean(p for p, _, _ in rows), "recall": mean(r for _, r, _ in rows)}
    return Score("label_overlap", mean(samples), len(samples), "mean over samples", True, samples, parts)


def roots(value: Any) -> list[str]:
    """Labels of a value reduced to their roots; a word outside the spelling table stands for itself."""
    table = wheel_table("mer2026")
    labels = [normalise(label) for label in parse_labels(value)]
    return sorted({table.value(label, "case1") or label for label in labels})
