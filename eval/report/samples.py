"""`samples.parquet`: every sample of a run with its prompt, raw answer, what was read from it, and its scores."""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from cuewise.eval.metrics.base import plain

from .files import write_whole
from .results import ResultsError

FILE_NAME = "samples.parquet"
TEXT = ("id", "dataset", "prompt", "text", "error", "finish_reason")
JSON = ("gt", "parsed", "scores")
COUNTS = ("prompt_tokens", "completion_tokens")
OWN_COLUMNS = frozenset((*TEXT, *JSON, *COUNTS))
_CHUNK = 2000


@dataclass(slots=True, kw_only=True)
class SampleRecord:
    """One sample of a run. `parsed` holds labels, confidence, problems and, where there are any, cues with checks."""

    id: str
    dataset: str
    gt: Any
    prompt: str = ""
    text: str = ""
    parsed: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    """``code: message`` when there was no answer."""
    scores: dict[str, float | None] = field(default_factory=dict)
    """Metric name -> value of this sample; None where it was not scored."""
    groups: dict[str, str | None] = field(default_factory=dict)
    """Columns to slice by: speaker, gender, subset, ..."""
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None

    def score(self, metric: str) -> float | None:
        """Value under one metric; None where not scored or undefined."""
        value = self.scores.get(metric)
        return None if value is None or not math.isfinite(value) else float(value)

    @property
    def labels(self) -> list[str]:
        """Labels read from the answer, most important first."""
        return [label for label in self.parsed.get("labels") or () if isinstance(label, str)]

    @property
    def confidence(self) -> float | None:
        """Stated confidence in [0, 1]; None where none was stated."""
        value = self.parsed.get("confidence")
        return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def write_samples(path: str | Path, records: Iterable[SampleRecord]) -> int:
    """Write samples.parquet, a chunk at a time, and return the number of rows. `path` may be the folder of the run.

    Records that come one by one take their group columns from the first of them; a column that appears later raises
    ResultsError.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path, rows, total = _file(path), iter(records), 0

    def write(part: Path) -> None:
        nonlocal total
        chunk = list(islice(rows, _CHUNK))
        columns = _group_columns(records if isinstance(records, Sequence) else chunk)
        schema = _schema(pa, columns)
        with pq.ParquetWriter(part, schema, compression="zstd") as out:
            while chunk:
                total += len(chunk)
                out.write_table(pa.Table.from_pylist([_row(record, columns) for record in chunk], schema=schema))
                chunk = list(islice(rows, _CHUNK))

    write_whole(path, write)
    return total


def read_samples(path: str | Path) -> list[SampleRecord]:
    """All samples of a run. Raises ResultsError with the name of the file and the column."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = _file(path)
    if not path.is_file():
        raise ResultsError(f"{path} does not exist; give the folder of a finished run")
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise ResultsError(f"{path} is damaged: {str(error).splitlines()[0]}") from None
    missing = sorted(OWN_COLUMNS - set(table.column_names))
    if missing:
        raise ResultsError(f"{path} lacks column `{missing[0]}`; it has {', '.join(table.column_names)}")
    return list(_records(table, path))


def _records(table: Any, path: Path) -> Iterator[SampleRecord]:
    groups = [name for name in table.column_names if name not in OWN_COLUMNS]
    for number, row in enumerate(table.to_pylist()):
        values = {name: row[name] for name in (*TEXT, *COUNTS)}
        for name in JSON:
            try:
                values[name] = json.loads(row[name])
            except (TypeError, ValueError) as error:
                raise ResultsError(f"{path}: row {number}, column `{name}` is no JSON ({error})") from None
        yield SampleRecord(**values, groups={name: row[name] for name in groups})


def _row(record: SampleRecord, columns: list[str]) -> dict[str, Any]:
    unknown = set(record.groups) - set(columns)
    if unknown:
        raise ResultsError(f"sample {record.id!r} has a group column `{min(unknown)}` that earlier samples lack")
    row: dict[str, Any] = {name: _storable(getattr(record, name)) for name in TEXT}
    row |= {name: _storable(json.dumps(plain(getattr(record, name)), ensure_ascii=False)) for name in JSON}
    row |= {name: getattr(record, name) for name in COUNTS}
    for name in columns:
        value = record.groups.get(name)
        row[name] = None if value is None else _storable(str(value))
    return row


def _group_columns(records: Sequence[SampleRecord]) -> list[str]:
    columns = dict.fromkeys(name for record in records for name in record.groups)
    taken = sorted(OWN_COLUMNS & set(columns))
    if taken:
        raise ResultsError(f"a group column cannot be called `{taken[0]}`; that name belongs to the samples table")
    return list(columns)


def _schema(pa: Any, groups: list[str]) -> Any:
    names = ("id", "dataset", "gt", "prompt", "text", "parsed", "error", "scores")
    fields = [(name, pa.string()) for name in (*names, *groups, "finish_reason")]
    return pa.schema([*fields, *((name, pa.int64()) for name in COUNTS)])


def _storable(text: str | None) -> str | None:
    """Text without halves of surrogate pairs, which UTF-8 cannot hold."""
    return text if text is None else text.encode("utf-8", "replace").decode("utf-8")


def _file(path: str | Path) -> Path:
    path = Path(path)
    return path if path.suffix == ".parquet" else path / FILE_NAME
