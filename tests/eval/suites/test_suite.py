"""Every shipped suite is whole, and a suite with a mistake says where."""

import re

import pytest
import yaml

from cuewise.eval.measures import measure_of
from cuewise.eval.measures.fits import FITS, misfits
from cuewise.eval.suites.suite import FOLDER, BaselineTable, SuiteError, load_suite, suite_names
from cuewise.eval.truths import TRUTHS

REQUIRED = {
    "mer-unibench", "mme-emotion", "ca-mer", "emocue", "emorealm", "mvei", "vecbench", "dfew", "mafw", "ferv39k",
    "ravdess", "crema-d", "iemocap", "meld", "mosi", "mosei", "sims", "synthetic", "open-conflict",
}  # fmt: skip


def test_all_suites_are_there():
    assert set(suite_names()) >= REQUIRED


@pytest.mark.parametrize("name", suite_names())
def test_a_suite_names_only_what_exists(name):
    suite = load_suite(name)
    for dataset in suite.datasets.values():
        assert dataset.truth in TRUTHS
        assert all(measure_of(metric) for metric in dataset.metrics)
    assert misfits(suite, tuple(TRUTHS)) == []
    given = {name: {n for m in d.metrics for n in FITS[m].gives} for name, d in suite.datasets.items()}
    given |= {mean.name: {"mean"} for mean in suite.means}
    assert all(b.metric in given[b.dataset] for b in suite.baselines), "a published row without ours beside it"
    assert suite.about and suite.licence and suite.title
    assert all(b.comparable == "yes" or b.note for b in suite.baselines)
    assert all(-1 <= b.value <= 1 for b in suite.baselines)


def test_the_nine_published_rows_average_to_their_printed_mean():
    suite = load_suite("mer-unibench")
    rows: dict[tuple[str, str], dict[str, float]] = {}
    for baseline in suite.baselines:
        rows.setdefault((baseline.system, baseline.source), {})[baseline.dataset] = baseline.value
    assert len(rows) == 23
    for values in rows.values():
        nine = [value for name, value in values.items() if name != "mer-unibench"]
        assert len(nine) == 9 and sum(nine) / 9 == pytest.approx(values["mer-unibench"], abs=1.01e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["datasets.ravdess.metric=[uar]"], "datasets.ravdess.metric`; did you mean `datasets.ravdess.metrics`"),
        (["primary.dataset=nowhere"], "primary names data set 'nowhere'"),
        (["datasets.ravdess.source.rows=x"], "exactly one of corpus, rows, synthetic"),
        (["datasets={}"], "`datasets` is empty"),
        (["datasets=[1]"], "`datasets` must be a mapping, got [1]"),
        (["datasets.ravdess=5"], "datasets.ravdess must be a mapping of options, got 5"),
        (["datasets.ravdess.metrics=uar"], "`datasets.ravdess.metrics` must be a list, got 'uar'"),
        (["datasets.ravdess.metrics.uar=1"], "`metrics` is a value, not a group of options"),
        (["datasets.ravdess.metrics=[a"], "the value is not valid YAML"),
        (["datasets.ravdess.form=explaind"], "must be one of explained, direct, got 'explaind'"),
        (["datasets.ravdess.classes=5"], "`classes` must be a list, or a mapping of class -> words, got 5"),
        (["datasets.ravdess.classes=[1, 2]"], "`classes` holds int 1"),
        (["datasets.ravdess.classes={happy: joy}"], "the words 'joy' of a class must be a list, [joy]"),
        (["datasets.ravdess.classes=[happy, happy]"], "names a class twice"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_named(change, message):
    with pytest.raises(SuiteError, match=re.escape(message)):
        load_suite("ravdess", change)


def test_an_unknown_suite_or_metric_names_the_nearest():
    with pytest.raises(SuiteError, match="did you mean `ravdess`"):
        load_suite("ravdes")
    with pytest.raises(SuiteError, match="did you mean `weighted_f1`"):
        measure_of("weighted_f")


def test_a_table_row_of_the_wrong_length_is_refused():
    table = BaselineTable(source="s", comparable="yes", columns=[["d", "uar"]], rows={"A": [1.0, 2.0]})
    with pytest.raises(ValueError, match="A has 2 numbers for 1 columns"):
        table.baselines()


def test_suites_stay_readable():
    for file in FOLDER.glob("*.yaml"):
        assert len(file.read_text().splitlines()) <= 120, file
        assert yaml.safe_load(file.read_text())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"title: T\xff\n", "byte 0xff at 8 is not UTF-8"),
        (b"", "a mapping of options is needed"),
        (b"title: [\n", "not valid YAML"),
        (b"a: " + b"[" * 3000 + b"]" * 3000, "nested too deeply"),
        (b"title: T\nabout: A\ndatasets: &d {calls: *d}\nprimary: {dataset: calls, metric: uar}\n", "unknown option"),
    ],
)
def test_a_file_that_is_no_suite_is_one_line(tmp_path, content, message):
    file = tmp_path / "mine.yaml"
    file.write_bytes(content)
    with pytest.raises(SuiteError, match=re.escape(message)) as caught:
        load_suite(str(file))
    assert len(caught.value.problems) == 1 and "\n" not in caught.value.problems[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["datasets.ravdess.metrics=[uar, ccc]"], "metric `ccc` needs truth valence_arousal, not `label`"),
        (["datasets.ravdess.truth=sentiment"], "metric `uar` needs truth label or vote_winner, not `sentiment`"),
        (["datasets.ravdess.truth=sentiment", "datasets.ravdess.metrics=[cue_f1]"], "`cue_f1` needs truth cues"),
        (["datasets.ravdess.truth=labell"], "unknown truth `labell`; did you mean `label`?"),
        (["datasets.ravdess.classes=[]"], "name the set with `classes`"),
        (["datasets.ravdess.metrics=[uar, folds]"], "metric `folds` needs the option `folds`"),
        (["datasets.ravdess.metrics=[]"], "no metrics"),
        (["datasets.ravdess.metrics=[uar, uar]"], "metric `uar` is named twice"),
        (["datasets.ravdess.show=[voise]"], "unknown part `voise` to show; did you mean `voice`?"),
        (["primary.metric=ucr"], "gives no number `ucr`; did you mean `uar`?"),
        (["means=[{name: m, of: {ravdess: uaar}}]"], "mean m: data set `ravdess` gives no number `uaar`"),
    ],
)
def test_a_metric_that_does_not_fit_its_truth_is_told_from_the_suite_alone(change, message):
    assert any(message in line for line in misfits(load_suite("ravdess", change), tuple(TRUTHS)))
