"""Which modality each token of a prompt belongs to, for mechanisms inside the language model that treat them apart.

Shapes: B clips, L tokens. A span id is an index of `MODALITIES`; padding and everything written is text.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

MODALITIES = ("text", "visual", "audio")
MODALITY_OF = {"face": "visual", "scene": "visual", "voice": "audio", "words": "text", "context": "text",
               "fused": "text"}  # fmt: skip
"""Slot of the prompt -> modality. The fused row mixes all and counts as text, which no mechanism reweighs."""


def span_ids(input_ids: Tensor, placeholders: Mapping[str, int]) -> Tensor:
    """Prompt ids [B, L] with placeholders -> index of the modality of each token, int64 [B, L]."""
    spans = torch.zeros_like(input_ids)
    for slot, token in placeholders.items():
        spans = torch.where(input_ids == token, MODALITIES.index(MODALITY_OF[slot]), spans)
    return spans


@dataclass(slots=True, eq=False)
class SpanState:
    """The spans of the prompts that are being computed; shared by all adapted layers of a model."""

    spans: Tensor | None = None
    """[B, L] of the prompts; tokens after them are text."""

    first: int = 0
    """Place of the first token of this pass: how many tokens the cache holds already."""

    told: int = 0
    """How many blocks of `of` are open."""

    inside: bool = False
    """The whole model runs, so the spans are those of its own input."""

    def window(self, length: int, batch: int, first: int | None = None) -> Tensor | None:
        """Spans of `length` tokens from `first` on [B, length]; None when no prompt is known."""
        first = self.first if first is None else first
        if self.spans is None:
            return None
        if self.spans.shape[0] not in (1, batch):
            raise ValueError(f"the spans are of {self.spans.shape[0]} prompts but {batch} rows are computed; "
                             "give the ids of the same batch")  # fmt: skip
        known = self.spans[:, first : first + length]
        missing = length - known.shape[1]
        padded = torch.nn.functional.pad(known, (0, missing)) if missing else known
        return padded.expand(batch, length)

    @contextmanager
    def of(self, spans: Tensor) -> Iterator[None]:
        """Let these spans hold inside the block."""
        before, self.spans = self.spans, spans
        self.told += 1
        try:
            yield
        finally:
            self.spans = before
            self.told -= 1


class SpanHooks:
    """Keeps a `SpanState` true while a model runs: spans from its `input_ids`, or those told by `state.of`.

    Rows that reach the language model by another road have no known spans, so none stay from an earlier call.
    """

    def __init__(self, model: Any, state: SpanState):
        self.state, self.placeholders = state, model.plan.tokens.placeholders
        self.handles = [
            model.register_forward_pre_hook(self._enter, with_kwargs=True),
            model.register_forward_hook(self._leave, always_call=True),
            model.language_model.register_forward_pre_hook(self._begin, with_kwargs=True),
        ]

    def remove(self) -> None:
        """Take the hooks away."""
        for handle in self.handles:
            handle.remove()

    def _enter(self, _: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        ids = kwargs.get("input_ids", args[0] if args else None)
        self.state.inside = ids is not None
        if ids is not None and not self.state.told:
            self.state.spans = span_ids(ids, self.placeholders)

    def _leave(self, *_: Any) -> None:
        self.state.inside = False

    def _begin(self, _: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        cache = kwargs.get("past_key_values")
        self.state.first = int(cache.get_seq_length()) if cache is not None else 0
        if not self.state.inside and not self.state.told:
            self.state.spans = None
