"""Probes: a planted direction is found in its layer alone, shuffled labels are chance, and words that name go first."""

import numpy as np
import pytest
from tiny import tiny_model, tiny_processor

from cuewise.data_recipes.schema import Row
from cuewise.eval.probes import hidden_states, keyword_free, layer_probes, probe_accuracy


def test_a_planted_direction_is_found_where_it_lies_and_nowhere_else():
    rng = np.random.default_rng(0)
    labels = [("happy", "sad")[i % 2] for i in range(200)]
    states = rng.normal(size=(3, 200, 12))
    states[1] += 1.2 * np.array([1 if label == "happy" else -1 for label in labels])[:, None] * np.eye(12)[4]
    found = layer_probes(states, labels)
    assert found[1]["accuracy"] > 0.8 and all(abs(found[i]["accuracy"] - 0.5) < 0.15 for i in (0, 2))
    assert all(abs(one["shuffled"] - 0.5) < 0.15 for one in found)


def test_a_probe_never_learns_from_what_it_is_tested_on():
    """With more channels than samples a probe can repeat any labels; held out they are still chance."""
    rng = np.random.default_rng(1)
    labels = [("a", "b")[int(i)] for i in rng.integers(0, 2, 60)]
    assert abs(probe_accuracy(rng.normal(size=(60, 200)), labels, ridge=1e-3) - 0.5) < 0.2
    with pytest.raises(ValueError, match="two classes and 10 samples"):
        probe_accuracy(np.zeros((4, 2)), ["a", "b", "a", "b"])


def test_rows_that_name_an_emotion_are_left_out():
    texts = {"plain": "The train went without him", "label": "He was sad", "inflected": "his sadness grew",
             "other": "they were furious at him"}  # fmt: skip
    rows = [Row(id=name, corpus="t", labels=["sad"], transcript=text) for name, text in texts.items()]
    rows += [Row(id="bare", corpus="t", labels=["sad"]), Row(id="none", corpus="t", transcript="The door closed")]
    assert [row.id for row in keyword_free(rows)] == ["plain"]


def test_states_are_those_of_each_text_alone():
    model, processor = tiny_model(), tiny_processor()
    texts = ["we won", "pitch clearly higher than before", "a"]
    states = hidden_states(model, processor, texts, batch=2)
    assert states.shape[:2] == (3, 3)
    for i, text in enumerate(texts):
        np.testing.assert_allclose(hidden_states(model, processor, [text])[:, 0], states[:, i], atol=2e-5)
