"""BAH: people before a webcam, and where they are ambivalent or hesitant.

Video level, as the authors' list files have it: ``train.txt``, ``val.txt``, ``test.txt`` with `video_path,label,
transcript` (label 1 ambivalent or hesitant; the transcript may hold commas). Frame level, a layout of ours to convert
to: ``<video>.frames.csv`` beside the video or ``frame_labels/<name>.csv``, with `frame,label,fps`; the row's
`frame_labels` are the segments made from it. Research only; Gonzalez-Gonzalez M. et al. (2025), arXiv:2505.19328.
"""

from collections.abc import Iterator
from pathlib import Path

from cuewise.data_recipes.corpora.splits import keep_split
from cuewise.data_recipes.corpora.tables import TableError, decode, read_table
from cuewise.data_recipes.schema import FrameLabel, Row
from cuewise.data_recipes.segments import segments_of

LICENCE = "research only"
SOURCE = "BAH, Gonzalez-Gonzalez et al. (2025)"
LISTS = {"train": ("train.txt",), "dev": ("val.txt", "valid.txt"), "test": ("test.txt",)}
LABELS = {"0": "", "1": "hesitant"}
"""Label of a list -> our label; a video without ambivalence has none, which is not the same as neutral."""


def read(root: Path, split: str | None = None) -> Iterator[Row]:
    """One row a video of the lists."""
    found = {name: next((p for file in files for p in sorted(root.rglob(file))), None) for name, files in LISTS.items()}
    there = {name: path for name, path in found.items() if path is not None}
    if not there:
        raise TableError(f"{root}: none of train.txt, val.txt, test.txt is there")
    rows = (row for name, path in there.items() if split in (None, name) for row in _rows(root, path, name))
    yield from keep_split(rows, split, root)


def _rows(root: Path, path: Path, split: str) -> Iterator[Row]:
    for number, line in enumerate(decode(path.read_bytes()).splitlines(), 1):
        if not line.strip() or line.startswith("video_path,"):
            continue
        video, label, transcript = (*line.split(",", 2), "", "")[:3]
        if label.strip() not in LABELS:
            raise TableError(f"{path}, line {number}, column `label`: must be 0 or 1, got {label!r}")
        word = LABELS[label.strip()]
        media = {"video": video} if (root / video).is_file() else {}
        yield Row(
            id=Path(video).with_suffix("").as_posix(), corpus="bah", split=split, media=media,
            transcript=transcript.strip().strip('"') or None, speaker=f"bah_{Path(video).parts[0]}",
            labels=[word] if word else [], frame_labels=_frames(root, video), licence=LICENCE, source=SOURCE,
        )  # fmt: skip


def _frames(root: Path, video: str) -> list[FrameLabel]:
    stem = Path(video).with_suffix("")
    places = (root / f"{stem}.frames.csv", root / "frame_labels" / f"{stem.name}.csv")
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        return []
    lines = list(read_table(path, ("frame", "label", "fps")))
    if not lines:
        return []
    words = [line.choice("label", LABELS) or None for line in sorted(lines, key=lambda x: x.number_in("frame", 0, 1e9))]
    return segments_of(words, lines[0].number_in("fps", 1, 1000))
