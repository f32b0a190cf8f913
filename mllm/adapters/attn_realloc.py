"""Attention reallocation at inference (MoSEAR, arXiv:2508.01181; formulas our own): no parameters, nothing trained.

Where one media modality takes more than a share tau of the attention to media, part of it moves to the others:

    A_m = sum of p_j over the keys of m,  S = sum of A_m over present media modalities
    if max A_m / S > tau:  A'_m = S ((1 - gamma) A_m / S + gamma rho_m),  p_j <- p_j A'_m / A_m

Attention to text is untouched, so every row still sums to 1.

Shapes: B clips, H heads, Q queries, K keys, M media modalities.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

from cuewise.mllm.adapters.spans import MODALITIES, SpanHooks, SpanState, span_ids
from cuewise.mllm.config_tools import from_dict

KERNEL = "cuewise_realloc"
MEDIA = tuple(name for name in MODALITIES if name != "text")


@dataclass(kw_only=True, slots=True)
class ReallocConfig:
    tau: float = 0.6
    """Share of the attention to media above which one modality is too strong."""

    gamma: float = 0.5
    """How far towards the target shares: 0 changes nothing, 1 reaches them."""

    target: dict[str, float] = field(default_factory=dict)
    """Modality (visual, audio) -> wanted share; equal shares of the present ones by default."""

    layers: list[int] = field(default_factory=list)
    """Layers of the language model in which it works; empty is the middle third."""

    def __post_init__(self) -> None:
        unknown = sorted(set(self.target) - set(MEDIA))
        if unknown:
            raise ValueError(f"realloc.target names `{unknown[0]}`; modalities are {', '.join(MEDIA)}")
        if not (0 <= self.tau <= 1 and 0 <= self.gamma <= 1) or any(share < 0 for share in self.target.values()):
            raise ValueError("realloc needs tau and gamma in [0, 1] and target shares >= 0")


def reallocate(p: Tensor, spans: Tensor, config: ReallocConfig) -> Tensor:
    """Attention after the softmax [B, H, Q, K] and spans of the keys [B, K] -> the same with shares moved."""
    there = torch.stack([spans == MODALITIES.index(name) for name in MEDIA], -1)  # [B, K, M]
    mass = torch.einsum("bhqk,bkm->bhqm", p, there.to(p.dtype))
    total = mass.sum(-1, keepdim=True)
    present = mass > 0
    wanted = p.new_tensor([config.target.get(name, 0.0 if config.target else 1.0) for name in MEDIA]) * present
    wanted = wanted / wanted.sum(-1, keepdim=True).clamp(min=1e-12)
    share = mass / total.clamp(min=1e-12)
    changes = (share.amax(-1, keepdim=True) > config.tau) & (present.sum(-1, keepdim=True) > 1)
    changes = changes & (wanted.sum(-1, keepdim=True) > 0)
    moved = torch.where(changes, (1 - config.gamma) * share + config.gamma * wanted, share) * total
    factor = torch.where(present, moved / mass.clamp(min=1e-30), torch.ones_like(mass))
    scale = torch.einsum("bhqm,bkm->bhqk", factor, there.to(p.dtype)) + (~there.any(-1)).to(p.dtype)[:, None, None, :]
    return p * scale


class AttentionReallocation:
    """Moves attention in a model of ours while the block of `on` is open.

    Inside, the model runs on plain attention; afterwards it has its own kernel again. The spans come from `input_ids`;
    for calls with rows (generation), give them with `of`.
    """

    def __init__(self, model: Any, config: ReallocConfig | None = None):
        self.model, self.config, self.state = model, config or ReallocConfig(), SpanState()
        count = model.language_model.config.num_hidden_layers
        self.layers = set(self.config.layers) or set(range(count // 3, max(count // 3 + 1, 2 * count // 3)))
        wrong = sorted(layer for layer in self.layers if not 0 <= layer < count)
        if wrong:
            raise ValueError(f"realloc.layers names {wrong[0]}, but the language model has layers 0..{count - 1}")

    @contextmanager
    def on(self, input_ids: Tensor | None = None) -> Iterator[None]:
        """Reallocate inside the block; `input_ids` [B, L] are the prompts whose rows are computed there."""
        decoder = self.model.language_model
        before = decoder.config._attn_implementation
        hooks = SpanHooks(self.model, self.state)
        attention = [module for module in decoder.modules() if hasattr(module, "layer_idx")]
        try:
            self.model.row_kinds.append(self.state)
            decoder.set_attn_implementation(KERNEL)
            for module in attention:
                module.cuewise_realloc = self
            if input_ids is None:
                yield
            else:
                with self.state.of(span_ids(torch.as_tensor(input_ids), hooks.placeholders)):
                    yield
        finally:
            self.model.row_kinds.remove(self.state)
            hooks.remove()
            decoder.set_attn_implementation(before)
            for module in attention:
                del module.cuewise_realloc


def install_realloc(model: Any, values: dict[str, Any]) -> AttentionReallocation:
    """Move attention in a model from now on, with options as a config gives them. Raises ValueError naming a wrong one.

    Who calls the language model must tell what its rows are, as the engines do.
    """
    moving = AttentionReallocation(model, from_dict(ReallocConfig, values, "realloc."))
    model.realloc_held = moving.on()
    model.realloc_held.__enter__()
    return moving


def realloc_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None,
    scaling: float | None = None, dropout: float = 0.0, **kwargs: Any,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Plain attention with the reallocation of the module's layer. `kwargs` as the library hands to every kernel."""
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores = query @ key.transpose(2, 3) * scaling
    if attention_mask is not None:
        seen = attention_mask[..., : key.shape[2]]
        scores = scores.masked_fill(~seen, torch.finfo(scores.dtype).min) if seen.dtype == torch.bool else scores + seen
    p = scores.softmax(-1, dtype=torch.float32)
    active: AttentionReallocation | None = getattr(module, "cuewise_realloc", None)
    if active is not None and module.layer_idx in active.layers:
        spans = active.state.window(key.shape[2], len(query), first=0)
        if spans is None:
            raise ValueError("attention reallocation needs to know which tokens are media; give input_ids to the model "
                             "or to `on`")  # fmt: skip
        p = reallocate(p, spans, active.config)
    p = nn.functional.dropout(p.to(query.dtype), dropout, module.training)
    return (p @ value).transpose(1, 2).contiguous(), p


AttentionInterface.register(KERNEL, realloc_attention)
AttentionMaskInterface.register(KERNEL, eager_mask)
