"""Rewards: what a sampled answer is worth. Each is a metric with a batch in front and a map to [0, 1] behind.

    config = load_config("rewards.yaml")
    table = score([RewardSample.read(prompt, text, row), ...], config, step=120)
    table.total, table.unit["cue_grounding"]

A reward returns the raw value of its metric, or None where the *row* cannot be scored (no statement, no known cues);
a bad answer is scored low, never None. `to_unit` is monotone and tested. The total is the weighted mean over the
rewards that score the row, so it lies in [0, 1] too. Every reward is kept alone, before weighting.
"""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Literal, get_type_hints

from cuewise.data_recipes.schema import Row
from cuewise.mllm.config_tools import coerce, from_dict, load_yaml
from cuewise.mllm.evidence.types import Measurements
from cuewise.mllm.report import ParsedAnswer, parse

MODULES = ("answers", "evidence", "affect", "judgment")
"""Modules of this folder whose import registers rewards."""

DEFAULT = Path(__file__).with_name("default.yaml")


class RewardError(ValueError):
    """Rewards are configured wrongly or one of them broke its promise; the message says which and what to do."""


@dataclass(kw_only=True, slots=True)
class RewardSample:
    """One sampled answer with what is known about its clip."""

    prompt: str
    text: str
    answer: ParsedAnswer
    row: Row
    measurements: Measurements | None = None
    """What was measured in the clip; for real clips, whose cues nobody marked."""

    n_tokens: int = 0
    truncated: bool = False
    """Stopped at the token limit."""

    form: Literal["explained", "direct"] | None = None
    """The form that was asked for; None accepts both."""

    duration_s: float | None = None

    @classmethod
    def read(cls, prompt: str, text: str, row: Row, *, duration_s: float | None = None, **known: Any) -> "RewardSample":
        """A sample from its text, read by the one parser; `known` are the other fields."""
        return cls(prompt=prompt, text=text, answer=parse(text, duration_s), row=row, duration_s=duration_s, **known)


Values = list[float | None]
Function = Callable[..., Values]
"""(samples, *, resources, options) -> one raw value per sample, None where the row cannot be scored."""


@dataclass(frozen=True, slots=True)
class Reward:
    """One reward. Keyword-only parameters of `function` are its options, those named in `needs` its resources."""

    name: str
    function: Function
    to_unit: Callable[[float], float]
    """Monotone map from raw values to [0, 1]."""

    low: float
    high: float
    """Range of raw values; infinite where there is no bound."""

    direction: Literal["higher", "lower"] = "higher"
    """Whether a higher or a lower raw value is better."""

    needs: tuple[str, ...] = ()
    """Resources (models, scorers) that the caller hands to `score`."""

    @property
    def options(self) -> dict[str, Any]:
        """Options and their defaults."""
        parameters = inspect.signature(self.function).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY and p.name not in self.needs}


REWARDS: dict[str, Reward] = {}


def linear(low: float, high: float) -> Callable[[float], float]:
    """The straight map of [low, high] onto [0, 1], cut outside; it keeps a proper scoring rule proper.

    >>> linear(-1, 1)(0.5), linear(2, 0)(2)
    (0.75, 0.0)
    """
    return lambda value: min(1.0, max(0.0, (value - low) / (high - low)))


def sigmoid(scale: float = 1.0) -> Callable[[float], float]:
    """Logistic map for values without bounds; `scale` is the difference that reaches 0.73."""
    return lambda value: 1 / (1 + math.exp(-max(-700.0, min(700.0, value / scale))))


def register(
    name: str, *, low: float = 0.0, high: float = 1.0, direction: Literal["higher", "lower"] = "higher",
    to_unit: Callable[[float], float] | None = None, needs: tuple[str, ...] = (),
) -> Callable[[Function], Function]:  # fmt: skip
    """Decorator: make a function a reward. Without `to_unit` the raw range is mapped linearly."""
    if to_unit is None:
        to_unit = linear(low, high) if direction == "higher" else linear(high, low)

    def keep(function: Function) -> Function:
        if name in REWARDS:
            raise RewardError(f"there are two rewards named `{name}`; rename one")
        REWARDS[name] = Reward(name, function, to_unit, low, high, direction, needs)
        return function

    return keep


