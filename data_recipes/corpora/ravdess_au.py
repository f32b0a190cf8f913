"""Face action units of RAVDESS clips as OpenFace measured them, in numbers (`aus`) and in words (`context`).

Development layout: one table of means, ``openface_au_mean.csv``. Original: OpenFace output, one file a clip named as
the clip (``01-01-05-01-01-01-12.csv``, one line a frame, columns `success`, `AU01_r` ... with leading spaces); the
mean is taken over the frames in which a face was tracked. Intensities are 0-5.

The rows carry no media: the face is given to the model in words, next to the transcript.
Baltrusaitis T. et al. (2018), OpenFace 2.0; RAVDESS tracking: doi:10.5281/zenodo.3255102.
"""

from collections.abc import Iterator
from pathlib import Path

from cuewise.data_recipes.corpora import ravdess
from cuewise.data_recipes.corpora.splits import keep_split
from cuewise.data_recipes.corpora.tables import Line, TableError, read_table
from cuewise.data_recipes.schema import Row

AU_WORDS = {
    "AU1": "inner brows raised", "AU2": "outer brows raised", "AU4": "brows lowered", "AU5": "eyes widened",
    "AU6": "cheeks raised", "AU7": "eyes narrowed", "AU9": "nose wrinkled", "AU10": "upper lip raised",
    "AU12": "lip corners up", "AU14": "cheeks dimpled", "AU15": "lip corners down", "AU17": "chin raised",
    "AU20": "lips stretched", "AU23": "lips tightened", "AU25": "lips parted", "AU26": "jaw dropped",
    "AU45": "blinking",
}  # fmt: skip
"""What each of OpenFace's 17 intensities is called in words."""

WORTH_SAYING = 0.05
"""Mean intensity from which an action unit is written into the context. Weak actions say much: a logistic regression
reads 0.45 of RAVDESS's eight emotions (other actors) from the units above 0.5, and 0.56 from all of them."""


def in_words(aus: dict[str, float]) -> str:
    """Measured action units as one sentence, strongest first.

    >>> in_words({"AU12": 2.314, "AU6": 1.4, "AU4": 0.02})
    'Measured face actions (mean, 0-5): lip corners up (AU12) 2.31, cheeks raised (AU6) 1.40.'
    """
    strong = sorted(((unit, value) for unit, value in aus.items() if unit in AU_WORDS and value >= WORTH_SAYING),
                    key=lambda item: -item[1])  # fmt: skip
    if not strong:
        return f"Measured face actions (mean, 0-5): none reaches {WORTH_SAYING}."
    listed = ", ".join(f"{AU_WORDS[unit]} ({unit}) {value:.2f}" for unit, value in strong)
    return f"Measured face actions (mean, 0-5): {listed}."


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
