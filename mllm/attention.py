"""One place that picks the attention kernels of the language model. Nothing is ever downloaded.

`choose` tries the kernels on the device at start, says in the log which one it took, and keeps the answer for
`chosen`. `varlen` is the one function through which sequences of different lengths run side by side without padding;
it is registered with transformers as the attention implementation ``cuewise``.

Shapes: T tokens of all sequences, H query heads, h key/value heads (H a multiple of h), D head width, N sequences.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from inspect import signature
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

_LOG = logging.getLogger(__name__)
NAME = "cuewise"
Varlen = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, int, int, bool, float | None], Tensor]


def _sdpa_loop(
    q: Tensor, k: Tensor, v: Tensor, cu_q: Tensor, cu_k: Tensor, max_q: int, max_k: int, causal: bool,
    scale: float | None,
) -> Tensor:  # fmt: skip
    """torch's own attention, sequence by sequence; runs everywhere."""
    out = torch.empty(q.shape[0], q.shape[1], v.shape[2], dtype=q.dtype, device=q.device)
    ends_q, ends_k = cu_q.tolist(), cu_k.tolist()
    for begin_q, end_q, begin_k, end_k in zip(ends_q, ends_q[1:], ends_k, ends_k[1:]):
        rows, seen = end_q - begin_q, end_k - begin_k
        mask = None
        if causal and 1 < rows != seen:
            mask = torch.ones(rows, seen, dtype=torch.bool, device=q.device).tril(seen - rows)
        one = scaled_dot_product_attention(
            q[None, begin_q:end_q].transpose(1, 2), k[None, begin_k:end_k].transpose(1, 2),
            v[None, begin_k:end_k].transpose(1, 2), attn_mask=mask, is_causal=causal and rows == seen and rows > 1,
            scale=scale, enable_gqa=q.shape[1] != k.shape[1],
        )  # fmt: skip
        out[begin_q:end_q] = one[0].transpose(0, 1)
    return out


def _flash(function: Callable[..., Any]) -> Varlen:
    """A `flash_attn_varlen_func` of any version behind our one signature."""

    def call(
        q: Tensor, k: Tensor, v: Tensor, cu_q: Tensor, cu_k: Tensor, max_q: int, max_k: int, causal: bool,
        scale: float | None,
    ) -> Tensor:  # fmt: skip
        given = {"cu_seqlens_q": cu_q, "cu_seqlens_k": cu_k, "max_seqlen_q": max_q, "max_seqlen_k": max_k,
                 "softmax_scale": scale, "causal": causal}  # fmt: skip
        out = function(q, k, v, **given)
        return out[0] if isinstance(out, tuple) else out

    return call


def _load_flash_4() -> Varlen:
    from flash_attn.cute import flash_attn_varlen_func

    return _flash(flash_attn_varlen_func)


def _load_flash_3() -> Varlen:
    from flash_attn_interface import flash_attn_varlen_func

    return _flash(flash_attn_varlen_func)


def _load_flash_2() -> Varlen:
    from flash_attn import flash_attn_varlen_func

    return _flash(flash_attn_varlen_func)


