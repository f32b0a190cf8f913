"""What a source does to its rows before they are prepared: choose split and tier, soften labels, add demonstrations."""

from collections.abc import Sequence

from cuewise.data_recipes.retrieval import Demonstrations, demonstrations_text
from cuewise.data_recipes.schema import Row
from cuewise.data_recipes.soft_targets import gaussians, mixture


def of_split(rows: Sequence[Row], split: str | None) -> list[Row]:
    """Rows of this split; all where none is asked for, or where no row has one.

    Among rows that have splits, those without one are for training, so that no held-out person is met twice.
    """
    if split is None or not any(row.split for row in rows):
        return list(rows)
    return [row for row in rows if (row.split or "train") == split]


def of_tier(rows: Sequence[Row], tier: str | None) -> list[Row]:
    """Rows of this tier; all where none is named. Two sources of one file with their weights share out tiers."""
    return [row for row in rows if tier in (None, row.tier)]


def softened(rows: Sequence[Row]) -> list[Row]:
    """Rows with valence and arousal but no votes get votes from a mixture of emotions (arXiv:2602.06778).

    Each common label is a Gaussian at its place in the taxonomy; a row near several of them has several labels.
    """
    emotions = gaussians()
    return [_soft(row, emotions) for row in rows]


def with_demonstrations(rows: Sequence[Row], count: int) -> list[Row]:
    """Each row with the `count` nearest other rows in its context (PRC-Emo), never of its own dialogue."""
    index = Demonstrations(rows)
    shown = []
    for row in rows:
        near = index.nearest(row, count)
        parts = [demonstrations_text(near), row.context] if near else [row.context]
        shown.append(row.model_copy(update={"context": "\n".join(part for part in parts if part) or None}))
    return shown


def _soft(row: Row, emotions: dict) -> Row:
    if row.valence is None or row.arousal is None or row.votes.get("all"):
        return row
    shares = mixture((row.valence, row.arousal), emotions)
    return row.model_copy(update={"votes": {**row.votes, "all": shares}})
