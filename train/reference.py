"""The reference policy: the model as it was when the stage began, without a second copy of what does not change."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from cuewise.mllm.adapters.lora import statistics_of


class Reference:
    """With an adapter the reference is the model with the adapter switched off; otherwise kept values are put back.

    Make it before training starts, also before a run is resumed.
    """

    def __init__(self, model: Any):
        self.model = model
        self.adapter = getattr(model, "adapter", None)
        self.values: dict[str, torch.Tensor] = {}
        self.statistics: dict[str, torch.Tensor] = {}
        """Running statistics that move while the model learns, as they were at the start."""

        if self.adapter is None:
            self.values = {name: weight.detach().clone() for name, weight in model.named_parameters()
                           if weight.requires_grad}  # fmt: skip
            self.statistics = {name: model.get_buffer(name).clone() for name in statistics_of(model, self.values)}

    @contextmanager
    def on(self) -> Iterator[None]:
        """The reference inside the block; no gradients are computed for it."""
        if self.adapter is not None:
            with self.adapter.off(), torch.no_grad():
                yield
            return
        own = {name: self.model.get_buffer(name).clone() for name in self.statistics}
        self._swap()
        self._put(self.statistics)
        try:
            with torch.no_grad():
                yield
        finally:
            self._swap()
            self._put(own)

    @torch.no_grad()
    def _swap(self) -> None:
        for name, kept in self.values.items():
            weight = self.model.get_parameter(name)
            weight.data, self.values[name] = kept.to(weight.device), weight.data

    @torch.no_grad()
    def _put(self, statistics: dict[str, torch.Tensor]) -> None:
        for name, kept in statistics.items():
            self.model.get_buffer(name).copy_(kept)
