"""Rates that say whether synthetic text rows are worth training on (Emo Pillars): copies and words without a place."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from cuewise.data_recipes.schema import Row
from cuewise.mllm.taxonomy import valence_arousal, wheel_table

_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class TextRates:
    """Shares over a set of rows."""

    rows: int
    duplicates: int
    """Rows whose text, case and punctuation aside, stands in an earlier row, with or without the same context."""

    with_context: int
    labels: int
    outside: Counter[str]
    """Labels that the taxonomy knows nothing of, with their counts."""

    @property
    def duplicate_rate(self) -> float:
        return self.duplicates / self.rows if self.rows else 0.0

    @property
    def outside_rate(self) -> float:
        return sum(self.outside.values()) / self.labels if self.labels else 0.0

    def __str__(self) -> str:
        worst = ", ".join(f"{label} {count}" for label, count in self.outside.most_common(5))
        return (f"{self.rows} rows, {self.with_context} with context; duplicates {self.duplicate_rate:.1%}; "
                f"labels outside the taxonomy {self.outside_rate:.1%}{f' ({worst})' if worst else ''}")  # fmt: skip


def text_rates(rows: Iterable[Row]) -> TextRates:
    """Duplicates and labels outside the taxonomy."""
    seen: set[tuple[str, ...]] = set()
    total = duplicates = with_context = labels = 0
    outside: Counter[str] = Counter()
    for row in rows:
        total += 1
        with_context += row.context is not None
        words = tuple(_WORD.findall((row.transcript or "").lower()))
        duplicates += words in seen
        seen.add(words)
        labels += len(row.labels)
        outside.update(label for label in row.labels if not in_taxonomy(label))
    return TextRates(total, duplicates, with_context, labels, outside)


def in_taxonomy(label: str) -> bool:
    """Whether a wheel or the table of places knows a label."""
    return valence_arousal(label) is not None or label.lower().strip() in wheel_table("cuewise2026").roots


def without_duplicates(rows: Iterable[Row]) -> list[Row]:
    """The first row of each text, in order."""
    kept: dict[tuple[str, ...], Row] = {}
    for row in rows:
        kept.setdefault(tuple(_WORD.findall((row.transcript or "").lower())), row)
    return list(kept.values())
