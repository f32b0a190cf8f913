"""Closed label lists: the eight common labels, and the 40 voice categories with their policy flags."""

from functools import cache

from .wheels import data_lines, normalise

LABELS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
"""The labels every corpus is mapped to and every class head predicts. The order is part of every checkpoint."""


@cache
def voice_categories() -> dict[str, str | None]:
    """The 40 EmoNet-Voice categories in their published order -> policy flag, None where there is none."""
    return {name: flag for name, flag, _ in _rows()}


@cache
def _flags() -> dict[str, str | None]:
    flags: dict[str, str | None] = {}
    for name, flag, aliases in _rows():
        flags |= {normalise(word): flag for word in (name, *aliases)}
    return flags


@cache
def voice_category(label: str) -> str | None:
    """The voice category a label belongs to by name or listed spelling; None when there is none."""
    wanted = normalise(label)
    for name, _, aliases in _rows():
        if wanted == normalise(name) or wanted in aliases:
            return name
    return None


def policy_flag(label: str) -> str | None:
    """Why a label is sensitive: ``sexual``, ``substance``, ``health``, ``hostile_intent``; None when it is not."""
    return _flags().get(normalise(label))


def flagged(label: str) -> bool:
    """True for a label that a served model shows only when a policy allows it.

    >>> flagged("Lust"), flagged("happy")
    (True, False)
    """
    return policy_flag(label) is not None


def flagged_labels() -> dict[str, str]:
    """Every spelling of a flagged label, normalised -> its policy flag."""
    return {label: flag for label, flag in _flags().items() if flag is not None}


@cache
def _rows() -> tuple[tuple[str, str | None, tuple[str, ...]], ...]:
    rows = []
    for line in data_lines("voice40.txt"):
        name, flag, aliases = line.split("|")
        rows.append((name, None if flag == "-" else flag, tuple(a for a in aliases.split(", ") if a)))
    return tuple(rows)
