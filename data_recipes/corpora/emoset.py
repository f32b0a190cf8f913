"""EmoSet-118K: what pictures make people feel, with attributes.

``{train,val,test}.json``: lists of [emotion, image file, annotation file]; an annotation holds `emotion` and, where
known, `brightness`, `colorfulness` (0-1), `scene`, `object` (list), `facial_expression`, `human_action`. The label is
what a *viewer* feels, so rows have `task` ``evoked`` and are never mixed with expressed emotions in one target.
Research only; Yang J. et al. (2023), ICCV.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from cuewise.data_recipes.corpora.labels import nearest
from cuewise.data_recipes.corpora.splits import keep_split
from cuewise.data_recipes.corpora.tables import TableError
from cuewise.data_recipes.schema import Row

LICENCE = "research only"
SOURCE = "EmoSet, Yang et al. (2023)"
SPLITS = {"train": "train", "val": "dev", "test": "test"}
EMOTIONS = ("amusement", "anger", "awe", "contentment", "disgust", "excitement", "fear", "sadness")
TASK = "evoked"
ATTRIBUTES = ("brightness", "colorfulness", "scene", "object", "facial_expression", "human_action")


def read(root: Path, split: str | None = None) -> Iterator[Row]:
    """Rows of the lists that are there."""
    there = {ours: root / f"{name}.json" for name, ours in SPLITS.items() if (root / f"{name}.json").is_file()}
    if not there:
        raise TableError(f"{root}: none of train.json, val.json, test.json is there")
    rows = (row for ours, path in there.items() if split in (None, ours) for row in _rows(root, path, ours))
    yield from keep_split(rows, split, root)


def _rows(root: Path, path: Path, split: str) -> Iterator[Row]:
    for number, entry in enumerate(json.loads(path.read_text(encoding="utf-8"))):
        if not isinstance(entry, list) or len(entry) != 3:
            raise TableError(f"{path}, entry {number}: must be [emotion, image, annotation], got {entry!r:.80}")
        emotion, image, annotation = (str(part) for part in entry)
        if emotion not in EMOTIONS:
            raise TableError(f"{path}, entry {number}: unknown emotion {emotion!r}; {nearest(emotion, EMOTIONS)}")
        yield Row(
            id=Path(image).stem, corpus="emoset", split=split, media={"image": image}, labels=[emotion],
            context=attributes(root / annotation), task=TASK, licence=LICENCE, source=SOURCE,
        )  # fmt: skip


def attributes(path: Path) -> str | None:
    """The attributes of an annotation in words; None without any."""
    if not path.is_file():
        return None
    data = json.loads(path.read_text(encoding="utf-8"))
    parts = []
    for name in ATTRIBUTES:
        value = data.get(name)
        if value in (None, "", []):
            continue
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        parts.append(f"{name.replace('_', ' ')} {text}")
    return f"Picture: {'; '.join(parts)}." if parts else None
