"""The reference policy: the model as it was when the stage began, without a second copy of what does not change."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


class Reference:
    """With an adapter the reference is the model with the adapter switched off; otherwise kept values are put back.

    Make it before training starts, also before a run is resumed.
    """

    def __init__(self, model: Any):
        self.model = model
        self.adapter = getattr(model, "adapter", None)
        self.values: dict[str, torch.Tensor] = {}
        if self.adapter is None:
            self.values = {name: weight.detach().clone() for name, weight in model.named_parameters()
                           if weight.requires_grad}  # fmt: skip

    @contextmanager
    def on(self) -> Iterator[None]:
        """The reference inside the block; no gradients are computed for it."""
        if self.adapter is not None:
            with self.adapter.off(), torch.no_grad():
                yield
            return
        self._swap()
        try:
            with torch.no_grad():
                yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for name, kept in self.values.items():
            weight = self.model.get_parameter(name)
            weight.data, self.values[name] = kept.to(weight.device), weight.data
