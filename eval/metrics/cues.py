"""Cues of an answer against known ones (synthetic clips) or against what was measured (real clips), in [0, 1].

Matching against known cues is one-to-one and graded: channel, attribute and direction must agree; degree, time and
supported emotion make the credit of a match. Writing a cue twice therefore costs precision, a cue over the whole clip
earns little where the truth is a second of it, and what is true of most clips earns little everywhere: a clip in which
nothing stands out has no cue that would earn more.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cuewise.mllm.evidence.check import is_beyond
from cuewise.mllm.evidence.claims import DEGREES, direction, read_claim
from cuewise.mllm.evidence.words import quoted
from cuewise.mllm.report import Claim, Cue
from cuewise.mllm.taxonomy import same_core

from .base import f_of, ratio

TIME_FLOOR = 0.25
"""Share of a match's credit that is independent of its time."""

DEGREE_STEP = 0.25
"""Credit lost per degree that the claim is off."""

WRONG_SUPPORT = 0.5
"""Factor of a right cue that is said to speak for another emotion; of several, each counts its share."""

SLIGHT_CREDIT = 0.5
"""Credit of a `slightly` that is measured beyond its threshold."""

COMMON_CREDIT = 0.25
"""Credit of a claim that is true of most clips (an even voice, a face toward the camera), known or supported; and of a
`slightly` beside people in general, which can be true of a whole corpus."""

SHORT_CREDIT = 0.0
"""Credit of a `slightly` that is supported short of its threshold: so is its opposite, whatever the clip shows."""

QUOTE_CREDIT = 0.25
"""Credit of a quotation that is said: always to be had from the transcript, whatever it means."""

HALF_WRITTEN = 0.5
"""How much a claim that could not be measured, or a quotation that is said, counts as written."""


@dataclass(frozen=True, slots=True)
class CueScore:
    """Precision over written cues, recall over known (or wanted) ones, and their F."""

    precision: float
    recall: float

    @property
    def f(self) -> float:
        return f_of(self.precision, self.recall)


def claim_key(cue: Cue) -> tuple[str, str, str] | None:
    """(channel, attribute, direction) of what a cue claims, the quote itself for words; None when nothing checkable."""
    claim = _claim(cue)
    if claim is None:
        return None
    if claim.attribute == "quote":
        return cue.channel, "quote", " ".join(cue.observation.lower().split())
    return cue.channel, claim.attribute, claim.direction


def cue_counts(known: Sequence[Cue], written: Sequence[Cue]) -> tuple[int, int, int]:
    """(found, written, known) distinct claims; a cue that claims nothing checkable counts as written, not found."""
    truth = {key for cue in known if (key := claim_key(cue))}
    keys = [claim_key(cue) for cue in written]
    named = {key for key in keys if key}
    return len(truth & named), len(named) + keys.count(None), len(truth)


def known_cue_score(known: Sequence[Cue], written: Sequence[Cue], duration_s: float | None = None) -> CueScore:
    """Graded one-to-one match of written cues with the known ones of the clip.

    No known cue and no written one scores 1; exactly one side empty scores 0. Known cues that claim nothing checkable,
    and written ones in their words, are left out: nothing could match them. Unless a known cue is true of most clips,
    the known cues themselves score 1.
    """
    left_out = {(cue.channel, cue.observation) for cue in known if _claim(cue) is None}
    known, written = checkable(known), [cue for cue in written if (cue.channel, cue.observation) not in left_out]
    if not known or not written:
        return CueScore(1.0, 1.0) if not known and not written else CueScore(0.0, 0.0)
    from scipy.optimize import linear_sum_assignment

    credit = np.array([[match_credit(truth, cue, duration_s) for cue in written] for truth in known])
    total = float(credit[linear_sum_assignment(credit, maximize=True)].sum())
    return CueScore(total / len(written), total / len(known))


def checkable(cues: Sequence[Cue]) -> list[Cue]:
    """The cues whose claim can be read."""
    return [cue for cue in cues if _claim(cue) is not None]


