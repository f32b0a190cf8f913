"""Emotion words in free text, by rules: what the stub judge reads, and a stand-in for extraction without a model."""

import re
from functools import cache

from cuewise.mllm.report import parse
from cuewise.mllm.taxonomy import nearest_common, normalise, valence_arousal, wheel_table
from cuewise.mllm.taxonomy.wheels import NEUTRAL_WORDS

_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_DENYING = """
not no never without neither nor none hardly barely lacks lack lacking absence isn't aren't wasn't doesn't don't didn't
cannot can't
"""
_REACH = 3
"""Words after a negation that it may deny."""

_OTHERWISE = """
bad blue cheeks clear close closed cold dark deep distant down emotional empty even face faced facial fine firm free
full gentle good hard heavy high intense just kind light like long low lower lowered lowers mean open opened person
present pressed question questioning questions quick raised real right short shaking sharp slight soft softer sound
still strong stronger sure thinking thoughtful tight up warm well wrong
"""
"""Words of the spelling table that mostly mean something else in a description."""
_NEGATIONS, _NO_EMOTION = frozenset(_DENYING.split()), frozenset(_OTHERWISE.split())


def emotion_words(text: str, most: int = 16) -> list[str]:
    """Emotions that a text names, in order: the labels of an answer in our own format, else known words.

    A word counts when the spelling table knows it and it has a place on the circumplex; words after a negation do not.

    >>> emotion_words("She smiles and seems happy, not angry at all.")
    ['happy']
    """
    answer = parse(text)
    if answer.form != "unparsed":
        return answer.labels[:most]
    found: list[str] = []
    for sentence in re.split(r"[.!?;\n。！？]+", text):
        denied = -1
        for at, word in enumerate(_WORD.findall(sentence.lower())):
            if word in _NEGATIONS:
                denied = at + _REACH
            elif at > denied and word not in found and is_emotion(word):
                found.append(word)
    return found[:most]


@cache
def is_emotion(word: str) -> bool:
    """Whether a word, met in a description, most likely names an emotion."""
    word = normalise(word)
    if word in NEUTRAL_WORDS:
        return True
    if word in _NO_EMOTION or len(word) < 3:
        return False
    known = word in wheel_table("cuewise2026").roots
    return known and (nearest_common(word) is not None or valence_arousal(word) is not None)
