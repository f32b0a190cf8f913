"""Sound of a clip: any format that ffmpeg reads, to 16 kHz mono float32, finite, in [-1, 1], on the clip's clock.

Values that are no numbers become silence and are listed in `problems`; so are damaged packets and a silent track.
"""

from dataclasses import dataclass, field

import numpy as np

from cuewise.mllm.media.config import MediaConfig
from cuewise.mllm.media.errors import MediaUnreadable
from cuewise.mllm.media.probe import Header, Source, check_length, open_container
from cuewise.mllm.media.types import SAMPLE_RATE_HZ
from cuewise.mllm.report import Problem

_GAP_S = 0.05
"""A hole between packets longer than this is filled with silence, so that what follows keeps its time."""
_LONGEST_GAP_S = 10.0
_SILENCE = 1e-5
"""Peak below which a track counts as silent (-100 dB of full scale)."""


@dataclass(slots=True)
class Sound:
    """Sound of a span. `samples` is float32 [n] at 16 kHz, empty when the span lies behind the end."""

    samples: np.ndarray
    end_s: float
    """Where the sound that was read ends, from the begin of the file."""

    problems: list[Problem] = field(default_factory=list)


def read_sound(source: Source, header: Header, start: float, end: float | None, config: MediaConfig) -> Sound:
    """Decode the sound stream of `header` from `start` to `end` (None: to its end), in seconds of the file."""
    track = _Track(start, end, config.max_seconds)
    with open_container(source) as container:
        stream = container.streams[header.audio_stream]
        zero = float((stream.start_time or 0) * stream.time_base)
        if stream.codec_context.name == "flac":  # its check sums are only looked at when asked for
            stream.codec_context.options = {"err_detect": "crccheck+explode"}
        if start > 1.0:
            _seek(container, stream, start - header.audio_offset_s - 0.5)
        _decode(container, stream, track, zero, header.audio_offset_s)
    if start > 0 and not track.decoded and not track.errors:
        return Sound(np.zeros(0, np.float32), start)
    if track.decoded == 0 or track.errors > track.decoded:
        raise MediaUnreadable(
            f"{header.name}: the sound cannot be decoded ({track.errors} damaged and {track.decoded} good packets)"
        )
    if track.over:
        check_length(header.name, track.over, config)
    samples, problems = finish(track.mono(), track.rate)
    if track.errors:
        problems.insert(0, Problem(code="damaged_sound", message=f"the sound is damaged, packets lost: {track.errors}"))
    return Sound(samples, track.end_s, problems)


def sound_from_array(samples: np.ndarray, rate: int, name: str, start: float, end: float | None) -> Sound:
    """Sound that the caller has decoded: [n] or [channels, n], float in [-1, 1] or an integer type at full scale."""
    values = np.asarray(samples)
    if values.ndim not in (1, 2) or values.size == 0 or not np.issubdtype(values.dtype, np.number) or rate <= 0:
        raise MediaUnreadable(
            f"{name}: clip.samples must be numbers [n] or [channels, n] with a rate > 0, got {values.dtype} "
            f"{list(values.shape)} at {rate} Hz", "bad_arrays"
        )  # fmt: skip
    if np.issubdtype(values.dtype, np.integer):
        span = 2.0 ** (8 * values.dtype.itemsize - 1)
        values = values.astype(np.float64) / span - (1.0 if values.dtype.kind == "u" else 0.0)
    mono = values.astype(np.float32) if values.ndim == 1 else values.astype(np.float32).mean(axis=0)
    piece = mono[round(start * rate) : None if end is None else round(end * rate)]
    cleaned, problems = finish(piece, int(rate)) if len(piece) else (np.zeros(0, np.float32), [])
    return Sound(cleaned, start + len(piece) / rate, problems)


def finish(mono: np.ndarray, rate: int) -> tuple[np.ndarray, list[Problem]]:
    """Clean float32 [n] at `rate` Hz, resample it to 16 kHz and say what was wrong with it."""
    problems = []
    bad = ~np.isfinite(mono)
    if bad.any():
        share = f"{bad.sum():,} of {len(mono):,} samples"
        problems.append(Problem(code="nan_sound", message=f"{share} are no finite number; they were set to silence"))
        mono = np.where(bad, np.float32(0), mono)
    samples = np.clip(resample(mono, rate), -1.0, 1.0)
    if len(samples) and np.abs(samples).max() < _SILENCE:
        problems.append(Problem(code="silent_sound", message="the sound track is silent"))
    return samples, problems


