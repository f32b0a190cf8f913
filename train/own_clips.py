"""Your own clips: a folder and a table (CSV) of labels become rows to train on, or an error that names the line.

    file,label,transcript,speaker
    anna-01.mp4,happy,we won,anna
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Literal
from zlib import crc32

from cuewise.data_recipes.corpora.labels import COMMON_LABELS, common_label
from cuewise.data_recipes.corpora.tables import Line, TableError
from cuewise.data_recipes.schema import Row, write_jsonl
from cuewise.mllm.media import MediaConfig, MediaError
from cuewise.mllm.media.probe import Header, inspect
from cuewise.mllm.taxonomy import normalise, wheel_table
from cuewise.train.clip_table import read_clip_table
from cuewise.train.examples import Example

KINDS = {"video": "video", "audio": "audio", "image": "image", "animation": "video"}
MOST_ERRORS = 8
CLOSE = 0.8
"""How alike a misspelt label and an emotion are at least; they also begin alike."""

Numbered = list[tuple[int, Row]]
"""Rows with the number of their line."""


class OwnClipsError(ValueError):
    """The table or a clip cannot be used; the message lists the lines and what to change."""


@dataclass(kw_only=True, slots=True)
class OwnClipsConfig:
    csv: str
    """Table with a header line: one clip per line, separated by commas, semicolons or tabs."""

    folder: str | None = None
    """Folder that the files are relative to; that of the table by default."""

    file: str = "file"
    """Column with the name of the clip's file."""

    label: str = "label"
    """Column with the emotion, or several separated by `;` with the strongest first."""

    transcript: str = "transcript"
    """Column with what is said; may be absent."""

    speaker: str = "speaker"
    """Column with who is seen and heard; may be absent. A speaker is either trained on or validated on, never both;
    names are compared without case and space around them."""

    split: str = "split"
    """Column with train or dev; where it is absent or empty, that of the speaker's other lines, else `dev_share`,
    decides."""

    dev_share: float = 0.15
    """Share of the speakers (or clips, without speakers) kept for validation."""

    needs: list[Literal["face", "voice", "words"]] = field(default_factory=list)
    """Streams that every clip must have."""

    def __post_init__(self) -> None:
        unknown = sorted(set(self.needs) - {"face", "voice", "words"})
        if unknown:
            raise ValueError(f"data.needs names `{unknown[0]}`; streams are face, voice, words")
        if not 0 <= self.dev_share < 1:
            raise ValueError(f"data.dev_share is a share in [0, 1), got {self.dev_share:g}")


def rows_of(config: OwnClipsConfig, out: Path) -> dict[str, Path]:
    """Check the table and write ``train.jsonl`` and, where there are validation clips, ``dev.jsonl`` below `out`.

    Returns {split: absolute path}. Raises OwnClipsError with every line that is wrong, at most `MOST_ERRORS` of them.
    """
    table = Path(config.csv)
    folder = table.parent if config.folder is None else Path(config.folder)
    _check_table(table, config)
    lines, problems = _lines(table, config, folder)
    rows: Numbered = []
    for line in lines:
        try:
            rows.append((line.number, _row(line, config, folder)))
        except TableError as error:
            problems.append(str(error))
    problems += _repeated(lines, config, folder)
    if problems:
        more = f" … and {len(problems) - MOST_ERRORS} more" if len(problems) > MOST_ERRORS else ""
        raise OwnClipsError("; ".join(problems[:MOST_ERRORS]) + more)
    if not rows:
        raise OwnClipsError(f"{table}: no clips below the header; write one line per clip")
    _split(rows, config)
    files = {}
    for split in ("train", "dev"):
        chosen = [row for _, row in rows if row.split == split]
        if chosen:
            files[split] = (out / "data" / f"{split}.jsonl").resolve()
            write_jsonl(chosen, files[split])
    if "train" not in files:
        raise OwnClipsError(f"{table}: all {len(rows)} clips are for validation; label some `train`")
    return files


def _check_table(table: Path, config: OwnClipsConfig) -> None:
    """Raise OwnClipsError where there is no such file."""
    write = f"write a table with the columns {config.file} and {config.label}, one clip per line"
    if table.is_dir():
        inside = sorted(path.name for path in table.iterdir() if path.suffix.casefold() in (".csv", ".tsv"))
        named = f"name a table in it: {', '.join(inside[:MOST_ERRORS])}"
        hint = named if inside else f"there is no CSV file in it; {write}"
        raise OwnClipsError(f"data.csv: {table}: this is a folder, not a table; {hint}")
    if not table.is_file():
        raise OwnClipsError(f"data.csv: {table}: no such file; {write}")


def _lines(table: Path, config: OwnClipsConfig, folder: Path) -> tuple[list[Line], list[str]]:
    """Lines of the table that have all fields, and what is wrong with the others."""
    columns = {name: getattr(config, name) for name in ("file", "label", "transcript", "speaker", "split")}
    needed = {name: columns.pop(name) for name in ("file", "label")}
    defaults = {option.name: option.default for option in fields(OwnClipsConfig) if option.name in columns}
    try:
        return read_clip_table(table, folder, needed, columns, defaults)
    except TableError as error:
        raise OwnClipsError(str(error)) from error


