"""Engines by name, and which of them a model can run on."""

import logging
from collections.abc import Iterable
from difflib import get_close_matches
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from cuewise.mllm.engine.base import Engine
from cuewise.mllm.engine.kinds import told
from cuewise.mllm.engine.kv import PackCache, PromptCache, SlotCache, unusual_layers
from cuewise.mllm.engine.sequential import SequentialEngine
from cuewise.mllm.engine.slot import SlotEngine
from cuewise.mllm.engine.static import StaticEngine

_LOG = logging.getLogger(__name__)
ENGINES = ("slot", "static", "sequential")


def build_engine(
    decoder: nn.Module, tokenizer: PreTrainedTokenizerBase, end_ids: Iterable[int], max_length: int = 4096, *,
    kind: str = "slot", **options: Any,
) -> Engine:  # fmt: skip
    """An engine by name.

    `slot` falls back to `static` for models whose cache is more than keys and values of all positions, and says so in
    the log. Raises ValueError for an unknown name.

    Args:
        options: of the engine: `max_waiting`, `stall_s`; for `slot` all of `SlotOptions`; for `static` also `slots`.
    """
    if kind not in ENGINES:
        near = get_close_matches(kind, ENGINES, n=1)
        raise ValueError(f"unknown engine {kind!r}; {f'did you mean {near[0]!r}? ' if near else ''}"
                         f"engines are {', '.join(ENGINES)}")  # fmt: skip
    if kind == "slot":
        why = slot_obstacle(decoder)
        if why is None:
            return SlotEngine(decoder, tokenizer, end_ids, max_length, **options)
        _LOG.warning("%s cannot run on the slot engine (%s): static batches instead", _name(decoder), why)
        kind = "static"
    shared = ("max_waiting", "stall_s") + (("slots",) if kind == "static" else ())
    options = {name: value for name, value in options.items() if name in shared}
    return {"static": StaticEngine, "sequential": SequentialEngine}[kind](
        decoder, tokenizer, end_ids, max_length, **options
    )


def slot_obstacle(decoder: nn.Module) -> str | None:
    """Why a model cannot run on the slot engine; None when it can.

    The cache is judged by its kind of layers, then four tokens are run both ways and compared.
    """
    try:
        layers = unusual_layers(decoder.config)
    except (AttributeError, TypeError, ValueError) as error:
        return f"its cache is of its own kind: {error}"
    if layers:
        return f"its cache has {', '.join(layers)}"
    if "position_ids" not in signature(decoder.forward).parameters:
        return "it takes no position_ids"
    attention = str(getattr(decoder.config.get_text_config(decoder=True), "_attn_implementation", ""))
    if "flash" in attention:
        return f"attention {attention} takes no mask per row; load the model with `sdpa` or `cuewise`"
    try:
        error = _difference(decoder)
    except (RuntimeError, ValueError, TypeError, KeyError, IndexError, AttributeError, NotImplementedError) as fault:
        return f"a trial run failed: {type(fault).__name__}: {fault}"
    return None if error < 0.05 else f"a trial run gave other logits (relative difference {error:.2g})"


@torch.inference_mode()
def _difference(decoder: nn.Module) -> float:
    """How far the logits behind four tokens lie apart, read at once and token by token in a slot, relative."""
    embed = decoder.get_input_embeddings()
    device = embed.weight.device
    rows = embed(torch.arange(4, device=device) % embed.weight.shape[0])
    with told(decoder, torch.zeros(1, 8, dtype=torch.long, device=device)):
        return _compared(decoder, rows)


def _compared(decoder: nn.Module, rows: Tensor) -> float:
    """The relative distance of `_difference`, of these embeddings."""
    device = rows.device
    whole = decoder(inputs_embeds=rows[None], use_cache=False).logits[0, -1].float()
    prompt, slots = PromptCache(3), SlotCache(2)
    for begin, size in ((0, 2), (2, 1)):
        pack = PackCache([(prompt, size)])
        decoder(inputs_embeds=rows[None, begin : begin + size], attention_mask=pack.mask(device), use_cache=True,
                position_ids=pack.positions(device), past_key_values=pack, logits_to_keep=1)  # fmt: skip
        pack.commit()
    slots.install(1, prompt)
    slots.aim(1, 2, torch.tensor([3], device=device), 8)
    mask = torch.arange(8, device=device)[None, None, None] <= 3
    stepped = decoder(inputs_embeds=rows[None, 3:], attention_mask=mask, use_cache=True, past_key_values=slots,
                      position_ids=torch.tensor([[3]], device=device)).logits[0, -1].float()  # fmt: skip
    return float((whole - stepped).norm() / whole.norm().clamp(min=1e-6))


def _name(decoder: nn.Module) -> str:
    return getattr(decoder.config, "model_type", type(decoder).__name__)
