"""Right for the right reason: the doubly-right table (StimuVAR) with its leak filter."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from cuewise.mllm.taxonomy import normalise, wheel_table

from .base import MetricInputError, check_pair, mean

REASON_CHARS = 300
CELLS = ("RR", "RW", "WR", "WW")


def doubly_right(answer_right: Sequence[bool], reason_right: Sequence[bool]) -> dict[str, Any]:
    """Shares of the four cells; the first letter is the answer, the second the reason.

    `reason_right` says whether a reader who saw only the leak-free reason named the gold emotion.
    """
    check_pair(answer_right, reason_right)
    for name, side in (("gt", answer_right), ("pred", reason_right)):
        if not all(isinstance(value, (bool, int)) and value in (0, 1) for value in side):
            raise MetricInputError(f"`{name}` must hold true or false per sample")
    cells = [("R" if a else "W") + ("R" if r else "W") for a, r in zip(answer_right, reason_right)]
    return {"n": len(cells), **{cell: mean(float(c == cell) for c in cells) for cell in CELLS}}


def reason_check(
    gt: Sequence[str], answers: Sequence[str], reasons: Sequence[str], read: Callable[[str], str | None],
    same: Callable[[str, str], bool],
) -> dict[str, Any]:  # fmt: skip
    """The whole procedure: strip the labels from each reason, let `read` name an emotion from it, fill the table.

    `read` is a text model or rule, `same` the agreement of two labels (for instance `taxonomy.same_core`).
    """
    guesses = [read(without_labels(reason, (g, a))) for g, a, reason in zip(gt, answers, reasons)]
    reason_right = [guess is not None and same(guess, g) for guess, g in zip(guesses, gt)]
    return doubly_right([same(a, g) for a, g in zip(answers, gt)], reason_right)


def without_labels(reason: str, labels: Iterable[str], chars: int = REASON_CHARS) -> str:
    """A reason with the emotion words of `labels` and their inflections removed, cut to the first `chars` characters.

    >>> without_labels("She is sadly silent; her sadness shows.", ["sad"])
    'She is silent; her shows.'
    """
    words = sorted({form for label in labels for form in inflections(label)}, key=len, reverse=True)
    if words:
        pattern = re.compile(r"\b(?:" + "|".join(map(re.escape, words)) + r")\b", re.IGNORECASE)
        reason = pattern.sub("", reason)
    return re.sub(r"\s+(?=[;,.:!?])", "", " ".join(reason.split()))[:chars].strip()


def inflections(label: str) -> set[str]:
    """The label and every spelling that shares a root with it."""
    table = wheel_table("cuewise2026")
    label = normalise(label)
    roots = set(table.roots.get(label, ()))
    return {label} | {form for form, of in table.roots.items() if roots & set(of)} - {""}
