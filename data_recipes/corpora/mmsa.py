"""CMU-MOSI, CMU-MOSEI, CH-SIMS and CH-SIMS v2 in the common layout: one table and one clip per segment.

``label.csv`` (or ``meta.csv``) with `video_id, clip_id, text, label, mode` and optionally `label_T, label_A, label_V`,
and ``Raw/<video_id>/<clip_id>.mp4``. `sentiment` keeps the corpus's own scale ([-3, 3], CH-SIMS [-1, 1]); `valence` is
the same in [-1, 1]; the scale is told from the largest score. Each corpus has its own agreement.
"""

from collections.abc import Iterator
from pathlib import Path

from cuewise.data_recipes.corpora.splits import keep_split
from cuewise.data_recipes.corpora.tables import Line, TableError, read_table
from cuewise.data_recipes.schema import Row

LICENCE = "the corpus's own agreement"
MODES = {"train": "train", "valid": "dev", "dev": "dev", "test": "test"}


def read(root: Path, split: str | None = None) -> Iterator[Row]:
    """One row a segment."""
    path = next((root / name for name in ("label.csv", "meta.csv") if (root / name).is_file()), None)
    if path is None:
        raise TableError(f"{root}: neither label.csv nor meta.csv is there")
    lines = list(read_table(path, ("video_id", "clip_id", "text", "label", "mode")))
    scores = [line.number_in("label", -3, 3) for line in lines]
    scale = 3.0 if any(abs(score) > 1 for score in scores) else 1.0
    yield from keep_split((_row(root, line, score, scale) for line, score in zip(lines, scores)), split, root)


def _row(root: Path, line: Line, score: float, scale: float) -> Row:
    video, clip = line["video_id"].strip(), line["clip_id"].strip()
    names = (f"Raw/{video}/{clip}.mp4", f"Raw/{video}/{clip.zfill(4)}.mp4")
    file = next((name for name in names if (root / name).is_file()), None)
    return Row(
        id=f"{video}/{clip}", corpus="mmsa", split=line.choice("mode", MODES), media={"video": file} if file else {},
        transcript=line["text"].strip() or None, sentiment=score, valence=score / scale,
        speaker=video, licence=LICENCE, source=root.name,
    )  # fmt: skip
