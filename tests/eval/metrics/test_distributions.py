"""Distributions of votes."""

import math

import pytest

from cuewise.eval.metrics.base import MetricInputError
from cuewise.eval.metrics.distributions import all_inclusive, distribution_scores, js, kl, n_best

CLASSES = ["N", "A", "S", "H"]


def test_all_inclusive_rule_of_the_published_example():
    assert all_inclusive([0.2, 0.4, 0.4, 0.0], CLASSES) == ["A", "S"]
    assert all_inclusive([0.25] * 4, CLASSES) == []


def test_divergences_by_hand():
    assert kl([0.5, 0.5], [0.25, 0.75]) == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3), abs=1e-7)
    assert js([1, 0], [0, 1]) == pytest.approx(math.log(2)) and js([0.3, 0.7], [0.3, 0.7]) == 0
    assert kl([1, 0], [0, 1]) == pytest.approx(-math.log(1e-8), rel=1e-6)


def test_equal_to_scipy():
    distance = pytest.importorskip("scipy.spatial.distance")
    p, q = [0.1, 0.2, 0.7], [0.3, 0.3, 0.4]
    assert js(p, q) == pytest.approx(distance.jensenshannon(p, q) ** 2)


def test_votes_are_counts_and_both_sides_are_binarised():
    result = distribution_scores([{"N": 1, "A": 2, "S": 2}], [{"A": 0.6, "S": 0.4}], CLASSES)
    assert result["all_inclusive_f1_macro"] == pytest.approx(0.5)  # A and S right; N and H without any
    assert result["best_1"] == 1 and result["n"] == 1


def test_n_best_grows_with_n():
    targets, answers = [[0.0, 1.0, 0.0]], [[0.5, 0.2, 0.3]]
    assert [n_best(targets, answers, n) for n in (1, 2, 3)] == [0, 0, 1]


def test_impossible_distributions_are_refused():
    with pytest.raises(MetricInputError, match="positive sum"):
        distribution_scores([{"a": 0}], [{"a": 1}])
