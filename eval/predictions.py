"""A file of predictions as a system: what somebody else's model said, scored like our own.

JSONL, CSV or TSV with an `id` (or `name`) column, joined to the samples by id (`DATASET/ID` where two data sets share
one), and one of

* `text`: the raw answer, in our format or free text;
* `labels` (or `label`, `pred`, `prediction`): one or several emotion words;

optionally `confidence`, `valence`, `arousal` and `distribution` (JSON: label -> share).
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from cuewise.eval.metrics.labels import parse_labels
from cuewise.eval.scoring import table_rows
from cuewise.eval.suites.suite import SuiteError
from cuewise.mllm.systems.base import Ask, Reply, ReplyError

LABEL_COLUMNS = ("labels", "label", "pred", "prediction")
NUMBER_COLUMNS = ("confidence", "valence", "arousal")


class PredictionsSystem:
    """Answers read from a file. A sample without a prediction is an error answer, counted as wrong."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.name = self.path.stem
        problems: list[str] = []
        rows = table_rows(self.path, problems)
        if problems:
            raise SuiteError(*problems)
        self.rows: dict[str, dict[str, Any]] = {}
        columns = set(rows[0][1])
        self.text_column = "text" if "text" in columns else None
        self.label_column = next((name for name in LABEL_COLUMNS if name in columns), None)
        self.id_column = next((name for name in ("id", "name") if name in columns), None)
        if self.id_column is None or not (self.text_column or self.label_column):
            raise SuiteError(f"{path}: needs an `id` column and `text` or `labels`; columns: "
                                       f"{', '.join(sorted(columns))}")  # fmt: skip
        for number, values in rows:
            self._take(number, values, problems)
        if problems:
            raise SuiteError(*problems)

    def describe(self) -> dict[str, Any]:
        digest = hashlib.sha256(self.path.read_bytes()).hexdigest()
        return {"kind": "predictions", "model": self.name, "file": self.path.name, "sha256": digest,
                "rows": len(self.rows)}  # fmt: skip

    def answer(self, asks: Iterable[Ask]) -> Iterator[Reply]:
        for ask in asks:
            values = self._row(ask.id)
            if not values:
                name = ask.id.partition("/")[2] or ask.id
                yield Reply(id=ask.id, error=ReplyError("no_prediction", f"{self.path.name} has no row {name!r}"))
            else:
                yield Reply(id=ask.id, text=self._text(values), prompt="(predictions file)", finish_reason="stop")

    def extras(self, sample_id: str) -> dict[str, Any]:
        """Confidence, valence, arousal and distribution of a row, in the form of a stored report."""
        values = self._row(sample_id)
        found = {name: float(values[name]) for name in NUMBER_COLUMNS if values.get(name) not in (None, "")}
        if values.get("distribution"):
            shares = values["distribution"]
            found["distribution"] = json.loads(shares) if isinstance(shares, str) else shares
        return found

    def close(self) -> None:
        """Nothing to free."""

    def _row(self, ask_id: str) -> dict[str, Any]:
        """The row of `DATASET/ID`, by that name or by the id alone; empty without one."""
        return self.rows.get(ask_id) or self.rows.get(ask_id.partition("/")[2]) or {}

    def _text(self, values: dict[str, Any]) -> str:
        if self.text_column:
            return str(values[self.text_column] or "")
        labels = [label.strip() for label in parse_labels(values[self.label_column]) if label.strip()]
        return f"<answer>{', '.join(labels)}</answer>" if labels else ""

    def _take(self, number: int, values: dict[str, Any], problems: list[str]) -> None:
        key = values.get(self.id_column)
        where = f"{self.path}:{number}"
        if not isinstance(key, (str, int)) or key == "":
            problems.append(f"{where}: missing id in column {self.id_column!r}")
            return
        if str(key) in self.rows:
            problems.append(f"{where}: id {key!r} stands there twice; ids must be unique")
        for name in NUMBER_COLUMNS:
            low = 0.0 if name == "confidence" else -1.0
            if values.get(name) not in (None, "") and not _number_in(values[name], low, 1.0):
                problems.append(f"{where}: {name} must be a number from {low:g} to 1, got {values[name]!r}")
        if values.get("distribution") and not _shares(values["distribution"]):
            problems.append(f"{where}: distribution must be a JSON object of label -> share, got "
                            f"{values['distribution']!r:.80}")  # fmt: skip
        if self.text_column is None:
            try:
                parse_labels(values.get(self.label_column))
            except ValueError as error:
                problems.append(f"{where}: {error}")
        elif values.get(self.text_column) is not None and not isinstance(values[self.text_column], str):
            problems.append(f"{where}: text must be a string, got {values[self.text_column]!r:.80}")
        self.rows[str(key)] = values


def _number_in(value: Any, low: float, high: float) -> bool:
    try:
        return not isinstance(value, bool) and low <= float(value) <= high
    except (TypeError, ValueError):
        return False


def _shares(value: Any) -> bool:
    try:
        found = json.loads(value) if isinstance(value, str) else value
        return isinstance(found, dict) and all(_number_in(share, 0.0, 1e9) for share in found.values())
    except ValueError:
        return False
