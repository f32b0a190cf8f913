"""Tables of corpora: CSV and TSV read by column name, with errors that name file, line, column and value."""

import csv
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from cuewise.data_recipes.corpora.labels import nearest

_CP1252_CONTROL = re.compile("[\x80-\x9f]")
_MOJIBAKE = re.compile("(?:â€[\u0080-\u009f˜™œ\u009d“”¦¡¢]|Ã[\u0080-\u00bf]|Â[\u00a0-\u00bf])")

csv.field_size_limit(10_000_000)


class TableError(ValueError):
    """A corpus file does not look as its release describes it."""


class Line(dict[str, str]):
    """One record of a table by column name, which knows its file and line number."""

    def __init__(self, path: Path, number: int, values: dict[str, str]):
        super().__init__(values)
        self.path, self.number = path, number

    def fail(self, column: str, message: str) -> TableError:
        """The error to raise for a bad value in `column`."""
        return TableError(f"{self.path}, line {self.number}, column `{column}`: {message}")

    def number_in(self, column: str, low: float, high: float) -> float:
        """A number in [low, high]."""
        value = self.optional_number(column)
        if value is None or not low <= value <= high:
            raise self.fail(column, f"{self[column].strip()!r} is no number from {low:g} to {high:g}")
        return value

    def optional_number(self, column: str) -> float | None:
        """A number, or None for an empty field or NA."""
        text = self[column].strip()
        if text.upper() in ("", "NA", "N/A", "NAN", "NONE"):
            return None
        try:
            return float(text)
        except ValueError:
            raise self.fail(column, f"{text!r} is no number") from None

    def choice(self, column: str, known: dict[str, str]) -> str:
        """The value of `known` for the field's word; an unknown word is an error with the nearest one."""
        word = self[column].strip()
        if word not in known:
            raise self.fail(column, f"unknown value {word!r}; {nearest(word, tuple(known))}")
        return known[word]


def read_table(path: Path, columns: Iterable[str], *, tabs: bool = False, header: list[str] | None = None,
               ) -> Iterator[Line]:  # fmt: skip
    """Records of a table that has at least `columns`. Tab-separated files have no quoting.

    Bytes that are not UTF-8 are read as Windows-1252. `header` names the columns of a file without a header line.
    """
    if not path.is_file():
        raise TableError(f"{path}: no such file; give the folder in which the corpus was unpacked")
    text = decode(path.read_bytes())
    rows = _split(text, tabs)
    names = header or [name.strip().lstrip("\ufeff") for name in next(rows, (0, []))[1]]
    for column in columns:
        if column not in names:
            raise TableError(f"{path}: column `{column}` is missing; {nearest(column, tuple(names))}")
    for number, values in rows:
        if not values or values == [""]:
            continue
        if len(values) != len(names):
            raise TableError(f"{path}, line {number}: {len(values)} fields where the header has {len(names)}")
        yield Line(path, number, dict(zip(names, values)))


def decode(data: bytes) -> str:
    """Text of a file: UTF-8, byte by byte Windows-1252 where it is not."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        lines = data.split(b"\n")
        return "\n".join(_decode_line(line) for line in lines)


def fix_windows_1252(text: str) -> str:
    """Undo both common accidents with Windows-1252: quotes as control characters, UTF-8 read as Windows-1252.

    >>> fix_windows_1252("it\x92s"), fix_windows_1252("itâ€™s")
    ('it’s', 'it’s')
    """
    text = _MOJIBAKE.sub(lambda match: _redecode(match.group()), text)
    return _CP1252_CONTROL.sub(lambda match: match.group().encode("latin-1").decode("cp1252", "ignore"), text)


def _redecode(piece: str) -> str:
    raw = b"".join(_cp1252_byte(char) for char in piece)
    return raw.decode("utf-8", "replace") if "\ufffd" not in raw.decode("utf-8", "replace") else piece


def _cp1252_byte(char: str) -> bytes:
    try:
        return char.encode("cp1252")
    except UnicodeEncodeError:
        return char.encode("latin-1", "replace")


def _decode_line(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("cp1252", "replace")


def _split(text: str, tabs: bool) -> Iterator[tuple[int, list[str]]]:
    if tabs:
        for number, line in enumerate(text.split("\n"), 1):
            yield number, line.rstrip("\r").split("\t") if line.strip() else []
        return
    reader = csv.reader(text.splitlines(keepends=True))
    last = 0
    for values in reader:
        yield last + 1, values
        last = reader.line_num
