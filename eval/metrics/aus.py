"""Facial action units: F1 over samples and the set reward of Facial-R1, from AU sets or from text."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from .base import MetricInputError, check_pair, mean, ratio

_AU = re.compile(r"\bAU\s?0*(\d{1,2})(?!\d)", re.IGNORECASE)


def read_aus(text: str) -> set[int]:
    """Action units named in a text.

    >>> sorted(read_aus("AU6 and au 12, no AU04"))
    [4, 6, 12]
    """
    return {int(number) for number in _AU.findall(text)}


def au_f1(gt: Sequence[Iterable[int]], pred: Sequence[Iterable[int]]) -> dict[str, Any]:
    """F1 per action unit, macro over units that occur in the ground truth, and micro over all decisions."""
    check_pair(gt, pred)
    truth, named = _sets("gt", gt), _sets("pred", pred)
    units = sorted(set().union(*truth))
    per_unit = {}
    for unit in units:
        tp = sum(unit in g and unit in p for g, p in zip(truth, named))
        per_unit[unit] = ratio(2 * tp, sum(unit in g for g in truth) + sum(unit in p for p in named))
    hits = sum(len(g & p) for g, p in zip(truth, named))
    total = sum(map(len, truth)) + sum(map(len, named))
    return {
        "n": len(truth), "f1_macro": mean(per_unit.values()), "f1_micro": ratio(2 * hits, total, float("nan")),
        "f1_per_unit": {f"AU{unit}": f1 for unit, f1 in per_unit.items()},
    }  # fmt: skip


def au_reward(gt: Iterable[int], pred: Iterable[int], beta: float = 1.0) -> float:
    """Facial-R1's set reward: ``2 F - 1`` in [-1, 1]; 0 without annotation, -1 for an empty prediction.

    >>> round(au_reward({6, 12, 25}, {6, 12}), 9), au_reward({6, 12}, {4}), au_reward(set(), {4})
    (0.6, -1.0, 0.0)
    """
    truth, named = set(gt), set(pred)
    if not truth:
        return 0.0
    hits = len(truth & named)
    return 2 * ratio((1 + beta**2) * hits, beta**2 * len(truth) + len(named)) - 1


def _sets(name: str, side: Sequence[Any]) -> list[set[int]]:
    rows = []
    for index, value in enumerate(side):
        if isinstance(value, str):
            rows.append(read_aus(value))
        elif isinstance(value, (list, tuple, set, frozenset)) and all(_is_unit(unit) for unit in value):
            rows.append({int(unit) if isinstance(unit, int) else next(iter(read_aus(unit))) for unit in value})
        else:
            raise MetricInputError(f"`{name}`[{index}] must be text or a list of action units, got {value!r:.80}")
    return rows


def _is_unit(unit: Any) -> bool:
    return (isinstance(unit, int) and not isinstance(unit, bool)) or (isinstance(unit, str) and bool(read_aus(unit)))
