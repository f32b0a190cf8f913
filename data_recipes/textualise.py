"""Cues as text instead of features: measured face actions and tone of voice in words, for the context of a prompt.

The same clip can go either way. `text_route` gives a row without media whose context says what was measured;
`feature_route` gives the row with its media and no such context; `choose_route` takes the words where the transcript is
good enough to carry them. Which route is better for a corpus is read off an evaluation of both row files.
"""

import re
from collections.abc import Mapping
from typing import Literal

from cuewise.data_recipes.action_words import in_words
from cuewise.data_recipes.schema import Row
from cuewise.mllm.evidence.claims import read_claim
from cuewise.mllm.evidence.observe import observe
from cuewise.mllm.evidence.types import Measurements
from cuewise.mllm.report import Word

Route = Literal["text", "features"]
GOOD_TRANSCRIPT = 0.6
"""Quality from which the words can stand for the clip."""

SYLLABLE_RANGE = (1.0, 9.0)
"""Syllables a second of plausible speech; outside it words were missed or made up."""

_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_VOWELS = re.compile(r"[aeiouyäöüáéíóúàèìòùâêîôûąęő]+", re.IGNORECASE)


def face_words(aus: Mapping[str, float]) -> str:
    """Action unit intensities (0-5) in words, strongest first; units that nobody named are left out."""
    return in_words(dict(aus))


def tone_words(measurements: Measurements, most: int = 4) -> str:
    """What stands out in the voice, with its time, strongest first.

    Only what the measurements support is said; a voice in which nothing stands out is said to be even.
    """
    if measurements.voice is None:
        return f"Voice: {measurements.absent.get('voice', 'none')}."
    parts = []
    for cue in observe(measurements, "voice", max_cues=most):
        when = "" if cue.start is None or cue.end is None else f" at {cue.start:.1f}-{cue.end:.1f} s"
        parts.append(f"{cue.observation}{when}")
    return f"Voice: {', '.join(parts) if parts else 'even, nothing stands out'}."


def textualise(row: Row, measurements: Measurements | None = None) -> str:
    """Everything measured in a clip in words: face actions from `row.aus`, tone from the measurements."""
    parts = [face_words(row.aus)] if row.aus else []
    if measurements is not None:
        parts.append(tone_words(measurements))
    return " ".join(parts)


def text_route(row: Row, measurements: Measurements | None = None) -> Row:
    """The row with what was measured as context and no media. Raises ValueError when nothing was measured."""
    text = textualise(row, measurements)
    if not text:
        raise ValueError(f"row {row.id!r} has neither action units nor measurements to put into words")
    said = [cue for cue in row.cues if cue.channel != "scene" and read_claim(cue.channel, cue.observation)]
    return row.model_copy(update={"id": f"{row.id}:text", "media": {}, "context": text, "cues": said})


def feature_route(row: Row) -> Row:
    """The row with its media and without measurements in words. Raises ValueError for a row without media."""
    if not row.media:
        raise ValueError(f"row {row.id!r} has no media; only the text route is open to it")
    return row.model_copy(update={"id": f"{row.id}:features", "context": None})


def choose_route(row: Row, duration_s: float | None = None, threshold: float = GOOD_TRANSCRIPT) -> Route:
    """`text` where the transcript is good enough or there is no media, else `features`."""
    if not row.media:
        return "text"
    return "text" if transcript_quality(row.transcript, row.words, duration_s) >= threshold else "features"


def transcript_quality(
    transcript: str | None, words: list[Word] | None = None, duration_s: float | None = None
) -> float:
    """How far a transcript can be trusted, in [0, 1], from the text alone.

    Product of the share of tokens that are words, of how varied they are (a stuck recogniser repeats itself), and,
    where the length is known, of how plausible the rate is.
    """
    text = transcript or " ".join(word.text for word in words or [])
    tokens = text.split()
    if not tokens:
        return 0.0
    spoken = _WORD.findall(text.lower())
    share = min(1.0, len(spoken) / len(tokens))
    variety = min(1.0, 2 * len(set(spoken)) / len(spoken)) if spoken else 0.0
    plausible = 1.0
    if duration_s:
        rate = sum(max(1, len(_VOWELS.findall(word))) for word in spoken) / duration_s
        low, high = SYLLABLE_RANGE
        plausible = min(1.0, rate / low, high / rate if rate else 0.0)
    return share * variety * plausible
