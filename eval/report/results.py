"""`results.json`: what a run of a suite came to, typed so that no number travels without what makes it believable.

A metric needs n, averaging and direction; a data set needs its parse rate; a run needs its selection rule and config
hash; a published row needs a source and says whether it can be compared. `read_results` names the file and the field
that is wrong.
"""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from cuewise.eval.metrics.base import plain

from .fields import Count, Name, Number, Rate, Strict
from .figures import Figures
from .files import write_text

SCHEMA = "cuewise-results-1"
FILE_NAME = "results.json"


class ResultsError(ValueError):
    """A run folder cannot be read; the message names the file and, where there is one, the field."""


class Metric(Strict):
    """One number of a data set."""

    name: Name
    value: Number
    n: Count
    """How many of `unit` entered the number."""
    unit: Name = "samples"
    averaging: Name
    direction: Literal["higher is better", "lower is better"]
    scale: Literal["share", "plain"] = "share"
    """A share lies in [-1, 1] and is shown in percent; anything else is shown as it is."""
    low: Number = None
    high: Number = None
    interval: str | None = None
    """What `low` and `high` are, as in ``95% bootstrap over speakers``."""
    parts: dict[str, Any] = Field(default_factory=dict)
    beside: str | None = None
    """Name of the metric of the same data set that must be printed beside this one."""

    @model_validator(mode="after")
    def _believable(self) -> "Metric":
        if self.n == 0 and self.value is not None:
            raise ValueError(f"{self.name} has a value ({self.value:g}) over no {self.unit}; undefined is null")
        if (self.low is None) != (self.high is None):
            raise ValueError(f"{self.name} has one end of an interval only; give low and high or neither")
        if self.low is not None and (not self.interval or self.low > self.high):
            raise ValueError(f"{self.name}: low <= high and a word on how they were found (`interval`) are needed")
        if self.scale == "share" and self.value is not None and abs(self.value) > 1 + 1e-9:
            raise ValueError(f"{self.name} = {self.value:g} is no share; divide percent by 100 or set scale to plain")
        return self


class DatasetResult(Strict):
    """One data set of the suite."""

    name: Name
    n: Count
    parse_rate: Rate
    metrics: list[Metric]

    @model_validator(mode="after")
    def _pairs_are_whole(self) -> "DatasetResult":
        names = [metric.name for metric in self.metrics]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"data set {self.name} has metric {name} twice")
        for metric in self.metrics:
            if metric.beside is not None and metric.beside not in names:
                raise ValueError(f"{metric.name} must be printed beside {metric.beside}, which {self.name} lacks")
        return self


class Primary(Strict):
    """Where the one number of the run stands."""

    dataset: Name
    metric: Name


class Baseline(Strict):
    """A published number, on the scale of our metric (a share, not percent)."""

    system: Name
    dataset: Name
    metric: Name
    value: float
    source: Name
    comparable: Literal["yes", "no", "partly"]
    note: str = ""
    n: Count | None = None
    averaging: str | None = None
    selection_rule: str | None = None

    @model_validator(mode="after")
    def _says_why_not(self) -> "Baseline":
        if self.comparable != "yes" and not self.note:
            raise ValueError(f"{self.system} on {self.dataset} is comparable: {self.comparable}; `note` must say why")
        return self


class Results(Strict):
    """A whole run."""

    schema_: Literal["cuewise-results-1"] = Field(SCHEMA, alias="schema")
    suite: Name
    system: dict[str, Any]
    config_hash: Name
    created_with: dict[str, Any]
    seed: int
    selection_rule: Name
    n: Count
    answered: Count
    errors: dict[str, Count]
    parse_rate: Rate
    problems: dict[str, Count]
    judge: dict[str, Any] | str | None = None
    embedder: dict[str, Any] | str | None = None
    datasets: list[DatasetResult]
    primary: Primary
    baselines: list[Baseline] = Field(default_factory=list)
    figures: Figures
    notes: list[str] = Field(default_factory=list)

    @property
    def system_name(self) -> str:
        """What people call the system."""
        for key in ("name", "model", "kind"):
            if self.system.get(key):
                return str(self.system[key])
        return "unnamed system"

    def metric(self, dataset: str, name: str) -> Metric | None:
        """One metric of one data set; None when the run does not have it."""
        found = (m for d in self.datasets if d.name == dataset for m in d.metrics if m.name == name)
        return next(found, None)

    @property
    def primary_metric(self) -> Metric:
        """The one number of the run."""
        metric = self.metric(self.primary.dataset, self.primary.metric)
        assert metric is not None, "checked when the results were made"
        return metric

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> "Results":
        if self.answered > self.n:
            raise ValueError(f"{self.answered} answered of {self.n} samples")
        if self.metric(self.primary.dataset, self.primary.metric) is None:
            raise ValueError(f"primary metric {self.primary.metric} of {self.primary.dataset} is not among the results")
        for row in self.baselines:
            ours = self.metric(row.dataset, row.metric)
            if (ours is None or ours.scale == "share") and abs(row.value) > 1 + 1e-9:
                raise ValueError(
                    f"baseline {row.system} on {row.dataset}: {row.metric} = {row.value:g} is no share; "
                    "published percent must be divided by 100"
                )
        return self


def to_json(results: Results) -> str:
    """The text of results.json: strict JSON, the same for the same results."""
    values = plain(results.model_dump(mode="python", by_alias=True))
    return json.dumps(values, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def write_results(path: str | Path, results: Results) -> None:
    """Write results.json; `path` may be the folder of the run. The file appears whole or not at all."""
    write_text(_file(path), to_json(results))


def read_results(path: str | Path) -> Results:
    """Read results.json or the folder of a run. Raises ResultsError."""
    path = _file(path)
    try:
        values = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ResultsError(f"{path} does not exist; give the folder of a finished run") from None
    except OSError as error:
        raise ResultsError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ResultsError(f"{path} is damaged: no JSON ({error}); run the suite again to remake it") from None
    return results_from(values, str(path))


def results_from(values: Any, where: str = "results") -> Results:
    """Typed results from plain values. Raises ResultsError with the name of the field that is wrong."""
    if not isinstance(values, dict):
        raise ResultsError(f"{where} is damaged: it holds {type(values).__name__}, not an object")
    if values.get("schema", SCHEMA) != SCHEMA:
        raise ResultsError(f"{where}: field `schema` is {values['schema']!r}; this version reads {SCHEMA}")
    try:
        return Results.model_validate(values)
    except ValidationError as error:
        raise ResultsError(f"{where} is damaged: {_first(error)}") from None


def _first(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_context=False)
    deepest = max(problems, key=lambda problem: len(problem["loc"]))
    field = ".".join(map(str, deepest["loc"]))
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    seen = deepest.get("input")
    shown = "" if isinstance(seen, (dict, list)) else f", got {seen!r:.60}"
    return (f"field `{field}`: " if field else "") + deepest["msg"].removeprefix("Value error, ") + shown + more


def _file(path: str | Path) -> Path:
    path = Path(path)
    return path if path.suffix == ".json" else path / FILE_NAME
