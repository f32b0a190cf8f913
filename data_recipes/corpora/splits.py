"""Splits: which people, texts or dialogues are for training, for choosing and for the final test."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from cuewise.data_recipes.corpora.labels import nearest
from cuewise.data_recipes.corpora.tables import TableError
from cuewise.data_recipes.schema import Row

SPLITS = ("train", "dev", "test")


def keep_split(rows: Iterable[Row], split: str | None, root: Path) -> Iterator[Row]:
    """Rows of one split, or all. A split the corpus does not have here is an error, not an empty result."""
    if split is not None and split not in SPLITS:
        raise ValueError(f"unknown split `{split}`; {nearest(split, SPLITS)}")
    seen: set[str] = set()
    found = False
    for row in rows:
        seen.add(row.split or "none")
        if split is None or row.split == split:
            found = True
            yield row
    if not found:
        there = f"it has {', '.join(sorted(seen))}" if seen else "it has no rows at all"
        raise TableError(f"{root}: no rows" + (f" of split `{split}`; {there}" if split else "; is this the corpus?"))


def same_speaker_split(given: str, by_speaker: str | None, where: str) -> str:
    """`given`, after checking that it agrees with the split that this project fixed for the speaker."""
    if given not in SPLITS:
        raise TableError(f"{where}: unknown split {given!r}; {nearest(given, SPLITS)}")
    if by_speaker is not None and given != by_speaker:
        raise TableError(f"{where}: split {given!r}, but this speaker belongs to {by_speaker!r}; a speaker stands in "
                         "one split only")  # fmt: skip
    return given
