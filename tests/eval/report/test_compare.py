"""Two runs on the same samples: what the difference is, and when there is none to speak of."""

import json
from copy import deepcopy

import numpy as np
import pytest
from made_run import make_run

from cuewise.eval.metrics.bootstrap import paired_bootstrap
from cuewise.eval.report import compare_folders, render_text, write_report
from cuewise.eval.report.compare import CompareError, Run, compare
from cuewise.eval.report.compare_text import render_html, render_markdown, write_comparison
from cuewise.eval.report.results import Results
from cuewise.eval.report.statistics import ITSELF, STAND_IN, bases_of


@pytest.fixture(scope="module")
def pair():
    better, worse = make_run(seed=1, n=120, skill=0.8), make_run(seed=2, n=120, skill=0.3)
    return Run("better", *better), Run("worse", *worse)


def difference(found, metric, dataset="acted"):
    return next(d for d in found.differences if (d.dataset, d.metric) == (dataset, metric))


def test_a_clear_difference_is_found_and_its_sign_turns_with_the_order(pair):
    one, other = compare(*pair, resamples=200), compare(*reversed(pair), resamples=200)
    for metric in ("ew_level1", "ew_level1_cuewise2026", "uar", "war"):
        first, second = difference(one, metric), difference(other, metric)
        assert first.basis == ITSELF and first.verdict == "first is better" and second.verdict == "second is better"
        assert first.difference == pytest.approx(-second.difference) and first.p_value == second.p_value < 0.05
        assert first.first == pytest.approx(pair[0].results.metric("acted", metric).value)
        assert (first.n, first.over) == (120, "speakers")


def test_the_difference_is_the_paired_bootstrap_of_the_metric(pair):
    sides = [[r for r in run.records if r.dataset == "acted"] for run in pair]
    speakers = [r.groups["speaker"] for r in sides[0]]
    statistics = [bases_of("made-up", run.results.datasets[0], side)["ew_level1"].statistic
                  for run, side in zip(pair, sides)]  # fmt: skip
    expected = paired_bootstrap(*statistics, 120, groups=speakers, resamples=100)
    found = difference(compare(*pair, resamples=100), "ew_level1")
    assert (found.low, found.high, found.p_value) == (expected.low, expected.high, expected.p_value)


def test_a_run_against_itself_shows_no_difference(pair):
    found = compare(pair[0], pair[0], resamples=100)
    assert {d.verdict for d in found.differences} == {"no difference shown"}
    assert all(d.difference == d.low == d.high == 0 and d.p_value == 1 for d in found.differences)
    assert found.changed == [] and any("config hash" in words for words in found.warnings)


def test_only_shared_samples_are_compared_in_any_order_and_the_rest_is_counted(pair):
    left, right = pair[0].records[:100], list(reversed(pair[1].records[20:]))
    found = compare(Run("a", pair[0].results, left), Run("b", pair[1].results, right), resamples=50)
    assert (found.n_shared, found.only_first, found.only_second) == (80, 20, 50)
    war = difference(found, "war")
    hits = {r.id: r.scores["war"] for r in pair[1].records}
    assert war.n == 80 and war.second == pytest.approx(np.mean([hits[r.id] for r in left[20:]]))


def test_a_metric_whose_value_the_samples_do_not_give_is_compared_by_its_sample_values(pair):
    values = pair[0].results.model_dump(by_alias=True)
    values["datasets"][0]["metrics"][0]["value"] = 0.1
    found = compare(Run("a", Results.model_validate(values), pair[0].records), pair[1], resamples=50)
    assert difference(found, "ew_level1").basis == STAND_IN


def changed(run, edit):
    records = deepcopy(run.records)
    edit(records)
    return Run(run.name, run.results, records)


def set_prompt(records):
    records[3].prompt += "?"


def set_truth(records):
    records[3].gt = "bored"


@pytest.mark.parametrize(("edit", "words"), [(set_prompt, "the prompt differs in 1 of 150"),
                                             (set_truth, "the ground truth differs in 1 of 150")])  # fmt: skip
def test_other_questions_are_refused_by_name_and_can_be_forced(pair, edit, words):
    other = changed(pair[1], edit)
    with pytest.raises(CompareError, match=rf"{words} shared samples \(first: acted_00003\).*--force"):
        compare(pair[0], other)
    assert any(f"forced: {words}" in w for w in compare(pair[0], other, force=True, resamples=20).warnings)


def test_another_suite_is_refused(pair):
    other = Run("other", pair[1].results.model_copy(update={"suite": "meld"}), pair[1].records)
    with pytest.raises(CompareError, match=r"the suites differ \(made-up, meld\)"):
        compare(pair[0], other)


def test_runs_without_a_common_sample_are_refused(pair):
    with pytest.raises(CompareError, match="share no sample"):
        compare(Run("a", pair[0].results, pair[0].records[:5]), Run("b", pair[1].results, pair[1].records[9:]))


def test_other_embedders_are_named_and_their_metric_is_not_compared(pair):
    values = pair[1].results.model_dump(by_alias=True) | {"embedder": "words-2", "judge": "j"}
    values["datasets"][0]["metrics"][2]["parts"] |= {"embedder": "words-2"}
    found = compare(pair[0], Run("b", Results.model_validate(values), pair[1].records), resamples=20)
    assert any("the embedder differs (none; words-2)" in words for words in found.warnings)
    assert any("acted uar: scored by different embedders (None; words-2)" in words for words in found.left_out)
    assert "uar" not in {d.metric for d in found.differences if d.dataset == "acted"}


def test_folders_are_compared_and_written(pair, tmp_path):
    for run in pair:
        write_report(tmp_path / run.name, run.results, run.records)
    found = compare_folders(tmp_path / "better", tmp_path / "worse", tmp_path / "out")
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"compare.json", "compare.md", "compare.html"}
    assert json.loads((tmp_path / "out" / "compare.json").read_text())["differences"][0]["n"] == 120
    write_comparison(tmp_path / "only.md", found)
    assert (tmp_path / "only.md").read_text().startswith("# better against worse")
    text = render_text(found)
    assert "first is better" in text and "150 shared samples; 0 only in the first" in text


def test_text_of_models_stays_text(pair):
    hostile = "<script>x</script>|\x1b[31m"

    def edit(records):
        for record in records:
            record.parsed = record.parsed | {"labels": [hostile]}

    found = compare(changed(pair[0], edit), changed(pair[1], edit), resamples=20)
    assert found.changed
    assert "<script" not in render_html(found) and "\\<script\\>" in render_markdown(found)
    assert "\x1b" not in render_text(found) + render_markdown(found) + render_html(found)
