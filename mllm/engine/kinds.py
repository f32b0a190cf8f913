"""What the rows of a prompt are, told to mechanisms inside a decoder that treat modalities apart.

Engines know token ids and embedding rows. A decoder whose `row_kinds` is not empty (modality experts, attention
reallocation) must also know which rows are seen, heard or read; a request carries that in `kinds`, an index of
`cuewise.mllm.adapters.spans.MODALITIES` per prompt position. What is written is text.

Shapes: B prompts, L positions.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext

import torch
from torch import Tensor, nn

from cuewise.mllm.engine.base import EngineRequest


def wants_kinds(decoder: nn.Module) -> bool:
    """Whether a mechanism inside the decoder asks what each row is. Such a decoder reads prompts whole and alone: the
    choice of an expert rests on all rows of a modality."""
    return bool(getattr(decoder, "row_kinds", ()))


@contextmanager
def told(decoder: nn.Module, kinds: Tensor | None) -> Iterator[None]:
    """Let the decoder know what the rows [B, L] of the prompts are inside the block; later positions are text."""
    with ExitStack() as stack:
        for state in getattr(decoder, "row_kinds", ()) if kinds is not None else ():
            stack.enter_context(state.of(kinds))
        yield


def telling(decoder: nn.Module, requests: Sequence[EngineRequest], length: int) -> AbstractContextManager:
    """Let the decoder know what `length` positions of these prompts are, where it asks."""
    if not wants_kinds(decoder):
        return nullcontext()
    return told(decoder, kinds_of(requests, length, decoder.get_input_embeddings().weight.device))


def kinds_of(requests: Sequence[EngineRequest], length: int, device: torch.device) -> Tensor:
    """[B, length] of several prompts; what lies behind a prompt is text."""
    table = torch.zeros(len(requests), length, dtype=torch.long)
    for row, request in zip(table, requests):
        if request.kinds:
            row[: len(request.kinds)] = torch.tensor(request.kinds)
    return table.to(device)
