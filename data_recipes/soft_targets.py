"""Soft targets: shares of votes with every rating kept, and distributions from a point in valence, arousal, dominance.

* All-inclusive rule (arXiv:2510.05934): no sample and no rating is dropped, ties stay ties; for evaluation a label
  counts when its share is strictly above 1/C (`cuewise.eval.metrics.distributions.all_inclusive`).
* `penalties` weigh confusions by how rarely two labels are voted for together; `penalised_divergence` is the loss.
* `mixture` turns a VAD point into probabilities over emotions, each a Gaussian (arXiv:2602.06778), in log space with a
  uniform floor so that points far from every emotion stay finite.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cuewise.data_recipes.corpora.labels import common_label
from cuewise.data_recipes.schema import Row
from cuewise.mllm.taxonomy import LABELS, valence_arousal

FLOOR = 0.01
"""Share of the mixture that is spread evenly over the emotions."""

SPREAD = 0.35
"""Standard deviation of an emotion on each axis, on the scale [-1, 1], where no covariance is given."""


def vote_shares(row: Row, channel: str = "all", classes: Sequence[str] = LABELS) -> list[float] | None:
    """Shares of the votes over `classes`; None where nobody voted for any of them.

    A row without votes has all of its share on its labels. Words are mapped to common labels where they have one.
    """
    votes = row.votes.get(channel) or (dict.fromkeys(row.labels, 1.0) if channel == "all" else {})
    counts = dict.fromkeys(classes, 0.0)
    for word, count in votes.items():
        label = word if word in counts else common_label(word)
        if label in counts:
            counts[label] += float(count)
    total = math.fsum(counts.values())
    return [count / total for count in counts.values()] if total > 0 else None


def penalties(shares: Sequence[Sequence[float]]) -> np.ndarray:
    """Matrix [C, C]: 1 for labels that are never voted for together, 0 for a label with itself.

    ``1 - n(j and z) / min(n(j), n(z))`` with n the samples in which a label has any vote; symmetric.
    """
    voted = np.asarray(shares, dtype=float) > 0
    together = (voted[:, :, None] & voted[:, None, :]).sum(0).astype(float)
    alone = np.diag(together)
    fewer = np.minimum(alone[:, None], alone[None, :])
    matrix = 1 - np.divide(together, fewer, out=np.zeros_like(together), where=fewer > 0)
    np.fill_diagonal(matrix, 0.0)
    return matrix


def penalised_divergence(
    target: Sequence[float], answer: Sequence[float], matrix: np.ndarray, floor: float = 1e-8
) -> float:
    """KL(target || answer) in nats, plus the answer's mass on labels that rarely go with those of the target.

    0 for an answer equal to a target whose labels go together; the second term is ``sum t_j P_jz a_z`` over pairs whose
    second label has no share in the target.
    """
    t = np.asarray(target, dtype=float)
    a = np.maximum(np.asarray(answer, dtype=float), floor)
    a = a / a.sum()
    kl = float((t[t > 0] * np.log(t[t > 0] / a[t > 0])).sum())
    return max(0.0, kl) + float((t[:, None] * np.asarray(matrix) * (a * (t == 0))[None, :]).sum())


@dataclass(frozen=True, slots=True)
class Gaussian:
    """One emotion in VAD space: mean [D] and covariance [D, D]."""

    mean: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]


def gaussians(labels: Sequence[str] = LABELS, spread: float = SPREAD) -> dict[str, Gaussian]:
    """Round Gaussians at the places of emotion words in the taxonomy (valence, arousal)."""
    found = {}
    for label in labels:
        place = valence_arousal(label)
        if place is None:
            raise ValueError(f"emotion `{label}` has no place in the taxonomy; give its Gaussian yourself")
        found[label] = Gaussian(place, ((spread**2, 0.0), (0.0, spread**2)))
    return found


def mixture(point: Sequence[float], emotions: Mapping[str, Gaussian], floor: float = FLOOR) -> dict[str, float]:
    """Probability of each emotion at a point of as many dimensions as the means; sums to 1, never 0."""
    if not emotions or not 0 <= floor < 1:
        raise ValueError(f"a mixture needs emotions and a floor in [0, 1), got {len(emotions)} and {floor}")
    logs = np.array([_log_density(np.asarray(point, dtype=float), emotion) for emotion in emotions.values()])
    shares = np.exp(logs - logs.max())
    shares = (1 - floor) * shares / shares.sum() + floor / len(emotions)
    return {name: float(share) for name, share in zip(emotions, shares)}


def _log_density(point: np.ndarray, emotion: Gaussian) -> float:
    mean, covariance = np.asarray(emotion.mean), np.asarray(emotion.covariance)
    if point.shape != mean.shape:
        raise ValueError(f"the point has {len(point)} dimensions but the emotion {len(mean)}")
    sign, log_determinant = np.linalg.slogdet(covariance)
    if sign <= 0:
        raise ValueError("a covariance must be positive definite; its determinant is not positive")
    gap = point - mean
    return float(-0.5 * (gap @ np.linalg.solve(covariance, gap) + log_determinant + len(mean) * math.log(2 * math.pi)))
