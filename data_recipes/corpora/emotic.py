"""EMOTIC: people in photographs, 26 categories and valence, arousal, dominance from 1 to 10.

``Annotations.mat`` with the structures `train`, `val`, `test`; each image has `folder`, `filename`, `image_size` and
one or several `person` with `body_bbox` (left, top, right, bottom), `annotations_categories` or, where several people
rated, `combined_categories`, likewise `annotations_continuous` and `combined_continuous`, `gender`, `age`. Images
lie in ``<folder>/<filename>``, in the root or in ``emotic/``. One row a person; a box is cut to its picture.

Dimensions of 1-10 become [-1, 1] by (x - 5.5) / 4.5: 1 is -1, 10 is 1. Research only; Kosti R. et al. (2019), TPAMI.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cuewise.data_recipes.corpora.labels import nearest
from cuewise.data_recipes.corpora.splits import keep_split
from cuewise.data_recipes.corpora.tables import TableError
from cuewise.data_recipes.schema import Row

LICENCE = "research only"
SOURCE = "EMOTIC, Kosti et al. (2019)"
SPLITS = {"train": "train", "val": "dev", "test": "test"}
CATEGORIES = (
    "Affection", "Anger", "Annoyance", "Anticipation", "Aversion", "Confidence", "Disapproval", "Disconnection",
    "Disquietment", "Doubt/Confusion", "Embarrassment", "Engagement", "Esteem", "Excitement", "Fatigue", "Fear",
    "Happiness", "Pain", "Peace", "Pleasure", "Sadness", "Sensitivity", "Suffering", "Surprise", "Sympathy", "Yearning",
)  # fmt: skip

Box = tuple[float, float, float, float]


def read(root: Path, split: str | None = None) -> Iterator[Row]:
    """One row a person."""
    path = next((p for p in (root / "Annotations.mat", *sorted(root.rglob("Annotations.mat"))) if p.is_file()), None)
    if path is None:
        raise TableError(f"{root}: no Annotations.mat is there")
    from scipy.io import loadmat

    data = loadmat(path, squeeze_me=True, struct_as_record=False)
    rows = (row for name, ours in SPLITS.items() if name in data and split in (None, ours)
            for image in _listed(data[name]) for row in _rows(root, path, image, ours))  # fmt: skip
    yield from keep_split(rows, split, root)


def scale(rating: float) -> float:
    """A rating of 1-10 as [-1, 1], exact at both ends.

    >>> scale(1), scale(5.5), scale(10)
    (-1.0, 0.0, 1.0)
    """
    return (rating - 5.5) / 4.5


def resize_box(box: Box, source: tuple[float, float], target: tuple[float, float]) -> Box:
    """A box (left, top, right, bottom) of a picture (width, height) in the same picture resized."""
    x, y = target[0] / source[0], target[1] / source[1]
    return box[0] * x, box[1] * y, box[2] * x, box[3] * y


def clip_box(box: Box, size: tuple[float, float]) -> Box | None:
    """The part of a box inside a picture (width, height); None when nothing of it is."""
    left, top, right, bottom = max(box[0], 0.0), max(box[1], 0.0), min(box[2], size[0]), min(box[3], size[1])
    return (left, top, right, bottom) if right > left and bottom > top else None


def _rows(root: Path, path: Path, image: Any, split: str) -> Iterator[Row]:
    file = f"{image.folder}/{image.filename}"
    places = (file, f"emotic/{file}")
    there = next((place for place in places if (root / place).is_file()), None)
    size = (float(image.image_size.n_col), float(image.image_size.n_row))
    for number, person in enumerate(_listed(image.person)):
        words = _categories(person)
        for word in words:
            if word not in CATEGORIES:
                raise TableError(f"{path}: {file}: unknown category {word!r}; {nearest(word, CATEGORIES)}")
        vad = {name: _dimension(person, name) for name in ("valence", "arousal", "dominance")}
        yield Row(
            id=f"{file}#{number}", corpus="emotic", split=split, media={"image": there} if there else {},
            person_box=clip_box(tuple(map(float, person.body_bbox)), size), labels=[word.lower() for word in words],
            demographics={"sex": str(person.gender).lower() or None, "age": str(person.age).lower() or None},
            **{name: None if value is None else scale(value) for name, value in vad.items()},
            licence=LICENCE, source=SOURCE,
        )  # fmt: skip


def _categories(person: Any) -> list[str]:
    combined = getattr(person, "combined_categories", None)
    found = combined if combined is not None and np.size(combined) else person.annotations_categories
    words = [word for one in _listed(found) for word in _listed(getattr(one, "categories", one))]
    return list(dict.fromkeys(str(word).strip() for word in words))


def _dimension(person: Any, name: str) -> float | None:
    combined = getattr(person, "combined_continuous", None)
    found = combined if hasattr(combined, name) else person.annotations_continuous
    values = [float(np.mean(getattr(one, name))) for one in _listed(found) if np.size(getattr(one, name))]
    rating = float(np.mean(values)) if values else float("nan")
    return rating if 1 <= rating <= 10 else None


def _listed(value: Any) -> list[Any]:
    return list(np.atleast_1d(np.asarray(value, dtype=object)).ravel())
