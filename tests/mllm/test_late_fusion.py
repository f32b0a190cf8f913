"""Weights per class and model: fused by hand, and found when each model knows other classes."""

import numpy as np
import pytest

from cuewise.mllm.late_fusion import fuse, search_weights


def test_fusion_by_hand():
    probabilities = np.array([[[0.6, 0.4]], [[0.1, 0.9]]])
    weights = np.array([[0.5, 1.0], [0.5, 0.0]])
    assert fuse(probabilities, weights)[0].tolist() == pytest.approx([0.35 / 0.75, 0.4 / 0.75])
    with pytest.raises(ValueError, match="sum to one"):
        fuse(probabilities, np.ones((2, 2)))


def experts(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two models, each sure and right about its own two classes of four, and noise elsewhere."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 4, 400)
    probabilities = rng.dirichlet(np.ones(4) * 2, (2, 400))
    for model, own in enumerate(((0, 1), (2, 3))):
        known = np.isin(truth, own)
        for c in own:
            probabilities[model, :, c] = np.where(truth == c, 0.9, np.where(known, 0.05, 0.1)) + rng.random(400) * 0.02
    return probabilities / probabilities.sum(2, keepdims=True), truth


def test_the_search_beats_each_single_model_on_new_samples():
    weights, _ = search_weights(*experts(0), draws=400)
    probabilities, truth = experts(1)

    def recall(answer: np.ndarray) -> float:
        return float(np.mean([(answer[truth == c] == c).mean() for c in range(4)]))

    alone = max(recall(p.argmax(1)) for p in probabilities)
    assert recall(fuse(probabilities, weights).argmax(1)) > alone + 0.05
    assert weights[0, :2].mean() > 0.5 and weights[1, 2:].mean() > 0.5


def test_only_classes_that_count_are_searched_for():
    probabilities, truth = experts(0)
    _, found = search_weights(probabilities, truth, counts=[0, 1], draws=50)
    assert found == pytest.approx(1.0, abs=0.05)
    with pytest.raises(ValueError, match="none of the classes"):
        search_weights(probabilities, truth, counts=[])