def _repeated(lines: Sequence[Line], config: OwnClipsConfig, folder: Path) -> list[str]:
    """Lines with the file of an earlier line: each would be trained on once more. A clip is always a whole file."""
    seen: dict[Path, Line] = {}
    problems = []
    for line in lines:
        path = folder / line[config.file].strip()
        if not os.path.isfile(path):
            continue
        first = seen.setdefault(path.resolve(), line)
        if first is not line:
            columns = (config.label, config.transcript, config.speaker, config.split)
            other = [column for column in columns if _words(first, column) != _words(line, column)]
            what = f" with another {' and another '.join(other)}" if other else " twice"
            problems.append(f"{config.csv}, lines {first.number} and {line.number}: the same file ({path.resolve()})"
                            f"{what}; keep one of them")  # fmt: skip
    return problems


def _words(line: Line, column: str) -> list[str]:
    return line.get(column, "").split()


def check_streams(examples: Sequence[Example], needs: Sequence[str]) -> None:
    """Raise OwnClipsError for decoded clips without a needed stream, e.g. pictures in which no face was found."""
    for stream in needs:
        lost = [example.row.id for example in examples if stream not in example.tensors.streams]
        if lost:
            raise OwnClipsError(
                f"{len(lost)} clips have no {stream} once decoded, but data.needs asks for it: "
                f"{', '.join(lost[:MOST_ERRORS])}; leave them out of the table, or the stream out of data.needs"
            )


def _row(line: Line, config: OwnClipsConfig, folder: Path) -> Row:
    name = line[config.file].strip()
    if not name:
        raise line.fail(config.file, "no file is named")
    path = folder / name
    if os.path.isdir(path):
        raise line.fail(config.file, f"{path} is a folder, not a file; write one line for each clip in it")
    if not os.path.isfile(path):
        near = get_close_matches(name, [p.name for p in folder.iterdir()] if folder.is_dir() else [], n=1)
        raise line.fail(config.file, f"{path} does not exist" + (f"; did you mean `{near[0]}`?" if near else ""))
    transcript = _optional(line, config.transcript)
    header = _header(line, config, path)
    _check_streams(line, config, path, header, transcript)
    kind = "audio" if header.video_stream is None and header.audio_stream is not None else KINDS[header.kind]
    return Row(
        id=path.stem if folder == path.parent else name, corpus="mine", media={kind: str(path.resolve())},
        transcript=transcript, speaker=_optional(line, config.speaker), split=_given_split(line, config),
        labels=list(_labels(line, config)),
    )  # fmt: skip


def _header(line: Line, config: OwnClipsConfig, path: Path) -> Header:
    try:
        return inspect(path, MediaConfig())
    except MediaError as error:
        raise line.fail(config.file, str(error)) from error


def _check_streams(line: Line, config: OwnClipsConfig, path: Path, header: Header, transcript: str | None) -> None:
    """Sound, pictures and words as far as the file's header tells; whether a face is seen shows when it is decoded."""
    pictures = header.kind in ("image", "animation") or header.video_stream is not None
    has = {"voice": header.audio_stream is not None, "face": pictures, "words": bool(transcript)}
    what = {"voice": "has no sound", "face": "has no pictures", "words": "has no transcript"}
    for stream in config.needs:
        if not has[stream]:
            raise line.fail(config.file, f"{path.name} {what[stream]}, but data.needs asks for {stream}; replace the "
                                         "clip, take its line out, or leave the stream out of data.needs")  # fmt: skip


def _labels(line: Line, config: OwnClipsConfig) -> Iterator[str]:
    """Labels of one line, each an emotion word that the taxonomy knows."""
    words = [normalise(word) for word in line[config.label].split(";") if word.strip()]
    if not words:
        raise line.fail(config.label, "the label is empty; write an emotion, e.g. happy")
    roots = wheel_table().roots
    for word in words:
        if common_label(word) is None and word not in roots:
            near = next((found for known in (COMMON_LABELS, roots) for found in get_close_matches(
                word, [name for name in known if name[0] == word[0]], n=1, cutoff=CLOSE)), None)  # fmt: skip
            hint = f"did you mean `{near}`?" if near else f"use e.g. {', '.join(COMMON_LABELS)}"
            hint += "; several are separated by `;`" if "," in word else ""
            raise line.fail(config.label, f"unknown emotion {word!r}; {hint}")
        yield word


def _optional(line: Line, column: str) -> str | None:
    return line.get(column, "").strip() or None


def _given_split(line: Line, config: OwnClipsConfig) -> str | None:
    split = _optional(line, config.split)
    if split is not None and split not in ("train", "dev"):
        raise line.fail(config.split, f"split {split!r} must be train or dev, or empty")
    return split


def _split(rows: Numbered, config: OwnClipsConfig) -> None:
    """Fill the splits that are not given: as other lines of the speaker, or by a hash of the name."""
    spelt: dict[str, str] = {}
    for _, row in rows:
        if row.speaker is not None:
            row.speaker = spelt.setdefault(_person(row.speaker), row.speaker)
    given = {row.speaker: row.split for _, row in rows if row.speaker and row.split}
    for _, row in rows:
        row.split = row.split or given.get(row.speaker)
        if row.split is None:
            name = row.id if row.speaker is None else _person(row.speaker)
            row.split = "dev" if crc32(name.encode()) / 2**32 < config.dev_share else "train"
    _check_apart(rows, config)


def _check_apart(rows: Numbered, config: OwnClipsConfig) -> None:
    """Raise OwnClipsError for a speaker in both splits."""
    speakers: dict[str, tuple[int, Row]] = {}
    for number, row in rows:
        line, other = speakers.setdefault(row.speaker or "", (number, row))
        if row.speaker and row.split != other.split:
            raise OwnClipsError(f"{config.csv}, lines {line} and {number}: speaker {row.speaker!r} is in train and in "
                                "dev; put all clips of a speaker into one")  # fmt: skip


def _person(name: str) -> str:
    return " ".join(name.casefold().split())
