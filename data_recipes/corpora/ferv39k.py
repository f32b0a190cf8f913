"""FERV39k: 38,935 clips of faces in 22 scenes, seven emotions, official split.

Original release: ``2_ClipsforFaceCrop/<Scene>/<Emotion>/<id>`` (a folder of frames, or ``<id>.mp4``) and the
space-delimited lists ``train_All.csv`` and ``test_All.csv`` with ``<Scene>/<Emotion>/<id> <number>``. Frames are given
to the model as they are only when a clip file stands beside them. `tier` is the scene.
Non-commercial research; Wang Y. et al. (2022), CVPR.
"""

from collections.abc import Iterator
from pathlib import Path

from cuewise.data_recipes.corpora.labels import nearest
from cuewise.data_recipes.corpora.tables import TableError, decode
from cuewise.data_recipes.schema import Row

LICENCE = "research only, non-commercial"
SOURCE = "FERV39k, Wang et al. (2022)"
LABELS = ("angry", "disgust", "fearful", "happy", "neutral", "sad", "surprised")
"""In the order of the numbers 0-6."""

LISTS = {"train": "train_All.csv", "test": "test_All.csv"}


def read(root: Path, split: str | None = None) -> Iterator[Row]:
    """Rows of the lists that are there."""
    wanted = {name: file for name, file in LISTS.items() if split in (None, name)}
    paths = {name: path for name, file in wanted.items() for path in sorted(root.rglob(file))[:1]}
    if not paths:
        raise TableError(f"{root}: no rows of split `{split or 'any'}`; {' or '.join(LISTS.values())} is missing")
    clips = next(iter(sorted(root.rglob("2_ClipsforFaceCrop"))), root)
    for name, path in paths.items():
        for number, line in enumerate(decode(path.read_bytes()).splitlines(), 1):
            if line.strip():
                yield _row(root, clips, line, name, f"{path}, line {number}")


def _row(root: Path, clips: Path, line: str, split: str, where: str) -> Row:
    name, _, label = line.strip().rpartition(" ")
    if not label.isdigit() or int(label) >= len(LABELS):
        raise TableError(f"{where}: {label!r} is no label number from 0 to {len(LABELS) - 1}")
    parts = name.split("/")
    if len(parts) != 3:
        raise TableError(f"{where}: {name!r} is not Scene/Emotion/id")
    if not LABELS[int(label)].startswith(parts[1].lower()[:3]):
        raise TableError(f"{where}: {name!r} lies under {parts[1]!r} but is labelled {LABELS[int(label)]!r}; "
                         f"{nearest(parts[1].lower(), LABELS)}")  # fmt: skip
    file = next((path for suffix in (".mp4", ".avi") if (path := clips / f"{name}{suffix}").is_file()), None)
    return Row(
        id=name, corpus="ferv39k", split=split, tier=parts[0], labels=[LABELS[int(label)]],
        media={"video": file.relative_to(root).as_posix()} if file else {}, licence=LICENCE, source=SOURCE,
    )  # fmt: skip
