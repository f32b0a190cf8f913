"""Our data-set metrics as modules of the `evaluate` library: ``evaluate.load("eval/modules/hit_rate").compute(...)``.

`references` is the ground truth and `predictions` the answers, in the form the metric reads: a label value is a string
or a list of strings, structured rows (`json` in the registry) are given as JSON strings.
"""

import json
from itertools import product
from pathlib import Path
from typing import Any

import datasets
import evaluate

from .metrics.base import MetricInputError
from .metrics.registry import metric

MODULES = Path(__file__).parent / "modules"


def module_class(name: str) -> type[evaluate.Metric]:
    """The `evaluate` module of a registered data-set metric."""
    entry = metric(name)

    class RegistryMetric(evaluate.Metric):
        def _info(self) -> evaluate.MetricInfo:
            sides = product(_features(entry.pred_kind), _features(entry.gt_kind))
            features = [datasets.Features({"predictions": p, "references": g}) for p, g in sides]
            return evaluate.MetricInfo(
                description=f"{entry.summary}. See docs/metrics.md of cuewise.",
                citation="cuewise",
                inputs_description="references: ground truth; predictions: answers, in the same order.",
                features=features if len(features) > 1 else features[0],
            )

        def _compute(self, predictions: list[Any], references: list[Any]) -> dict[str, Any]:
            return entry.compute(_values(entry.gt_kind, references), _values(entry.pred_kind, predictions))

    RegistryMetric.__name__ = RegistryMetric.__qualname__ = name
    RegistryMetric.__doc__ = entry.summary
    return RegistryMetric


def _features(kind: str) -> list[Any]:
    text, number = datasets.Value("string"), datasets.Value("float64")
    return {
        "label": [text], "text": [text], "json": [text], "number": [number], "flag": [datasets.Value("bool")],
        "labels": [text, datasets.Sequence(text)], "units": [datasets.Sequence(datasets.Value("int32")), text],
        "label_list": [datasets.Sequence(text)],
    }[kind]  # fmt: skip


def _values(kind: str, side: list[Any]) -> list[Any]:
    if kind != "json":
        return list(side)
    try:
        return [json.loads(row) for row in side]
    except (TypeError, ValueError) as error:
        raise MetricInputError(f"rows of this metric are JSON strings ({error})") from None
