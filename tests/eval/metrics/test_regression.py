"""CCC, Pearson, MAE, RMSE and the sentiment habits."""

import math

import numpy as np
import pytest

from cuewise.eval.metrics.base import MetricInputError
from cuewise.eval.metrics.regression import (
    ccc,
    grouped_ccc,
    mae,
    mosei_class,
    pearson,
    regression,
    rmse,
    sentiment_regression,
)

X, Y = [0.1, 0.4, -0.2, 0.8], [0.0, 0.5, -0.1, 0.6]


def test_reference_vector_of_ccc():
    assert ccc(X, Y).value == pytest.approx(0.923913, abs=5e-7)


def test_equal_to_numpy_on_random_numbers():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=50), rng.normal(size=50)
    assert pearson(x.tolist(), y.tolist()).value == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert mae(x.tolist(), y.tolist()).value == pytest.approx(np.abs(x - y).mean())
    assert rmse(x.tolist(), y.tolist()).value == pytest.approx(((x - y) ** 2).mean() ** 0.5)


def test_ccc_punishes_shift_and_scale_where_pearson_does_not():
    moved = [2 * value + 1 for value in X]
    assert pearson(X, moved).value == pytest.approx(1) and ccc(X, moved).value < 0.5
    assert ccc(X, X).value == pytest.approx(1)


def test_constants_are_undefined_not_zero():
    assert math.isnan(pearson([0.1] * 3, [1, 2, 3]).value) and math.isnan(ccc([0.5] * 3, [0.5] * 3).value)
    assert ccc([0.5, 0.5], [0.1, 0.2]).value == 0


def test_sentiment_habits_differ_and_are_named():
    result = sentiment_regression([-1.0, 0.0, 0.4, 2.6], [-0.6, -0.2, 0.2, 3.4])
    assert result["acc2_nonnegative"] == 0.75 and result["acc2_nonzero"] == 1 and result["n_nonzero"] == 3
    assert result["acc7"] == 1 and result["acc7_away"] == 0.75
    assert [mosei_class(a) for a in (0.2, -0.2, 1.0, -3.0)] == [1, -1, 1, -3]


@pytest.mark.parametrize(("gt", "pred"), [([], []), ([1.0], ["a"]), ([float("nan")], [1.0]), ([1.0], [1.0, 2.0])])
def test_bad_numbers_are_refused(gt, pred):
    with pytest.raises(MetricInputError, match=r"finite number|empty|samples"):
        regression(gt, pred)


def test_subjects_are_scored_apart_and_then_averaged():
    x, y = [0.1, 0.4, -0.2, 0.8], [0.0, 0.5, -0.1, 0.6]
    one = ccc(x, y).value
    both = grouped_ccc([*x, *x, 0.3], [*y, *[-b for b in y], 0.3], [*"aaaa", *"bbbb", "c"])
    other = ccc(x, [-b for b in y]).value
    assert both.value == pytest.approx((one + other) / 2) and both.n == 2
    assert both.parts["undefined"] == 1 and both.parts["groups"]["a"] == pytest.approx(one)
    assert both.value != pytest.approx(ccc([*x, *x], [*y, *[-b for b in y]]).value)
