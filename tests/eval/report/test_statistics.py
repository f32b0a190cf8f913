"""Which statistic stands behind a metric, held against the metrics themselves."""

import numpy as np
import pytest

from cuewise.eval.metrics.ew import ew_score
from cuewise.eval.report.statistics import ITSELF, STAND_IN, bases_of, gold_labels, record_of


def acted(run):
    return [record for record in run[1] if record.dataset == "acted"]


@pytest.mark.parametrize("name", ["ew_level1", "ew_level1_cuewise2026", "uar", "war"])
def test_the_metric_itself_is_resampled_where_the_samples_allow_it(run, name):
    records, result = acted(run), run[0].datasets[0]
    basis = bases_of("made-up", result, records)[name]
    assert basis.what == ITSELF
    value = basis.statistic(np.arange(len(records)))
    assert value == pytest.approx(run[0].metric("acted", name).value, abs=1e-9)


def test_the_wheel_score_of_a_draw_is_the_metric_of_the_drawn_samples(run):
    records = acted(run)
    drawn = np.random.default_rng(5).integers(0, len(records), len(records))
    gt, pred = [gold_labels(records[i].gt) for i in drawn], [records[i].labels for i in drawn]
    basis = bases_of("made-up", run[0].datasets[0], records)["ew_level1"]
    assert basis.statistic(drawn) == pytest.approx(ew_score(gt, pred).value, abs=1e-12)


def test_a_shipped_suite_is_read_with_its_own_classes(run):
    records = acted(run)
    result = run[0].datasets[0].model_copy(update={"name": "synthetic"})
    assert bases_of("synthetic", result, records)["ew_level1"].what == ITSELF


def test_a_value_that_the_samples_do_not_give_is_not_called_the_metric(run):
    metrics = [m.model_copy(update={"value": 0.123}) for m in run[0].datasets[0].metrics]
    metrics.append(metrics[0].model_copy(update={"name": "unknown"}))
    found = bases_of("made-up", run[0].datasets[0].model_copy(update={"metrics": metrics}), acted(run))
    assert {basis.what for basis in found.values()} == {STAND_IN} and "unknown" not in found


def test_a_row_of_the_table_is_the_record_that_was_scored(run):
    sample = next(record for record in acted(run) if record.parsed.get("cues"))
    record = record_of(sample)
    assert (record.id, record.gt, record.answer.labels) == (sample.id, sample.gt, sample.labels)
    assert [cue.model_dump(mode="json") for cue in record.answer.cues] == sample.parsed["cues"]


@pytest.mark.parametrize(
    ("gt", "labels"),
    [("sad", ["sad"]), (["sad", "angry"], ["sad", "angry"]), ({"labels": ["sad"], "cues": []}, ["sad"]),
     ({"sad": 3, "angry": 7}, ["angry"]), ({"sad": 2, "angry": 2}, ["sad", "angry"]), (0.4, []), (None, []),
     ({"correct": True, "dimension": "all"}, []), ([0.1, -0.2], [])],
)  # fmt: skip
def test_gold_labels_of_every_form_of_truth(gt, labels):
    assert gold_labels(gt) == labels
