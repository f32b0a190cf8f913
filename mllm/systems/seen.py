"""`Seen`: what a system is shown of one clip. A stream that is not there, or that it cannot take, is left out."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cuewise.mllm.clip import Clip
from cuewise.mllm.media import Media, MediaError, MediaWorker
from cuewise.mllm.media.types import SAMPLE_RATE_HZ
from cuewise.mllm.systems.base import Ask, ReplyError


@dataclass(slots=True)
class Seen:
    """One clip as a system sees it."""

    frames: np.ndarray | None = None
    """uint8 [T, h, w, 3] RGB, in order of time."""

    times_s: np.ndarray | None = None
    """float [T] times of the frames."""

    samples: np.ndarray | None = None
    """float32 [n] mono sound at 16 kHz."""

    duration_s: float = 0.0
    transcript: str | None = None
    context: str | None = None
    media: Media | None = None
    """What it was made from; None without a clip."""

    @property
    def frames_per_s(self) -> float:
        """Frames shown per second of the clip; at least 0.1, because some clips have no length."""
        spread = float(self.times_s[-1] - self.times_s[0]) if self.times_s is not None and len(self.times_s) > 1 else 0
        return max(0.1, (len(self.times_s) - 1) / spread) if spread > 0 else 1.0

    def media_text(self) -> str:
        """What is shown, for logs: ``[8 frames] [sound 2.10 s]``."""
        parts = [] if self.frames is None else [f"[{len(self.frames)} frame{'s' if len(self.frames) > 1 else ''}]"]
        if self.samples is not None:
            parts.append(f"[sound {len(self.samples) / SAMPLE_RATE_HZ:.2f} s]")
        return " ".join(parts)


class Shown(NamedTuple):
    """An ask with what is shown for it, or why nothing can be."""

    ask: Ask
    seen: Seen | ReplyError


def look(worker: MediaWorker, asks: list[Ask], *, sees: bool, hears: bool) -> Iterator[Shown]:
    """Decode the clips of some asks, in order; asks without a clip have nothing to show."""
    loaded = worker.load_many(_clips(asks))
    for ask in asks:
        if ask.clip is None:
            yield Shown(ask, Seen())
            continue
        media = next(loaded)
        if isinstance(media, MediaError):
            yield Shown(ask, ReplyError(media.code, str(media)))
        else:
            yield Shown(ask, seen_of(media, sees=sees, hears=hears))


def seen_of(media: Media, *, sees: bool, hears: bool) -> Seen | ReplyError:
    """What of decoded media a system with these senses is shown."""
    frames = media.frames if sees and media.frames is not None and len(media.frames) else None
    samples = media.samples if hears and media.samples is not None and len(media.samples) else None
    if frames is None and samples is None and not media.transcript:
        there = [name for name, given in (("picture", media.frames), ("sound", media.samples)) if given is not None]
        senses = " and ".join(name for name, has in (("see", sees), ("hear", hears)) if has) or "read only"
        have = " and ".join(there) or "neither picture nor sound"
        return ReplyError("no_usable_stream", f"the clip has {have} and no transcript, but this system can {senses}")
    return Seen(
        frames=frames, times_s=media.frame_times_s if frames is not None else None, samples=samples,
        duration_s=media.duration_s, transcript=media.transcript, context=media.context, media=media,
    )  # fmt: skip


def _clips(asks: Iterable[Ask]) -> Iterator[Clip]:
    return (ask.clip for ask in asks if ask.clip is not None)
