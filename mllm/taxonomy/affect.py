"""Where an emotion word lies: valence, arousal, angle on the circumplex, sentiment, nearest common label.

Words of ``data/affect.txt`` carry their own values; any other word of the spelling table takes the mean of its wheel
words (profile ``cuewise2026``). Words outside both tables have no value: None, never zero.
"""

import math
import re
from collections import Counter
from functools import cache
from typing import Literal

from .wheels import LEVEL1_IDS, data_lines, normalise, wheel_table

NEUTRAL_VALENCE = 0.15
"""Words whose valence is nearer to zero than this have neutral sentiment."""

_CIRCUMPLEX_DEGREES = {
    9: ("pleasure", "pleased"), 27: ("joy", "joyful", "happiness", "happy"),
    45: ("pride", "proud", "elation", "elated"), 63: ("excitement", "excited"),
    81: ("surprise", "surprised", "interest", "interested"),
    99: ("anger", "angry", "irritation", "irritated"), 117: ("hate", "hateful", "hatred"),
    135: ("contempt", "contemptuous"), 153: ("disgust", "disgusted"), 171: ("fear", "fearful", "scared", "afraid"),
    189: ("disappointment", "disappointed", "frustration", "frustrated"), 207: ("shame", "ashamed"),
    225: ("regret", "regretful"), 243: ("guilt", "guilty"), 261: ("sadness", "sad"), 279: ("compassion",),
    297: ("relief", "relieved"), 315: ("admiration",), 333: ("love", "loving"),
    351: ("contentment", "content", "peaceful", "calm"),
}  # fmt: skip
_ANGLES = {word: float(degrees) for degrees, words in _CIRCUMPLEX_DEGREES.items() for word in words}
_ANGLES |= {"boredom": 180.0, "bored": 180.0}
_JOINED = re.compile(r"\s*(?:/|&|\band\b)\s*")


@cache
def valence_arousal(word: str) -> tuple[float, float] | None:
    """(valence, arousal) in [-1, 1]; None for a word that is no known emotion.

    >>> valence_arousal("furious")
    (-0.8, 0.9)
    """
    found = [(valence, arousal) for valence, arousal, _ in _entries(normalise(word))]
    if not found:
        return None
    return sum(v for v, _ in found) / len(found), sum(a for _, a in found) / len(found)


def sentiment(word: str) -> Literal["positive", "negative", "neutral"] | None:
    """Sentiment by the sign of the valence; None for an unknown word."""
    place = valence_arousal(word)
    if place is None:
        return None
    return "neutral" if abs(place[0]) < NEUTRAL_VALENCE else "positive" if place[0] > 0 else "negative"


def circumplex_angle(word: str) -> float | None:
    """Degrees on the circumplex, valence on x, counter-clockwise; None at the origin (neutral) or when unknown.

    Listed words have the published angle (PRC-Emo, AAAI 2026), others the angle of their valence and arousal.
    """
    word = normalise(word)
    if word in _ANGLES:
        return _ANGLES[word]
    place = valence_arousal(word)
    if place is None or place == (0.0, 0.0):
        return None
    return math.degrees(math.atan2(place[1], place[0])) % 360


def circumplex_similarity(a: str, b: str, labels: int) -> float | None:
    """Similarity in [0, 1] of two emotions on the circumplex (PRC-Emo); None when a word is unknown.

    Zero when the signs of valence differ, ``1 / labels`` when either is neutral, else the cosine cut at zero.
    """
    words = [normalise(a), normalise(b)]
    if "neutral" in words:
        return 1 / labels
    angles = [circumplex_angle(word) for word in words]
    if angles[0] is None or angles[1] is None:
        return None
    x, y = (math.cos(math.radians(angle)) for angle in angles)
    return 0.0 if x * y < 0 else max(0.0, math.cos(math.radians(angles[0] - angles[1])))


def listed(word: str) -> bool:
    """Whether a word stands in our own table of emotion words, which holds no everyday words of other meaning.

    >>> listed("furious"), listed("went")
    (True, False)
    """
    return normalise(word) in _affect()


@cache
def nearest_common(label: str) -> str | None:
    """The common label nearest to a free emotion word; None when none is near or the word is unknown.

    >>> nearest_common("furious"), nearest_common("table")
    ('angry', None)
    """
    votes = Counter(common for _, _, common in _entries(normalise(label)) if common != "-")
    return votes.most_common(1)[0][0] if votes else None


@cache
def same_core(a: str, b: str) -> bool:
    """True when two emotion words agree at level 1: same core in most of the wheels that know both.

    Profile ``cuewise2026``; calm and neutral agree by definition, because corpora use the two words for one state.
    Words that no wheel knows agree only when they are equal.
    """
    first, second = normalise(a), normalise(b)
    if first == second or {first, second} == {"calm", "neutral"}:
        return True
    table = wheel_table("cuewise2026")
    pairs = [(table.value(first, metric_id), table.value(second, metric_id)) for metric_id in LEVEL1_IDS]
    known = [x == y for x, y in pairs if x is not None and y is not None]
    return sum(known) * 2 > len(known)


@cache
def _affect() -> dict[str, tuple[float, float, str]]:
    table = {}
    for line in data_lines("affect.txt"):
        word, valence, arousal, common = line.split("|")
        table[word] = (float(valence), float(arousal), common)
    return table


def _entries(word: str) -> list[tuple[float, float, str]]:
    """Table rows a normalised word stands for: its own, else of its roots, else of its roots' wheel words.

    A name made of several words ("jealousy & envy", "hope/optimism") stands for the rows of its parts.
    """
    table = _affect()
    if word in table:
        return [table[word]]
    wheels = wheel_table("cuewise2026")
    roots = wheels.roots.get(word, [])
    rows = [table[root] for root in roots if root in table]
    rows = rows or [table[w] for w in sorted({w for root in roots for w in wheels.wheel_words[root]}) if w in table]
    parts = _JOINED.split(word)
    return rows if rows or len(parts) == 1 else [row for part in parts for row in _entries(part)]
