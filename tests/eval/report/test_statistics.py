"""Which statistic stands behind a metric, held against the metrics themselves."""

import numpy as np
import pytest

from cuewise.eval.metrics.ew import ew_score
from cuewise.eval.report.statistics import ITSELF, STAND_IN, basis_of, gold_labels, wheel_f


def acted(run):
    return [record for record in run[1] if record.dataset == "acted"]


@pytest.mark.parametrize("name", ["ew_level1", "ew_level1_cuewise2026", "uar", "war"])
def test_the_metric_itself_is_resampled_where_the_samples_allow_it(run, name):
    basis = basis_of(run[0].metric("acted", name), acted(run))
    assert basis.what == ITSELF
    value = basis.statistic(np.arange(len(acted(run))))
    assert value == pytest.approx(run[0].metric("acted", name).value, abs=1e-9)


@pytest.mark.parametrize("profile", ["affectgpt2025", "mer2026", "cuewise2026"])
@pytest.mark.parametrize("level", [1, 2])
def test_the_wheel_score_of_a_draw_is_the_metric_of_the_drawn_samples(run, profile, level):
    records = acted(run)
    drawn = np.random.default_rng(5).integers(0, len(records), len(records))
    gt, pred = [gold_labels(records[i].gt) for i in drawn], [records[i].labels for i in drawn]
    expected = ew_score(gt, pred, profile, level).value
    assert wheel_f(records, profile, level)(drawn) == pytest.approx(expected, abs=1e-12)


def test_a_value_that_the_samples_do_not_give_is_not_called_the_metric(run):
    metric = run[0].metric("acted", "war").model_copy(update={"value": 0.123, "averaging": "judged"})
    assert basis_of(metric, acted(run)).what == STAND_IN
    assert basis_of(metric.model_copy(update={"name": "unknown"}), acted(run)) is None


@pytest.mark.parametrize(
    ("gt", "labels"),
    [("sad", ["sad"]), (["sad", "angry"], ["sad", "angry"]), ({"labels": ["sad"], "cues": []}, ["sad"]),
     ({"sad": 3, "angry": 7}, ["angry"]), ({"sad": 2, "angry": 2}, ["sad", "angry"]), (0.4, []), (None, []),
     ({"correct": True, "dimension": "all"}, []), ([0.1, -0.2], [])],
)  # fmt: skip
def test_gold_labels_of_every_form_of_truth(gt, labels):
    assert gold_labels(gt) == labels
