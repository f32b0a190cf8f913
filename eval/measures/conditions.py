"""How accuracy changes between the conditions of a data set."""

from collections.abc import Mapping, Sequence
from typing import Any

from cuewise.eval.metrics.base import NAN
from cuewise.eval.suites.suite import Dataset, Suite

from .base import Measured, Record, subset_statistic
from .numbers import right


def spread(records: list[Record], dataset: Dataset) -> list[Measured]:
    """Largest difference of accuracy between two conditions; each one with its drop from the first in the parts."""
    pairs = [(record.groups.get("condition", "all"), float(right(record, dataset))) for record in records]
    table = drops(pairs, dataset)

    def largest(rows: Sequence[tuple[str, float]]) -> float:
        values = [one["accuracy"] for one in drops(rows, dataset).values()]
        return max(values) - min(values) if values else NAN

    return [Measured("condition_spread", largest(pairs), len(records), "largest difference between conditions", False,
                     (), subset_statistic(pairs, largest), cheap=False, parts=table)]  # fmt: skip


def drops(pairs: Sequence[tuple[str, float]], dataset: Dataset) -> dict[str, dict[str, Any]]:
    """Condition -> accuracy, samples, and how far it lies below the first condition that has samples."""
    found: dict[str, dict[str, Any]] = {}
    for name in dataset.conditions or ["all"]:
        hits = [hit for condition, hit in pairs if condition == name]
        if hits:
            found[name] = {"accuracy": sum(hits) / len(hits), "n": len(hits)}
    first = next(iter(found.values()), None)
    for one in found.values():
        one["drop"] = first["accuracy"] - one["accuracy"]
    return found


def condition_notes(records: Mapping[str, list[Record]], suite: Suite) -> list[str]:
    """The table of drops as lines of the report."""
    notes = []
    for name, dataset in suite.datasets.items():
        if "condition_spread" not in dataset.metrics:
            continue
        pairs = [(record.groups.get("condition", "all"), float(right(record, dataset))) for record in records[name]]
        told = [f"{condition} {one['accuracy']:.1%} (drop {one['drop']:.1%}, n {one['n']})"
                for condition, one in drops(pairs, dataset).items()]  # fmt: skip
        notes.append(f"Accuracy of {name} by condition: {'; '.join(told)}")
    return notes
