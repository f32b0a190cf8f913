"""Every shipped suite is whole, and a suite with a mistake says where."""

import pytest
import yaml

from cuewise.eval.measures import measure_of
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
    ],
)  # fmt: skip
def test_a_wrong_option_is_named(change, message):
    with pytest.raises(SuiteError, match=message.replace(".", r"\.")):
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