def match_credit(known: Cue, written: Cue, duration_s: float | None = None) -> float:
    """Credit in [0, 1] of one written cue against one known one."""
    truth, claim = _claim(known), _claim(written)
    if truth is None or claim is None or known.channel != written.channel:
        return 0.0
    if (truth.attribute, truth.direction) != (claim.attribute, claim.direction):
        return 0.0
    if truth.attribute == "quote":
        what = _word_overlap(quoted(known.observation) or "", quoted(written.observation) or "")
    elif not direction(known.channel, truth).propose:
        what = COMMON_CREDIT
    else:
        what = 1 - DEGREE_STEP * abs(DEGREES.index(truth.degree) - DEGREES.index(claim.degree))
    when = TIME_FLOOR + (1 - TIME_FLOOR) * span_overlap(_span(known), _span(written), duration_s)
    return what * when * (WRONG_SUPPORT + (1 - WRONG_SUPPORT) * _supported(known, written))


def _supported(known: Cue, written: Cue) -> float:
    """Share of the emotions a cue is said to speak for that it speaks for, so that naming every emotion is no gain."""
    if not written.supports:
        return float(not known.supports)
    return ratio(sum(any(same_core(a, b) for a in known.supports) for b in written.supports), len(written.supports))


def span_overlap(
    a: tuple[float, float] | None, b: tuple[float, float] | None, duration_s: float | None = None
) -> float:
    """Intersection over union of two spans; None is the whole clip, which has no length while that is unknown (0.5).

    >>> span_overlap((1, 2), (1.5, 3)), span_overlap(None, (0, 1), 4.0), span_overlap(None, None)
    (0.25, 0.25, 1.0)
    """
    if a is None and b is None:
        return 1.0
    if duration_s is None and (a is None or b is None):
        return 0.5
    first, second = a or (0.0, duration_s), b or (0.0, duration_s)
    shared = min(first[1], second[1]) - max(first[0], second[0])
    return max(0.0, shared) / (max(first[1], second[1]) - min(first[0], second[0])) if shared > 0 else 0.0


def measured_cue_score(checked: Sequence[Cue], wanted: float = 2.0) -> CueScore:
    """Cues with their checks: distinct supported claims over what is written, and over `wanted` of them.

    A claim counts once however often it is written, quotes together once and little; contradicted claims, cues that
    claim nothing checkable and a `slightly` that is hardly there cost precision in full.
    """
    credit: dict[tuple[str, str, str], float] = {}
    written = 0.0
    for cue in checked:
        verdict = cue.check.verdict if cue.check else None
        said = cue.channel == "words" and verdict == "supported"
        written += HALF_WRITTEN if said or verdict == "not_measurable" else 1.0
        key = claim_key(cue)
        if verdict == "supported" and key is not None:
            key = (*key[:2], "") if key[1] == "quote" else key
            credit[key] = max(credit.get(key, 0.0), _credit(cue))
    total = sum(credit.values())
    return CueScore(ratio(total, written), min(1.0, total / wanted))


def _credit(cue: Cue) -> float:
    """Credit of a supported claim."""
    claim = _claim(cue)
    if claim.attribute == "quote":
        return QUOTE_CREDIT
    meaning = direction(cue.channel, claim)
    if not meaning.propose:
        return COMMON_CREDIT
    if claim.degree != "slightly":
        return 1.0
    if not is_beyond(cue.check, meaning, claim.degree):
        return SHORT_CREDIT
    return COMMON_CREDIT if cue.check.reference_kind == "population" else SLIGHT_CREDIT


def _claim(cue: Cue) -> Claim | None:
    return cue.claim or read_claim(cue.channel, cue.observation)


def _span(cue: Cue) -> tuple[float, float] | None:
    return None if cue.start is None or cue.end is None else (cue.start, cue.end)


def _word_overlap(a: str, b: str) -> float:
    first, second = (set(text.lower().replace("’", "'").split()) for text in (a, b))
    return ratio(len(first & second), len(first | second))
