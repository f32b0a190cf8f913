"""Late fusion of class probabilities with one weight per class and model, after Team RAS (ABAW 9).

The weights of a class sum to one over the models. They are found by random search over Dirichlet draws on held-out
data, keeping the draw with the best mean recall over the classes that count.
"""

from collections.abc import Sequence

import numpy as np


def fuse(probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[M, N, C] probabilities and [M, C] weights -> [N, C], renormalised over classes.

    Raises ValueError where the shapes do not fit or the weights of a class do not sum to one.
    """
    if probabilities.ndim != 3 or weights.shape != (probabilities.shape[0], probabilities.shape[2]):
        raise ValueError(f"probabilities [M, N, C] and weights [M, C] are needed, got {probabilities.shape} and "
                         f"{weights.shape}")  # fmt: skip
    if not np.allclose(weights.sum(0), 1, atol=1e-6):
        raise ValueError("the weights of each class must sum to one over the models")
    mixed = np.einsum("mnc,mc->nc", probabilities, weights)
    return mixed / np.maximum(mixed.sum(1, keepdims=True), 1e-12)


def search_weights(
    probabilities: np.ndarray, truth: Sequence[int], *, counts: Sequence[int] | None = None, draws: int = 1000,
    seed: int = 0,
) -> tuple[np.ndarray, float]:  # fmt: skip
    """Weights [M, C] with the best mean recall over the classes in `counts` (all by default), and that recall.

    Every single model is among the candidates, so the result is never worse than the best of them on these data; choose
    on held-out data only.
    """
    models, _, classes = probabilities.shape
    gold = np.asarray(truth)
    wanted = [c for c in (counts if counts is not None else range(classes)) if (gold == c).any()]
    if not wanted:
        raise ValueError("none of the classes that count occurs in the truth")
    rng = np.random.default_rng(seed)
    single = [np.repeat(np.eye(models)[i][:, None], classes, 1) for i in range(models)]
    drawn = rng.dirichlet(np.ones(models), (draws, classes)).transpose(0, 2, 1)

    def recall(weights: np.ndarray) -> float:
        answer = fuse(probabilities, weights).argmax(1)
        return float(np.mean([(answer[gold == c] == c).mean() for c in wanted]))

    best = max((*single, *drawn), key=recall)
    return best, recall(best)
