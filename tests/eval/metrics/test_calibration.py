"""ECE, Brier, AUC, coverage and the log score."""

import random

import pytest

from cuewise.eval.metrics.base import MetricInputError
from cuewise.eval.metrics.calibration import (
    auc,
    brier,
    calibration,
    coverage_curve,
    ece,
    log_score_reward,
    match_candidate,
    reliability,
)

SURE, RIGHT = (0.95, 0.85, 0.85, 0.55, 0.45, 0.15), (1, 1, 0, 1, 0, 0)


def test_reference_vector():
    assert ece(RIGHT, SURE).value == pytest.approx(0.3)
    assert brier(RIGHT, SURE).value == pytest.approx(0.195833, abs=5e-7)
    assert auc(RIGHT, SURE).value == pytest.approx(0.8333, abs=5e-5)


def test_equal_to_scikit_learn_with_ties():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = random.Random(0)
    sure = [rng.randrange(6) / 5 for _ in range(80)]
    right = [int(rng.random() < c) for c in sure]
    assert auc(right, sure).value == pytest.approx(metrics.roc_auc_score(right, sure))
    assert brier(right, sure).value == pytest.approx(metrics.brier_score_loss(right, sure))


def test_edges_fall_into_the_upper_bin_and_1_into_the_last():
    rows = reliability([1] * 11, [i / 10 for i in range(11)])
    assert [row["n"] for row in rows] == [1] * 9 + [2]
    assert ece([1], [1.0]).value == 0


def test_perfect_calibration_and_perfect_overconfidence():
    assert ece([1, 1, 1, 0], [0.75] * 4).value == 0
    assert ece([0, 0], [1.0, 1.0]).value == 1


def test_unstated_confidence_is_counted():
    result = calibration([1, 0], [0.9, None])
    assert result["stated"] == 0.5 and result["n"] == 2
    assert brier([1, 0], [0.9, None]).value == pytest.approx((0.01 + 0.25) / 2)
    assert brier([1, 0], [0.9, None], drop_unstated=True).value == pytest.approx(0.01)


def test_coverage_falls_with_the_threshold():
    rows = coverage_curve(RIGHT, SURE)
    assert [round(row["coverage"] * 6) for row in rows] == [6, 5, 5, 5, 4, 3, 3, 3, 1]
    assert rows[-1]["accuracy"] == 1


@pytest.mark.parametrize(
    ("right", "sure", "reward"),
    [(1, 0.9, 1.7893), (1, 0.5, 0.6137), (1, 0.1, -2.6052), (0, 0.9, -3.6052), (0, 0.5, -0.3863), (0, 0.1, 0.7893)],
)
def test_log_score_vectors(right, sure, reward):
    assert log_score_reward(bool(right), sure) == pytest.approx(reward, abs=5e-5)


def test_log_score_is_proper_and_bounded_when_clamped():
    for q in (0.2, 0.5, 0.8):
        expected = {c / 100: q * log_score_reward(True, c / 100) + (1 - q) * log_score_reward(False, c / 100)
                    for c in range(1, 100)}  # fmt: skip
        assert max(expected, key=expected.get) == q
    assert log_score_reward(True, 0.9, valid=False) == log_score_reward(True, 1.0) == -5
    assert log_score_reward(True, 0.001) < -5 < log_score_reward(True, 0.001, clamp=0.05)


def test_first_candidate_in_the_answer_wins():
    assert match_candidate("It is Fear, not anger", ["anger", "fear"]) == "anger"
    assert match_candidate("calm", ["anger"]) is None


def test_impossible_values_are_refused():
    for right, sure in (([2], [0.5]), ([1], [1.5]), ([1], ["high"])):
        with pytest.raises(MetricInputError, match="must be"):
            calibration(right, sure)
