"""Media cache: what frozen encoders make of a clip, computed once and shared by all stages, rollouts and evaluation.

An entry is addressed by everything its content depends on: the media bytes (or the tensors made from them), the media
and feature options, the encoder's config and a hash of its weights, and the version of this code. Entries appear by an
atomic rename, so any number of writers may share a folder; a disk that is full turns the cache off with one warning.
"""

import hashlib
import json
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from cuewise.mllm.clip import Clip
from cuewise.mllm.media import MediaConfig, load_media
from cuewise.mllm.media.types import Media
from cuewise.mllm.processing import CuewiseProcessor
from cuewise.mllm.tensors import ClipTensors, StreamTensors

VERSION = "1"
"""Changes whenever the same inputs would be encoded to other values."""

MARKER = "cuewise-cache.json"
SUFFIX = ".safetensors"


class CacheFolder:
    """Tensors by key in a folder. Never raises for a disk that is full, nor for a damaged entry."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.writable = True
        self.hits = self.misses = 0
        self._try(self._mark)

    def path(self, key: str) -> Path:
        """File of an entry."""
        return self.folder / key[:2] / (key + SUFFIX)

    def get(self, key: str) -> tuple[dict[str, Tensor], dict[str, str]] | None:
        """(tensors, facts) of an entry; None when there is none or it cannot be read, which removes it."""
        path = self.path(key)
        try:
            data = path.read_bytes()
            tensors, facts = load(data), _facts(data)
            if facts.get("digest") != digest(tensors):
                raise ValueError("its content is not what was written")
        except FileNotFoundError:
            self.misses += 1
            return None
        except (OSError, SafetensorError, ValueError) as error:
            warnings.warn(f"cache entry {path} cannot be read and is made anew ({error})", stacklevel=2)
            self._try(lambda: path.unlink(missing_ok=True))
            self.misses += 1
            return None
        self.hits += 1
        return tensors, facts

    def put(self, key: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> bool:
        """Store an entry; False when the folder takes no more."""
        tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        told = {"digest": digest(tensors), **{name: str(value) for name, value in facts.items()}}

        def write() -> None:
            path = self.path(key)
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f".{key}.{os.getpid()}.{time.monotonic_ns()}.part")
            try:
                part.write_bytes(save(tensors, told))
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)

        return self.writable and self._try(write)

    def _mark(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        marker = self.folder / MARKER
        if not marker.exists():
            marker.write_text(json.dumps({"format": "cuewise-cache", "version": VERSION}) + "\n", encoding="utf-8")

    def _try(self, job: Callable[[], None]) -> bool:
        try:
            job()
        except OSError as error:
            if self.writable:
                warnings.warn(f"the media cache in {self.folder} takes no more ({error.strerror or error}); going on "
                              "without storing", stacklevel=3)  # fmt: skip
            self.writable = False
            return False
        return True


@dataclass(slots=True)
class EncodedClip:
    """A clip with the frozen streams as encoder states, and what training needs to know of its media."""

    tensors: ClipTensors
    duration_s: float
    absent: dict[str, str] = field(default_factory=dict)


class FrozenEncoders:
    """The frozen encoders of a model in front of a cache; without a folder everything is computed each time.

    Each clip is encoded alone, so that its states do not depend on the batch it was first seen in, and losses with and
    without the cache are equal bit by bit.

    Args:
        streams: whose encoders are frozen; their weights must not require gradients.
    """

    def __init__(
        self, model: nn.Module, processor: CuewiseProcessor, streams: Sequence[str],
        folder: str | Path | CacheFolder | None = None,
    ):  # fmt: skip
        self.model, self.processor, self.streams = model, processor, tuple(streams)
        self.folder = CacheFolder(folder) if isinstance(folder, str | Path) else folder
        self._hashes: dict[str, str] = {}
        self._words: str | None = None
        for name in self.streams:
            tower = model.media.towers[name]
            if any(weight.requires_grad for weight in tower.encoder.parameters()):
                raise ValueError(f"the {name} encoder is being trained, so its states cannot be cached; freeze "
                                 f"`{name}.encoder` or leave the stream out")  # fmt: skip
            self._hashes[name] = f"{VERSION} {json.dumps(processor.streams[name]['encoder'], sort_keys=True)} " + (
                weights_hash(tower.encoder)
            )

    def encode(self, clip: ClipTensors) -> ClipTensors:
        """The clip with the states of the frozen streams in place of what their encoders eat."""
        streams = dict(clip.streams)
        for name in self.streams:
            if name in streams and streams[name].items is None:
                streams[name] = self._states(name, streams[name])
        return ClipTensors(streams)

    def clip(
        self, clip: Clip, media: MediaConfig, load_clip: Callable[[Clip, MediaConfig], Media] = load_media
    ) -> EncodedClip:
        """Encode a clip from its files; known ones are neither decoded nor encoded."""
        key = self._digest("clip", clip_key(clip), media_key(media), self._tokenizer(), json.dumps(self.streams),
                           json.dumps([self.processor.features, self.processor.streams], sort_keys=True, default=str),
                           *(self._hashes[name] for name in self.streams), precision())  # fmt: skip
        found = self.folder.get(key) if self.folder is not None else None
        if found is not None:
            return _unpacked(*found)
        decoded = load_clip(clip, media)
        made = EncodedClip(self.encode(self.processor.tensors(decoded)), decoded.duration_s, dict(decoded.absent))
        if self.folder is not None:
            self.folder.put(key, *_packed(made))
        return made

    def _tokenizer(self) -> str:
        """What decides the ids of words, as a hash."""
        if self._words is None:
            tokenizer = self.processor.tokenizer
            backend = getattr(tokenizer, "backend_tokenizer", None)
            told = json.dumps(sorted(tokenizer.get_vocab().items())) if backend is None else backend.to_str()
            self._words = hashlib.sha256(told.encode()).hexdigest()
        return self._words

    def _states(self, name: str, tensors: StreamTensors) -> StreamTensors:
        content = {"values": tensors.values, "mask": tensors.mask}
        content |= {} if tensors.times_s is None else {"times_s": tensors.times_s}
        key = self._digest("states", name, self._hashes[name], digest(content), precision())
        found = self.folder.get(key) if self.folder is not None else None
        if found is None:
            states = self._run(name, tensors)
            if self.folder is not None:
                self.folder.put(key, _named(states), {"items": states.items})
            return states
        values, facts = found
        return StreamTensors(values["values"], values.get("times_s"), values["mask"], int(facts["items"]))

    @torch.no_grad()
    def _run(self, name: str, tensors: StreamTensors) -> StreamTensors:
        """One clip through one encoder, in eval mode; only valid states are kept."""
        encoder = self.model.media.towers[name].encoder
        device = next(encoder.parameters()).device
        trained = encoder.training
        encoder.eval()
        times = None if tensors.times_s is None else tensors.times_s[None].to(device)
        values = tensors.values[None].to(device)
        mask = tensors.mask[None].to(device)
        hidden = ~mask.view(1, -1, *[1] * (values.ndim - 2))
        states, valid, at = encoder(values.masked_fill(hidden, 0), mask, times)
        encoder.train(trained)
        keep = valid[0].cpu()
        return StreamTensors(states[0].cpu()[keep], None if at is None else at[0].cpu()[keep],
                             torch.ones(int(keep.sum()), dtype=torch.bool), tensors.length)  # fmt: skip

    @staticmethod
    def _digest(*parts: str) -> str:
        return hashlib.sha256("\n".join((VERSION, *parts)).encode()).hexdigest()


def clip_key(clip: Clip) -> str:
    """A hash of all that a clip brings along: bytes of its files or arrays, span, words, person."""
    total = hashlib.sha256()
    for name in sorted(getattr(clip, "__dataclass_fields__", ())):
        value = getattr(clip, name)
        if name == "id" or value is None:
            continue
        total.update(f"\n{name} ".encode())
        if isinstance(value, str | Path) and name in ("path", "audio"):
            with Path(value).open("rb") as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
        elif isinstance(value, np.ndarray):
            total.update(f"{value.dtype} {value.shape} ".encode() + np.ascontiguousarray(value).tobytes())
        else:
            total.update(value if isinstance(value, bytes) else repr(value).encode())
    return total.hexdigest()


def media_key(media: MediaConfig) -> str:
    """The media options, and the content of files that they name."""
    told = asdict(media)
    named = {name: Path(value) for name, value in told.items() if name.endswith("_path") and value is not None}
    told |= {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in named.items() if path.is_file()}
    return json.dumps(told, sort_keys=True, default=str)


def precision() -> str:
    """The type that encoders compute in here: under autocast their states are others."""
    for device in ("cpu", "cuda"):
        if torch.is_autocast_enabled(device):
            return f"{device} {torch.get_autocast_dtype(device)}"
    return ""


def weights_hash(module: nn.Module) -> str:
    """SHA-256 over names, types, shapes and values of all weights and buffers."""
    return digest({name: value.detach().cpu() for name, value in module.state_dict().items()})


def digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of named tensors."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].contiguous()
        total.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
        total.update(value.reshape(-1).view(torch.uint8).numpy().tobytes() if value.numel() else b"")
    return total.hexdigest()


# Care of a folder


@dataclass(slots=True)
class CacheReport:
    """What lies in a cache folder. `str()` is for people."""

    folder: Path
    entries: int = 0
    bytes: int = 0
    damaged: list[Path] = field(default_factory=list)
    left_over: list[Path] = field(default_factory=list)
    """Parts of writes that were cut off."""

    removed: int = 0
    removed_bytes: int = 0

    @property
    def status(self) -> int:
        """Exit status: 2 while damaged entries are there, else 0."""
        return 2 if self.damaged and not self.removed else 0

    def __str__(self) -> str:
        lines = [f"{self.folder}: {self.entries} entries, {self.bytes / 2**20:.1f} MiB"]
        lines += [f"  ERROR   damaged entry: {path.name}" for path in self.damaged[:5]]
        if len(self.damaged) > 5:
            lines.append(f"  ERROR   and {len(self.damaged) - 5} more damaged entries")
        if self.left_over:
            lines.append(f"  warning {len(self.left_over)} cut-off writes")
        if self.removed:
            lines.append(f"  removed {self.removed} files, {self.removed_bytes / 2**20:.1f} MiB")
        elif self.damaged or self.left_over:
            lines.append("  run again with --prune to remove them; they are made anew when needed")
        return "\n".join(lines)


def is_cache(folder: str | Path) -> bool:
    """Whether the folder is a media cache."""
    return (Path(folder) / MARKER).is_file()


def examine_cache(folder: str | Path, *, prune: bool = False, max_bytes: int | None = None) -> CacheReport:
    """Read every entry and compare it with its digest.

    Args:
        prune: remove damaged entries and cut-off writes.
        max_bytes: with `prune`, remove the entries not used for longest until the rest fits.
    """
    report = CacheReport(Path(folder))
    kept: list[tuple[float, int, Path]] = []
    for path in _entries(report.folder):
        state, sound = _stat(path), _sound(path)
        if state is None or not path.exists():
            continue  # another process has removed it
        if not sound:
            report.damaged.append(path)
            continue
        report.entries, report.bytes = report.entries + 1, report.bytes + state.st_size
        kept.append((max(state.st_atime, state.st_mtime), state.st_size, path))
    old = time.time() - 3600
    parts = [(path, _stat(path)) for path in report.folder.glob("*/.*.part")]
    report.left_over = [path for path, state in parts if state is not None and state.st_mtime < old]
    if prune:
        doomed = [*report.damaged, *report.left_over]
        for _, size, path in sorted(kept):
            if max_bytes is None or report.bytes <= max_bytes:
                break
            report.entries, report.bytes = report.entries - 1, report.bytes - size
            doomed.append(path)
        for path in doomed:
            state = _stat(path)
            if state is not None:
                report.removed, report.removed_bytes = report.removed + 1, report.removed_bytes + state.st_size
                path.unlink(missing_ok=True)
    return report


def _stat(path: Path) -> os.stat_result | None:
    """None where another process has removed or renamed the file."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _entries(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.glob("*/*" + SUFFIX) if not path.name.startswith("."))


def _sound(path: Path) -> bool:
    try:
        data = path.read_bytes()
        return _facts(data).get("digest") == digest(load(data))
    except (OSError, SafetensorError, ValueError):
        return False


def _facts(data: bytes) -> dict[str, str]:
    """The facts written beside the tensors: the header of the file is its length in 8 bytes, then JSON."""
    size = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + size]).get("__metadata__", {})


def _named(tensors: StreamTensors, prefix: str = "") -> dict[str, Tensor]:
    named = {f"{prefix}values": tensors.values, f"{prefix}mask": tensors.mask}
    return named if tensors.times_s is None else named | {f"{prefix}times_s": tensors.times_s}


def _packed(clip: EncodedClip) -> tuple[dict[str, Tensor], dict[str, Any]]:
    tensors = {key: value for name, stream in clip.tensors.streams.items()
               for key, value in _named(stream, f"{name}/").items()}  # fmt: skip
    items = {name: stream.items for name, stream in clip.tensors.streams.items()}
    return tensors, {"items": json.dumps(items), "duration_s": repr(clip.duration_s), "absent": json.dumps(clip.absent)}


def _unpacked(tensors: dict[str, Tensor], facts: dict[str, str]) -> EncodedClip:
    streams = {
        name: StreamTensors(tensors[f"{name}/values"], tensors.get(f"{name}/times_s"), tensors[f"{name}/mask"], items)
        for name, items in json.loads(facts["items"]).items()
    }
    return EncodedClip(ClipTensors(streams), float(facts["duration_s"]), json.loads(facts["absent"]))
