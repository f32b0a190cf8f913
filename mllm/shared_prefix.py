"""Attention over packed rows ``[prefix | c1 | ... | cG]``, and decoding of G samples from one prompt.

A completion sees its prefix and itself, nothing else; its positions go on where the prefix ends. The kernel `VARLEN`
computes each part apart and merges the parts by their log-sum-exp, so neither the prefix nor its keys and values are
ever repeated, for the loss and for decoding alike. `eager` and `sdpa` get the same rule as a mask.

Shapes: L row length, T query tokens, P prefix tokens, G samples, H query heads, K key heads, D head width.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import DynamicCache
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, sdpa_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

VARLEN = "cuewise_varlen"
KERNELS = ("eager", "sdpa", VARLEN)


@dataclass(frozen=True, slots=True)
class PackedGroup:
    """A prefix and the completions that share it, as token counts; a sample of its own has no completions."""

    prefix: int
    completions: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.prefix < 1 or any(length < 1 for length in self.completions):
            raise ValueError(f"a packed group needs a prefix and completions of at least one token, got {self}")


class Segment(NamedTuple):
    """A stretch of a row whose tokens follow each other."""

    begin: int
    end: int
    group: int
    position: int
    """Position of the first token: 0 for a prefix, the prefix's length for a completion."""


class Part(NamedTuple):
    """Queries that look at keys."""

    queries: slice
    keys: slice
    causal: bool


@dataclass(frozen=True, slots=True)
class PackedLayout:
    """Where everything stands in one packed row, without padding."""

    groups: tuple[PackedGroup, ...]

    @property
    def length(self) -> int:
        """Tokens of the row."""
        return sum(group.prefix + sum(group.completions) for group in self.groups)

    @property
    def longest(self) -> int:
        """Tokens of the longest prefix with one of its completions."""
        return max(group.prefix + max(group.completions, default=0) for group in self.groups)

    @property
    def segments(self) -> list[Segment]:
        """Prefix, its completions, next prefix, and so on."""
        found, at = [], 0
        for number, group in enumerate(self.groups):
            for index, length in enumerate((group.prefix, *group.completions)):
                found.append(Segment(at, at + length, number, group.prefix if index else 0))
                at += length
        return found

    def position_ids(self, device: torch.device | str | None = None) -> Tensor:
        """int [1, L]."""
        runs = [torch.arange(s.position, s.position + s.end - s.begin, device=device) for s in self.segments]
        return torch.cat(runs)[None]

    def mask(self, device: torch.device | str | None = None) -> Tensor:
        """bool [1, 1, L, L], True where the query (row) sees the key (column)."""
        seen = torch.zeros(self.length, self.length, dtype=torch.bool, device=device)
        for part in parts_of(self):
            block = seen[part.queries, part.keys]
            block |= torch.ones_like(block).tril() if part.causal else torch.ones_like(block)
        return seen[None, None]

    def predicting(self) -> list[int]:
        """For every completion token in row order, the place of the token before it."""
        places: list[int] = []
        at = 0
        for group in self.groups:
            last, at = at + group.prefix - 1, at + group.prefix
            for length in group.completions:
                places += [last, *range(at, at + length - 1)]
                at += length
        return places


@lru_cache(maxsize=256)
def parts_of(layout: PackedLayout) -> tuple[Part, ...]:
    """The attention of a row: each segment causally at itself, then each group's completions at their prefix."""
    own, shared, at = [], [], 0
    for segment in layout.segments:
        own.append(Part(slice(segment.begin, segment.end), slice(segment.begin, segment.end), True))
    for group in layout.groups:
        begin, end = at + group.prefix, at + group.prefix + sum(group.completions)
        if group.completions:
            shared.append(Part(slice(begin, end), slice(at, begin), False))
        at = end
    return (*own, *shared)


def use_kernel(language_model: nn.Module, name: str) -> None:
    """Set the attention kernel of a language model for good: also what is recomputed in backward uses it."""
    if name not in KERNELS:
        raise ValueError(f"unknown attention kernel `{name}`; known: {', '.join(KERNELS)}")
    if language_model.config._attn_implementation != name:
        language_model.set_attn_implementation(name)


