"""Intervals that cover, comparisons that notice a difference, groups that widen the interval."""

import numpy as np
import pytest

from cuewise.eval.metrics.base import MetricInputError
from cuewise.eval.metrics.bootstrap import (
    bootstrap,
    class_intervals,
    class_statistics,
    compare_classes,
    mean_of,
    paired_bootstrap,
    slices,
)
from cuewise.eval.metrics.classification import classification


def test_interval_of_a_mean_matches_the_normal_one_and_covers():
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(40):
        values = rng.normal(0.3, 1, 80)
        interval = bootstrap(mean_of(values), 80, resamples=300, seed=trial)
        covered += interval.low <= 0.3 <= interval.high
        assert (interval.high - interval.low) == pytest.approx(2 * 1.96 * values.std() / 80**0.5, rel=0.25)
    assert 34 <= covered <= 40


def test_same_seed_same_interval_and_unscored_samples_are_left_out():
    values = [0.0, 1.0, None, 1.0]
    first, second = (bootstrap(mean_of(values), 4, resamples=200, seed=5) for _ in range(2))
    assert first == second and first.value == pytest.approx(2 / 3)


def test_statistics_equal_the_plain_metrics():
    rng = np.random.default_rng(1)
    gt = rng.choice(list("abc"), 50).tolist()
    pred = [p if p != "x" else None for p in rng.choice(list("abcx"), 50).tolist()]
    plain = classification(gt, pred)
    for name, statistic in class_statistics(gt, pred).items():
        assert statistic(np.arange(50)) == pytest.approx(plain[name]), name


def test_speakers_that_differ_widen_the_interval():
    gt = ["a", "b"] * 60
    speakers = [i // 12 for i in range(120)]
    pred = [g if s % 2 else "b" for g, s in zip(gt, speakers)]
    by_sample = class_intervals(gt, pred, resamples=300)["war"]
    by_speaker = class_intervals(gt, pred, groups=speakers, resamples=300)["war"]
    assert by_speaker.groups == 10 and by_sample.groups is None
    assert by_speaker.high - by_speaker.low > 1.3 * (by_sample.high - by_sample.low)


def test_paired_comparison_sees_a_small_steady_gain_that_unpaired_intervals_hide():
    rng = np.random.default_rng(2)
    hard = rng.normal(0, 1, 200)
    result = paired_bootstrap(mean_of(hard + 0.1 + rng.normal(0, 0.1, 200)), mean_of(hard), 200, resamples=500)
    assert result.low > 0 and result.p_value < 0.01
    alone = bootstrap(mean_of(hard), 200, resamples=500)
    assert alone.low < alone.value - 0.1 and alone.high > alone.value + 0.1


def test_comparison_of_a_run_with_itself_finds_nothing():
    gt, pred = ["a", "b"] * 20, ["a"] * 40
    for comparison in compare_classes(gt, pred, pred, resamples=100).values():
        assert (comparison.difference, comparison.low, comparison.high, comparison.p_value) == (0, 0, 0, 1)


def test_p_values_of_equal_runs_are_spread_out():
    rng = np.random.default_rng(3)
    p_values = []
    for trial in range(60):
        a, b = rng.normal(0, 1, 60), rng.normal(0, 1, 60)
        p_values.append(paired_bootstrap(mean_of(a), mean_of(b), 60, resamples=200, seed=trial).p_value)
    assert np.mean(np.array(p_values) < 0.05) < 0.15 and np.mean(np.array(p_values) > 0.5) > 0.3


def test_slices_are_the_statistic_within_each_group():
    gt, pred = ["a", "a", "b", "b"], ["a", "b", "b", "b"]
    result = slices(class_statistics(gt, pred)["war"], ["f", "f", "m", "m"], resamples=100)
    assert {name: (part.value, part.n) for name, part in result.items()} == {"f": (0.5, 2), "m": (1.0, 2)}


def test_nothing_to_draw_from_is_refused():
    with pytest.raises(MetricInputError, match="at least one sample"):
        bootstrap(mean_of([]), 0)
    with pytest.raises(MetricInputError, match="2 entries but there are 3"):
        bootstrap(mean_of([1, 2, 3]), 3, groups=["a", "b"])
