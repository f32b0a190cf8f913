"""What every metric shares: the score type, input checks, and the JSON form of results.

A metric computes per-sample values first and derives the aggregate from them; both are kept. `None` as a sample value
means *not scored*, NaN as an aggregate means *undefined*; neither ever becomes 0 silently.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

NAN = math.nan


class MetricInputError(ValueError):
    """The input of a metric is not what it needs; the message says what was seen and what to do."""


@dataclass(frozen=True, slots=True)
class Score:
    """One number with everything needed to believe it."""

    metric: str
    value: float
    """The aggregate; NaN where undefined."""
    n: int
    """Samples that entered the aggregate."""
    averaging: str
    """How samples became one number: ``mean over samples``, ``pooled``, ``macro over classes``, ``mean over folds``."""
    higher_is_better: bool = True
    samples: tuple[float | None, ...] = ()
    """One value per input sample in input order; None where the sample was not scored."""
    parts: dict[str, Any] = field(default_factory=dict)
    """Named sub-results."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values: the number first, then n, averaging, direction and parts. Samples are left out."""
        return {
            "metric": self.metric, "value": self.value, "n": self.n, "averaging": self.averaging,
            "direction": "higher is better" if self.higher_is_better else "lower is better", **self.parts,
        }  # fmt: skip


def mean(values: Iterable[float]) -> float:
    """Arithmetic mean without rounding loss; NaN for no values or when any value is NaN."""
    numbers = list(values)
    return math.fsum(numbers) / len(numbers) if numbers else NAN


def score_of(metric: str, samples: Sequence[float | None], *, higher_is_better: bool = True, **parts: Any) -> Score:
    """Score that is the plain mean of its scored samples."""
    scored = [value for value in samples if value is not None]
    return Score(metric, mean(scored), len(scored), "mean over samples", higher_is_better, tuple(samples), parts)


def ratio(part: float, whole: float, undefined: float = 0.0) -> float:
    """`part / whole`, or `undefined` when there is nothing to divide by."""
    return part / whole if whole else undefined


def f_of(precision: float, recall: float, undefined: float = 0.0) -> float:
    """Harmonic mean; `undefined` when both are zero, NaN when either is NaN."""
    total = precision + recall
    return undefined if total == 0 else 2 * precision * recall / total


def check_pair(gt: Any, pred: Any) -> None:
    """Both sides are lists of one length."""
    for name, side in (("gt", gt), ("pred", pred)):
        if not isinstance(side, (list, tuple)):
            raise MetricInputError(f"`{name}` must be a list with one entry per sample, got {type(side).__name__}")
    if len(gt) != len(pred):
        raise MetricInputError(f"`gt` has {len(gt)} samples but `pred` has {len(pred)}; they must be in the same order")


def check_numbers(name: str, values: Any) -> list[float]:
    """Every value as a finite float."""
    if not isinstance(values, (list, tuple)):
        raise MetricInputError(f"`{name}` must be a list of numbers, got {type(values).__name__}")
    for index, value in enumerate(values):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e300:
            raise MetricInputError(f"`{name}`[{index}] must be a finite number, got {value!r}")
    return [float(value) for value in values]


def plain(value: Any) -> Any:
    """The same value as strict JSON can hold it: NaN and infinities become null, tuples lists."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(plain(item) for item in value)
    return value
