"""Figure data worked out by hand, and the numbers of the metrics they must equal."""

import pytest

from cuewise.eval.metrics.calibration import calibration
from cuewise.eval.metrics.conflict import ca_mer
from cuewise.eval.report.figures import Absent
from cuewise.eval.report.figures_data import (
    build_figures,
    conflict_gap,
    coverage_of,
    finish_reasons,
    reliability_of,
    right_of,
    slice_tables,
    wheel_confusion,
)
from cuewise.eval.report.samples import SampleRecord


def record(gt, labels, confidence=None, ident="x", **more):
    return SampleRecord(id=ident, dataset="d", gt=gt, parsed={"labels": labels, "confidence": confidence}, **more)


def test_confusion_counts_sectors_by_hand():
    rows = [record(["happy"], ["joyful"]), record(["happy"], ["sad"]), record(["sad"], ["table", "sad"]),
            record(["neutral"], []), record(["gloop"], ["happy"]), record(0.3, ["happy"])]  # fmt: skip
    (wheel, *others) = wheel_confusion(rows).wheels
    assert (wheel.wheel, wheel.sectors, wheel.n, wheel.unknown_gold) == (1, ["happy", "neutral", "sad"], 4, 1)
    assert wheel.rows == [[1, 0, 1], [0, 0, 0], [0, 0, 1]] and wheel.other == [0, 1, 0]
    assert len(others) == 4 and all(sum(map(sum, w.rows)) + sum(w.other) == w.n for w in [wheel, *others])


def test_an_answer_that_meets_any_gold_sector_is_on_the_diagonal():
    (wheel, *_) = wheel_confusion([record(["sad", "angry"], ["furious"])]).wheels
    assert wheel.sectors == ["mad"] and wheel.rows == [[1]]


def test_right_is_the_own_score_when_there_is_one_and_the_core_sector_otherwise():
    assert right_of(record(["angry"], ["furious"])) == 1
    assert right_of(record(["angry"], ["happy", "furious"])) == 0
    assert right_of(record(["angry"], [])) == 0
    assert right_of(record(0.5, ["happy"])) is None
    assert right_of(record(0.5, ["happy"], scores={"right": 1.0})) == 1


def test_reliability_and_coverage_are_those_of_the_metric(run):
    rows = [(right_of(r), r.confidence) for r in run[1]]
    expected = calibration([right for right, _ in rows], [sure for _, sure in rows])
    found, kept = reliability_of(run[1]), coverage_of(run[1])
    assert (found.ece, found.brier, found.auc) == (expected["ece"], expected["brier"], expected["auc"])
    assert (found.n, found.stated, found.accuracy) == (len(rows), expected["stated"], expected["accuracy"])
    assert [b.n for b in found.bins] == [row["n"] for row in expected["reliability"]]
    tenths = [p for p in kept.points if round(p.threshold * 10, 9).is_integer() and p.threshold]
    assert [p.n for p in tenths] == [row["n"] for row in expected["coverage"]]


def test_the_gap_is_the_one_of_the_metric_and_lies_in_its_interval(run):
    gap = conflict_gap(run[1], resamples=200)
    gt = [{"subset": r.groups["subset"], "labels": [r.gt]} for r in run[1]]
    whole = ca_mer(gt, [r.labels for r in run[1]])
    assert gap.gap.value == pytest.approx(whole["gap_audio_minus_video"])
    assert gap.gap.low < gap.gap.value < gap.gap.high and gap.interval == "95% bootstrap over speakers"
    assert {e.name: e.value for e in gap.subsets} == pytest.approx(
        {name: whole[name]["avg"] for name in ("video_aligned", "audio_aligned", "consistent")}
    )
    assert sum(e.n for e in gap.subsets) == len(run[1])


def test_slices_are_means_within_groups_with_intervals(run):
    metric = run[0].primary_metric
    rows = [r for r in run[1] if r.dataset == "acted" and r.score(metric.name) is not None]
    table = next(t for t in slice_tables(run[1], metric, "acted", columns=["gender"], resamples=100))
    for entry in table.groups:
        inside = [r.score(metric.name) for r in rows if r.groups["gender"] == entry.name]
        assert (entry.n, entry.value) == (len(inside), pytest.approx(sum(inside) / len(inside)))
        assert entry.low <= entry.value <= entry.high
    assert table.overall.n == len(rows) == sum(e.n for e in table.groups)


def test_of_many_groups_the_lowest_and_highest_are_listed_and_the_rest_counted(run):
    (table,) = slice_tables(run[1], run[0].primary_metric, "acted", columns=["speaker"], resamples=50)
    values = [e.value for e in table.groups]
    assert values == sorted(values) and len(values) <= 14
    assert table.left_out + len(values) == len({r.groups["speaker"] for r in run[1] if r.dataset == "acted"
                                                and r.score("ew_level1") is not None})  # fmt: skip


@pytest.mark.parametrize("records", [[], [record(0.4, ["happy"], 0.5)], [record("sad", [], None)]])
def test_what_cannot_be_drawn_says_why(records):
    figures = build_figures(records)
    for figure in (figures.reliability, figures.coverage, figures.conflict_gap):
        assert isinstance(figure, Absent) and figure.not_applicable
    assert figures.slices == []


def test_the_same_records_give_the_same_figures(run):
    arguments = {"metric": run[0].primary_metric, "dataset": "acted", "resamples": 50}
    assert build_figures(run[1], **arguments) == build_figures(list(run[1]), **arguments)


def test_a_handful_of_samples_has_a_value_and_no_interval(run):
    rows = [record("sad", ["sad"], ident=str(i), scores={"ew_level1": i % 2}) for i in range(20)]
    for i, row in enumerate(rows):
        row.groups = {"task": "few" if i < 3 else "many"}
    (table,) = slice_tables(rows, run[0].primary_metric, "d", resamples=50)
    few, many = table.groups
    assert (few.n, few.low, few.high) == (3, None, None) and few.value == pytest.approx(1 / 3)
    assert many.low < many.value < many.high and "no interval" in table.note


def test_endings_are_counted_and_invented_ones_together():
    rows = [record("sad", [], finish_reason=f"r{i}") for i in range(30)] + [record("sad", [], finish_reason="stop")] * 3
    found = finish_reasons([*rows, record("sad", [], error="x: y"), record("sad", [])])
    assert found["stop"] == 3 and found["any other"] == 21 and sum(found.values()) == 35 and len(found) == 13
