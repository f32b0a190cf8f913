"""One place that picks the attention kernel of the language model. Nothing is ever downloaded."""

from importlib.util import find_spec

import torch

NAMES = ("auto", "flash_attention_2", "sdpa", "eager")


def pick_attention(name: str = "auto") -> str:
    """The kernel for `attn_implementation`: flash-attn where it is installed and a GPU is there, else torch's own.

    Raises ValueError for an unknown name, ImportError for flash-attn that is asked for but cannot run.
    """
    if name not in NAMES:
        raise ValueError(f"unknown attention `{name}`; known: {', '.join(NAMES)}")
    installed, gpu = find_spec("flash_attn") is not None, torch.cuda.is_available()
    if name == "auto":
        return "flash_attention_2" if installed and gpu else "sdpa"
    if name == "flash_attention_2" and not installed:
        raise ImportError("flash_attention_2 is asked for but flash-attn is not installed: pip install cuewise[flash]")
    if name == "flash_attention_2" and not gpu:
        raise ImportError("flash_attention_2 needs a CUDA GPU and none is visible; use `sdpa` or `auto`")
    return name
