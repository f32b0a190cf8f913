"""A user's own table: separated by commas, semicolons or tabs, as spreadsheets save it, with all wrong lines told."""

import codecs
import csv
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

from cuewise.data_recipes.corpora.labels import nearest
from cuewise.data_recipes.corpora.tables import Line, TableError, decode

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}
SAVE_AS = "save the table as CSV in UTF-8"


def read_clip_table(
    path: Path, needed: Mapping[str, str], optional: Mapping[str, str], defaults: Mapping[str, str]
) -> tuple[list[Line], list[str]]:
    """(lines by the wanted column names, problems of lines that cannot be read).

    Args:
        needed, optional: {option: column}. An optional column may only be absent where it has its name of `defaults`.

    Raises TableError for a table that cannot be read at all. Names of columns are compared without case.
    """
    text = _text(path)
    header = next((line for line in text.splitlines() if line.strip()), "")
    if not header:
        raise TableError(f"{path}: the table is empty; begin it with a line {','.join(needed.values())}")
    separator = max(SEPARATORS, key=header.count)
    reader = csv.reader(text.splitlines(keepends=True), delimiter=separator)
    names, last = next(((row, reader.line_num) for row in reader if any(field.strip() for field in row)), ([], 0))
    names = _named([name.strip() for name in names], path, needed, optional, defaults)
    lines, problems = [], []
    for values in reader:
        number, last = last + 1, reader.line_num
        if not any(value.strip() for value in values):
            continue
        if len(values) == len(names):
            lines.append(Line(path, number, dict(zip(names, values))))
        else:
            problems.append(f"{path}, line {number}: {len(values)} fields where the header has {len(names)}; put "
                            f"quotes around a text that has a {SEPARATORS[separator]} in it")  # fmt: skip
    return lines, problems


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
    names = list(header)
    for option, column in {**needed, **optional}.items():
        same = [name for name in header if name == column] or [
            name for name in header if name.casefold() == column.strip().casefold()
        ]
        if len(same) > 1:
            raise TableError(f"{path}: {len(same)} columns are named `{column}`; rename all but one")
        if same:
            names[header.index(same[0])] = column
        elif option in needed:
            raise TableError(f"{path}: column `{column}` is missing; {nearest(column, tuple(header))}")
        elif column != defaults[option]:
            near = get_close_matches(column, header, n=1, cutoff=0.5)
            hint = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(header)}"
            raise TableError(f"{path}: data.{option} names the column `{column}`, which is missing; {hint}")
    return names