def packed_inputs(language_model: nn.Module, layout: PackedLayout, rows: Tensor) -> dict[str, Any]:
    """What the language model needs beside the rows [1, L, d] of a packed row, for the kernel that it uses."""
    if tuple(rows.shape[:2]) != (1, layout.length):
        raise ValueError(f"the layout describes one row of {layout.length} tokens, but rows are {tuple(rows.shape)}")
    _check_packable(language_model, layout)
    kernel = language_model.config._attn_implementation
    inputs: dict[str, Any] = {"position_ids": layout.position_ids(rows.device), "use_cache": False}
    if kernel == VARLEN:
        return inputs | {"attention_mask": _mask_made(rows), "packed_layout": layout}
    if kernel not in KERNELS:
        raise ValueError(f"packed rows need one of the kernels {', '.join(KERNELS)}, but this model uses `{kernel}`; "
                         "call cuewise.mllm.shared_prefix.use_kernel first")  # fmt: skip
    mask = layout.mask(rows.device)
    if kernel == "eager":
        mask = torch.zeros(mask.shape, dtype=rows.dtype, device=rows.device).masked_fill(
            ~mask, torch.finfo(rows.dtype).min
        )
    return inputs | {"attention_mask": mask}


def _check_packable(language_model: nn.Module, layout: PackedLayout) -> None:
    """Raise ValueError where samples of a row would reach each other past the attention, or it would reach too far."""
    config = language_model.config
    if carries_state(language_model):
        raise ValueError(f"a language model of type `{config.model_type}` carries a state along the row, by which "
                         "packed samples would see each other; set `packed: false`, or train it by a recipe that does "
                         "not pack")  # fmt: skip
    window = window_of(config)
    if window is not None and layout.longest > window:
        raise ValueError(f"packed rows have no sliding window, but a layer of this language model uses {window} and a "
                         f"sequence has {layout.longest} tokens; use shorter ones, or set `packed: false`")  # fmt: skip


def carries_state(language_model: nn.Module) -> bool:
    """Whether a layer reads its neighbours other than by attention: convolutions, state spaces, linear attention."""
    if "_carries_state" not in language_model.__dict__:  # a walk over all modules, once
        kinds = {*(getattr(language_model.config, "layer_types", None) or ())}
        language_model._carries_state = (
            bool(getattr(language_model, "_is_stateful", False)) or "linear_attention" in kinds
            or any(isinstance(module, nn.Conv1d) for module in language_model.modules())
        )  # fmt: skip
    return language_model._carries_state


def window_of(config: Any) -> int | None:
    """Tokens that the narrowest layer looks back; None where all see everything."""
    kinds = {*(getattr(config, "layer_types", None) or ())}
    found = []
    if not kinds or "sliding_attention" in kinds:
        found.append(getattr(config, "sliding_window", None))
    if "chunked_attention" in kinds:
        found.append(getattr(config, "attention_chunk_size", None))
    return min((window for window in found if window), default=None)


def _mask_made(rows: Tensor) -> Tensor:
    """A 4-D mask is taken as it is, so the library builds none; `VARLEN` does not read it."""
    return torch.ones(1, 1, 1, 1, dtype=torch.bool, device=rows.device)


# Kernels: attention of some queries over some keys, with its log-sum-exp, and the gradients of a part of a whole


def attend(q: Tensor, k: Tensor, v: Tensor, causal: bool, scale: float) -> tuple[Tensor, Tensor]:
    """[B, H, T, D] over [B, K, S, D] -> output [B, H, T, D] and log-sum-exp of the scores [B, H, T]."""
    if q.device.type == "cpu":
        return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, causal, scale=scale)
    return attend_plain(q, k, v, causal, scale)


def attend_plain(q: Tensor, k: Tensor, v: Tensor, causal: bool, scale: float) -> tuple[Tensor, Tensor]:
    """`attend` as a formula, for devices other than the CPU."""
    scores = _scores(q, k, causal, scale)
    total = scores.logsumexp(-1)
    return (scores - total.unsqueeze(-1)).exp().to(v.dtype) @ _repeat(v, q), total


