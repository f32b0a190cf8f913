"""What a server may do and how much of it: defaults < YAML file < environment < command line.

Environment variables are `CUEWISE_SERVE_` and the option in capitals with `__` for the dot:
``CUEWISE_SERVE_LIMITS__BODY_MB=16``.
"""

import ipaddress
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from cuewise.mllm.config_tools import from_dict, load_yaml, override
from cuewise.mllm.media.config import MediaConfig

ENV_PREFIX = "CUEWISE_SERVE_"


class SettingsError(ValueError):
    """A setting that cannot be; the message names it."""


@dataclass(kw_only=True, slots=True)
class Limits:
    """How much one request, and all of them together, may take."""

    body_mb: float = 64.0
    """Largest request body, in MiB."""

    bodies_mb: float = 256.0
    """All bodies being read or held at once, in MiB; beyond it requests are refused with 429."""

    in_flight: int = 96
    """Requests being worked on or waiting; beyond it requests are refused with 429."""

    deadline_s: float = 120.0
    """Longest time a request may take. A request may ask for less."""

    body_timeout_s: float = 60.0
    """Longest time the client may take to send its body."""

    media_items: int = 4
    """Most pictures, videos and sounds in one request."""

    max_tokens: int = 1024
    """Longest answer, in tokens."""

    text_chars: int = 20_000
    """Longest text of one content part or option, in characters."""

    timeline_s: float = 1800.0
    """Longest clip for a timeline, in seconds."""


@dataclass(kw_only=True, slots=True)
class EngineSettings:
    """How text is generated."""

    name: str = "slot"
    """`slot` (continuous batching), `static` or `sequential`."""

    slots: int = 16
    """Answers written side by side."""

    queue: int = 128
    """Prompts that may wait for a slot."""

    graphs: bool = False
    """On a CUDA device, record decode steps and replay them: faster while few answers are written."""

    watchdog_s: float = 30.0
    """Without a finished step for this long while there is work, the engine counts as dead."""


@dataclass(kw_only=True, slots=True)
class FileSettings:
    """The store behind /v1/files."""

    folder: str | None = None
    """Where files lie; by default a folder of its own below the system's temporary folder, removed at the end."""

    total_mb: float = 1024.0
    max_files: int = 1000
    expire_s: float = 3600.0


@dataclass(kw_only=True, slots=True)
class UrlSettings:
    """Media by address. Off unless hosts are named."""

    allow: list[str] = field(default_factory=list)
    """Hosts that may be fetched from, e.g. ``media.example.org`` or ``*.example.org``. Empty: addresses are refused."""

    max_mb: float = 64.0
    timeout_s: float = 10.0


@dataclass(kw_only=True, slots=True)
class Key:
    """One client."""

    name: str
    """Shown in logs and metrics."""

    sha256: str
    """SHA-256 of the key in hexadecimal; `cuewise serve --new-key NAME` makes one. The key itself is never stored."""

    per_minute: int = 600
    at_once: int = 64

    def __post_init__(self) -> None:
        if len(self.sha256) != 64 or set(self.sha256.lower()) - set("0123456789abcdef"):
            raise SettingsError(
                f"keys: sha256 of {self.name!r} must be 64 hexadecimal digits, got {len(self.sha256)} characters"
            )
        self.sha256 = self.sha256.lower()
        for name in ("per_minute", "at_once"):
            if getattr(self, name) < 1:
                raise SettingsError(f"keys: {name} of {self.name!r} must be >= 1, got {getattr(self, name)}")


@dataclass(kw_only=True, slots=True)
class Timeline:
    """Windows over a long clip."""

    window_s: float = 8.0
    hop_s: float = 4.0


@dataclass(kw_only=True, slots=True)
class Retry:
    """Answers that are malformed, or contradicted by their own clip, may be asked for again (`tries` of a request)."""

    tries: int = 3
    """Most attempts that a request may allow."""

    tone: Literal["plain", "varied", "none"] = "plain"
    """How it is said what was wrong: plainly, in changing tones, or not at all."""

    min_confidence: float = 0.0
    """An answer less sure than this is tried again as well."""

    token_budget: int = 1024
    """Answer tokens after which there is no further attempt."""

    def __post_init__(self) -> None:
        if self.tries < 1 or self.token_budget < 1 or not 0 <= self.min_confidence <= 1:
            raise SettingsError("retry needs tries and token_budget >= 1 and min_confidence in [0, 1], got "
                                f"{self.tries}, {self.token_budget} and {self.min_confidence:g}")  # fmt: skip


