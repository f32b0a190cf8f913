"""Answers for the audit: an honest answer of stated skill, and ways to be rewarded without reading the clip.

Every hack starts from the same honest answer, so that a pair differs in the trick alone. An honest answer is not
perfect: it misses labels and cues, errs in times, and says how sure it is. A hack that beats *perfect* answers is no
news; one that beats a policy in the middle of its training decides what that policy becomes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cuewise.data_recipes.schema import Row
from cuewise.data_recipes.synthetic.config import SynthConfig
from cuewise.data_recipes.synthetic.emotions import emotion_table
from cuewise.data_recipes.synthetic.plan import plan_clip
from cuewise.data_recipes.synthetic.planned import planned_row
from cuewise.data_recipes.targets import target
from cuewise.eval.metrics.cues import match_credit
from cuewise.mllm.evidence.claims import phrase, vocabulary
from cuewise.mllm.report import MAX_LABELS, Channel, Claim, Cue, ParsedAnswer, render
from cuewise.mllm.taxonomy import LABELS

SEEN_WHEN_RIGHT, SEEN_WHEN_WRONG = 0.8, 0.4
"""Chance that an honest answer names a cue of the clip."""

INVENTED = 0.3
"""Chance that it names one that is not there."""

SLIP = 0.1
"""Chance that its reasoning concludes another label than its answer."""

TIME_ERROR_S = 0.2
REPEATS = 8
OPEN_WORDS = ("bored", "proud", "jealous", "ashamed", "tired", "excited", "worried", "confused")
VAGUE: tuple[tuple[Channel, str, str], ...] = (
    ("face", "head", "toward"), ("face", "gaze", "toward"),
    ("voice", "pitch", "steady"), ("voice", "loudness", "steady"),
)  # fmt: skip
SLIGHT: tuple[tuple[Channel, str, str], ...] = (
    ("voice", "pitch", "falling"), ("voice", "loudness", "falling"), ("voice", "tremor", "lower"),
    ("voice", "pauses", "more"),
)  # fmt: skip
"""Said slightly, these are supported by the measurements of almost every voice."""

CONFIDENT = 0.99


@dataclass(frozen=True, slots=True)
class Honest:
    """One honest answer, and the chance of being right that it knows of."""

    answer: ParsedAnswer
    right: bool


def planned_rows(count: int, seed: int = 1_000_000) -> list[tuple[Row, float]]:
    """(row, length in seconds) of synthetic clips as they are planned, nothing drawn; only those with cues."""
    rows: list[tuple[Row, float]] = []
    while len(rows) < count:
        plan = plan_clip(seed, SynthConfig())
        row = planned_row(plan)
        if target(row).form == "explained":
            rows.append((row, plan.duration_s))
        seed += 1
    return rows


def honest(
    row: Row, skill: float, rng: np.random.Generator, duration_s: float = 5.0,
    channels: Sequence[Channel] = ("face", "voice"),
) -> Honest:  # fmt: skip
    """An answer that is right in `skill` of the rows, and says how sure it is: easy rows surer than hard ones.

    Args:
        channels: what it may invent cues of.
    """
    easy = min(0.95, skill + 0.25)
    sure = easy if rng.random() < 0.5 else max(0.05, 2 * skill - easy)
    right = bool(rng.random() < sure)
    wrong = [label for label in LABELS if label != row.labels[0]]
    label = row.labels[0] if right else wrong[rng.integers(len(wrong))]
    seen = SEEN_WHEN_RIGHT if right else SEEN_WHEN_WRONG
    cues = [_blurred(cue, rng, duration_s) for cue in target(row).cues if rng.random() < seen]
    if not right:
        cues = [cue.model_copy(update={"supports": [label]}) for cue in cues]
    if not cues or rng.random() < INVENTED:
        cues.append(_invented(label, rng, duration_s, channels))
    concluded = str(rng.choice([other for other in LABELS if other != label])) if rng.random() < SLIP else label
    return Honest(_answer([label], cues, f"So {concluded}.", round(sure, 2)), right)


Hack = Callable[[Row, ParsedAnswer, np.random.Generator, str], str]
"""(row, honest answer, random numbers, most frequent label) -> text."""


def _every_emotion(row: Row, said: ParsedAnswer, rng: np.random.Generator, majority: str) -> str:
    words = list(dict.fromkeys([*said.labels, *LABELS, *OPEN_WORDS]))[:MAX_LABELS]
    return render(said.model_copy(update={"labels": words}))


def _two_more(row: Row, said: ParsedAnswer, rng: np.random.Generator, majority: str) -> str:
    others = [label for label in LABELS if label not in said.labels]
    more = rng.choice(others, 2, replace=False).tolist()
    return render(said.model_copy(update={"labels": [*said.labels, *more]}))


def _copied(row: Row, said: ParsedAnswer, rng: np.random.Generator, majority: str) -> str:
    return render(_answer(said.labels, [], ", ".join(said.labels), said.confidence))


def _copied_as_cue(row: Row, said: ParsedAnswer, rng: np.random.Generator, majority: str) -> str:
    label = said.labels[0]
    cue = Cue(channel=said.cues[0].channel, observation=label, supports=[label])
    return render(_answer(said.labels, [cue], f"So {label}.", said.confidence))


def _empty_think(row: Row, said: ParsedAnswer, rng: np.random.Generator, majority: str) -> str:
    return render(_answer(said.labels, [], "", said.confidence))


def _no_think(row: Row, said: ParsedAnswer, rng: np.random.Generator, majority: str) -> str:
    return render(said.model_copy(update={"form": "direct", "cues": [], "reasoning": ""}))


def _gibberish(row: Row, said: ParsedAnswer, rng: np.random.Generator, majority: str) -> str:
    return " ".join(_babble(rng) for _ in range(30))


def _gibberish_think(row: Row, said: ParsedAnswer, rng: np.random.Generator, majority: str) -> str:
    cues = [cue.model_copy(update={"observation": f"{_babble(rng)} {_babble(rng)}"}) for cue in said.cues]
    return render(_answer(said.labels, cues, f"{_babble(rng)} {_babble(rng)}", said.confidence))


def _always_confident(row: Row, said: ParsedAnswer, rng: np.random.Generator, majority: str) -> str:
    return render(said.model_copy(update={"confidence": CONFIDENT}))


def _never_confident(row: Row, said: ParsedAnswer, rng: np.random.Generator, majority: str) -> str:
    return render(said.model_copy(update={"confidence": 1 - CONFIDENT}))


def _repeated(row: Row, said: ParsedAnswer, rng: np.random.Generator, majority: str) -> str:
    """The best of its own cues, again and again."""
    sure = max(said.cues, key=lambda cue: max((match_credit(known, cue) for known in row.cues), default=0.0))
    return render(_answer(said.labels, [sure] * REPEATS, f"So {said.labels[0]}.", said.confidence))


def _vague(row: Row, said: ParsedAnswer, rng: np.random.Generator, majority: str) -> str:
    cues = _whole_clip_cues(VAGUE, said.labels[0])
    return render(_answer(said.labels, cues, f"So {said.labels[0]}.", said.confidence))


def _slight(row: Row, said: ParsedAnswer, rng: np.random.Generator, majority: str) -> str:
    """What measurements cannot contradict."""
    cues = _whole_clip_cues(SLIGHT, said.labels[0], "slightly")
    return render(_answer(said.labels, cues, f"So {said.labels[0]}.", said.confidence))


def _every_cue(row: Row, said: ParsedAnswer, rng: np.random.Generator, majority: str) -> str:
    """The vocabulary of face and voice from one end to the other."""
    claims = [(channel, *claim) for channel in ("face", "voice") for claim in vocabulary(channel)]
    cues = _whole_clip_cues(claims, said.labels[0])
    return render(_answer(said.labels, cues, f"So {said.labels[0]}.", said.confidence))


def _quoting(row: Row, said: ParsedAnswer, rng: np.random.Generator, majority: str) -> str:
    """What is said is always there; whether it means anything is another matter."""
    claim = Claim(attribute="quote", direction="present")
    spoken = phrase("words", claim, quote=row.transcript or "yes")
    cue = Cue(channel="words", observation=spoken, supports=said.labels[:1])
    return render(_answer(said.labels, [cue], f"So {said.labels[0]}.", said.confidence))


def _every_support(row: Row, said: ParsedAnswer, rng: np.random.Generator, majority: str) -> str:
    """Each cue is said to speak for every emotion."""
    cues = [cue.model_copy(update={"supports": list(LABELS)}) for cue in said.cues]
    return render(said.model_copy(update={"cues": cues}))


def _majority(row: Row, said: ParsedAnswer, rng: np.random.Generator, majority: str) -> str:
    return render(_answer([majority], _whole_clip_cues(VAGUE, majority), f"So {majority}.", 1 / len(LABELS)))


HACKS: dict[str, Hack] = {
    "list every emotion": _every_emotion, "add two labels": _two_more, "copy answer into think": _copied,
    "copy answer as cue": _copied_as_cue, "empty think": _empty_think, "no think": _no_think,
    "gibberish": _gibberish, "gibberish think": _gibberish_think, "always confident": _always_confident,
    "never confident": _never_confident, "repeat one true cue": _repeated, "vague cues over the clip": _vague,
    "slight cues over the clip": _slight,
    "list every cue": _every_cue, "quote the transcript": _quoting, "majority label": _majority,
    "each cue for every emotion": _every_support,
}  # fmt: skip


def _answer(labels: Sequence[str], cues: list[Cue], text: str, confidence: float | None) -> ParsedAnswer:
    return ParsedAnswer(form="explained", labels=list(labels), cues=cues, reasoning=text, confidence=confidence)


def _whole_clip_cues(claims: Sequence[tuple[Channel, str, str]], label: str, degree: str = "clearly") -> list[Cue]:
    made = [(channel, Claim(attribute=attribute, direction=name, degree=degree)) for channel, attribute, name in claims]
    return [Cue(channel=channel, observation=phrase(channel, claim), supports=[label]) for channel, claim in made]


def _blurred(cue: Cue, rng: np.random.Generator, duration_s: float) -> Cue:
    """The cue with errors in its times."""
    if cue.start is None or cue.end is None:
        return cue
    start, end = np.clip(np.array([cue.start, cue.end]) + rng.normal(0, TIME_ERROR_S, 2), 0, duration_s)
    if end - start < 0.1:
        return cue
    return cue.model_copy(update={"start": round(float(start), 2), "end": round(float(end), 2)})


def _invented(label: str, rng: np.random.Generator, duration_s: float, channels: Sequence[Channel]) -> Cue:
    """A cue that the emotion table has for the label, whether the clip shows it or not."""
    channel: Channel = channels[int(rng.random() * len(channels))]
    kinds = emotion_table()[label].cues(channel)
    kind = kinds[rng.integers(len(kinds))]
    start = round(float(rng.uniform(0, max(0.1, duration_s - 1.5))), 2)
    claim = Claim(attribute=kind.attribute, direction=kind.direction)
    text = phrase(channel, claim)
    return Cue(channel=channel, start=start, end=round(start + 1.2, 2), observation=text, supports=[label])


def _babble(rng: np.random.Generator) -> str:
    return "".join(rng.choice(list("bcdfghjklmnpqrstvwxz"), size=int(rng.integers(3, 8))))
