"""Hit rate: spam scores 1 as published, and does not in the repaired profile."""

import math

import pytest

from cuewise.eval.metrics.hits import hit_rate, repaired_hit_rate
from cuewise.mllm.taxonomy import LEVEL1_IDS, wheel_table


def test_one_label_per_core_scores_everything_as_published_but_not_repaired():
    table = wheel_table("affectgpt2025")
    spam = sorted({core for i in LEVEL1_IDS for core in table.lookups[i].values()} | {"happy", "fear"})
    gt = ["happy", "sad", "angry", "worried"]
    assert hit_rate(gt, [spam] * 4)["hit_rate"] == 1
    assert repaired_hit_rate(gt, [spam] * 4).value < 0.25


def test_neutral_is_never_scored_as_published_and_scored_in_ours():
    assert math.isnan(hit_rate(["neutral"], ["neutral"])["hit_rate"])
    score = repaired_hit_rate(["neutral", "sad"], ["neutral", "neutral"])
    assert (score.value, score.n, score.samples) == (0.5, 2, (1.0, 0.0))


def test_hits_are_counts_as_published_and_at_most_1_in_ours():
    assert hit_rate(["happy, sad"], ["happy, sad"])["hit_rate"] == 2
    assert repaired_hit_rate(["happy, sad"], ["happy, sad"]).value == 1


def test_each_wheel_has_its_own_n():
    wheels = hit_rate(["disgust", "surprise", "happy"], ["happy"] * 3)["wheels"]
    assert [wheel["n"] for wheel in wheels] == [3, 3, 2, 3, 1]
    assert wheels[4]["hit_rate"] == 1 and wheels[0]["hit_rate"] == pytest.approx(1 / 3)