def attend_backward(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, total: Tensor, causal: bool, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of one part, given output and log-sum-exp of the *whole* attention of these queries."""
    if q.device.type == "cpu":
        return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
            grad, q, k, v, out, total, 0.0, causal, scale=scale
        )
    return attend_backward_plain(grad, q, k, v, out, total, causal, scale)


def attend_backward_plain(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, total: Tensor, causal: bool, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """`attend_backward` as a formula."""
    kind = _total_dtype(q)
    weights = (_scores(q, k, causal, scale) - total.unsqueeze(-1)).exp()
    inner = grad.to(kind) @ _repeat(v, q).to(kind).transpose(-1, -2)
    slope = weights * (inner - (grad.to(kind) * out.to(kind)).sum(-1, keepdim=True)) * scale
    dk, dv = slope.transpose(-1, -2) @ q.to(kind), weights.transpose(-1, -2) @ grad.to(kind)
    dk, dv = (x.unflatten(1, (k.shape[1], -1)).sum(2) for x in (dk, dv))
    return (slope @ _repeat(k, q).to(kind)).to(q.dtype), dk.to(k.dtype), dv.to(v.dtype)


def _scores(q: Tensor, k: Tensor, causal: bool, scale: float) -> Tensor:
    kind = _total_dtype(q)
    scores = q.to(kind) @ _repeat(k, q).to(kind).transpose(-1, -2) * scale
    if causal:
        above = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
        scores = scores.masked_fill(above, -torch.inf)
    return scores


def _repeat(x: Tensor, q: Tensor) -> Tensor:
    """Key heads shared by several query heads, where the kernel cannot do that itself."""
    return x if x.shape[1] == q.shape[1] else x.repeat_interleave(q.shape[1] // x.shape[1], 1)


class PackedAttention(torch.autograd.Function):
    """Exact attention of a packed row: q [1, H, L, D], k and v [1, K, L, D] -> [1, H, L, D]."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, layout: PackedLayout, scale: float) -> Tensor:
        out = q.new_empty(1, q.shape[2], q.shape[1], q.shape[3]).transpose(1, 2)
        total = q.new_empty(1, q.shape[2], q.shape[1], dtype=_total_dtype(q)).transpose(1, 2)
        for part in parts_of(layout):
            here = part.queries
            seen, weight = attend(q[:, :, here], k[:, :, part.keys], v[:, :, part.keys], part.causal, scale)
            if part.causal:
                out[:, :, here], total[:, :, here] = seen, weight
            else:
                share = (weight - total[:, :, here]).sigmoid().unsqueeze(-1).to(out.dtype)
                out[:, :, here] = torch.lerp(out[:, :, here], seen, share)
                total[:, :, here] = torch.logaddexp(total[:, :, here], weight)
        ctx.save_for_backward(q, k, v, out, total)
        ctx.layout, ctx.scale = layout, scale
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, out, total = ctx.saved_tensors
        dq, dk, dv = torch.zeros_like(q), torch.zeros_like(k), torch.zeros_like(v)
        for part in parts_of(ctx.layout):
            here, there = part.queries, part.keys
            gq, gk, gv = attend_backward(
                grad[:, :, here], q[:, :, here], k[:, :, there], v[:, :, there], out[:, :, here], total[:, :, here],
                part.causal, ctx.scale,
            )  # fmt: skip
            dq[:, :, here] += gq
            dk[:, :, there] += gk
            dv[:, :, there] += gv
        return dq, dk, dv, None, None


def _total_dtype(q: Tensor) -> torch.dtype:
    return torch.float64 if q.dtype == torch.float64 else torch.float32


# Decoding


@dataclass(slots=True)
class PrefixKV:
    """Keys and values of one prompt, per layer [1, K, P, D]; shared by all samples and never copied."""

    keys: list[Tensor]
    values: list[Tensor]

    @classmethod
    def of(cls, cache: DynamicCache) -> "PrefixKV":
        """The content of a cache that holds one prompt."""
        return cls([layer.keys for layer in cache.layers], [layer.values for layer in cache.layers])

    @property
    def length(self) -> int:
        """Prompt tokens."""
        return self.keys[0].shape[2]


@dataclass(slots=True)
class SharedPrefixes:
    """Prompts of one decoding batch: `counts[i]` consecutive samples go on from `prefixes[i]`."""

    prefixes: list[PrefixKV]
    counts: list[int]

    @classmethod
    def of(cls, prefixes: list[PrefixKV], counts: list[int]) -> "SharedPrefixes":
        """Without prompts whose samples have all ended."""
        left = [(prefix, count) for prefix, count in zip(prefixes, counts, strict=True) if count]
        return cls([prefix for prefix, _ in left], [count for _, count in left])


def shared_decode(q: Tensor, k: Tensor, v: Tensor, shared: SharedPrefixes, layer: int, scale: float) -> Tensor:
    """One token of each sample, q [G, H, 1, D], over its own k, v [G, K, t, D] and its prompt's [1, K, P, D]."""
    samples, heads, _, width = q.shape
    folded = q.reshape(samples, k.shape[1], heads // k.shape[1], width)
    out, own = attend(folded, k, v, False, scale)
    seen, total = [], []
    for rows, prefix in zip(folded.split(shared.counts), shared.prefixes, strict=True):
        merged = rows.transpose(0, 1).reshape(1, k.shape[1], -1, width)
        part, weight = attend(merged, prefix.keys[layer], prefix.values[layer], False, scale)
        seen.append(part.view(k.shape[1], len(rows), -1, width).transpose(0, 1))
        total.append(weight.reshape(k.shape[1], len(rows), -1).transpose(0, 1))
    share = (_joined(total) - own).sigmoid().unsqueeze(-1).to(out.dtype)
    return torch.lerp(out, _joined(seen), share).reshape(samples, heads, 1, width)


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def varlen_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, *,
    scaling: float | None = None, dropout: float = 0.0, packed_layout: PackedLayout | None = None,
    shared_prefix: SharedPrefixes | None = None, **kwargs: Any,
) -> tuple[Tensor, None]:  # fmt: skip
    """Attention function of the library for `VARLEN`: packed rows, shared prefixes, and otherwise plain sdpa."""
    if packed_layout is None and shared_prefix is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, dropout=dropout, **kwargs
        )
    _check_plain(dropout, key, packed_layout, shared_prefix, kwargs)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    query, key = query.to(value.dtype), key.to(value.dtype)  # under autocast the rotary step leaves them in float32
    if packed_layout is not None:
        out = PackedAttention.apply(query, key, value, packed_layout, scale)
    else:
        out = shared_decode(query, key, value, shared_prefix, module.layer_idx, scale)
    return out.transpose(1, 2), None


def _check_plain(
    dropout: float, key: Tensor, layout: PackedLayout | None, shared: SharedPrefixes | None, options: dict[str, Any]
) -> None:
    """Raise ValueError for what this kernel does not do."""
    if dropout:
        raise ValueError(f"the kernel `{VARLEN}` has no attention dropout, got {dropout}; set attention_dropout to 0 "
                         "or use the kernel `sdpa`")  # fmt: skip
    window = options.get("sliding_window")
    if window is not None:
        longest = layout.longest if layout else key.shape[2] + max(prefix.length for prefix in shared.prefixes)
        if longest > window:
            raise ValueError(f"the kernel `{VARLEN}` has no sliding window, but a layer uses {window} and a sequence "
                             f"has {longest} tokens; use shorter rows")  # fmt: skip
    for name in ("softcap", "s_aux", "position_bias"):
        if options.get(name) is not None:
            raise ValueError(f"the kernel `{VARLEN}` cannot do `{name}` of this language model; use `eager`")


ALL_ATTENTION_FUNCTIONS.register(VARLEN, varlen_attention)
ALL_MASK_ATTENTION_FUNCTIONS.register(VARLEN, sdpa_mask)
