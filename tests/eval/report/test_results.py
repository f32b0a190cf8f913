"""results.json: what the types refuse, and what reading a damaged file says."""

import json
import math

import pytest
from pydantic import ValidationError

from cuewise.eval.report.results import Metric, Results, ResultsError, read_results, to_json, write_results

METRIC = {"name": "uar", "value": 0.5, "n": 10, "averaging": "macro over classes", "direction": "higher is better"}


@pytest.mark.parametrize("field", ["n", "averaging", "direction"])
def test_a_number_without_n_averaging_or_direction_does_not_exist(field):
    with pytest.raises(ValidationError, match=field):
        Metric.model_validate({key: value for key, value in METRIC.items() if key != field})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"averaging": ""}, "at least 1 character"),
        ({"n": 0}, "over no samples"),
        ({"low": 0.4}, "one end of an interval"),
        ({"low": 0.4, "high": 0.6}, "how they were found"),
        ({"low": 0.7, "high": 0.6, "interval": "95%"}, "low <= high"),
        ({"value": 62.5}, "divide percent by 100"),
        ({"valeu": 1}, "valeu"),
    ],
)
def test_a_number_that_cannot_be_believed_is_refused(change, words):
    with pytest.raises(ValidationError, match=words):
        Metric.model_validate(METRIC | change)


def test_undefined_is_null_and_never_zero():
    assert Metric.model_validate(METRIC | {"value": math.nan, "n": 0}).value is None


@pytest.mark.parametrize("field", ["selection_rule", "config_hash", "parse_rate", "datasets.0.parse_rate",
                                   "datasets.0.metrics.0.averaging", "baselines.0.source"])  # fmt: skip
def test_a_file_without_a_needed_field_is_refused_by_its_name(run, tmp_path, field):
    values = json.loads(to_json(run[0]))
    *path, last = field.split(".")
    place = values
    for step in path:
        place = place[int(step)] if step.isdigit() else place[step]
    del place[last]
    (tmp_path / "results.json").write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(ResultsError, match=rf"results\.json is damaged: field `{field}`"):
        read_results(tmp_path)


def test_what_is_written_is_read_back_and_the_text_is_the_same_each_time(run, tmp_path):
    write_results(tmp_path, run[0])
    assert read_results(tmp_path) == run[0]
    assert to_json(read_results(tmp_path / "results.json")) == (tmp_path / "results.json").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "results.json").read_text())["schema"] == "cuewise-results-1"


@pytest.mark.parametrize(
    ("text", "words"),
    [("{", "damaged: no JSON"), ("[]", "holds list"), ('{"schema": "other-9"}', "field `schema` is 'other-9'")],
)
def test_a_damaged_file_is_named_with_what_is_wrong(tmp_path, text, words):
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(ResultsError, match=words) as failure:
        read_results(tmp_path)
    assert str(tmp_path / "results.json") in str(failure.value)


def test_a_folder_without_results_says_so(tmp_path):
    with pytest.raises(ResultsError, match=r"results\.json does not exist; give the folder of a finished run"):
        read_results(tmp_path)


def test_a_failed_write_leaves_the_old_file(run, tmp_path, monkeypatch):
    write_results(tmp_path, run[0])
    before = (tmp_path / "results.json").read_bytes()
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_results(tmp_path, run[0].model_copy(update={"seed": 99}))
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]
    assert (tmp_path / "results.json").read_bytes() == before


def changed(run, **changes):
    return Results.model_validate(run[0].model_dump(by_alias=True) | changes)


def test_the_primary_metric_must_be_there(run):
    with pytest.raises(ValidationError, match="primary metric wer of acted is not among the results"):
        changed(run, primary={"dataset": "acted", "metric": "wer"})


def test_a_variant_cannot_be_left_out_of_the_table(run):
    values = run[0].model_dump(by_alias=True)
    values["datasets"][0]["metrics"] = [m for m in values["datasets"][0]["metrics"] if "cuewise2026" not in m["name"]]
    with pytest.raises(ValidationError, match="must be printed beside ew_level1_cuewise2026"):
        Results.model_validate(values)


def test_published_percent_and_unexplained_incomparability_are_refused(run):
    row = {"system": "X", "dataset": "acted", "metric": "uar", "value": 62.52, "source": "paper", "comparable": "yes"}
    with pytest.raises(ValidationError, match="published percent must be divided by 100"):
        changed(run, baselines=[row])
    with pytest.raises(ValidationError, match="`note` must say why"):
        changed(run, baselines=[row | {"value": 0.6252, "comparable": "no"}])
