"""A user's own table: separated by commas, semicolons or tabs, as spreadsheets save it, with all wrong lines told."""

import codecs
import csv
import io
import logging
import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path, PurePath

from cuewise.data_recipes.corpora.labels import nearest
from cuewise.data_recipes.corpora.tables import Line, TableError, decode

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}
SAVE_AS = "save the table as CSV in UTF-8"
CLOSE = 0.7
"""How alike the name of a column that is not read and that of an absent one are at least to be taken for it."""

_FACT = re.compile(r"[a-z]+[ _-](?!ids?$|names?$)", re.IGNORECASE)
"""A fact about what another column would name, such as `speaker_age`; not the thing itself, such as `speaker_id`."""

_BREAK = re.compile(r"\r\n?|\n")
_LOG = logging.getLogger(__name__)

LooksLikeRow = Callable[[str, str], bool]
"""(line inside a quoted text, line in which its record begins) -> whether it was meant as a record of its own."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """How a line of the table looks."""

    folder: Path
    separator: str
    fields: int
    file: int

    def is_row(self, line: str, begin: str) -> bool:
        """Names a clip of the folder, or has all fields and a file name with the ending of the one in `begin`."""
        fields = self._split(line)
        name = self._name(fields)
        if not name or os.path.isfile(self.folder / name):
            return bool(name)
        ending = PurePath(name).suffix.casefold()
        return len(fields) == self.fields and ending == PurePath(self._name(self._split(begin))).suffix.casefold() != ""

    def _split(self, line: str) -> list[str]:
        return next(csv.reader([line], delimiter=self.separator), [])

    def _name(self, fields: Sequence[str]) -> str:
        return fields[self.file].strip() if self.file < len(fields) else ""


def read_clip_table(
    path: Path, folder: Path, needed: Mapping[str, str], optional: Mapping[str, str], defaults: Mapping[str, str]
) -> tuple[list[Line], list[str]]:
    """(lines by the wanted column names, problems of lines that cannot be read).

    Args:
        folder: Where the files of the column `needed["file"]` lie.
        needed, optional: {option: column}. An optional column may only be absent where it has its name of `defaults`.

    Raises TableError for a table that cannot be read at all. Names of columns are compared without case.
    """
    texts = list(io.StringIO(_text(path), newline=""))
    header = next((text for text in texts if text.strip()), "")
    if not header:
        raise TableError(f"{path}: the table is empty; begin it with a line {','.join(needed.values())}")
    separator = max(SEPARATORS, key=header.count)
    names, at = _header(texts, separator, path)
    names = _named(names, path, needed, optional, defaults)
    shape = _Shape(folder, separator, len(names), names.index(needed["file"]))
    lines, problems = [], []
    while at < len(texts):
        number = at + 1
        values, at, wrong = _record(texts, at, separator, shape.is_row)
        if wrong:
            problems.append(f"{path}, {wrong}")
        elif not any(value.strip() for value in values):
            continue
        elif len(values) == len(names):
            lines.append(Line(path, number, dict(zip(names, values))))
        else:
            problems.append(f"{path}, line {number}: {len(values)} fields where the header has {len(names)}; put "
                            f"quotes around a text that has a {SEPARATORS[separator]} in it")  # fmt: skip
    return lines, problems


def _header(texts: Sequence[str], separator: str, path: Path) -> tuple[list[str], int]:
    """(names of the columns, index of the line below)."""
    at = 0
    while at < len(texts):
        names, at, wrong = _record(texts, at, separator, lambda *_: True)
        if wrong:
            raise TableError(f"{path}, {wrong}")
        if any(name.strip() for name in names):
            return [name.strip() for name in names], at
    return [], at


def _record(texts: Sequence[str], at: int, separator: str, is_row: LooksLikeRow) -> tuple[list[str], int, str]:
    """(fields of the record that begins at a line, index of the line to go on with, what is wrong with it)."""
    reader = csv.reader((texts[i] for i in range(at, len(texts))), delimiter=separator, strict=True)
    values, wrong = [], ""
    try:
        values = next(reader)
    except csv.Error as error:
        wrong = f"line {at + 1}: {error}"
    end = at + reader.line_num
    if wrong or end > at + 1:
        wrong, end = _wrong_quote(texts[at:end], at, separator, is_row) or (wrong, end)
    return values, end, wrong


def _wrong_quote(texts: Sequence[str], at: int, separator: str, is_row: LooksLikeRow) -> tuple[str, int] | None:
    """(what is wrong with the first quote of a record that is not closed as it should be, line to go on with)."""
    text, end = "".join(texts), at + len(texts)
    plain = re.escape(separator)
    field = rf'(?:"(?P<text>[^"]*(?:""[^"]*)*)(?P<close>"?))?(?P<rest>[^{plain}\r\n]*)(?:{plain}|\r\n?|\n|\Z)'
    for found in re.finditer(field, text):
        if found["text"] is None:
            continue
        opens = at + len(_BREAK.findall(text, 0, found.start()))
        inside = enumerate(_BREAK.split(found["text"]))
        row = next((opens + i for i, line in inside if i and is_row(line, texts[0])), None)
        if row is not None:
            return (f"line {opens + 1}: a quote opens here and line {row + 1}, which looks like a line of its own, is "
                    "inside it; is the quote closed?"), row  # fmt: skip
        if not found["close"]:
            return f"line {opens + 1}: the quote that opens here is never closed; close it or take it out", end
        if found["rest"]:
            return (f"line {opens + 1}: {found['rest'][:30]!r} follows the quoted text that begins here; put the whole "
                    "field into quotes, and write each quote within it twice"), end  # fmt: skip
    return None


def _text(path: Path) -> str:
    data = path.read_bytes()
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            text = data.decode("utf-16")
        except UnicodeDecodeError as error:
            raise TableError(f"{path}: damaged UTF-16 text at byte {error.start}; {SAVE_AS}") from None
    else:
        text = decode(data)
    if "\0" in text:
        kind = "a spreadsheet, not a CSV file" if data.startswith(b"PK") else "not text in UTF-8"
        raise TableError(f"{path}: this is {kind}; {SAVE_AS}")
    return text


def _named(
    header: list[str], path: Path, needed: Mapping[str, str], optional: Mapping[str, str], defaults: Mapping[str, str]
) -> list[str]:
    """The header with the wanted names in place of other spellings of them."""
    names, read, absent = list(header), set(), {}
    for option, column in {**needed, **optional}.items():
        same = [i for i, name in enumerate(header) if name.casefold() == column.strip().casefold()]
        if len(same) > 1:
            spelt = ", ".join(f"`{header[i]}`" for i in same)
            raise TableError(f"{path}: {len(same)} columns are named `{column}` ({spelt}; case does not matter); "
                             "rename all but one")  # fmt: skip
        if same:
            names[same[0]] = column
            read.add(same[0])
        elif option in needed:
            raise TableError(f"{path}: column `{column}` is missing; {nearest(column, tuple(header))}")
        elif column != defaults[option]:
            near = get_close_matches(column, header, n=1, cutoff=0.5)
            hint = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(header)}"
            raise TableError(f"{path}: data.{option} names the column `{column}`, which is missing; {hint}")
        else:
            absent[column.casefold()] = option
    _check_unread([name or f"column {i + 1}" for i, name in enumerate(header) if i not in read], absent, path)
    return names


def _check_unread(unread: list[str], absent: Mapping[str, str], path: Path) -> None:
    """Raise TableError for columns that are nearly named like an absent one ({column: option}); log the other ones."""
    near = {name: get_close_matches(name.casefold(), absent, n=1, cutoff=CLOSE) for name in unread
            if not _FACT.match(name)}  # fmt: skip
    misspelt = {name: columns[0] for name, columns in near.items() if columns}
    if misspelt:
        told = [f"column `{name}` is not read; did you mean `{column}`? Rename it, or give "
                f"{shlex.quote(f'data.{absent[column]}={name}')}" for name, column in misspelt.items()]  # fmt: skip
        raise TableError(f"{path}: {'; '.join(told)}; a column that is something else needs a name less like it")
    if unread:
        options = [f"data.{option}=COLUMN" for option in absent.values()]
        hint = f"; say with {' or '.join(options)} what is in one" if options else ""
        _LOG.warning("%s: not read: %s%s", path, ", ".join(f"`{name}`" for name in unread), hint)