def rewards() -> dict[str, Reward]:
    """All rewards by name."""
    for module in MODULES:
        import_module(f"{__package__}.{module}")
    return REWARDS


def reward(name: str) -> Reward:
    """The reward of that name; the error names the nearest one."""
    known = rewards()
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(sorted(known))}"
        raise RewardError(f"unknown reward `{name}`; {hint}")
    return known[name]


@dataclass(kw_only=True, slots=True)
class Schedule:
    """A weight that changes over the steps of a run."""

    kind: Literal["constant", "linear", "step"] = "constant"
    """constant: always `start`. linear: `start` at `from_step` to `end` at `to_step`. step: `end` from `to_step` on."""

    start: float = 1.0
    end: float | None = None
    from_step: int = 0
    to_step: int = 0

    def __post_init__(self) -> None:
        if self.kind not in ("constant", "linear", "step"):
            raise RewardError(f"weight.kind must be constant, linear or step, got {self.kind!r}")
        if self.kind != "constant" and self.end is None:
            raise RewardError(f"a weight of kind {self.kind} needs `end`, the weight it arrives at")
        if self.kind == "linear" and self.to_step <= self.from_step:
            raise RewardError(f"weight.to_step must lie after from_step {self.from_step}, got {self.to_step}")
        if min(self.start, 0.0 if self.end is None else self.end) < 0:
            raise RewardError("weights must be >= 0; what should be avoided has direction `lower` instead")

    def at(self, step: int) -> float:
        """The weight at a step."""
        if self.kind == "constant":
            return self.start
        if self.kind == "step":
            return self.end if step >= self.to_step else self.start
        done = min(1.0, max(0.0, (step - self.from_step) / (self.to_step - self.from_step)))
        return self.start + done * (self.end - self.start)


@dataclass(kw_only=True, slots=True)
class Entry:
    """One reward of a config; a number alone is its weight."""

    SHORT: ClassVar[str] = "weight"

    weight: float | Schedule = 1.0
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.weight, bool) or not isinstance(self.weight, (int, float, Schedule)):
            raise RewardError(f"weight must be a number or a schedule, got {self.weight!r}")
        if not isinstance(self.weight, Schedule):
            self.weight = Schedule(start=float(self.weight))


@dataclass(kw_only=True, slots=True)
class RewardConfig:
    """Which rewards count, and how much."""

    rewards: dict[str, Entry]

    def __post_init__(self) -> None:
        if not self.rewards:
            raise RewardError("no reward is configured; name at least one below `rewards:`")
        for name, entry in self.rewards.items():
            known = reward(name).options
            for option in entry.options:
                if option not in known:
                    near = get_close_matches(option, known, n=1)
                    hint = f"did you mean `{near[0]}`?" if near else f"it has {', '.join(known) or 'none'}"
                    raise RewardError(f"reward `{name}` has no option `{option}`; {hint}")
            hints = get_type_hints(reward(name).function)
            try:
                entry.options = {option: coerce(hints.get(option, Any), value, f"{name}.options.{option}")
                                 for option, value in entry.options.items()}  # fmt: skip
            except ValueError as error:
                raise RewardError(str(error)) from None

    @property
    def counts(self) -> bool:
        """Whether any reward weighs anything at any step."""
        return any(weight > 0 for step in self.turns for weight in self.weights(step).values())

    @property
    def turns(self) -> list[int]:
        """Steps at which a weight begins or ends to change, 0 first."""
        moving = [entry.weight for entry in self.rewards.values() if entry.weight.kind != "constant"]
        return sorted({0, *(step for weight in moving for step in (weight.from_step, weight.to_step))})

    def weights(self, step: int = 0) -> dict[str, float]:
        """Weight of each reward at a step."""
        return {name: entry.weight.at(step) for name, entry in self.rewards.items()}


