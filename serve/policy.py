"""Flagged emotion words (sexual, substance use, health, hostile intent) are withheld unless the operator shows them.

A withheld label leaves its kind in `withheld`, never the word; in texts it becomes ``[withheld]``.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from cuewise.mllm.report import Emotion, EmotionReport
from cuewise.mllm.taxonomy import flagged_labels, policy_flag

WITHHELD = "[withheld]"
KINDS = ("sexual", "substance", "health", "hostile_intent")


class Redactor:
    """Takes text piece by piece and gives it back without flagged words.

    A tail that may be the beginning of a flagged word is kept until that is decided.
    """

    def __init__(self, show: Sequence[str] = ()):
        self._words, self._pattern = _flagged(tuple(sorted(show)))
        self._longest = max(map(len, self._words), default=0)
        self._held, self._before = "", " "

    def push(self, text: str) -> str:
        """The text that may be shown now."""
        held = self._held + text
        cut = len(held)
        for start in range(max(0, len(held) - self._longest), len(held)):
            before = held[start - 1] if start else self._before
            tail = held[start:].lower()
            if not before.isalnum() and any(word.startswith(tail) for word in self._words):
                cut = start
                break
        return self._show(held, cut)

    def flush(self) -> str:
        """What was held back, at the end of the text."""
        return self._show(self._held, len(self._held))

    def _show(self, held: str, cut: int) -> str:
        shown, self._held = held[:cut], held[cut:]
        # A word must not be taken for flagged because the text was cut in front of it.
        clean = self._pattern.sub(WITHHELD, self._before + shown)[len(self._before) :] if self._pattern else shown
        self._before = shown[-1:] or self._before
        return clean


def redact(text: str, show: Sequence[str] = ()) -> str:
    """`text` without flagged words."""
    redactor = Redactor(show)
    return redactor.push(text) + redactor.flush()


def apply(report: EmotionReport, show: Sequence[str] = ()) -> EmotionReport:
    """The report as clients may see it; unchanged when nothing in it is flagged.

    The report builder has already moved flagged labels of the answer into `withheld`.
    """
    shown = [label for label in report.withheld if policy_flag(label) in show]
    report.emotions += [Emotion(label=label) for label in shown]
    report.withheld = sorted({str(policy_flag(label)) for label in report.withheld if label not in shown})
    report.text, report.reasoning = redact(report.text, show), redact(report.reasoning, show)
    for cue in report.cues:
        cue.observation = redact(cue.observation, show)
        cue.supports = [label for label in cue.supports if policy_flag(label) in (None, *show)]
    return report


@lru_cache(maxsize=8)
def _flagged(show: tuple[str, ...]) -> tuple[tuple[str, ...], re.Pattern[str] | None]:
    unknown = [kind for kind in show if kind not in KINDS]
    if unknown:
        raise ValueError(f"show_flagged: unknown kind {unknown[0]!r}; kinds are {', '.join(KINDS)}")
    words = sorted((word for word, kind in flagged_labels().items() if kind not in show), key=len, reverse=True)
    if not words:
        return (), None
    return tuple(words), re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})(?!\w)", re.IGNORECASE)
