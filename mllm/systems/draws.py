"""Answers of one batch that know nothing of each other: a generator and a length limit for each row.

`generate` of transformers draws a whole batch from one global generator, so that neighbours change an answer. Here the
random numbers of a row come from its own seed: adding Gumbel noise to its log-probabilities and taking the maximum is
the same as drawing from them.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import LogitsProcessor, StoppingCriteria


class RowDraws(LogitsProcessor):
    """Scores whose maximum is the token each row takes; rows with temperature 0 are left alone.

    Args:
        temperatures, seeds: one of each per row.
    """

    def __init__(self, temperatures: Sequence[float], seeds: Sequence[int]):
        self.rows = [
            (row, temperature, torch.Generator().manual_seed(seed))
            for row, (temperature, seed) in enumerate(zip(temperatures, seeds, strict=True))
            if temperature > 0
        ]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(rows, length) ids, (rows, vocabulary) scores -> (rows, vocabulary)."""
        scores = scores.float().clone()
        for row, temperature, generator in self.rows:
            uniform = torch.rand(scores.shape[-1], generator=generator, dtype=torch.float64).clamp(min=1e-300)
            gumbel = -torch.log(-torch.log(uniform))
            scores[row] = scores[row] / temperature + gumbel.to(scores)
        return scores


class RowLimits(StoppingCriteria):
    """Ends each row after its own number of new tokens."""

    def __init__(self, prompt_length: int, limits: Sequence[int]):
        self.prompt_length, self.limits = prompt_length, torch.tensor(list(limits))

    def __call__(self, input_ids: Tensor, scores: Tensor, **kwargs: object) -> Tensor:  # named by the library
        return (input_ids.shape[1] - self.prompt_length >= self.limits).to(input_ids.device)
