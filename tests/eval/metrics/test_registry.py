"""Every registered metric: importable, JSON-clean, and clear about input it cannot read."""

import json

import pytest

from cuewise.eval.metrics.base import MetricInputError, Score, plain
from cuewise.eval.metrics.registry import METRICS, metric

ODD = [
    None, 3, -1.5, True, "", "sad", [], {}, [None], [3], [[]], [{}], [["sad"]], ["sad"], [1.0], [True], {"a": 1},
    [[[]]], ["sad", 3], {"mer2023": 3}, [{"a": 1}], "\ud800", 10**400, [10**400], ["positive"],
]  # fmt: skip


@pytest.mark.parametrize("name", METRICS)
def test_odd_input_is_scored_or_refused_with_a_message_never_a_crash(name):
    messages = []
    for gt in ODD:
        for pred in ODD:
            try:
                result = metric(name).compute(gt, pred)
            except MetricInputError as error:
                messages.append(str(error))
            else:
                json.dumps(plain(result), allow_nan=False)
    assert messages and all(10 < len(message) < 600 for message in messages)


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(MetricInputError, match="did you mean `ew_dataset`"):
        metric("ew_datset")


def test_names_beside_a_published_metric_exist():
    assert all(entry.beside in METRICS for entry in METRICS.values() if entry.beside)


def test_plain_turns_nan_into_null_and_sets_into_lists():
    nan = float("nan")
    assert plain({"a": (nan, 1.0), "b": {"y", "x"}, 3: float("inf")}) == {"a": [None, 1.0], "b": ["x", "y"], "3": None}
    assert plain(Score("m", nan, 0, "mean").as_dict())["value"] is None
