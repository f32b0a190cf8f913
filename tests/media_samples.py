"""Small media files for tests, written on the spot: a moving drawn pattern and a tone, in many formats."""

import contextlib
import io
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

VIDEO_CODECS = {"h264": "libx264", "h265": "libx265", "vp9": "libvpx-vp9", "av1": "libsvtav1"}
_CODEC_OPTIONS = {
    "libx264": {"preset": "ultrafast", "crf": "23", "threads": "1"},
    "libx265": {"preset": "ultrafast", "crf": "28", "x265-params": "log-level=error:pools=1:frame-threads=1"},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "crf": "35", "b": "0", "threads": "1"},
    "libsvtav1": {"preset": "12", "crf": "40", "svtav1-params": "lp=1"},
}


def pattern(count: int, size: tuple[int, int] = (160, 120), fps: float = 25.0) -> np.ndarray:
    """uint8 [count, h, w, 3]: a bright square moves over a gradient; the red level tells the time, 20 a second."""
    width, height = size
    ramp = np.linspace(40, 120, width, dtype=np.float32)[None, :, None]
    frames = np.empty((count, height, width, 3), np.uint8)
    side = max(height // 4, 2)
    for index in range(count):
        frames[index] = np.broadcast_to(ramp, (height, width, 3))
        frames[index, :, :, 0] = min(int(20 * index / fps), 255)
        left = int((index * width / (2 * fps)) % max(width - side, 1))
        top = height // 3
        frames[index, top : top + side, left : left + side, 1:] = (230, 250)
    return frames


def tone(seconds: float, rate: int = 16_000, hz: float = 220.0, level: float = 0.3) -> np.ndarray:
    """float32 [n] sine."""
    times = np.arange(round(seconds * rate)) / rate
    return (level * np.sin(2 * np.pi * hz * times)).astype(np.float32)


def write_video(
    path: str | Path | io.BytesIO, frames: np.ndarray, *, fps: int = 25, codec: str = "h264",
    samples: np.ndarray | None = None, rate: int = 16_000, audio_codec: str = "aac", container: str | None = None,
    gop: int = 25, options: dict[str, str] | None = None,
) -> Path | io.BytesIO:  # fmt: skip
    """Write frames uint8 [T, h, w, 3], and sound float [n] if given, as one file."""
    name = VIDEO_CODECS.get(codec, codec)
    out = av.open(path if isinstance(path, io.BytesIO) else str(path), "w", format=container, options=options or {})
    with _same_priority(), out:
        video = out.add_stream(name, rate=fps, options=dict(_CODEC_OPTIONS.get(name, {})))
        video.height, video.width = frames.shape[1:3]
        video.pix_fmt = "yuvj420p" if name == "mjpeg" else "yuv420p"
        video.codec_context.gop_size = gop
        sound = out.add_stream(audio_codec, rate=rate) if samples is not None else None
        for array in frames:
            out.mux(video.encode(av.VideoFrame.from_ndarray(array, format="rgb24")))
        out.mux(video.encode(None))
        if sound is not None:
            _encode_sound(out, sound, samples, rate)
    return path


@contextlib.contextmanager
def _same_priority() -> Iterator[None]:
    """SVT-AV1, run as root, makes the thread that calls it real-time (FIFO, 99) and leaves it so: this process and all
    that it starts afterwards, browsers among them, would keep each other and the machine from running."""
    if not hasattr(os, "sched_getscheduler"):
        yield
        return
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, *before)


def write_audio(
    path: str | Path | io.BytesIO, samples: np.ndarray, *, rate: int = 16_000, codec: str, container: str | None = None
) -> Path | io.BytesIO:
    """Write sound float [n] (mono) or [channels, n] in one format."""
    out = av.open(path if isinstance(path, io.BytesIO) else str(path), "w", format=container)
    with out:
        _encode_sound(out, out.add_stream(codec, rate=rate, layout=_layout(samples)), samples, rate)
    return path


def _layout(samples: np.ndarray) -> str:
    return {1: "mono", 2: "stereo", 6: "5.1"}[len(np.atleast_2d(samples))]


def _encode_sound(out, stream, samples: np.ndarray, rate: int) -> None:
    planes = np.atleast_2d(samples).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout=_layout(samples))
    frame.rate, frame.pts = rate, 0
    context = stream.codec_context
    if not context.is_open:
        context.open()
    resampler = av.AudioResampler(context.format, context.layout, context.rate, frame_size=context.frame_size or None)
    for piece in [*resampler.resample(frame), *resampler.resample(None)]:
        out.mux(stream.encode(piece))
    out.mux(stream.encode(None))


AUDIO_FORMATS = {
    "wav": {"codec": "pcm_s16le"},
    "flac": {"codec": "flac"},
    "mp3": {"codec": "libmp3lame"},
    "opus": {"codec": "libopus", "rate": 48_000},
    "m4a": {"codec": "aac", "container": "ipod"},
    "ogg": {"codec": "libopus", "rate": 48_000},
}


def audio_file(folder: Path, kind: str, seconds: float = 1.5, hz: float = 220.0) -> Path:
    """A tone as `kind`: one of `AUDIO_FORMATS`."""
    options = dict(AUDIO_FORMATS[kind])
    rate = options.pop("rate", 16_000)
    return write_audio(folder / f"tone.{kind}", tone(seconds, rate, hz), rate=rate, **options)


def float_wav(path: Path, samples: np.ndarray, rate: int = 16_000) -> Path:
    """A 32-bit float WAV written byte by byte, so that it can hold NaN and infinity."""
    body = np.asarray(samples, "<f4").tobytes()
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(body), b"WAVE", b"fmt ", 16, 3, 1, rate, rate * 4, 4, 32,
                       b"data", len(body))  # fmt: skip
    path.write_bytes(head + body)
    return path


def sample_video(folder: Path, *, seconds: float = 2.0, sound: bool = True, name: str = "clip.mp4", **options) -> Path:
    """The standard test clip: 160x120 at 25 frames a second with a tone of the same length."""
    size, fps = options.pop("size", (160, 120)), options.pop("fps", 25)
    samples = tone(seconds) if sound else None
    return write_video(folder / name, pattern(round(seconds * fps), size, fps), fps=fps, samples=samples, **options)


def turned(path: Path, degrees: int) -> Path:
    """Copy of an mp4 whose header asks the player to turn the picture clockwise by 90, 180 or 270 degrees."""
    one = 1 << 16
    cosine, sine = {90: (0, one), 180: (-one, 0), 270: (0, -one)}[degrees]
    data = bytearray(path.read_bytes())
    box = data.index(b"tkhd") + 4
    matrix = box + (40 if data[box] == 0 else 52)
    struct.pack_into(">9i", data, matrix, cosine, sine, 0, -sine, cosine, 0, 0, 0, 1 << 30)
    out = path.with_name(f"turned{degrees}.mp4")
    out.write_bytes(data)
    return out
