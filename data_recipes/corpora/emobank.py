"""EmoBank: sentences with mean valence, arousal and dominance.

Both layouts hold ``emobank.csv`` (id, split, V, A, D, text), in the folder, in ``corpus/``. Ratings of 1-5 become
[-1, 1] by (x - 3) / 2: 1 is -1, 3 is 0, 5 is 1. Rows have no emotion label. CC BY-SA 4.0; Buechel & Hahn (2017), EACL.
"""

from collections.abc import Iterator
from pathlib import Path

from cuewise.data_recipes.corpora.splits import keep_split
from cuewise.data_recipes.corpora.tables import Line, read_table
from cuewise.data_recipes.schema import Row

LICENCE = "CC BY-SA 4.0"
SOURCE = "EmoBank, Buechel and Hahn (2017)"


def read(root: Path, split: str | None = None) -> Iterator[Row]:
    """Rows with the corpus's own split. Sentences without any text are left out."""
    path = next((place for place in (root / "emobank.csv", root / "corpus" / "emobank.csv") if place.is_file()),
                root / "emobank.csv")  # fmt: skip
    lines = read_table(path, ("id", "split", "V", "A", "D", "text"))
    yield from keep_split((_row(line) for line in lines if line["text"].strip()), split, root)


def scale(rating: float) -> float:
    """A rating of 1-5 as [-1, 1], exact at 1, 3 and 5."""
    return (rating - 3) / 2


def _row(line: Line) -> Row:
    valence, arousal, dominance = (scale(line.number_in(column, 1, 5)) for column in "VAD")
    split = line.choice("split", {"train": "train", "dev": "dev", "test": "test"})
    return Row(id=line["id"], corpus="emobank", split=split, transcript=line["text"].strip(), language="en",
               valence=valence, arousal=arousal, dominance=dominance, licence=LICENCE, source=SOURCE)  # fmt: skip
