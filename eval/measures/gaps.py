"""Gaps between two groups that a suite names beforehand: by age, gender, skin, light, pose, whatever the rows carry."""

from collections.abc import Mapping

from cuewise.eval.metrics.bootstrap import group_gap
from cuewise.eval.suites.suite import Dataset, Suite

from .base import Record
from .numbers import right


def gap_notes(records: Mapping[str, list[Record]], suite: Suite, seed: int = 0) -> list[str]:
    """One line per named gap: accuracy of both groups, their difference and its interval."""
    return [line for name, dataset in suite.datasets.items() for line in _lines(name, records[name], dataset, seed)]


def _lines(name: str, records: list[Record], dataset: Dataset, seed: int) -> list[str]:
    lines = []
    for column, (one, other) in dataset.gaps.items():
        known = [record for record in records if column in record.groups]
        names = [record.groups[column] for record in known]
        hits = [float(right(record, dataset)) for record in known]
        lacking = [group for group in (one, other) if group not in names]
        if lacking:
            lines.append(f"Gap of {name} by {column}: no sample is {lacking[0]!r}")
            continue
        gap = group_gap(hits, names, one, other, seed=seed)
        told = []
        for group in (one, other):
            own = [hit for hit, mine in zip(hits, names) if mine == group]
            told.append(f"{group} {sum(own) / len(own):.1%} (n {len(own)})")
        lines.append(f"Gap of {name} by {column}: {', '.join(told)}; difference {100 * gap.value:.1f} points "
                     f"[{100 * gap.low:.1f}, {100 * gap.high:.1f}]")  # fmt: skip
    return lines