def resample(mono: np.ndarray, rate: int) -> np.ndarray:
    """float32 [n] at `rate` Hz to float32 [round(n * 16000 / rate)] at 16 kHz (libswresample)."""
    if rate == SAMPLE_RATE_HZ or not len(mono):
        return mono.astype(np.float32, copy=False)
    import av

    count = max(1, round(len(mono) * SAMPLE_RATE_HZ / rate))
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(mono[None], np.float32), format="fltp", layout="mono")
    frame.rate = rate
    resampler = av.AudioResampler("fltp", "mono", SAMPLE_RATE_HZ)
    pieces = [piece.to_ndarray()[0] for piece in [*resampler.resample(frame), *resampler.resample(None)]]
    out = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
    return out[:count] if len(out) >= count else np.pad(out, (0, count - len(out)))


class _Track:
    """Collects decoded pieces of [start, end) at the file's own rate, each at its place in time."""

    def __init__(self, start: float, end: float | None, max_seconds: float):
        self.start, self.end, self.max_seconds = start, end, max_seconds
        self.pieces: list[np.ndarray] = []
        self.rate = self.length = self.decoded = self.errors = 0
        self.end_s = start
        self.over = 0.0
        self._clock: float | None = None
        self._mixer = self._kind = self._speaking = None

    def add(self, frame, time: float | None) -> bool:
        """Take one decoded frame that begins at `time` seconds; False when no more is wanted."""
        import av

        kind = (frame.format.name, frame.layout.name, frame.rate)
        if kind != self._kind:
            self.rate = self.rate or frame.rate
            self._mixer, self._kind = av.AudioResampler("fltp", frame.layout, self.rate), kind
            self._speaking = _speech_channels([channel.name for channel in frame.layout.channels])
        expected = self._clock
        if expected is None:
            self._clock = max(0.0, time) if time is not None else 0.0
        elif time is not None and _GAP_S < time - expected < _LONGEST_GAP_S:
            self._put(np.zeros(round((time - expected) * self.rate), np.float32))
        for piece in self._mixer.resample(frame):
            self._put(piece.to_ndarray()[self._speaking].mean(axis=0))
        self.decoded += 1
        if self.end is None and self._clock - self.start > self.max_seconds + 1:
            self.over = self._clock - self.start
        return not self.over and (self.end is None or self._clock < self.end)

    def _put(self, piece: np.ndarray) -> None:
        """Append the part of `piece` that lies in the span; a late begin is filled with silence."""
        begin, after = self._clock, self._clock + len(piece) / self.rate
        self._clock = after
        stop = after if self.end is None else min(after, self.end)
        if after <= self.start or begin >= stop:
            return
        late = round((begin - self.start) * self.rate) - self.length
        if late > 0:
            self.pieces.append(np.zeros(late, np.float32))
            self.length += late
        first = max(0, round((self.start - begin) * self.rate))
        kept = piece[first : round((stop - begin) * self.rate)]
        self.pieces.append(kept)
        self.length += len(kept)
        self.end_s = stop

    def mono(self) -> np.ndarray:
        """float32 [n] of the span at `rate`."""
        return np.concatenate(self.pieces) if self.pieces else np.zeros(0, np.float32)


def _speech_channels(names: list[str]) -> list[int]:
    """Channels that are averaged: all of mono and stereo, the front ones of more, which carry the speech."""
    front = [index for index, name in enumerate(names) if name in ("FL", "FR", "FC")]
    return front if len(names) > 2 and front else list(range(len(names)))


def _decode(container, stream, track: _Track, zero: float, offset: float) -> None:
    """Feed the stream's frames to `track` until it has enough; damaged packets are counted and passed over."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
            frames = [] if packet is None else packet.decode()
        except EOFError:
            return
        except Exception:  # PyAV maps ffmpeg codes to many types; after a demuxer error `packets` is at its end
            track.errors += 1
            continue
        if packet is None:
            return
        for frame in frames:
            time = None if frame.time is None else frame.time - zero + offset
            if frame.samples and not track.add(frame, time):
                return


def _seek(container, stream, seconds: float) -> None:
    """Go to a little before `seconds` of the stream; a file that cannot seek is read from its begin."""
    try:
        first = stream.start_time or 0
        container.seek(first + int(seconds / stream.time_base), stream=stream)
    except Exception:  # as above
        container.seek(0)
