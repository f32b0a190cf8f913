"""Emotion words of the corpora and the eight common labels they are compared by.

The wording of a corpus is normalised to the common word where the two mean the same state (anger -> angry). Open
vocabularies (GoEmotions) keep their words in the row; `common_label` maps those to a common label where one exists.
"""

from difflib import get_close_matches

from cuewise.mllm.taxonomy import LABELS, nearest_common

COMMON_LABELS: tuple[str, ...] = LABELS
"""The eight classes of the model, in its order."""

SAME_STATE: dict[str, str] = {
    "neutral": "neutral", "calm": "calm",
    "happy": "happy", "happiness": "happy", "smiling": "happy",
    "sad": "sad", "sadness": "sad",
    "angry": "angry", "anger": "angry",
    "fearful": "fearful", "fear": "fearful", "afraid": "fearful",
    "disgust": "disgust", "disgusted": "disgust",
    "surprised": "surprised", "surprise": "surprised",
}  # fmt: skip
"""Spellings of the common labels themselves."""

EKMAN_GROUPS: dict[str, str] = {
    "joy": "happy", "amusement": "happy", "approval": "happy", "excitement": "happy", "gratitude": "happy",
    "love": "happy", "optimism": "happy", "relief": "happy", "pride": "happy", "admiration": "happy",
    "desire": "happy", "caring": "happy",
    "sadness": "sad", "disappointment": "sad", "embarrassment": "sad", "grief": "sad", "remorse": "sad",
    "anger": "angry", "annoyance": "angry", "disapproval": "angry",
    "fear": "fearful", "nervousness": "fearful",
    "disgust": "disgust",
    "surprise": "surprised", "realization": "surprised", "confusion": "surprised", "curiosity": "surprised",
}  # fmt: skip
"""The 27 words of GoEmotions in the Ekman grouping of its authors (Demszky et al. 2020)."""

NEUTRAL_WORDS = {"neutral": 1.0}
"""Vote for the words of acted corpora, whose few sentences are neutral in wording by design."""

WITHOUT_COMMON_LABEL = frozenset(("bored", "boredom"))
"""States of a corpus that are none of the eight, whatever the taxonomy finds nearest."""


def common_label(word: str) -> str | None:
    """The common label of an emotion word, None when it has none.

    The words of the corpora are looked up here; any other word has the label that the taxonomy finds nearest.
    """
    word = " ".join(word.lower().split())
    if word in WITHOUT_COMMON_LABEL:
        return None
    return SAME_STATE.get(word) or EKMAN_GROUPS.get(word) or nearest_common(word)


def nearest(value: str, known: list[str] | tuple[str, ...]) -> str:
    """Second half of an error text: the nearest known value, or all of them."""
    near = get_close_matches(str(value), known, n=1, cutoff=0.5)
    return f"did you mean `{near[0]}`?" if near else f"known: {', '.join(known)}"
