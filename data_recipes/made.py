"""`cuewise data make KIND`: rows made of rows, from one file to another."""

from collections.abc import Callable, Iterable, Iterator
from os.path import relpath
from pathlib import Path

from cuewise.data_recipes.corpora.labels import nearest
from cuewise.data_recipes.preferences import Source, preferences
from cuewise.data_recipes.schema import Row, read_jsonl, write_jsonl
from cuewise.data_recipes.sides import side_of, viewer_answer
from cuewise.data_recipes.statements import statements
from cuewise.data_recipes.text_rows import without_duplicates
from cuewise.data_recipes.textualise import choose_route, feature_route, text_route
from cuewise.data_recipes.three_part import explain
from cuewise.mllm.evidence.measure import measure
from cuewise.mllm.evidence.types import Measurements
from cuewise.mllm.media import MediaConfig, MediaError, load_media

HIGHEST_AU = 5.0
MADE: dict[str, str] = {
    "statements": "right and wrong statements about each row, in pairs",
    "preferences": "right answers against planned corruptions",
    "text": "what was measured, in words, instead of the media",
    "features": "the media without words about what was measured",
    "route": "`text` where the transcript is good enough, else `features`",
    "three_part": "the reasoning in three parts, of rows with action units and a label",
    "viewers": "rows of what viewers feel as instructions with their answer",
    "unique": "the first row of each text",
}
"""Kind -> what is made. A row that gives nothing of the kind is left out."""


def make(kind: str, source: str | Path, out: str | Path, *, seed: int = 0, measured: bool = False) -> str:
    """Make rows of `kind` from the rows of a file; returns a summary for people.

    Args:
        measured: decode each clip and use what is measured in it (`text`, `route`, `preferences`).

    Raises ValueError for an unknown kind, or when no row gives anything.
    """
    if kind not in MADE:
        raise ValueError(f"cannot make `{kind}`; {nearest(kind, tuple(MADE))}")
    source, out = Path(source), Path(out)
    rows = list(read_jsonl(source))
    look = _looked(source.parent) if measured else lambda row: None
    made = moved(_made(kind, rows, seed, look), source, out)
    if not made:
        raise ValueError(f"no row of {source} gives {kind}: {MADE[kind]}")
    return f"{out}: {write_jsonl(made, out)} rows of {kind} from {len(rows)} rows"


def _made(kind: str, rows: list[Row], seed: int, look: Callable[[Row], Measurements | None]) -> Iterable[Row]:
    if kind == "statements":
        return statements(rows, seed=seed)
    if kind == "preferences":
        return preferences([Source(row, look(row)) for row in rows], seed=seed)
    if kind == "three_part":
        return [_three_part(row) for row in rows if row.aus and row.labels]
    if kind == "viewers":
        return [viewer_answer(row) for row in rows if side_of(row) == "evoked" and row.labels]
    if kind == "unique":
        return without_duplicates(rows)
    return _routed(kind, rows, look)


def _routed(kind: str, rows: list[Row], look: Callable[[Row], Measurements | None]) -> Iterator[Row]:
    for row in rows:
        seen = look(row)
        length = None if seen is None else seen.duration_s
        way = choose_route(row, length) if kind == "route" else kind
        if way == "text" and (row.aus or seen is not None):
            yield text_route(row, seen)
        elif row.media and kind != "text":
            yield feature_route(row)


def _three_part(row: Row) -> Row:
    text = explain({unit: min(value / HIGHEST_AU, 1.0) for unit, value in row.aus.items()}, row.labels[0])
    return row.model_copy(update={"reasoning": text, "instruction": "Explain the emotion.", "chosen": text})


def _looked(root: Path) -> Callable[[Row], Measurements | None]:
    """What is measured in the clip of a row; None for one that cannot be read or has no media."""

    def look(row: Row) -> Measurements | None:
        if not row.media:
            return None
        try:
            return measure(load_media(row.clip(root), MediaConfig()))
        except MediaError:
            return None

    return look


def moved(rows: Iterable[Row], source: Path, out: Path) -> list[Row]:
    """Rows of the file `source` as they stand in the file `out`: media paths are relative to the folder of a file."""
    way = Path(relpath(source.resolve().parent, out.resolve().parent))
    return [row.model_copy(update={"media": {kind: (way / path).as_posix() for kind, path in row.media.items()}})
            for row in rows]  # fmt: skip
