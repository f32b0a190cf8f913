"""What stands beside what, and which samples are worth reading."""

import pytest

from cuewise.eval.report.results import Results
from cuewise.eval.report.tables import blocks, clipped, metric_to_read, number, worst_samples


def test_the_published_profile_opens_its_block_and_the_repaired_one_follows(run):
    first, second, *_ = blocks(run[0], run[0].datasets[0])
    assert [(row.kind, row.metric) for row in first.rows[:2]] == [
        ("ours", "ew_level1"), ("repaired", "ew_level1_cuewise2026"),
    ]  # fmt: skip
    assert [row.system for row in first.rows[2:]] == ["Published A (A,V,T)", "Published B (V,T)"]
    assert second.title == "uar" and second.rows[1].comparable == "no"


def test_the_order_of_the_metrics_does_not_part_a_pair(run):
    values = run[0].model_dump(by_alias=True)
    values["datasets"][0]["metrics"].reverse()
    results = Results.model_validate(values)
    pair = next(b for b in blocks(results, results.datasets[0]) if b.title == "ew_level1")
    assert [row.kind for row in pair.rows[:2]] == ["ours", "repaired"]


def test_published_rows_stand_even_where_we_have_no_number(run):
    values = run[0].model_dump(by_alias=True)
    values["baselines"].append({"system": "X", "dataset": "acted", "metric": "f1", "value": 0.5, "source": "paper",
                                "comparable": "no", "note": "other classes"})  # fmt: skip
    results = Results.model_validate(values)
    block = blocks(results, results.datasets[0])[-1]
    assert block.rows[0].note == "not computed in this run" and block.rows[1].system == "X"


def test_of_equal_errors_the_surest_are_shown_first(run):
    found = worst_samples(*run)
    scores = [record.score("ew_level1") for record in found.records]
    assert scores == sorted(scores) and found.n == run[0].primary_metric.n
    lowest = [r for r in found.records if r.score("ew_level1") == scores[0]]
    assert [r.confidence or 0 for r in lowest] == sorted((r.confidence or 0 for r in lowest), reverse=True)


def test_where_lower_is_better_the_highest_are_the_worst(run):
    values = run[0].model_dump(by_alias=True)
    values["datasets"][0]["metrics"][0]["direction"] = "lower is better"
    scores = [r.score("ew_level1") for r in worst_samples(Results.model_validate(values), run[1]).records]
    assert scores == sorted(scores, reverse=True) and scores[0] == 1


@pytest.mark.parametrize(
    ("value", "scale", "words"),
    [(0.62521, "share", "62.52"), (-0.1, "share", "−10.00"), (1.5, "plain", "1.500"), (None, "share", "undefined"),
     (float("nan"), "plain", "undefined")],
)  # fmt: skip
def test_numbers(value, scale, words):
    assert number(value, scale) == words


def test_long_text_is_cut_and_says_by_how_much():
    assert clipped("ab" * 50, 10) == "ababababab … (90 more characters)"


def test_where_the_primary_is_a_mean_over_data_sets_the_first_metric_of_samples_is_read(run):
    values = run[0].model_dump(by_alias=True)
    mean = {"name": "mean", "value": 0.5, "n": 2, "unit": "data sets", "averaging": "plain mean over data sets",
            "direction": "higher is better"}  # fmt: skip
    values["datasets"].append({"name": "both", "n": 150, "parse_rate": 1.0, "metrics": [mean]})
    values["primary"] = {"dataset": "both", "metric": "mean"}
    results = Results.model_validate(values)
    dataset, metric = metric_to_read(results, run[1])
    assert (dataset, metric.name) == ("acted", "ew_level1")
    assert worst_samples(results, run[1]).records == worst_samples(*run).records
