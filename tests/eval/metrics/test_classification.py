"""UAR, WAR, weighted and macro F1 against hand-made numbers and scikit-learn."""

import random

import pytest

from cuewise.eval.metrics.base import MetricInputError
from cuewise.eval.metrics.classification import classification, confusion, folds, macro_f1, uar, war, weighted_f1

GT = ["a"] * 10 + ["b"] * 2
PRED = ["a"] * 8 + ["b"] * 2 + ["a", "b"]


def test_reference_vector_of_ten_and_two():
    assert war(GT, PRED).value == pytest.approx(0.75)
    assert uar(GT, PRED).value == pytest.approx(0.65)
    assert uar(GT, PRED).parts["recall"] == {"a": 0.8, "b": 0.5}


def test_equal_to_scikit_learn_on_random_labels():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = random.Random(3)
    for _ in range(20):
        gt = [rng.choice("abcd") for _ in range(30)]
        pred = [rng.choice("abcde") for _ in range(30)]
        known = sorted(set(gt))
        assert war(gt, pred).value == pytest.approx(metrics.accuracy_score(gt, pred))
        assert uar(gt, pred).value == pytest.approx(metrics.recall_score(gt, pred, average="macro", labels=known))
        assert weighted_f1(gt, pred).value == pytest.approx(
            metrics.f1_score(gt, pred, average="weighted", zero_division=0)
        )
        assert macro_f1(gt, pred).value == pytest.approx(
            metrics.f1_score(gt, pred, average="macro", labels=known, zero_division=0)
        )


def test_an_answer_outside_the_classes_is_wrong_and_counted():
    result = classification(["a", "b", "a", "b"], ["a", "nonsense", None, "b"])
    assert result["war"] == 0.5 and result["n"] == 4 and result["outside_classes"] == 2


def test_classes_without_ground_truth_count_in_macro_f1_only_on_request():
    classes = ("a", "b", "c")
    assert uar(GT, PRED, classes).value == pytest.approx(0.65)
    present, every = macro_f1(GT, PRED, classes), macro_f1(GT, PRED, classes, absent_classes=True)
    assert every.value == pytest.approx(present.value * 2 / 3)
    assert present.averaging == "macro over present classes" and every.averaging == "macro over all classes"


def test_folds_report_both_protocols_and_uar_differs():
    gt = [["a", "a", "b"], ["a", "b", "b", "b"]]
    pred = [["a", "b", "b"], ["a", "a", "a", "b"]]
    result = folds(gt, pred, ("a", "b"))
    assert result["mean_of_folds"]["uar"] == pytest.approx((0.75 + (1 + 1 / 3) / 2) / 2)
    assert result["pooled"]["uar"] == pytest.approx((2 / 3 + 0.5) / 2)
    assert result["mean_of_folds"]["war"] == pytest.approx((2 / 3 + 0.5) / 2)
    assert result["pooled"]["war"] == pytest.approx(4 / 7)
    assert result["n"] == 7 and [fold["n"] for fold in result["per_fold"]] == [3, 4]


def test_a_ground_truth_outside_the_classes_is_refused():
    with pytest.raises(MetricInputError, match="'z' is not one of the classes a, b"):
        confusion(["z"], ["a"], ("a", "b"))
    with pytest.raises(MetricInputError, match=r"`gt`\[0\] must be one label"):
        confusion([["a"]], ["a"])