@dataclass(kw_only=True, slots=True)
class RaySettings:
    """Deployments of `--ray`."""

    replicas: int = 1
    """Fewest decoder replicas; they encode as well unless `encoders` is set."""

    max_replicas: int = 2
    target_ongoing: int = 8
    encoders: int = 0
    """Replicas that only decode media and encode; 0 leaves that to the decoder replicas."""

    encoder_device: str = "cpu"
    cpus: float = 1.0
    gpus: float = 0.0
    retry_after_s: float = 2.0


@dataclass(kw_only=True, slots=True)
class Settings:
    """Everything about one server."""

    model: str = "nano"
    adapter: str | None = None
    """Adapter to load on the model: a folder, or the name of a training run."""

    realloc: dict[str, Any] | None = None
    """Attention is moved between modalities: `tau`, `gamma`, `target`, `layers`; nothing leaves it alone."""

    host: str = "127.0.0.1"
    port: int = 8000
    device: str = "cpu"
    attention: str = "auto"
    """Attention kernels of the language model: `auto`, or one by name, which then has to run here."""

    speech_to_text: str | None = None
    """Whisper model (folder) that writes the words of clips without any."""

    threads: int = 0
    """Threads of the model; 0 is one less than the cores, at least one."""

    decode_workers: int = 0
    """Processes that decode media; 0 is one per core."""

    cache_clips: int = 64
    """Clips kept after encoding, so that the same bytes need no second decoding; 0 turns the cache off."""

    encode_batch: int = 8
    """Most clips encoded in one batch; on a CPU clips are encoded alone, which costs nothing there."""

    show_flagged: list[str] = field(default_factory=list)
    """Kinds of flagged emotion words that are shown: sexual, substance, health, hostile_intent. By default none."""

    log_level: str = "info"
    limits: Limits = field(default_factory=Limits)
    engine: EngineSettings = field(default_factory=EngineSettings)
    media: MediaConfig = field(default_factory=MediaConfig)
    files: FileSettings = field(default_factory=FileSettings)
    urls: UrlSettings = field(default_factory=UrlSettings)
    timeline: Timeline = field(default_factory=Timeline)
    retry: Retry = field(default_factory=Retry)
    ray: RaySettings = field(default_factory=RaySettings)
    keys: list[Key] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name, names in (("show_flagged", self.show_flagged), ("urls.allow", self.urls.allow)):
            if not isinstance(names, list) or not all(isinstance(item, str) for item in names):
                raise SettingsError(f"{name} must be a list of names, got {names!r}")
        if not 0 <= self.port < 65536:
            raise SettingsError(f"port must lie in 0..65535, got {self.port}")
        for name in ("body_mb", "bodies_mb", "in_flight", "deadline_s", "body_timeout_s", "media_items", "max_tokens"):
            if not getattr(self.limits, name) > 0:
                raise SettingsError(f"limits.{name} must be > 0, got {getattr(self.limits, name)}")
        if not 0 < self.timeline.hop_s <= self.timeline.window_s:
            raise SettingsError(
                f"timeline.hop_s must lie in (0, window_s = {self.timeline.window_s:g}], got {self.timeline.hop_s:g}"
            )
        if self.timeline.window_s > self.media.max_seconds:
            raise SettingsError(
                f"timeline.window_s must be <= media.max_seconds = {self.media.max_seconds:g}, got "
                f"{self.timeline.window_s:g}"
            )
        if len({key.name for key in self.keys}) < len(self.keys):
            raise SettingsError("keys: two keys have the same name; each client needs its own")

    def check_bind(self) -> None:
        """Refuse to be reachable from outside without keys. Raises SettingsError."""
        if not self.keys and not is_loopback(self.host):
            raise SettingsError(
                f"host {self.host} can be reached from outside, but no key is set; add one under `keys` "
                "(cuewise serve --new-key NAME prints it), or bind 127.0.0.1"
            )

    @property
    def model_threads(self) -> int:
        return self.threads or max(1, _cores() - 1)

    @property
    def workers(self) -> int:
        return self.decode_workers or max(1, _cores())


def load_settings(
    path: str | Path | None = None, overrides: Iterable[str] = (), environ: Mapping[str, str] | None = None,
) -> Settings:  # fmt: skip
    """Settings from a YAML file, the environment and ``key.sub=value`` texts. Raises SettingsError."""
    environ = os.environ if environ is None else environ
    from_environment = [
        f"{name.removeprefix(ENV_PREFIX).lower().replace('__', '.')}={text}"
        for name, text in sorted(environ.items()) if name.startswith(ENV_PREFIX)
    ]  # fmt: skip
    try:
        values = {} if path is None else load_yaml(path)
        return from_dict(Settings, override(values, [*from_environment, *overrides]))
    except (ValueError, TypeError, yaml.YAMLError) as error:
        raise SettingsError(str(error)) from error


def is_loopback(host: str) -> bool:
    """True when only programs on this machine can reach `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
