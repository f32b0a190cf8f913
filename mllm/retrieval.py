"""Texts by their words: an index that finds the nearest ones, and the parts of a long text that speak of a question."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_SENTENCE = re.compile(r"(?<=[.!?…。！？])\s+|\n+")


def word_counts(text: str) -> Counter[str]:
    """How often each word stands in a text, case aside."""
    return Counter(WORD.findall(text.lower()))


class TextIndex:
    """Cosine of word counts weighted by rarity (tf-idf)."""

    def __init__(self, texts: Iterable[str]):
        counts = [word_counts(text) for text in texts]
        seen = Counter(word for words in counts for word in words)
        self.rarity = {word: math.log((1 + len(counts)) / (1 + n)) + 1 for word, n in seen.items()}
        self.postings: dict[str, list[tuple[int, float]]] = {}
        for index, words in enumerate(counts):
            for word, weight in self._unit(words).items():
                self.postings.setdefault(word, []).append((index, weight))

    def ranked(self, query: str) -> list[tuple[int, float]]:
        """(number, cosine) of the texts that share a word with the query, nearest first, ties in their order."""
        scores: Counter[int] = Counter()
        for word, weight in self._unit(word_counts(query)).items():
            for index, other in self.postings.get(word, ()):
                scores[index] += weight * other
        return sorted(scores.items(), key=lambda item: (-item[1], item[0]))

    def _unit(self, words: Counter[str]) -> dict[str, float]:
        weights = {word: count * self.rarity.get(word, 0.0) for word, count in words.items()}
        length = math.sqrt(sum(weight * weight for weight in weights.values()))
        return {word: weight / length for word, weight in weights.items()} if length else {}


def chunks(text: str, words: int = 60) -> list[str]:
    """A long text as parts of about `words` words that end with a sentence; a longer sentence is cut."""
    if words < 1:
        raise ValueError(f"chunks need words >= 1, got {words}")
    parts: list[list[str]] = [[]]
    for sentence in _SENTENCE.split(text):
        pieces = sentence.split()
        if parts[-1] and len(parts[-1]) + len(pieces) > words:
            parts.append([])
        while len(pieces) > words:
            parts[-1] += pieces[:words]
            pieces = pieces[words:]
            parts.append([])
        parts[-1] += pieces
    return [" ".join(part) for part in parts if part]


def nearest_chunks(parts: Sequence[str], query: str, count: int) -> list[int]:
    """Numbers of the parts nearest to a query, nearest first; the first ones where none shares a word with it."""
    found = [index for index, _ in TextIndex(parts).ranked(query)][:count]
    rest = (index for index in range(len(parts)) if index not in found)
    return [*found, *(index for index, _ in zip(rest, range(count - len(found))))]


def relevant(text: str, query: str, chars: int, words: int = 60) -> str:
    """Of a text longer than `chars` characters the parts that speak of the query, in the order of the text."""
    if len(text) <= chars:
        return text
    parts = chunks(text, words)
    kept: list[int] = []
    for index in nearest_chunks(parts, query, len(parts)):
        if sum(len(parts[i]) + 3 for i in (*kept, index)) <= chars:
            kept.append(index)
    return " … ".join(parts[index] for index in sorted(kept))
