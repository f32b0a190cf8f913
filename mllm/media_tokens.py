"""`MediaTokens`: one clip as rows for the language model, and what the heads read from it.

Encoding is a step of its own, so its result can be cached, shared by samples of one prompt, or sent to another process.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from safetensors.torch import load, save
from torch import Tensor


@dataclass(slots=True)
class StreamReading:
    """What one stream alone says."""

    logits: Tensor | None = None
    """[L] class logits."""

    va: Tensor | None = None
    """[2] valence, arousal in [-1, 1]."""


@dataclass(slots=True)
class MediaTokens:
    """One clip. Only present streams appear."""

    tokens: dict[str, Tensor] = field(default_factory=dict)
    """slot (face, scene, voice, words, fused) -> [N, d] rows: summary first where there is one, then in time order."""

    times_s: dict[str, Tensor] = field(default_factory=dict)
    """slot -> float32 [N] centre of each row in seconds; 0 for the summary and for streams without times."""

    readings: dict[str, StreamReading] = field(default_factory=dict)
    """stream -> what it alone says."""

    aus: dict[str, Tensor] = field(default_factory=dict)
    """stream -> [states, A] action unit intensities (0-5), where the model has that head."""

    logits: Tensor | None = None
    """[L] class logits of all present streams together, before calibration."""

    va: Tensor | None = None
    """[2] valence, arousal of all present streams together."""

    @property
    def counts(self) -> dict[str, int]:
        """slot -> number of rows."""
        return {slot: len(rows) for slot, rows in self.tokens.items()}

    def map(self, change: Callable[[Tensor], Tensor]) -> "MediaTokens":
        """A copy with `change` applied to every tensor."""
        return _unflatten({name: change(tensor) for name, tensor in _flatten(self).items()})

    def to(self, device: str | torch.device) -> "MediaTokens":
        """A copy on `device`."""
        return self.map(lambda tensor: tensor.to(device))

    def cpu(self) -> "MediaTokens":
        """A copy on the CPU, without gradients."""
        return self.map(lambda tensor: tensor.detach().cpu())

    def digest(self) -> str:
        """SHA-256 over names, types, shapes and values; equal for equal content."""
        total = hashlib.sha256()
        for name, tensor in sorted(_flatten(self.cpu()).items()):
            total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
            total.update(tensor.contiguous().view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
        return total.hexdigest()

    def to_bytes(self) -> bytes:
        """The content as one safetensors file."""
        return save({name: tensor.contiguous().clone() for name, tensor in _flatten(self.cpu()).items()})

    @classmethod
    def from_bytes(cls, data: bytes) -> "MediaTokens":
        """Read what `to_bytes` wrote."""
        return _unflatten(load(data))


def _flatten(tokens: MediaTokens) -> dict[str, Tensor]:
    """One flat mapping: ``tokens/voice``, ``readings/face/logits``, ``va`` and so on."""
    flat = {f"{group}/{slot}": tensor for group in ("tokens", "times_s", "aus")
            for slot, tensor in getattr(tokens, group).items()}  # fmt: skip
    for stream, reading in tokens.readings.items():
        flat[f"readings/{stream}/logits"], flat[f"readings/{stream}/va"] = reading.logits, reading.va
    flat |= {"logits": tokens.logits, "va": tokens.va}
    return {name: tensor for name, tensor in flat.items() if tensor is not None}


def _unflatten(flat: dict[str, Tensor]) -> MediaTokens:
    built = MediaTokens(logits=flat.get("logits"), va=flat.get("va"))
    for name, tensor in flat.items():
        group, _, rest = name.partition("/")
        if group in ("tokens", "times_s", "aus"):
            getattr(built, group)[rest] = tensor
        elif group == "readings":
            stream, _, kind = rest.partition("/")
            setattr(built.readings.setdefault(stream, StreamReading()), kind, tensor)
    return built
