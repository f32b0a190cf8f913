"""Promises of the set scores beyond the vectors: invariances, spam, and the repaired profile."""

import math
import random

import pytest

from cuewise.eval.metrics.base import MetricInputError
from cuewise.eval.metrics.ew import ew_dataset, ew_sample, ew_score, length_penalty
from cuewise.mllm.taxonomy import LEVEL1_IDS, wheel_table

GT = [["happy"], "sad, lonely", ["furious", "disgusted"], ["neutral"], "[]"]
PRED = ["[joyful, angry]", "['lonely', 'sad']", ["happy"], "neutral", ["sad"]]


def test_half_the_labels_right_is_half_the_precision():
    scores = ew_sample(["happy"], ["joyful", "angry"])["metrics"]
    assert scores["case3_wheel1_level1"] | {"gt": 0, "pred": 0} == {
        "scored": True, "gt": 0, "pred": 0, "precision": 0.5, "recall": 1.0, "f": pytest.approx(2 / 3),
    }  # fmt: skip


def test_order_and_repetition_of_labels_and_order_of_samples_do_not_matter():
    straight = ew_dataset(GT, PRED)
    order = random.Random(0).sample(range(len(GT)), len(GT))
    shuffled = ew_dataset([GT[i] for i in order], [PRED[i] for i in order])
    repeated = ew_dataset(GT, ["angry, joyful, JOYFUL, angry", *PRED[1:]])
    assert str(straight) == str(shuffled) == str(repeated)


def test_a_prediction_with_every_core_word_has_recall_1():
    table = wheel_table("affectgpt2025")
    cores = sorted(set(table.lookups["case3_wheel1_level1"].values()))
    named = ew_sample(["sad"], cores)["metrics"]["case3_wheel1_level1"]
    assert named["recall"] == 1 and named["precision"] == 1 / len(named["pred"])


def test_unknown_predictions_score_0_and_unknown_ground_truth_is_not_scored():
    assert ew_dataset([["happy"]], [["blorp"]])["metrics"]["case1"]["precision"] == 0
    result = ew_dataset([["blorp"]], [["happy"]])
    assert result["metrics"]["case1"]["n"] == 0
    assert math.isnan(result["level1"][0]) and math.isnan(result["m_avg"])


def test_repaired_profile_scores_neutral_and_takes_spam_down():
    table = wheel_table("cuewise2026")
    everything = sorted(set(table.lookups["case3_wheel1_level1"].values())) + ["blorp"] * 1
    assert ew_dataset([["neutral"]], [["neutral"]], "cuewise2026")["level1"] == [1, 1, 1]
    honest, spam = (ew_score([["sad"]], [labels], "cuewise2026").value for labels in (["sad"], everything))
    assert honest == 1 and spam < 0.25
    assert ew_dataset([["sad"]], [["sad"]], "cuewise2026")["labels_per_sample"] == {"gt": 1, "pred": 1}


def test_length_penalty_is_free_for_two_more_labels_and_counts_words_once():
    assert length_penalty(["sad"], ["sad", "tired", "low"]) == 1
    assert length_penalty(["sad"], ["sad", "Sad", "tired", "low"]) == 1
    assert length_penalty(["sad"], ["a", "b", "c", "d", "e", "f"]) == 0.5
    assert length_penalty(["sad"], []) == 1


def test_score_object_carries_n_averaging_and_sample_values():
    score = ew_score(GT, PRED)
    assert (score.n, score.parts["n_per_wheel"]) == (3, [3, 3, 3, 3, 3])
    assert score.samples[1] == 1 and score.samples[2] == 0 and score.samples[3:] == (None, None)
    assert score.value == ew_dataset(GT, PRED)["level1"][0]
    assert set(score.as_dict()) >= {"value", "n", "averaging", "direction", "profile"}


def test_published_number_of_the_first_wheel_by_hand():
    # happy/joyful share wheel 1's core: P = 1/2, R = 1; sad, lonely: 1, 1; furious, disgusted against happy: 0, 0.
    row = ew_dataset(GT[:3], PRED[:3])["metrics"][LEVEL1_IDS[0]]
    assert row["precision"] == pytest.approx(0.5) and row["recall"] == pytest.approx(2 / 3)
    assert row["f"] == pytest.approx(2 * 0.5 * (2 / 3) / (0.5 + 2 / 3))


@pytest.mark.parametrize(("gt", "pred"), [([["a"]], []), ("happy", "sad"), ([1], ["happy"]), ([["a"]], [[3]])])
def test_wrong_shapes_are_refused(gt, pred):
    with pytest.raises(MetricInputError, match=r"samples|must be"):
        ew_dataset(gt, pred)
