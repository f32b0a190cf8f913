"""Scoring files: case files (one metric call per line) and pairs of ground-truth and prediction tables.

Everything is read and checked before anything is scored, and scored before anything is written. Problems are
collected as one line each, so that a user sees all of them at once.
"""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .metrics.base import MetricInputError, plain
from .metrics.registry import Metric, metric

CASE_KEYS = ("id", "metric", "gt", "pred", "expected")
ID_COLUMNS = ("id", "name")
MAX_LINE_BYTES = 64 * 1024 * 1024
MAX_PROBLEMS = 20


class ScoringError(Exception):
    """The input cannot be scored. `problems` holds one line per thing to mend, at most `MAX_PROBLEMS` of them."""

    def __init__(self, problems: list[str]):
        shown = problems[:MAX_PROBLEMS]
        if len(problems) > len(shown):
            shown.append(f"... and {len(problems) - len(shown)} more problems of this kind")
        super().__init__("\n".join(shown))
        self.problems = shown


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a JSONL file: where it stands, and the object it holds."""

    number: int
    values: dict[str, Any]


def score_cases(path: Path) -> list[dict[str, Any]]:
    """``{id, result}`` for every case of a JSONL file, in order. Raises ScoringError before returning anything."""
    problems: list[str] = []
    cases = [line for line in read_jsonl(path, problems) if _check_case(path, line, problems)]
    _check_unique(path, [(line.number, line.values["id"]) for line in cases], problems)
    if not cases and not problems:
        problems.append(f"{path}: no cases; each line must be an object with id, metric, gt and pred")
    if problems:
        raise ScoringError(problems)
    results = []
    for line in cases:
        case = line.values
        try:
            result = metric(case["metric"]).compute(case["gt"], case["pred"])
        except MetricInputError as error:
            problems.append(f"{path}:{line.number}: case {case['id']!r}, {case['metric']}: {error}")
            continue
        results.append({"id": case["id"], "result": plain(result)})
    if problems:
        raise ScoringError(problems)
    return results


def score_tables(
    name: str, gt_path: Path, pred_path: Path, gt_column: str | None = None, pred_column: str | None = None
) -> tuple[list[dict[str, Any]], list[str]]:
    """Score a prediction table against a ground-truth table joined by id; returns result rows and notes.

    A metric of single samples gives one row per id, a metric of data sets one row. Predictions without ground truth
    are ignored with a note; ground truth without prediction is an error.
    """
    problems: list[str] = []
    entry = _table_metric(name)
    gt = read_table(gt_path, gt_column, "--gt-column", problems)
    pred = read_table(pred_path, pred_column, "--pred-column", problems)
    missing = [key for key in gt if key not in pred]
    if missing and not problems:
        problems.append(f"{pred_path}: no prediction for {len(missing)} of {len(gt)} ids, the first is {missing[0]!r}")
    if problems:
        raise ScoringError(problems)
    extra = len(pred.keys() - gt.keys())
    notes = [f"{pred_path}: {extra} predictions have no ground truth and are ignored"] if extra else []
    ids = list(gt)
    truths = _typed(gt_path, "gt", gt, ids, entry)
    answers = _typed(pred_path, "pred", pred, ids, entry)
    try:
        if entry.per == "sample":
            rows = [{"id": i, "result": plain(entry.compute(g, p))} for i, g, p in zip(ids, truths, answers)]
        else:
            rows = [{"metric": name, "samples": len(ids), "result": plain(entry.compute(truths, answers))}]
            if entry.beside:
                rows[0][entry.beside] = plain(metric(entry.beside).compute(truths, answers))
    except MetricInputError as error:
        raise ScoringError([f"{name}: {error}"]) from None
    return rows, notes


def read_jsonl(path: Path, problems: list[str]) -> Iterator[Line]:
    """Objects of a JSONL file; blank lines are skipped, unreadable lines become problems."""
    try:
        file = path.open("rb")
    except OSError as error:
        problems.append(_unreadable(path, error))
        return
    with file:
        number = 0
        while raw := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(raw) > MAX_LINE_BYTES:
                problems.append(
                    f"{path}:{number}: line longer than {MAX_LINE_BYTES >> 20} MB; one case per line, please"
                )
                return
            where = f"{path}:{number}"
            text = _decode(raw, where, number == 1, problems)
            if text is None:
                return  # the file is in another encoding: every further line would say the same
            if text.strip():
                values = _object(text, where, problems)
                if values is not None:
                    yield Line(number, values)


def table_rows(path: Path, problems: list[str]) -> list[tuple[int, dict[str, Any]]]:
    """(line number, values) of every row of a CSV, TSV or JSONL table; an empty table is a problem."""
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        rows = _csv_rows(path, "\t" if suffix == ".tsv" else ",", problems)
    elif suffix in (".jsonl", ".ndjson"):
        rows = [(line.number, line.values) for line in read_jsonl(path, problems)]
    else:
        problems.append(f"{path}: unknown kind of table {suffix or 'without suffix'!r}; give .csv, .tsv or .jsonl")
        return []
    if not rows and not problems:
        problems.append(f"{path}: no rows; give an id and a value per row")
    return rows


def read_table(path: Path, column: str | None, option: str, problems: list[str]) -> dict[Any, Any]:
    """Id -> value of a CSV, TSV or JSONL table with an id column and one value column (or `column`)."""
    rows = table_rows(path, problems)
    if problems or not rows:
        return {}
    id_name, value_name = _columns(path, list(rows[0][1]), column, option, problems)
    if problems:
        return {}
    table = {}
    for number, values in rows:
        if set(values) != set(rows[0][1]):
            problems.append(f"{path}:{number}: columns {', '.join(values)} differ from the first row's")
        elif values[id_name] in (None, "") or not isinstance(values[id_name], (str, int)):
            problems.append(f"{path}:{number}: missing id in column {id_name!r}")
        else:
            table[values[id_name]] = values[value_name]
    _check_unique(path, [(number, values.get(id_name)) for number, values in rows], problems)
    return table


def _csv_rows(path: Path, delimiter: str, problems: list[str]) -> list[tuple[int, dict[str, Any]]]:
    try:
        raw = path.read_bytes() if path.stat().st_size <= 16 * MAX_LINE_BYTES else None
    except OSError as error:
        problems.append(_unreadable(path, error))
        return []
    if raw is None:
        problems.append(f"{path}: larger than {16 * MAX_LINE_BYTES >> 30} GB; split it, or give JSONL")
        return []
    text = _decode(raw, str(path), True, problems)
    if text is None:
        return []
    csv.field_size_limit(MAX_LINE_BYTES)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[tuple[int, dict[str, Any]]] = []
    try:
        header = next(reader, [])
        if len(set(header)) != len(header):
            problems.append(f"{path}:1: a column name is written twice in {', '.join(header)}")
        for cells in reader:
            if len(cells) != len(header) and cells:
                problems.append(f"{path}:{reader.line_num}: {len(cells)} cells but the header has {len(header)}")
            elif cells:
                rows.append((reader.line_num, dict(zip(header, cells))))
    except csv.Error as error:
        problems.append(f"{path}:{reader.line_num}: not valid CSV ({error})")
    return rows


def _columns(path: Path, names: list[str], column: str | None, option: str, problems: list[str]) -> tuple[str, str]:
    id_name = next((name for name in ID_COLUMNS if name in names), "")
    if not id_name:
        problems.append(f"{path}: no id column; call it `id` or `name` (columns: {', '.join(names)})")
        return "", ""
    others = [name for name in names if name != id_name]
    if column is not None and column not in others:
        problems.append(f"{path}: no column `{column}`; columns: {', '.join(others)}")
    elif column is None and len(others) != 1:
        what = "no value column" if not others else f"{len(others)} value columns ({', '.join(others)})"
        problems.append(f"{path}: {what} beside `{id_name}`; keep one, or name it with {option}")
    return id_name, column or (others[0] if others else "")


def _typed(path: Path, side: str, table: dict[Any, Any], ids: list[Any], entry: Metric) -> list[Any]:
    """Values in id order; text cells become numbers, or JSON values, where the metric needs them."""
    kind = entry.gt_kind if side == "gt" else entry.pred_kind
    values, problems = [table[i] for i in ids], []
    read = {"number": float, "json": json.loads, "label_list": json.loads, "flag": json.loads}.get(kind)
    for position, value in enumerate(values if read else ()):
        try:
            values[position] = read(value) if isinstance(value, str) else value
        except ValueError:
            need = "a number" if kind == "number" else "a JSON value"
            problems.append(f"{path}: id {ids[position]!r}: {entry.name} needs {need}, got {value!r:.80}")
    if problems:
        raise ScoringError(problems)
    return values


def _table_metric(name: str) -> Metric:
    try:
        entry = metric(name)
    except MetricInputError as error:
        raise ScoringError([str(error)]) from None
    if entry.per == "run":
        raise ScoringError([f"{name} scores whole runs; give it as a case file: cuewise score CASES.jsonl"])
    return entry


def _check_case(path: Path, line: Line, problems: list[str]) -> bool:
    where, case = f"{path}:{line.number}", line.values
    missing = [key for key in ("id", "metric", "gt", "pred") if key not in case]
    extra = [key for key in case if key not in CASE_KEYS]
    if missing:
        problems.append(f"{where}: missing {', '.join(missing)}; a case needs id, metric, gt and pred")
    elif extra:
        problems.append(f"{where}: unknown key {extra[0]!r}; a case has id, metric, gt and pred")
    elif not isinstance(case["id"], str) or not case["id"]:
        problems.append(f"{where}: the id must be a non-empty string, got {case['id']!r:.80}")
    elif not isinstance(case["metric"], str):
        problems.append(f"{where}: the metric must be a name, got {case['metric']!r:.80}")
    else:
        try:
            metric(case["metric"])
        except MetricInputError as error:
            problems.append(f"{where}: case {case['id']!r}: {error}")
        return True
    return False


def _check_unique(path: Path, ids: list[tuple[int, Any]], problems: list[str]) -> None:
    first: dict[Any, int] = {}
    for number, key in ids:
        if isinstance(key, (str, int)) and first.setdefault(key, number) != number:
            problems.append(f"{path}:{number}: id {key!r} already stands in line {first[key]}; ids must be unique")


def _decode(raw: bytes, where: str, first: bool, problems: list[str]) -> str | None:
    if first and raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        problems.append(f"{where}: UTF-16 text; save the file as UTF-8")
        return None
    try:
        text = raw.decode("utf-8-sig" if first else "utf-8")
    except UnicodeDecodeError as error:
        problems.append(f"{where}: byte {raw[error.start]:#04x} at {error.start} is not UTF-8; save the file as UTF-8")
        return None
    return text


def _object(text: str, where: str, problems: list[str]) -> dict[str, Any] | None:
    try:
        values = json.loads(text, parse_constant=_no_constant)
        if "\\u" in text:
            json.dumps(values, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        problems.append(f"{where}: half of a surrogate pair is not text; write the whole character")
    except RecursionError:
        problems.append(f"{where}: nested too deeply")
    except ValueError as error:
        problems.append(f"{where}: not valid JSON ({error})")
    else:
        if isinstance(values, dict):
            return values
        problems.append(f"{where}: each line must be a JSON object, got {type(values).__name__}")
    return None


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON; write null for a missing value")


def _unreadable(path: Path, error: OSError) -> str:
    return f"{path}: cannot be read ({error.strerror})"
