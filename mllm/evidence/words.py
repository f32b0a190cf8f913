"""What was said: quoted phrases of an observation, and where a phrase occurs in the transcript."""

import re
import unicodedata
from collections.abc import Sequence

from cuewise.mllm.report import Word

_QUOTE = re.compile(
    r'"([^"]+)"|“([^”]+)”|„([^“”]+)[“”]|«([^»]+)»|「([^」]+)」|『([^』]+)』'
    r"|(?<!\w)['‘]([^'’]{1,80}(?:['’]\w[^'’]{0,40}){0,6})['’](?!\w)"
)
CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_TOKEN = re.compile(rf"[{CJK}]|[^\W_{CJK}]+")
_APOSTROPHES = re.compile("['’‘ʼ`´]")


def quoted(observation: str) -> str | None:
    """The first quoted phrase with at least one word in it, without its quotation marks."""
    for match in _QUOTE.finditer(observation):
        phrase = next(group for group in match.groups() if group is not None).strip()
        if tokens(phrase):
            return phrase
    return None


def tokens(text: str) -> list[str]:
    """Words for comparison: no case, punctuation or apostrophes; each Chinese or Japanese character is a word."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _TOKEN.findall(_APOSTROPHES.sub("", folded))


def occurrences(phrase: str, transcript: str | None, words: Sequence[Word]) -> list[tuple[float, float] | None]:
    """Where `phrase` is said: one entry per time, (start, end) in seconds or None when its words carry no times.

    Timed words are asked first; a transcript that says more than the words adds nothing to what they say.
    """
    wanted = tokens(phrase)
    spoken = [(token, word) for word in words for token in tokens(word.text)]
    if not spoken:
        spoken = [(token, None) for token in tokens(transcript or "")]
    found: list[tuple[float, float] | None] = []
    for first in range(len(spoken) - len(wanted) + 1):
        hit = spoken[first : first + len(wanted)]
        if wanted and [token for token, _ in hit] == wanted:
            begin, end = hit[0][1], hit[-1][1]
            timed = begin is not None and end is not None and begin.start is not None and end.end is not None
            found.append((begin.start, end.end) if timed else None)
    return found
