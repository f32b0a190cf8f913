"""A lexicon of valence, arousal and dominance, supplied by the user as a file; none is shipped.

One word a line with three numbers, separated by tabs, commas or semicolons: ``joyful<TAB>0.98<TAB>0.74<TAB>0.71``. A
first line of names is skipped. Numbers in [0, 1] (NRC-VAD and others, which are free for research only) are brought to
[-1, 1]; a file with a negative number is taken to be in [-1, 1] already.
"""

import logging
import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

_LOG = logging.getLogger(__name__)
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_SPLIT = re.compile(r"[\t,;]")
_ENDINGS = (("ies", "y"), ("ied", "y"), ("es", ""), ("s", ""), ("ing", ""), ("ing", "e"), ("ed", ""), ("ed", "e"),
            ("ly", ""), ("ily", "y"), ("er", ""), ("er", "e"), ("est", ""))  # fmt: skip

Place = tuple[float, float, float]


class LexiconError(ValueError):
    """A lexicon file that cannot be read; the message names file, line and value."""


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Word -> (valence, arousal, dominance) in [-1, 1]."""

    places: dict[str, Place] = field(default_factory=dict)

    def place(self, word: str) -> Place | None:
        """Where a word lies, by itself or by its base form; None when the lexicon does not know it.

        >>> Lexicon({"smile": (1.0, 0.2, 0.4)}).place("Smiling")
        (1.0, 0.2, 0.4)
        """
        word = word.lower().replace("’", "'")
        return next((self.places[form] for form in base_forms(word) if form in self.places), None)

    def spans(self, text: str) -> list[tuple[int, int, Place]]:
        """(begin, end, place) of every known word of a text, in characters."""
        found = ((match.start(), match.end(), self.place(match.group())) for match in _WORD.finditer(text))
        return [(begin, end, place) for begin, end, place in found if place is not None]


def base_forms(word: str) -> list[str]:
    """The word and what it may be a form of, by English endings.

    >>> base_forms("cries")
    ['cries', 'cry', 'cri', 'crie']
    """
    cut = [word[: -len(old)] + new for old, new in _ENDINGS if word.endswith(old) and len(word) >= len(old) + 2]
    doubled = [form[:-1] for form in cut if len(form) > 3 and form[-1] == form[-2]]
    return list(dict.fromkeys([word, *cut, *doubled]))


def read_lexicon(path: str | Path) -> Lexicon:
    """A lexicon from its file. Raises LexiconError."""
    rows: dict[str, Place] = {}
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LexiconError(f"lexicon {path} cannot be read ({error})") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        word, *values = (part.strip() for part in _SPLIT.split(line))
        try:
            valence, arousal, dominance = map(float, values)
        except ValueError:
            if number == 1:
                continue
            raise LexiconError(f"{path}, line {number}: needs a word and three numbers, got {line!r:.60}") from None
        if not all(-1 <= value <= 1 for value in (valence, arousal, dominance)):
            raise LexiconError(f"{path}, line {number}: values lie in [0, 1] or [-1, 1], got {line!r:.60}")
        rows[word.lower()] = (valence, arousal, dominance)
    if not rows:
        raise LexiconError(f"lexicon {path} holds no word")
    if all(value >= 0 for place in rows.values() for value in place):
        rows = {word: tuple(2 * value - 1 for value in place) for word, place in rows.items()}
    return Lexicon(rows)


@lru_cache(maxsize=4)
def lexicon_at(path: str | None) -> Lexicon | None:
    """The lexicon of a config: None without a path, and, said once in the log, where there is no such file."""
    if not path:
        return None
    if not Path(path).is_file():
        _LOG.warning("there is no lexicon %s; words have no valence, arousal and dominance here", path)
        return None
    return read_lexicon(path)
