"""The data sets of MER-UniBench, each in one folder: labels, subtitles and media by sample name.

``labels.csv`` with `name` and one of `emo` (a word), `val` (a score) or `openset` (a list of words);
``subtitles.csv`` with `name` and one of `english`, `chinese`, `sentence`, `subtitle` (optional); media anywhere below,
``<name>.mp4`` or ``.avi``, and ``.wav``. The published label files are numpy archives of pickled tables:
`convert_labels` writes ``labels.csv`` from them once, without running anything that a pickle asks for.
"""

import csv
import io
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cuewise.data_recipes.corpora.files import media_index
from cuewise.data_recipes.corpora.tables import Line, TableError, read_table
from cuewise.data_recipes.schema import Row

LICENCE = "the data set's own agreement"
SUBTITLE_COLUMNS = ("english", "chinese", "sentence", "subtitle")
LABEL_COLUMNS = ("emo", "val", "openset")
MELD_WORDS = ("anger", "joy", "sadness", "neutral", "disgust", "fear", "surprise")
IEMOCAP_WORDS = ("happy", "sad", "neutral", "anger")
"""Words of the index labels, in their order."""

_SAFE = {("builtins", "dict"), ("builtins", "list"), ("builtins", "set"), ("collections", "OrderedDict")}
_SAFE_NUMPY = {"ndarray", "dtype", "scalar", "_reconstruct", "float64", "float32", "int64"}


def read(root: Path, split: str | None = None) -> Iterator[Row]:
    """One row a sample. The data sets have no other split than the one that is scored."""
    path = root / "labels.csv"
    lines = list(read_table(path, ("name",)))
    column = next((name for name in LABEL_COLUMNS if lines and name in lines[0]), None)
    if column is None:
        raise TableError(f"{path}: needs a column {', '.join(LABEL_COLUMNS)} and at least one row")
    subtitles = _subtitles(root)
    pictures, sounds = media_index(root, (".mp4", ".avi", ".mkv")), media_index(root, (".wav", ".flac", ".mp3"))
    for line in lines:
        yield _row(root, line, column, subtitles, pictures, sounds)


def _row(
    root: Path, line: Line, column: str, subtitles: dict[str, str], pictures: dict[str, str], sounds: dict[str, str]
) -> Row:
    name = line["name"].strip()
    media = {kind: files[name] for kind, files in (("video", pictures), ("audio", sounds)) if name in files}
    row = Row(id=name, corpus="unibench", media=media, transcript=subtitles.get(name), licence=LICENCE,
              source=root.name)  # fmt: skip
    if column == "val":
        row.sentiment = line.number_in("val", -3, 3)
    elif column == "emo":
        row.labels = [line["emo"].strip()]
    else:
        row.labels = open_labels(line["openset"])
    return row


def open_labels(text: str) -> list[str]:
    """Words of an open label list as the published driver reads it: ``neutral`` when there are none.

    >>> open_labels("['happy', 'sad']"), open_labels("[]")
    (['happy', 'sad'], ['neutral'])
    """
    inner = text.strip().removeprefix("[").removesuffix("]")
    words = [word.strip() for word in inner.replace("'", ",").replace('"', ",").split(",")]
    return [word for word in words if word] or ["neutral"]


def _subtitles(root: Path) -> dict[str, str]:
    path = root / "subtitles.csv"
    if not path.is_file():
        return {}
    lines = list(read_table(path, ("name",)))
    column = next((name for name in SUBTITLE_COLUMNS if lines and name in lines[0]), None)
    if column is None:
        raise TableError(f"{path}: needs a column {', '.join(SUBTITLE_COLUMNS)}")
    return {line["name"].strip(): line[column].strip() for line in lines if line[column].strip()}


def convert_labels(archive: Path, corpus: str, out: Path, words: tuple[str, ...] = (), prefix: str = "") -> int:
    """Write ``labels.csv`` from one ``<corpus>_corpus`` entry of a published label archive; returns the rows.

    Args:
        archive: the npz file.
        corpus: entry without its suffix, e.g. ``test1`` for ``test1_corpus``.
        out: folder of the data set.
        words: label words of index labels (`MELD_WORDS`, `IEMOCAP_WORDS`); empty when labels are words or scores.
        prefix: keeps names whose fifth character is this (IEMOCAP session 5: ``5``).
    """
    table = _safe_table(archive, f"{corpus}_corpus.npy")
    rows = []
    for name, entry in table.items():
        if prefix and str(name)[4:5] != prefix:
            continue
        emotion, value = entry.get("emo"), entry.get("val")
        scored = isinstance(value, (int, float, np.number)) and float(value) != -10
        rows.append((name, float(value) if scored else words[int(emotion)] if words else str(emotion)))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("name", "val" if rows and isinstance(rows[0][1], float) else "emo"))
    writer.writerows(rows)
    out.mkdir(parents=True, exist_ok=True)
    (out / "labels.csv").write_text(text.getvalue(), encoding="utf-8")
    return len(rows)


def _safe_table(archive: Path, entry: str) -> dict[str, Any]:
    """The dictionary pickled in one array of an npz file; a pickle that wants anything but plain data is refused."""
    try:
        with zipfile.ZipFile(archive) as file, file.open(entry) as stream:
            version = np.lib.format.read_magic(stream)
            read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            read_header[version](stream)
            found = _PlainUnpickler(stream).load()
    except (KeyError, zipfile.BadZipFile, pickle.UnpicklingError, OSError) as error:
        raise TableError(f"{archive}: {entry} cannot be read ({error})") from None
    while isinstance(found, np.ndarray):
        found = found.item() if found.ndim == 0 else found[0]
    if not isinstance(found, dict):
        raise TableError(f"{archive}: {entry} holds {type(found).__name__}, not a table of samples")
    return found


class _PlainUnpickler(pickle.Unpickler):
    """Plain containers, strings, numbers and numpy arrays of them; nothing that can be called."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _SAFE or (module.split(".")[0] == "numpy" and name in _SAFE_NUMPY):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no plain data")
