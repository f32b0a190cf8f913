"""Every data-set metric is an `evaluate` module that gives the numbers of the metric itself."""

import json

import pytest

from cuewise.eval.metrics.registry import METRICS, metric

evaluate = pytest.importorskip("evaluate")
hub = pytest.importorskip("cuewise.eval.hub")

EXAMPLES = {
    "labels": ["[happy, proud]", "sad"],
    "label": ["happy", "sad"],
    "label_list": [["happy", "sad"], ["sad"]],
    "text": ["Correct, a smile", "a frown"],
    "number": [1.0, 0.0],
    "flag": [True, False],
    "units": [[6, 12], [4]],
}
ROWS = {
    "mean_average_precision": [{"happy": 0.9, "sad": 0.2}, {"sad": 1.0}],
    "distribution": [{"happy": 3, "sad": 1}, {"sad": 4}],
    "ca_mer": [{"subset": "consistent", "labels": "happy"}, {"subset": "video_aligned", "labels": "sad"}],
    "ca_mer_strict": [{"subset": "consistent", "labels": "happy"}, {"subset": "video_aligned", "labels": "sad"}],
    "emorealm": [{"task": "a", "answer": "yes"}, {"task": "b", "answer": "A"}],
    "emocue360": [{"visual": ["a smile"], "auditory": [], "emotional": ["happy"]},
                  {"visual": ["a frown"], "auditory": ["a loud voice"], "emotional": []}],
    "modality_obedience": [{"asked": "audio", "query": "text"}, {"asked": "text", "query": "text"}],
    "statements": [{"correct": True, "dimension": "x"}, {"correct": False, "dimension": "x"}],
}  # fmt: skip
LABELS = {
    "discrete6": ["happy", "worried"], "compound": ["sadly angry", "happily surprised"], "mme_emotion": ["SA", "IR"],
}  # fmt: skip
DATASET_METRICS = [name for name, entry in METRICS.items() if entry.per == "dataset"]


def example(name, kind):
    if kind == "json":
        return ROWS[name]
    return LABELS.get(name, EXAMPLES[kind]) if kind == "label" else EXAMPLES[kind]


@pytest.fixture(autouse=True, scope="module")
def private_cache(tmp_path_factory):
    """Module copies go to a temporary folder; one for all tests, because the library imports them by package name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate.config, "HF_MODULES_CACHE", str(tmp_path_factory.mktemp("modules")))
        yield


def load(name, tmp_path):
    return evaluate.load(str(hub.MODULES / name), cache_dir=str(tmp_path))


def test_every_dataset_metric_has_a_module_and_no_other():
    assert sorted(path.stem for path in hub.MODULES.glob("*/*.py")) == sorted(DATASET_METRICS)


@pytest.mark.parametrize("name", DATASET_METRICS)
def test_module_gives_the_metric_itself(name, tmp_path):
    entry = metric(name)
    gt, pred = example(name, entry.gt_kind), example(name, entry.pred_kind)
    given = [[json.dumps(row) for row in side] if kind == "json" else side
             for side, kind in ((gt, entry.gt_kind), (pred, entry.pred_kind))]  # fmt: skip
    result = load(name, tmp_path).compute(references=given[0], predictions=given[1])
    assert str(result) == str(entry.compute(gt, pred))


def test_batches_add_up_and_lists_are_read_like_strings(tmp_path):
    module = load("hit_rate", tmp_path)
    for truth, answer in (("happy", ["joyful"]), ("sad", ["angry", "mad"])):
        module.add_batch(references=[truth], predictions=[answer])
    assert module.compute()["hit_rate"] == 0.5
