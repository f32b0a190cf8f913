"""A running average of the weights of a stage (Polyak and Juditsky 1992): it often does better than the last ones."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from cuewise.train.checkpoints import copy_into, whole


class WeightAverage:
    """Exponential average of everything in a model that a stage changes: trained weights and running statistics.

    Args:
        model: as the stage trains it.
        decay: share of the average that stays at every step. The first steps count more, so that the average does not
            remember where training began: (1 + i) / (10 + i) at step i, where that is smaller.
        state: what `state` gave, when a run is resumed.
    """

    def __init__(self, model: nn.Module, decay: float, state: dict[str, Tensor] | None = None):
        self.decay = decay
        trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        moving = {name: value for name, value in model.named_buffers() if value.is_floating_point()}
        self.own: dict[str, Tensor] = trained | moving
        self.kept = {name: value.detach().clone() for name, value in self.own.items()}
        for name, value in (state or {}).items():
            copy_into(self.kept[name], value)

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after optimizer step `step`."""
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        for name, value in self.own.items():
            self.kept[name].lerp_(value.detach(), share)

    @torch.no_grad()
    def put(self) -> None:
        """The average becomes the model's weights."""
        for name, value in self.own.items():
            value.copy_(self.kept[name])

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Inside, the model has the averaged weights; afterwards its own again."""
        own = {name: value.detach().clone() for name, value in self.own.items()}
        self.put()
        try:
            yield
        finally:
            with torch.no_grad():
                for name, value in self.own.items():
                    value.copy_(own[name])

    def state(self) -> dict[str, Tensor]:
        """For a checkpoint; every process must call it."""
        return {name: whole(value) for name, value in self.kept.items()}
