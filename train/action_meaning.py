"""What measured face actions mean, as the few clips of a corpus can say: a logistic regression on their roots.

Intensities near zero say much, hence the roots. Nine hundred clips teach a regression of seventeen numbers well and a
network that reads them out of a text badly, so the regression teaches the network (`told_actions`).

Shapes: N clips, U action units, L labels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

STEPS = 60
"""Of L-BFGS, more than enough for a convex loss of a few hundred weights."""


@dataclass(slots=True)
class ActionMeaning:
    """A fitted regression."""

    mean: Tensor
    spread: Tensor
    weight: Tensor
    """[L, U]."""

    bias: Tensor

    def __call__(self, actions: Tensor) -> Tensor:
        """Intensities [N, U], 0 to 5 -> log-probabilities [N, L]; no label is favoured for being frequent."""
        found = (actions.double().clamp(min=0).sqrt() - self.mean) / self.spread
        return (found @ self.weight.T + self.bias).log_softmax(-1).float()


def fit_meaning(actions: Tensor, shares: Tensor, weights: Tensor, prior: Tensor, *, decay: float) -> ActionMeaning:
    """Least cross-entropy, with `decay` / 2 times the squared weights for each clip's worth of it.

    Args:
        actions: [N, U] intensities, 0 to 5.
        shares: [N, L] what each clip's label should be; rows sum to 1.
        weights: [N] how much each clip counts; any scale.
        prior: [L] added to the logits while fitting, the logarithm of each label's share or zeros.
        decay: like 1 / (C N) of scikit-learn's `LogisticRegression`.
    """
    roots, shares, prior = actions.double().clamp(min=0).sqrt(), shares.double(), prior.double()
    weights = (weights.double() / weights.double().sum()).unsqueeze(-1)
    mean = (weights * roots).sum(0)
    spread = (weights * (roots - mean).square()).sum(0).sqrt().clamp(min=1e-3)
    inputs = (roots - mean) / spread
    weight = torch.zeros(shares.shape[1], roots.shape[1], dtype=torch.double, requires_grad=True)
    bias = torch.zeros(shares.shape[1], dtype=torch.double, requires_grad=True)
    search = torch.optim.LBFGS([weight, bias], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        search.zero_grad()
        logp = (inputs @ weight.T + bias + prior).log_softmax(-1)
        value = -(weights * shares * logp).sum() + decay / 2 * weight.square().sum()
        value.backward()
        return value

    with torch.enable_grad():
        search.step(loss)
    return ActionMeaning(mean, spread, weight.detach(), bias.detach())
