"""Parsing and cleaning beyond the vectors: the published order of steps, and nothing more."""

import pytest

from cuewise.eval.metrics.base import MetricInputError
from cuewise.eval.metrics.labels import clean_llm_output, map_labels, parse_labels


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("OutputOutput: x", "Output: x"),  # each prefix gets one chance ...
        ("InputOutput: y", "Output: y"),  # ... in the published order
        ("outputInput: y", "y"),
        ("Outputting joy", "ting joy"),
        (": : x", ": x"),
        (":：x", "x"),
        ("：:x", ":x"),
        ("让我们来翻译一下：x", "x"),
        ("a\nb\n", "ab"),
    ],
)
def test_cleaning_removes_each_lead_in_once_and_in_order(answer, text):
    assert clean_llm_output(answer) == text


@pytest.mark.parametrize(
    ("value", "labels"),
    [
        ("[", []),
        ("]", []),
        ("[[a], b]", ["[a]", "b"]),
        (" [a]", ["[a"]),
        ("[a].", ["a]."]),
        ("don't", ["don", "t"]),
        ("a，b; c/d and e", ["a，b; c/d and e"]),
        (["happy, sad"], ["happy, sad"]),
        (float("nan"), []),
    ],
)
def test_brackets_and_quotes_are_read_as_published(value, labels):
    assert parse_labels(value) == labels


def test_mapping_has_a_value_per_wheel_and_level():
    (row,) = map_labels(["fear"])
    assert row["level1"] == ["scared", "happy", "joyful", "genius", "joyful"]
    assert map_labels(["zorp"])[0]["case1"] is None


def test_other_types_are_refused():
    with pytest.raises(MetricInputError, match="must be a list, a string or null, got 3"):
        parse_labels(3)
    with pytest.raises(MetricInputError, match="a label must be a string, got None"):
        parse_labels(["a", None])
