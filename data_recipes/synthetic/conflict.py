"""Which emotion each channel of a synthetic clip carries, which one wins, and the sentence that says so.

The rule of the final label: the strength of a channel is the degree of its strongest cue (slightly 1, clearly 2,
strongly 3; emotional wording 2; neutral or nothing 0). The strongest channel names the emotion; among equally strong
ones face goes before voice and voice before words.
"""

from dataclasses import dataclass

import numpy as np

from cuewise.mllm.evidence.claims import DEGREES
from cuewise.mllm.report import Channel
from cuewise.mllm.taxonomy import same_core

ORDER: tuple[Channel, ...] = ("face", "voice", "words")
WORDS_STRENGTH = 2


@dataclass(frozen=True, slots=True)
class Carried:
    """What one channel shows: an emotion, and how strongly (0-3)."""

    channel: Channel
    label: str
    strength: int


def draw_labels(rng: np.random.Generator, labels: list[str], present: list[Channel], conflict_share: float,
                emotional_words_share: float) -> dict[Channel, str]:  # fmt: skip
    """Emotion of each present channel; in a conflict one disagrees with the others at level 1 of the taxonomy."""
    main = labels[rng.integers(len(labels))]
    carried: dict[Channel, str] = dict.fromkeys(present, main)
    expressive = [channel for channel in present if channel != "words"]
    with_words = "words" in present and (rng.random() < emotional_words_share or not expressive)
    others = [label for label in labels if "neutral" not in (label, main) and not same_core(label, main)]
    if len(present) > 1 and others and rng.random() < conflict_share / _possible(labels):
        odd = present[rng.choice(len(present), p=_odd_weights(present))]
        carried[odd] = others[rng.integers(len(others))]
        with_words = with_words or odd == "words"
    if "words" in present and not with_words:
        carried["words"] = "neutral"
    return carried


def _possible(labels: list[str]) -> float:
    """Share of main emotions that can be contradicted at all, so that the asked share of conflicts comes out."""
    able = [
        main for main in labels if main != "neutral" and any(o != "neutral" and not same_core(o, main) for o in labels)
    ]
    return max(len(able) / len(labels), 1e-9)


def _odd_weights(present: list[Channel]) -> np.ndarray:
    """Face and voice disagree more often than the words do."""
    weights = np.array([1.0 if channel == "words" else 2.0 for channel in present])
    return weights / weights.sum()


def final(carried: list[Carried]) -> Carried:
    """The channel that names the emotion of the clip; of channels without strength one that is not neutral."""
    return max(carried, key=lambda one: (one.strength, one.label != "neutral", -ORDER.index(one.channel)))


def conflicting(carried: list[Carried]) -> list[tuple[Carried, Carried]]:
    """Pairs of channels with cues that disagree at level 1 of the taxonomy; neutral contradicts nothing."""
    telling = [one for one in carried if one.strength and one.label != "neutral"]
    return [
        (first, second)
        for number, first in enumerate(telling)
        for second in telling[number + 1 :]
        if not same_core(first.label, second.label)
    ]


def reasoning(rng: np.random.Generator, carried: list[Carried], winner: Carried) -> str:
    """One or two sentences, the conclusion last."""
    telling = [one for one in carried if one.strength and one.label != "neutral"]
    if not telling:
        variants = ("Nothing stands out, so this is neutral.", "The cues are even and show no strong emotion: neutral.",
                    "No channel shows an emotion, so neutral.")  # fmt: skip
    elif conflicting(carried):
        variants = _disagreement(telling, winner)
    elif len(telling) > 1:
        names, label = _listed([one.channel for one in telling]), winner.label
        variants = (f"{names.capitalize()} agree, so {label}.", f"{names.capitalize()} point the same way: {label}.",
                    f"The cues in {names} fit together and show {label}.")  # fmt: skip
    else:
        variants = _single(winner, [one.channel for one in carried if one is not winner])
    return variants[rng.integers(len(variants))]


def _single(winner: Carried, silent: list[Channel]) -> tuple[str, ...]:
    name, label, degree = winner.channel, winner.label, DEGREES[winner.strength - 1]
    stay = "stay" if len(silent) > 1 or silent == ["words"] else "stays"
    beside = f" while the {_listed(silent)} {stay} neutral" if silent else ""
    return (f"Only the {name} {_verb(name, 'show')} it{beside}: {label}.",
            f"The {name} {degree} {_verb(name, 'point')} to one emotion{beside}, so {label}.",
            f"The cues in the {name} show one emotion{beside}: {label}.")  # fmt: skip


def _disagreement(telling: list[Carried], winner: Carried) -> tuple[str, ...]:
    sides: dict[str, list[Channel]] = {}
    for one in telling:
        sides.setdefault(one.label, []).append(one.channel)
    said = [f"the {_listed(names)} {_verb(names[0], 'say', len(names))} {label}" for label, names in sides.items()]
    parts = " but ".join(said) if len(said) == 2 else ", ".join(said)
    name = winner.channel
    rivals = [one for one in telling if not same_core(one.label, winner.label)]
    if all(one.strength < winner.strength for one in rivals):
        why = f"the {name} {_verb(name, 'be')} stronger"
    else:
        why = f"both are equally strong and the {name} {_verb(name, 'go')} first"
    start = f"{parts[0].upper()}{parts[1:]}"
    return (f"The channels disagree: {parts}. {why.capitalize()}, so {winner.label}.",
            f"{start}. {why.capitalize()}: mostly {winner.label}.",
            f"There is a conflict, {parts}; {why}, so {winner.label}.")  # fmt: skip


def _verb(channel: Channel, verb: str, count: int = 1) -> str:
    plural = channel == "words" or count > 1
    forms = {"show": "shows", "point": "points", "say": "says", "be": "is", "go": "goes"}
    return ("are" if verb == "be" else verb) if plural else forms[verb]


def _listed(channels: list[Channel]) -> str:
    return channels[0] if len(channels) == 1 else ", ".join(channels[:-1]) + " and " + channels[-1]
