"""Demonstrations for a prompt: the nearest other examples by their words, never the query itself nor its dialogue."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from cuewise.data_recipes.schema import Row

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


class Demonstrations:
    """An index over the transcripts of rows: cosine of word counts weighted by rarity (tf-idf)."""

    def __init__(self, rows: Iterable[Row]):
        self.rows = [row for row in rows if row.transcript and row.labels]
        if not self.rows:
            raise ValueError("demonstrations need rows with a transcript and a label, got none")
        counts = [_counts(row.transcript) for row in self.rows]
        seen = Counter(word for words in counts for word in words)
        self.rarity = {word: math.log((1 + len(counts)) / (1 + n)) + 1 for word, n in seen.items()}
        self.postings: dict[str, list[tuple[int, float]]] = {}
        for index, words in enumerate(counts):
            for word, weight in self._unit(words).items():
                self.postings.setdefault(word, []).append((index, weight))

    def nearest(self, query: Row, count: int = 3) -> list[Row]:
        """At most `count` rows, nearest first; ties in the order of the index.

        Left out: the query by id, rows of its dialogue, and rows with the very same words, which are copies of it.
        """
        scores: Counter[int] = Counter()
        for word, weight in self._unit(_counts(query.transcript or "")).items():
            for index, other in self.postings.get(word, ()):
                scores[index] += weight * other
        ranked = sorted(scores, key=lambda index: (-scores[index], index))
        return [self.rows[index] for index in ranked if _is_other(self.rows[index], query)][:count]

    def _unit(self, words: Counter[str]) -> dict[str, float]:
        weights = {word: count * self.rarity.get(word, 0.0) for word, count in words.items()}
        length = math.sqrt(sum(weight * weight for weight in weights.values()))
        return {word: weight / length for word, weight in weights.items()} if length else {}


def demonstrations_text(rows: Sequence[Row]) -> str:
    """Demonstrations in words, one a line, for the context of a prompt."""
    return "\n".join(f'"{" ".join((row.transcript or "").split())}" -> {", ".join(row.labels)}' for row in rows)


def _is_other(row: Row, query: Row) -> bool:
    same_dialogue = row.dialogue is not None and query.dialogue is not None and row.dialogue.id == query.dialogue.id
    return row.id != query.id and not same_dialogue and _counts(row.transcript or "") != _counts(query.transcript or "")


def _counts(text: str) -> Counter[str]:
    return Counter(_WORD.findall(text.lower()))
