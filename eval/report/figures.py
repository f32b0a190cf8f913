"""The data of the figures as `results.json` holds it; a figure that cannot be drawn says why."""

from typing import Literal

from pydantic import Field

from .fields import Count, Name, Number, Rate, Strict


class Absent(Strict):
    """A figure that cannot be drawn, and why."""

    not_applicable: Name


class WheelTable(Strict):
    """Gold (rows) against predicted (columns) core sectors of one wheel, in counts; `other` named no sector."""

    wheel: Literal[1, 2, 3, 4, 5]
    sectors: list[str]
    rows: list[list[Count]]
    other: list[Count]
    n: Count
    unknown_gold: Count
    """Samples whose gold labels the wheel does not know; they are not in the table."""


class WheelConfusion(Strict):
    profile: Name
    rule: Name
    averaging: Name
    wheels: list[WheelTable]


class ReliabilityBin(Strict):
    low: float
    high: float
    n: Count
    accuracy: Number
    confidence: Number


class Reliability(Strict):
    n: Count
    stated: Rate
    """Share of answers that state a confidence."""
    accuracy: Number
    ece: Number
    brier: Number
    auc: Number
    rule: Name
    averaging: Name
    bins: list[ReliabilityBin]


class CoveragePoint(Strict):
    threshold: float
    coverage: Number
    accuracy: Number
    n: Count


class Coverage(Strict):
    n: Count
    rule: Name
    averaging: Name
    points: list[CoveragePoint]


class Estimate(Strict):
    """A value with its interval."""

    name: str
    value: Number
    low: Number
    high: Number
    n: Count


class ConflictGap(Strict):
    """Scores of clips whose joint label follows the face or the voice; a positive gap trusts the voice more."""

    protocol: Name
    averaging: Name
    interval: Name
    subsets: list[Estimate]
    gap: Estimate


class SliceTable(Strict):
    """One metric within the groups of one column."""

    column: Name
    dataset: Name
    metric: Name
    averaging: Name
    interval: Name
    scale: Literal["share", "plain"] = "share"
    direction: Literal["higher is better", "lower is better"] = "higher is better"
    overall: Estimate
    groups: list[Estimate]
    left_out: Count = 0
    """Groups that are not listed; the samples table holds them all."""
    note: str = ""


class Figures(Strict):
    wheel_confusion: WheelConfusion | Absent
    reliability: Reliability | Absent
    coverage: Coverage | Absent
    conflict_gap: ConflictGap | Absent
    slices: list[SliceTable]
    finish_reasons: dict[str, Count] = Field(default_factory=dict)