def load_config(path: str | Path | None = None) -> RewardConfig:
    """The config of a YAML file, by default the shipped one. Raises RewardError."""
    path = Path(path or DEFAULT)
    try:
        return from_dict(RewardConfig, load_yaml(path))
    except RewardError:
        raise
    except (ValueError, TypeError) as error:
        told = str(error)
        raise RewardError(told if told.startswith(str(path)) else f"{path}: {told}") from None


@dataclass(slots=True)
class RewardTable:
    """Rewards of a batch, each alone."""

    raw: dict[str, Values]
    """What the metric returned."""

    unit: dict[str, Values]
    """The same in [0, 1], higher is better."""

    weights: dict[str, float]
    total: list[float]
    """Weighted mean over the rewards that score the row, in [0, 1]; 0 where none does."""

    def matrix(self) -> list[list[float]]:
        """Values in [0, 1] as [R, N], rewards in the order of `weights`; NaN where one does not score the row."""
        return [[math.nan if value is None else value for value in self.unit[name]] for name in self.weights]

    def row(self, index: int) -> dict[str, float | None]:
        """Everything about one sample, for sample tables: ``NAME_raw``, ``NAME`` (in [0, 1]) and ``total``."""
        raw = {f"{name}_raw": column[index] for name, column in self.raw.items()}
        return raw | {name: column[index] for name, column in self.unit.items()} | {"total": self.total[index]}

    def means(self) -> dict[str, float]:
        """Mean raw and mapped value of every reward for the log; one that scored no row is left out."""
        found = {"reward/total": sum(self.total) / len(self.total)} if self.total else {}
        for kind, columns in (("raw", self.raw), ("unit", self.unit)):
            for name, column in columns.items():
                scored = [value for value in column if value is not None]
                if scored:
                    found[f"reward/{name}/{kind}"] = sum(scored) / len(scored)
        return found


def score(
    samples: Sequence[RewardSample], config: RewardConfig, *, step: int = 0,
    resources: Mapping[str, Any] | None = None,
) -> RewardTable:  # fmt: skip
    """All configured rewards of all samples.

    Args:
        step: training step, for weights that change.
        resources: what the rewards need besides the samples, e.g. ``{"follow_up": scorer}``.
    """
    raw: dict[str, Values] = {}
    unit: dict[str, Values] = {}
    for name, entry in config.rewards.items():
        known = reward(name)
        given = dict(resources or {})
        for need in known.needs:
            if need not in given:
                raise RewardError(f"reward `{name}` needs the resource `{need}`; pass it in score(resources=...)")
        values = known.function(list(samples), **{need: given[need] for need in known.needs}, **entry.options)
        raw[name] = _checked(known, values, samples)
        unit[name] = [None if value is None else known.to_unit(value) for value in raw[name]]
    weights = config.weights(step)
    total = [_weighted({name: column[i] for name, column in unit.items()}, weights) for i in range(len(samples))]
    return RewardTable(raw, unit, weights, total)


def _weighted(values: Mapping[str, float | None], weights: Mapping[str, float]) -> float:
    scored = {name: value for name, value in values.items() if value is not None}
    whole = sum(weights[name] for name in scored)
    return sum(weights[name] * value for name, value in scored.items()) / whole if whole else 0.0


def _checked(known: Reward, values: Values, samples: Sequence[RewardSample]) -> Values:
    if len(values) != len(samples):
        raise RewardError(f"reward `{known.name}` gave {len(values)} values for {len(samples)} samples")
    for value, sample in zip(values, samples):
        if value is not None and not known.low - 1e-9 <= value <= known.high + 1e-9:
            raise RewardError(f"reward `{known.name}` gave {value} for row {sample.row.id!r}; "
                              f"its raw values lie in [{known.low:g}, {known.high:g}]")  # fmt: skip
    return [None if value is None else float(value) for value in values]
