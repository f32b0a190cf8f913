"""Rewards of form and labels: format, exact label, emotion-wheel set score, agreement of think and answer, dual.

The set score is the one of `cuewise.eval.metrics.ew` in the repaired profile, per sample, averaged over the wheels that
can score the reference (AffectGPT-R1). T are the labels that the reasoning concludes, Y those of the answer, G those of
the row.
"""

import math
import re
from collections.abc import Sequence
from functools import cache
from typing import Literal

from cuewise.data_recipes.corpora.labels import SAME_STATE
from cuewise.eval.metrics.ew import ew_score, label_mask
from cuewise.mllm.report import ParsedAnswer
from cuewise.mllm.taxonomy import LEVEL1_IDS, LEVEL2_IDS, normalise, valence_arousal, wheel_table

from .base import RewardError, RewardSample, Values, register

PROFILE = "cuewise2026"
Penalty = Literal["none", "P1", "P2", "P3"]
Level = Literal[1, 2]

NOT_MEANT = frozenset((
    "face", "faces", "voice", "voices", "emotion", "emotions", "emotional", "feeling", "feelings", "agree", "agrees",
    "strong", "stronger", "strongest", "strongly", "clear", "clearly", "slight", "slightly", "weak", "go", "goes",
    "look", "looks", "light", "low", "high", "even",
))  # fmt: skip
"""Words of the spelling table that describe cues rather than name an emotion when they stand in reasoning."""

_CLAUSE = re.compile(r"[.;:,!?]+")
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")


@register("format")
def format_reward(samples: Sequence[RewardSample]) -> Values:
    """1 for an answer without any problem, in the form that was asked for; 0 for a truncated one."""
    return [float(not sample.truncated and well_formed(sample)) for sample in samples]


def well_formed(sample: RewardSample) -> bool:
    """Whether the answer has the asked form without any problem; either form where none was asked for."""
    forms = {"explained": sample.answer.format_ok, "direct": sample.answer.direct_ok}
    return forms[sample.form] if sample.form else any(forms.values())


@register("exact")
def exact_reward(samples: Sequence[RewardSample], *, single: bool = False) -> Values:
    """1 if the first label is the row's first one (`single`: and the only one written)."""
    return [
        None if not s.row.labels else float(is_exact(s) and not (single and len(s.answer.labels) > 1)) for s in samples
    ]


def is_exact(sample: RewardSample) -> bool:
    """Whether the first label names the row's first emotion, in any spelling of a common label."""
    if not sample.answer.labels or not sample.row.labels:
        return False
    first, second = (normalise(labels[0]) for labels in (sample.answer.labels, sample.row.labels))
    return SAME_STATE.get(first, first) == SAME_STATE.get(second, second)


@register("ew")
def ew_reward(samples: Sequence[RewardSample], *, penalty: Penalty = "P3", level: Level = 1) -> Values:
    """Emotion-wheel F of the answer's labels, times the length penalty; None where no wheel knows the reference."""
    return _ew(samples, [s.answer.labels for s in samples], penalty, level)


@register("dual")
def dual_reward(samples: Sequence[RewardSample], *, penalty: Penalty = "P3", level: Level = 1) -> Values:
    """The same of the labels that the reasoning concludes, so that the reasoning leads to the right answer."""
    return _ew(samples, [think_labels(s.answer) for s in samples], penalty, level)


@register("align")
def align_reward(samples: Sequence[RewardSample], *, level: Level = 1) -> Values:
    """Jaccard of the reasoning's and the answer's labels, mean over wheels that know either; 0 without reasoning."""
    return [wheel_jaccard(think_labels(s.answer), s.answer.labels, level) for s in samples]


def length_factor(n_gt: int, n_pred: int, penalty: Penalty) -> float:
    """AffectGPT-R1's factor for answers longer than the reference.

    >>> [round(length_factor(2, 4, penalty), 3) for penalty in ("P1", "P2", "P3")]
    [0.333, 0.5, 0.5]
    """
    if n_pred <= n_gt or penalty == "none":
        return 1.0
    if penalty == "P1":
        return 1 / (n_pred - n_gt + 1)
    if penalty == "P2":
        return n_gt / n_pred
    if penalty == "P3":
        return math.log(n_gt) / math.log(n_pred) if n_gt > 1 else math.log(n_gt + 1) / math.log(n_pred + 1)
    raise RewardError(f"unknown length penalty {penalty!r}; known: none, P1, P2, P3")


def wheel_jaccard(a: Sequence[str], b: Sequence[str], level: Level = 1) -> float:
    """Mean over wheels of shared sectors over all sectors of two label sets; 0 when no wheel knows either."""
    masks = wheel_table(PROFILE).masks(LEVEL1_IDS if level == 1 else LEVEL2_IDS)
    first, second = label_mask(list(a), masks), label_mask(list(b), masks)
    shares = []
    for field in masks.fields:
        x, y = first >> field.shift & field.ones, second >> field.shift & field.ones
        if x | y:
            shares.append((x & y).bit_count() / (x | y).bit_count())
    return sum(shares) / len(shares) if shares else 0.0


def think_labels(answer: ParsedAnswer) -> list[str]:
    """What the reasoning concludes: the emotion words of its last clause that has any, else what its cues support."""
    for clause in reversed(_CLAUSE.split(answer.reasoning.lower())):
        found = list(dict.fromkeys(word for word in _WORD.findall(clause) if _is_emotion(word)))
        if found:
            return found
    return list(dict.fromkeys(label for cue in answer.cues for label in cue.supports))


@cache
def _is_emotion(word: str) -> bool:
    return word not in NOT_MEANT and valence_arousal(word) is not None


def first_in_wheel(samples: Sequence[RewardSample]) -> list[bool]:
    """Whether each answer's first label shares a sector of a wheel with a label of its row."""
    return [bool(value) for value in _ew(samples, [s.answer.labels[:1] for s in samples], "none", 1)]


def _ew(samples: Sequence[RewardSample], labels: list[list[str]], penalty: Penalty, level: int) -> Values:
    if not samples:
        return []
    found = ew_score([s.row.labels for s in samples], labels, PROFILE, level).samples
    return [
        None if value is None else value * length_factor(len(s.row.labels), len(written), penalty)
        for value, s, written in zip(found, samples, labels)
    ]
