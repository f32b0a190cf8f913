"""Soft and strict cue matching."""

import numpy as np
import pytest

from cuewise.eval.metrics.base import MetricInputError
from cuewise.eval.metrics.emocue import emocue360, soft_match, strict_match


def embed(texts):
    """Letter counts: texts with the same letters are alike; no download, and any text works."""
    return np.array([[text.count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts])


def sample(visual=(), auditory=(), emotional=()):
    return {"visual": list(visual), "auditory": list(auditory), "emotional": list(emotional)}


GT = [sample(["smile", "brows up"], ["loud voice"], ["joy"]), sample(["frown"], ["low pitch"], ["grief"])]


def test_two_by_three_matrix_by_hand():
    table = np.array([[0.9, 0.2, 0.4], [0.1, 0.3, 0.8]])
    precision, recall, f1 = soft_match(table)
    assert (precision, recall) == (pytest.approx((0.9 + 0.3 + 0.8) / 3), pytest.approx(0.85))
    assert f1 == pytest.approx(2 * precision * recall / (precision + recall))
    assert strict_match(table) == 2 and strict_match(table, threshold=0.85) == 1


def test_identical_cues_score_1_in_any_order():
    turned = [sample(reversed(s["visual"]), s["auditory"], s["emotional"]) for s in GT]
    result = emocue360(GT, turned, embed, "letters")
    for channel in ("visual", "auditory", "emotional"):
        assert result[channel]["f1"] == pytest.approx(1) and result[channel]["strict"]["f1"] == 1
    assert result["embedder"] == "letters"


def test_floor_is_the_score_of_strangers_and_below_the_truth():
    result = emocue360(GT, GT, embed, "letters")["visual"]
    assert 0 < result["floor_f1"] < result["f1"]
    assert result == emocue360(GT, GT, embed, "letters")["visual"]


def test_strict_never_rewards_one_cue_twice():
    doubled = [sample(["smile", "smile", "smile"])]
    result = emocue360([sample(["smile"])], doubled, embed, "letters")["visual"]
    assert result["f1"] == pytest.approx(1)
    assert result["strict"]["precision"] == pytest.approx(1 / 3) and result["strict"]["recall"] == 1


def test_subtitle_cues_are_no_sounds_and_empty_sides_follow_the_published_rules():
    gt = [sample(["smile"], ["the text says hello"]), sample(["frown"], ["shouting"])]
    result = emocue360(gt, [sample([], ["text of it"]), {"visual": ["frown"]}], embed, "letters")
    assert result["auditory"]["n"] == 1 and result["auditory"]["f1"] == 0
    assert result["visual"] | {"floor_f1": 0, "strict": 0} == {
        "n": 2, "precision": pytest.approx(0.5), "recall": pytest.approx(0.5), "f1": pytest.approx(0.5),
        "floor_f1": 0, "strict": 0,
    }  # fmt: skip
    assert result["emotional"]["n"] == 0


def test_wrong_shapes_are_named():
    with pytest.raises(MetricInputError, match=r"`gt`\[0\] must map channels"):
        emocue360(["x"], [sample()], embed, "letters")
