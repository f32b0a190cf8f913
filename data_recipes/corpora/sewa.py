"""SEWA: people watching and discussing adverts, with continuous arousal, valence and liking.

Challenge layout (AVEC 2017-2019): ``labels/<partition>_<culture>_<number>.csv``, separated by semicolons, without or
with a header: name; time in seconds; arousal; valence; liking, in [-1, 1]; empty where nobody rated. Media of the same
name in ``video/`` or ``audio/``. Partitions Train, Devel, Test. The row's valence and arousal are means over time, the
whole traces are its `frame_labels`. The column order follows the challenge's description and was not checked against
the release. Own agreement; Kossaifi J. et al. (2019), TPAMI.
"""

from collections.abc import Iterator
from pathlib import Path

from cuewise.data_recipes.corpora.labels import nearest
from cuewise.data_recipes.corpora.splits import keep_split
from cuewise.data_recipes.corpora.tables import TableError, decode
from cuewise.data_recipes.schema import FrameLabel, Row

LICENCE = "research only"
SOURCE = "SEWA, Kossaifi et al. (2019)"
PARTITIONS = {"Train": "train", "Devel": "dev", "Test": "test"}
LANGUAGES = {"DE": "de", "HU": "hu", "CN": "zh", "UK": "en", "GR": "el", "RS": "sr"}


def read(root: Path, split: str | None = None) -> Iterator[Row]:
    """One row a recording."""
    files = sorted((root / "labels").glob("*.csv"))
    if not files:
        raise TableError(f"{root}: no labels/*.csv is there")
    yield from keep_split((_row(root, path) for path in files), split, root)


def _row(root: Path, path: Path) -> Row:
    partition, *rest = path.stem.split("_")
    if partition not in PARTITIONS:
        raise TableError(f"{path}: unknown partition {partition!r}; {nearest(partition, tuple(PARTITIONS))}")
    frames = _frames(path)
    media = {kind: f"{folder}/{path.stem}{ending}" for kind, folder, ending in
             (("video", "video", ".avi"), ("video", "video", ".mp4"), ("audio", "audio", ".wav"))
             if (root / folder / f"{path.stem}{ending}").is_file()}  # fmt: skip
    return Row(
        id=path.stem, corpus="sewa", split=PARTITIONS[partition], media=media,
        language=LANGUAGES.get(rest[0]) if rest else None, speaker=f"sewa_{path.stem}", frame_labels=frames,
        demographics={"culture": rest[0]} if rest and rest[0] in LANGUAGES else {},
        valence=_mean([f.valence for f in frames]), arousal=_mean([f.arousal for f in frames]),
        licence=LICENCE, source=SOURCE,
    )  # fmt: skip


def _frames(path: Path) -> list[FrameLabel]:
    """One label a line, from its time to that of the next; the last one as long as the one before."""
    points: list[tuple[float, float | None, float | None]] = []
    for number, line in enumerate(decode(path.read_bytes()).splitlines(), 1):
        parts = [part.strip().strip("'\"") for part in line.split(";")]
        if not line.strip() or (number == 1 and not _is_number(parts[1] if len(parts) > 1 else "")):
            continue
        if len(parts) < 4:
            raise TableError(f"{path}, line {number}: {len(parts)} fields, needed: name; time; arousal; valence")
        time, arousal, valence = (_number(path, number, part) for part in parts[1:4])
        if time is None:
            raise TableError(f"{path}, line {number}: no time")
        points.append((time, valence, arousal))
    if len(points) < 2:
        return []
    ends = [time for time, _, _ in points[1:]] + [2 * points[-1][0] - points[-2][0]]
    return [FrameLabel(start=time, end=end, valence=valence, arousal=arousal)
            for (time, valence, arousal), end in zip(points, ends)]  # fmt: skip


def _number(path: Path, number: int, text: str) -> float | None:
    if text.lower() in ("", "nan", "?"):
        return None
    if not _is_number(text):
        raise TableError(f"{path}, line {number}: {text!r} is no number")
    return float(text)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _mean(values: list[float | None]) -> float | None:
    rated = [value for value in values if value is not None]
    return max(-1.0, min(1.0, sum(rated) / len(rated))) if rated else None
