"""Multi-label averages against scikit-learn and by hand."""

import random

import pytest

from cuewise.eval.metrics.base import MetricInputError
from cuewise.eval.metrics.multilabel import mean_average_precision, multilabel


def test_equal_to_scikit_learn_on_random_sets():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = random.Random(1)
    classes = list("abcd")
    gt = [rng.sample(classes, rng.randint(1, 3)) for _ in range(40)]
    pred = [rng.sample(classes, rng.randint(1, 3)) for _ in range(40)]

    def table(side):
        return [[int(c in row) for c in classes] for row in side]

    result = multilabel(gt, pred)
    for ours, average in (("f1_micro", "micro"), ("f1_macro", "macro"), ("f1_samples", "samples")):
        assert result[ours] == pytest.approx(metrics.f1_score(table(gt), table(pred), average=average))
    assert result["jaccard_samples"] == pytest.approx(metrics.jaccard_score(table(gt), table(pred), average="samples"))
    assert result["exact_match"] == pytest.approx(metrics.accuracy_score(table(gt), table(pred)))
    scores = [{c: rng.randrange(5) for c in classes} for _ in range(40)]
    expected = metrics.average_precision_score(table(gt), [[row[c] for c in classes] for row in scores])
    assert mean_average_precision(gt, scores)["map"] == pytest.approx(expected)


def test_empty_sets_and_labels_outside_the_classes():
    result = multilabel([[], ["a"]], [[], ["a", "zzz"]], ["a"])
    assert result["f1_samples"] == pytest.approx((1 + 2 / 3) / 2)
    assert result["f1_micro"] == pytest.approx(2 / 3) and result["f1_macro"] == 1


def test_naming_everything_has_full_recall_but_shows_in_list_length():
    result = multilabel([["a"], ["b"]], [["a", "b", "c", "d"]] * 2)
    assert result["recall_samples"] == 1 and result["precision_samples"] == 0.25
    assert result["labels_per_sample"] == 4


def test_a_string_is_no_label_list():
    with pytest.raises(MetricInputError, match=r"`gt`\[0\] must be a list of labels"):
        multilabel(["a"], [["a"]])
