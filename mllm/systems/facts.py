"""What a table of results must name about a model that runs here: weights, number format, attention, versions."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from torch import nn

from cuewise.mllm.systems.versions import versions

PACKAGES = ("cuewise", "torch", "transformers")


def model_facts(model: nn.Module, folder: Path | None) -> dict[str, Any]:
    """Facts of a loaded model; `folder` is where its weights lie, None for a model made in memory."""
    weight = next(model.parameters())
    config = getattr(model, "config", None)
    return {
        "weights_sha256": weights_hash(folder) if folder else None,
        "parameters": sum(p.numel() for p in model.parameters()),
        "dtype": str(weight.dtype).removeprefix("torch."), "device": str(weight.device),
        "attention": getattr(config, "_attn_implementation", None), "versions": versions(*PACKAGES),
    }  # fmt: skip


def weights_hash(folder: Path) -> str | None:
    """SHA-256 over names and bytes of the weight files of a folder (adapters included); None without any."""
    files = sorted({*folder.glob("*.safetensors"), *folder.glob("pytorch_model*.bin")})
    return _hash_files(tuple((str(f), f.stat().st_mtime_ns, f.stat().st_size) for f in files)) if files else None


@cache
def _hash_files(files: tuple[tuple[str, int, int], ...]) -> str:
    digest = hashlib.sha256()
    for name, _, _ in files:
        digest.update(Path(name).name.encode())
        with open(name, "rb") as stream:
            while block := stream.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()
