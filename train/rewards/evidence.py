"""Rewards of the evidence: action units, cues that are there, and the affective tree of the whole answer."""

import math
import re
from collections.abc import Sequence
from typing import Literal

from cuewise.data_recipes.targets import target
from cuewise.data_recipes.trees import affective_tree, tree_distance
from cuewise.eval.metrics.aus import au_reward, read_aus
from cuewise.eval.metrics.cues import checkable, known_cue_score, measured_cue_score
from cuewise.mllm.evidence.check import check_cues
from cuewise.mllm.report import ParsedAnswer

from .base import RewardError, RewardSample, Values, register

_JOINED = re.compile(r"\bAU\s?\d{1,2}(?:\s?\+\s?\d{1,2})+", re.IGNORECASE)


@register("action_units", low=-1.0, high=1.0)
def action_unit_reward(samples: Sequence[RewardSample], *, threshold: float = 1.0, beta: float = 1.0) -> Values:
    """Facial-R1's ``2 F - 1`` of the action units named in the reasoning; None for a row that names none.

    `threshold` is the least intensity (0-5) at which a measured action unit of the row counts as shown.
    """
    return [
        au_reward(gold, named_units(think_text(s.answer)), beta) if (gold := shown_units(s, threshold)) else None
        for s in samples
    ]


def shown_units(sample: RewardSample, threshold: float = 1.0) -> set[int]:
    """Action units of a row: those that its known face cues name, else those measured at `threshold` or more."""
    row = sample.row
    named = {unit for cue in row.cues if cue.channel == "face" for unit in named_units(cue.observation)}
    return named or {unit for name, value in row.aus.items() if value >= threshold for unit in read_aus(name)}


def named_units(text: str) -> set[int]:
    """Action units of a text, the joined ones of our own wording included.

    >>> sorted(named_units("brows clearly raised (AU1+2), AU 12"))
    [1, 2, 12]
    """
    return read_aus(_JOINED.sub(lambda found: found.group().replace("+", " AU"), text))


def think_text(answer: ParsedAnswer) -> str:
    """Everything said in the reasoning, cues included."""
    return "\n".join([*(cue.observation for cue in answer.cues), answer.reasoning])


@register("cue_grounding")
def grounding_reward(
    samples: Sequence[RewardSample], *, against: Literal["auto", "known", "measured"] = "auto", wanted: float = 2.0
) -> Values:
    """F of the written cues: against the measurements of the clip where there are any, else against its known cues.

    `against` fixes one of the two; known cues that claim nothing checkable do not count. `wanted` is the number of
    distinct supported claims at which recall is full.
    """
    if against not in ("auto", "known", "measured"):
        raise RewardError(f"cue_grounding.against must be auto, known or measured, got {against!r}")
    values: Values = []
    for sample in samples:
        if against != "known" and sample.measurements is not None:
            checked = check_cues(sample.answer.cues, sample.measurements)
            values.append(measured_cue_score(checked, wanted).f)
        elif against != "measured" and checkable(sample.row.cues):
            values.append(known_cue_score(sample.row.cues, sample.answer.cues, sample.duration_s).f)
        else:
            values.append(None)
    return values


@register("affective_tree")
def tree_reward(samples: Sequence[RewardSample], *, rate: float = 3.0) -> Values:
    """``exp(-rate * distance)`` of the answer's affective tree to that of the row's target (VidEmo)."""
    values: Values = []
    for sample in samples:
        if not sample.row.labels:
            values.append(None)
        elif sample.answer.form == "unparsed" or not sample.answer.labels:
            values.append(0.0)
        else:
            truth = affective_tree(target(sample.row))
            values.append(math.exp(-rate * tree_distance(truth, affective_tree(sample.answer))))
    return values
