"""Text alone: what the words of a clip say, by tables and without any model. A baseline for the transcript channel.

    cuewise eval meld --data DATA --system words                 # emotion words of the spelling table
    cuewise eval meld --data DATA --system words:lexicon.tsv     # and the places of all words in a lexicon of yours

With a lexicon the mean place of the words it knows decides, by the nearest of the common labels; else the emotion words
that stand unnegated; else nothing is felt. The answer has the form of our own, so every suite scores it like any other.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from cuewise.mllm.systems.base import Ask, Reply, SystemLoadError
from cuewise.mllm.taxonomy import LABELS, nearest_common, valence_arousal
from cuewise.mllm.taxonomy.lexicon import Lexicon, LexiconError, read_lexicon

NEUTRAL = "neutral"
NEGATIONS = frozenset(("not", "no", "never", "without", "isn't", "don't", "didn't", "nor"))
REACH = 0.15
"""Distance from the origin below which the mean place of the words says nothing."""

_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")


class WordsSystem:
    """Tables as a system."""

    def __init__(self, lexicon: Lexicon | None = None, source: str | None = None):
        self.lexicon, self.source = lexicon, source
        self.name = "words" if source is None else f"words:{Path(source).name}"

    @classmethod
    def from_spec(cls, spec: str) -> "WordsSystem":
        """``words`` or ``words:FILE``. Raises SystemLoadError."""
        _, _, path = spec.partition(":")
        try:
            return cls(read_lexicon(path), path) if path else cls()
        except LexiconError as error:
            raise SystemLoadError(str(error)) from error

    def describe(self) -> dict[str, Any]:
        return {"kind": "words", "model": self.name, "lexicon_words": len(self.lexicon.places) if self.lexicon else 0}

    def answer(self, asks: Iterable[Ask]) -> Iterator[Reply]:
        """Replies in order; a clip without words is felt to be neutral."""
        for ask in asks:
            text = (ask.prompt if ask.clip is None else said(ask)) or ""
            yield Reply(id=ask.id, text=f"<answer>{', '.join(self.labels(text))}</answer>", prompt=text,
                        usage={"prompt_tokens": 0, "completion_tokens": 0}, finish_reason="stop")  # fmt: skip

    def labels(self, text: str) -> list[str]:
        """Common labels, the likeliest first."""
        places = [place for _, _, place in self.lexicon.spans(text)] if self.lexicon else []
        if places:
            valence, arousal = (sum(place[axis] for place in places) / len(places) for axis in (0, 1))
            far = (valence**2 + arousal**2) ** 0.5 >= REACH
            return [min(LABELS, key=lambda label: _distance(label, valence, arousal)) if far else NEUTRAL]
        words = [word.lower().replace("’", "'") for word in _WORD.findall(text)]
        found = Counter(label for place, word in enumerate(words) if (label := nearest_common(word)) is not None
                        and not NEGATIONS & {*words[max(0, place - 2) : place]})  # fmt: skip
        return [label for label, _ in found.most_common()] or [NEUTRAL]

    def close(self) -> None:
        """Nothing is held."""


def said(ask: Ask) -> str:
    """What is said in the clip of an ask."""
    return ask.clip.transcript or " ".join(word.text for word in ask.clip.words)


def _distance(label: str, valence: float, arousal: float) -> float:
    place = valence_arousal(label)
    return (place[0] - valence) ** 2 + (place[1] - arousal) ** 2
