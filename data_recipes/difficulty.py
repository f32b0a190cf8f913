"""How hard a dialogue is, and which ones are learnt first (PRC-Emo, AAAI 2026).

    stages = buckets([(name, dialogue_difficulty(turns)) for name, turns in dialogues.items()], 2)

A shift of emotion weighs ``k * s + b`` with s the similarity of both emotions on the circumplex, so that shifts between
*similar* emotions count as harder. A speaker is a speaker id, never a gender.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np

from cuewise.data_recipes.schema import Row
from cuewise.mllm.taxonomy import circumplex_similarity

Key = TypeVar("Key", bound=Hashable)

SLOPE, OFFSET = 1.0, 0.4
"""k and b of the weighted shift."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One utterance of a dialogue."""

    speaker: str
    emotion: str


def weighted_shift(a: str, b: str, labels: int, slope: float = SLOPE, offset: float = OFFSET) -> float:
    """Weight of a shift between two emotions; `labels` is the size of the corpus's label set.

    >>> round(weighted_shift("fear", "anger", 7), 4), weighted_shift("joy", "anger", 7)
    (0.709, 0.4)
    """
    similarity = circumplex_similarity(a, b, labels)
    if similarity is None:
        raise ValueError(f"`{a}` or `{b}` has no place on the circumplex; rename it or leave the dialogue out")
    return slope * similarity + offset


def dialogue_difficulty(turns: Sequence[Turn], labels: int, *, only_changes: bool = True) -> float:
    """``(same-speaker shifts + cross-speaker shifts + speakers) / (utterances + speakers)``.

    A same-speaker shift joins a speaker's consecutive turns of different emotions; a cross-speaker shift joins
    neighbouring turns of different speakers, with `only_changes` (as released) of different emotions alone.
    """
    if not turns:
        raise ValueError("a dialogue needs at least one turn")
    last: dict[str, str] = {}
    total = 0.0
    for turn in turns:
        if turn.speaker in last and last[turn.speaker] != turn.emotion:
            total += weighted_shift(last[turn.speaker], turn.emotion, labels)
        last[turn.speaker] = turn.emotion
    for before, after in pairwise(turns):
        if before.speaker != after.speaker and (before.emotion != after.emotion or not only_changes):
            total += weighted_shift(before.emotion, after.emotion, labels)
    return (total + len(last)) / (len(turns) + len(last))


def difficulties(rows: Iterable[Row], labels: int, *, only_changes: bool = True) -> dict[str, float]:
    """Dialogue id -> difficulty, from rows with `dialogue`, `speaker` and a label; others are left out."""
    turns: dict[str, list[tuple[int, Turn]]] = {}
    for row in rows:
        if row.dialogue is not None and row.labels:
            turns.setdefault(row.dialogue.id, []).append(
                (row.dialogue.turn, Turn(row.speaker or "unknown", row.labels[0]))
            )
    return {
        name: dialogue_difficulty([turn for _, turn in sorted(listed, key=lambda item: item[0])], labels,
                                  only_changes=only_changes)
        for name, listed in turns.items()
    }  # fmt: skip


def buckets(scored: Iterable[tuple[Key, float]], count: int = 2) -> list[list[Key]]:
    """Items in `count` equal buckets of rising difficulty, the last with the remainder; ties stay in order."""
    ordered = [item for item, _ in sorted(scored, key=lambda pair: pair[1])]
    if not 1 <= count <= max(1, len(ordered)):
        raise ValueError(f"{len(ordered)} items cannot be put into {count} buckets; use 1 to {max(1, len(ordered))}")
    size = len(ordered) // count
    return [ordered[i * size : (i + 1) * size if i < count - 1 else None] for i in range(count)]


def bucket_schedule(
    scored: Iterable[tuple[Key, float]], count: int = 2, epochs: int = 4, seed: int = 0
) -> list[list[Key]]:
    """What each epoch trains on: the first t buckets in epoch t, shuffled, then everything."""
    parts = buckets(scored, count)
    schedule = []
    for epoch in range(epochs):
        items = [item for part in parts[: min(epoch + 1, count)] for item in part]
        order = np.random.default_rng([seed, epoch]).permutation(len(items))
        schedule.append([items[i] for i in order])
    return schedule


def row_difficulty(row: Row, dialogues: Mapping[str, float]) -> float | None:
    """Difficulty of the dialogue a row belongs to."""
    return None if row.dialogue is None else dialogues.get(row.dialogue.id)