def _load_torch_varlen() -> Varlen:
    from torch.nn.attention.varlen import varlen_attn

    known = signature(varlen_attn).parameters

    def call(
        q: Tensor, k: Tensor, v: Tensor, cu_q: Tensor, cu_k: Tensor, max_q: int, max_k: int, causal: bool,
        scale: float | None,
    ) -> Tensor:  # fmt: skip
        given: dict[str, Any] = {}
        if causal:
            given |= {"window_size": (-1, 0)} if "window_size" in known else {"is_causal": True}
        if "scale" in known:
            given["scale"] = scale
        elif scale is not None:
            q = q * (scale * q.shape[-1] ** 0.5)
        if q.shape[1] != k.shape[1]:
            if "enable_gqa" in known:
                given["enable_gqa"] = True
            else:
                k, v = (t.repeat_interleave(q.shape[1] // t.shape[1], 1) for t in (k, v))
        out = varlen_attn(q, k, v, cu_q, cu_k, max_q, max_k, **given)
        return out[0] if isinstance(out, tuple) else out

    return call


@dataclass(frozen=True, slots=True)
class _Provider:
    load: Callable[[], Varlen]
    fix: str
    """What makes it available."""


PROVIDERS = {
    "flash_attention_4": _Provider(_load_flash_4, "pip install flash-attn-4 (CUDA 13)"),
    "flash_attention_3": _Provider(_load_flash_3, "build flash-attn 3 from its hopper folder"),
    "flash_attention_2": _Provider(_load_flash_2, "pip install cuewise[flash]"),
    "torch_varlen": _Provider(_load_torch_varlen, "use torch 2.11 or newer on a CUDA GPU"),
    "sdpa": _Provider(lambda: _sdpa_loop, ""),
}  # fmt: skip
NAMES = ("auto", *PROVIDERS, "eager")


@dataclass(frozen=True, slots=True)
class Choice:
    """The kernels in use."""

    name: str
    """One of `PROVIDERS`, or ``eager``."""

    implementation: str
    """For `attn_implementation` of a model: ours with these kernels, or plain `sdpa` or `eager` when named."""

    asked: str
    device: str
    refused: dict[str, str] = field(default_factory=dict)
    """Better kernels that cannot run here, and why."""


_CHOSEN: tuple[Choice, Varlen] | None = None


def choose(name: str = "auto", device: str | torch.device | None = None, dtype: torch.dtype | None = None) -> Choice:
    """Pick the kernels for models on a device, by trying them on two short sequences.

    `auto` takes the first that works of flash-attention 4, 3 and 2, torch's varlen attention and torch's own attention.
    An explicit name is taken or fails. Raises ValueError for an unknown name, ImportError with the fix for kernels that
    cannot run here.
    """
    global _CHOSEN
    if name not in NAMES:
        near = get_close_matches(name, NAMES, n=1)
        hint = f"did you mean `{near[0]}`? " if near else ""
        raise ValueError(f"unknown attention `{name}`; {hint}known: {', '.join(NAMES)}")
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    dtype = dtype or (torch.bfloat16 if device.type == "cuda" else torch.float32)
    refused: dict[str, str] = {}
    for candidate in PROVIDERS if name == "auto" else [name if name in PROVIDERS else "sdpa"]:
        try:
            function = _tried(candidate, device, dtype)
        except Exception as error:  # a kernel may fail in any way; here that means no more than "not this one"
            refused[candidate] = f"{type(error).__name__}: {str(error).strip().partition('. ')[0][:160]}"
            continue
        plain = name in ("sdpa", "eager")
        choice = Choice(name if plain else candidate, name if plain else NAME, name, str(device), refused)
        _CHOSEN = choice, function
        _LOG.info("attention: %s on %s (asked for %s)%s", choice.name, device, name,
                  "".join(f"; not {other}: {why}" for other, why in refused.items()))  # fmt: skip
        return choice
    raise ImportError(f"attention {name} cannot run on {device} ({refused[name]}): {PROVIDERS[name].fix}, "
                      "or use `auto`")  # fmt: skip


def set_attention(model: PreTrainedModel, name: str = "auto") -> None:
    """`choose` for the device of a language model, and let it use what was chosen.

    With `auto`, a model whose attention is of its own kind keeps it, and the log says so. Raises as `choose` does.
    """
    choice = choose(name, model.device, model.dtype)
    try:
        model.set_attn_implementation(choice.implementation)
    except (ValueError, ImportError) as error:
        if name != "auto":
            raise
        _LOG.warning("attention: %s keeps its own (%s)", type(model).__name__, error)


def chosen() -> Choice | None:
    """What the last `choose` took; None before."""
    return None if _CHOSEN is None else _CHOSEN[0]


def pick_attention(name: str = "auto", device: str | torch.device | None = None) -> str:
    """`choose` for those who only need the name of the implementation."""
    return choose(name, device).implementation


def varlen(
    q: Tensor, k: Tensor, v: Tensor, cu_q: Tensor, cu_k: Tensor, max_q: int, max_k: int, causal: bool = True,
    scale: float | None = None,
) -> Tensor:  # fmt: skip
    """Attention of N sequences that lie one behind the other, each within itself, [T, H, D].

    Args:
        q: [T, H, D]; k, v: [T', h, D], of their own length per sequence.
        cu_q, cu_k: [N + 1] int32, where sequences begin and end.
        max_q, max_k: the longest of each.
        causal: a query sees the keys up to its own place counted from the end (bottom-right alignment), so that
            queries may be the end of a longer sequence.
        scale: of the scores; by default 1 / sqrt(D).
    """
    function = _CHOSEN[1] if _CHOSEN is not None and _CHOSEN[0].device == str(q.device) else _sdpa_loop
    return function(q, k, v, cu_q, cu_k, max_q, max_k, causal, scale)


def attention_forward(
    module: torch.nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None,
    scaling: float | None = None, dropout: float = 0.0, **kwargs: Any,
) -> tuple[Tensor, None]:  # fmt: skip
    """The implementation ``cuewise``: packed rows through `varlen`, everything else through torch's own attention.

    Packed rows are told by `cu_seq_lens_q` and `cu_seq_lens_k`, as for flash-attention; a mask is then not looked at.
    `row_groups` (first row, row behind the last, visible positions) tells rows of a batch that see about as much; each
    group then looks at no more than that.
    """
    cu_q, cu_k, groups = (kwargs.get(name) for name in ("cu_seq_lens_q", "cu_seq_lens_k", "row_groups"))
    if groups is not None and len(groups) > 1:
        return torch.cat([
            sdpa_attention_forward(
                module, query[low:high], key[low:high, :, :seen], value[low:high, :, :seen],
                attention_mask[low:high, ..., :seen], scaling=scaling, is_causal=False,
            )[0]
            for low, high, seen in groups
        ]), None  # fmt: skip
    if cu_q is None or cu_k is None or dropout:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling,
            is_causal=kwargs.get("is_causal"),
        )  # fmt: skip
    out = varlen(
        query[0].transpose(0, 1), key[0].transpose(0, 1), value[0].transpose(0, 1), cu_q, cu_k,
        kwargs["max_length_q"], kwargs["max_length_k"], getattr(module, "is_causal", True), scaling,
    )  # fmt: skip
    return out[None], None


def _tried(name: str, device: torch.device, dtype: torch.dtype) -> Varlen:
    """Load kernels and hold two short sequences, the second with keys before its queries, against torch's own."""
    if name.startswith("flash_attention") and device.type != "cuda":
        try:
            PROVIDERS[name].load()
        except ImportError as error:
            raise ImportError(f"it is not installed ({error})") from error
        raise ImportError("it needs a CUDA GPU and the model is not on one")
    function = PROVIDERS[name].load()
    if function is _sdpa_loop:
        return function
    draw = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(n, heads, 64, generator=draw).to(device, dtype) for n, heads in ((9, 4), (13, 2), (13, 2)))
    cu_q, cu_k = (torch.tensor(ends, dtype=torch.int32, device=device) for ends in ([0, 5, 9], [0, 5, 13]))
    facts = (q, k, v, cu_q, cu_k, 5, 8, True, None)
    error = (function(*facts).float() - _sdpa_loop(*facts).float()).abs().max().item()
    if not error < (1e-4 if dtype == torch.float32 else 0.05):
        raise RuntimeError(f"it gives other values than torch's own attention (largest difference {error:.2g})")
    return function


AttentionInterface.register(NAME, attention_forward)
AttentionMaskInterface.register(NAME, sdpa_mask)
