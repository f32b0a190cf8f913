"""Demonstrations for a prompt: the nearest other examples by their words, never the query itself nor its dialogue."""

from collections.abc import Iterable, Sequence

from cuewise.data_recipes.schema import Row
from cuewise.mllm.retrieval import TextIndex, word_counts


class Demonstrations:
    """An index over the transcripts of rows."""

    def __init__(self, rows: Iterable[Row]):
        self.rows = [row for row in rows if row.transcript and row.labels]
        if not self.rows:
            raise ValueError("demonstrations need rows with a transcript and a label, got none")
        self.index = TextIndex(row.transcript for row in self.rows)

    def nearest(self, query: Row, count: int = 3) -> list[Row]:
        """At most `count` rows, nearest first; ties in the order of the index.

        Left out: the query by id, rows of its dialogue, and rows with the very same words, which are copies of it.
        """
        ranked = (self.rows[index] for index, _ in self.index.ranked(query.transcript or ""))
        return [row for row, _ in zip((row for row in ranked if _is_other(row, query)), range(count))]


def demonstrations_text(rows: Sequence[Row]) -> str:
    """Demonstrations in words, one a line, for the context of a prompt."""
    return "\n".join(f'"{" ".join((row.transcript or "").split())}" -> {", ".join(row.labels)}' for row in rows)


def _is_other(row: Row, query: Row) -> bool:
    same_dialogue = row.dialogue is not None and query.dialogue is not None and row.dialogue.id == query.dialogue.id
    same_words = word_counts(row.transcript or "") == word_counts(query.transcript or "")
    return row.id != query.id and not same_dialogue and not same_words
