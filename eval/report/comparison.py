"""What comparing two runs finds: a difference per metric, and the samples that changed."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from cuewise.eval.metrics.base import plain

from .samples import SampleRecord


@dataclass(frozen=True, slots=True)
class Difference:
    """First minus second on the shared samples of one data set."""

    dataset: str
    metric: str
    scale: str
    direction: str
    averaging: str
    basis: str
    """What was resampled: the metric itself, or the mean of its per-sample values."""
    first: float
    second: float
    difference: float
    low: float
    high: float
    p_value: float
    n: int
    over: str
    """What was drawn: samples or speakers."""
    resamples: int

    @property
    def verdict(self) -> str:
        """Which run is better, when the interval leaves out zero."""
        if not (self.low > 0 or self.high < 0):
            return "no difference shown"
        return "first is better" if (self.difference > 0) == self.direction.startswith("higher") else "second is better"


@dataclass(frozen=True, slots=True)
class Changed:
    """A sample that the runs answered differently; `change` is first minus second on the metric that is read."""

    change: float
    first: SampleRecord
    second: SampleRecord


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that was found."""

    first: str
    second: str
    names: tuple[str, str]
    """The systems of the two runs."""
    suite: str
    n_shared: int
    only_first: int
    only_second: int
    parse_rates: tuple[float, float]
    selection_rules: tuple[str, str]
    read_by: tuple[str, str]
    """Data set and metric whose changed samples are listed."""
    differences: list[Difference]
    left_out: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    changed: list[Changed] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; of changed samples the ids, answers and scores."""
        values = {name: getattr(self, name) for name in (
            "first", "second", "names", "suite", "n_shared", "only_first", "only_second", "parse_rates",
            "selection_rules", "read_by", "left_out", "warnings")}  # fmt: skip
        values["schema"] = "cuewise-comparison-1"
        values["differences"] = [asdict(d) | {"verdict": d.verdict} for d in self.differences]
        values["changed"] = [
            {"id": c.first.id, "dataset": c.first.dataset, "change": c.change, "gt": c.first.gt,
             "first": c.first.labels, "second": c.second.labels}
            for c in self.changed
        ]  # fmt: skip
        return plain(values)


def to_json(found: Comparison) -> str:
    """The text of compare.json."""
    return json.dumps(found.as_dict(), ensure_ascii=False, indent=1, allow_nan=False) + "\n"

