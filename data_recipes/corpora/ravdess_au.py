"""Face action units of RAVDESS clips as OpenFace measured them, in numbers (`aus`) and in words (`context`).

Development layout: one table of means, ``openface_au_mean.csv``. Original: OpenFace output, one file a clip named as
the clip (``01-01-05-01-01-01-12.csv``, one line a frame, columns `success`, `AU01_r` ... with leading spaces); the
mean is taken over the frames in which a face was tracked. Intensities are 0-5.

The rows carry no media: the face is given to the model in words, next to the transcript.
Baltrusaitis T. et al. (2018), OpenFace 2.0; RAVDESS tracking: doi:10.5281/zenodo.3255102.
"""

from collections.abc import Iterator
from pathlib import Path

from cuewise.data_recipes.action_words import AU_WORDS, in_words
from cuewise.data_recipes.corpora import ravdess
from cuewise.data_recipes.corpora.splits import keep_split
from cuewise.data_recipes.corpora.tables import Line, TableError, read_table
from cuewise.data_recipes.schema import Row


def read(root: Path, split: str | None = None) -> Iterator[Row]:
    """Rows of either layout."""
    means = root / "openface_au_mean.csv"
    yield from keep_split(_means(means) if means.is_file() else _files(root), split, root)


def _means(path: Path) -> Iterator[Row]:
    for line in read_table(path, ("clip", *_columns())):
        try:
            yield _row(line["clip"], _intensities(line))
        except TableError as error:
            raise error if str(path) in str(error) else line.fail("clip", str(error)) from None


def _files(root: Path) -> Iterator[Row]:
    for path in sorted(root.rglob("0[123]-01-*.csv")):
        frames = [
            _intensities(line)
            for line in read_table(path, ("success", *_columns()))
            if line.number_in("success", 0, 1) == 1
        ]
        if not frames:
            raise TableError(f"{path}: no frame has `success` 1, so nothing was measured; leave this file out")
        yield _row(path.stem, {unit: sum(frame[unit] for frame in frames) / len(frames) for unit in AU_WORDS})


def _columns() -> list[str]:
    return [f"AU{int(unit[2:]):02d}_r" for unit in AU_WORDS]


def _intensities(line: Line) -> dict[str, float]:
    return {unit: line.number_in(column, 0, 5) for unit, column in zip(AU_WORDS, _columns())}


def _row(stem: str, aus: dict[str, float]) -> Row:
    aus = {unit: round(value, 4) for unit, value in aus.items()}
    row = ravdess.row_of(stem, {})
    return row.model_copy(update={"id": f"au_{stem}", "corpus": "ravdess_au", "aus": aus, "context": in_words(aus)})
