"""`cuewise serve` as a process of its own, and clips to send to it; what the benchmarks of serving share."""

import contextlib
import io
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np


@dataclass
class Server:
    """A running server."""

    process: subprocess.Popen
    address: str
    ready_s: float

    def alive(self) -> bool:
        return self.process.poll() is None

    def children(self) -> list[int]:
        """Process numbers of the decode workers."""
        path = Path(f"/proc/{self.process.pid}/task")
        found = [(task / "children").read_text().split() for task in path.iterdir()]
        return [int(pid) for group in found for pid in group]

    def cpu_s(self) -> float:
        """Processor time of the server and its workers so far, in seconds."""
        return sum(cpu_seconds(pid) for pid in (self.process.pid, *self.children()))

    def memory_mb(self) -> dict[str, float]:
        """Proportional resident memory of the server and largest anonymous memory of a worker, in MiB."""
        return {
            "server_pss": rollup(self.process.pid, "Pss"),
            "worker_anonymous": max((rollup(pid, "Anonymous") for pid in self.children()), default=0.0),
        }


def cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rollup(pid: int, name: str) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:")), 0.0)


@contextlib.contextmanager
def served(*settings: str) -> Iterator[Server]:
    """A server on a free port of the loopback while the block lasts."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "cuewise", "serve", "--port", str(port), "log_level=error", *settings]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    address = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(base_url=address) as client:  # one client: making one costs as much as a look
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if client.get("/readyz").status_code == 200:
                        break
                if process.poll() is not None:
                    raise RuntimeError(f"the server did not start: {process.stderr.read().decode()[-500:]}")
                time.sleep(0.05)
        yield Server(process, address, time.perf_counter() - began)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


def make_clips(count: int, seconds: float = 3.0) -> list[bytes]:
    """Synthetic test people as MP4 (or WAV) files, cut to `seconds`."""
    from cuewise.data_recipes.synthetic.config import SynthConfig
    from cuewise.data_recipes.synthetic.corpus import make_clip

    config = SynthConfig(absent_share=0.0, second_person_share=0.0)
    return [encoded(make_clip(2_000_000 + i, config), seconds) for i in range(count)]


def in_many_formats(clip: bytes) -> list[bytes]:
    """The sound and pictures of a clip as WAV, MP3, FLAC, OGG, Matroska, PNG, JPEG and an animated GIF."""
    import av

    with av.open(io.BytesIO(clip)) as source:
        pictures = [frame.to_image() for frame in source.decode(video=0)]
    with av.open(io.BytesIO(clip)) as source:
        sound = np.concatenate([frame.to_ndarray()[0] for frame in source.decode(audio=0)])
    made = [sound_file(sound, *kind) for kind in (("wav", "pcm_s16le"), ("mp3", "mp3"), ("flac", "flac"),
                                                  ("ogg", "libopus"))]  # fmt: skip
    file = io.BytesIO()
    with av.open(io.BytesIO(clip)) as source, av.open(file, "w", format="matroska") as out:
        streams = {stream.index: out.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                out.mux(packet)
    made.append(file.getvalue())
    for kind, more in (("PNG", {}), ("JPEG", {}), ("GIF", {"save_all": True, "append_images": pictures[5:20:5]})):
        file = io.BytesIO()
        pictures[0].save(file, kind, **more)
        made.append(file.getvalue())
    return made


def sound_file(samples: np.ndarray, container: str, codec: str) -> bytes:
    """Sound float [n] at 16 kHz as the bytes of a file."""
    import av

    file, rate = io.BytesIO(), 16_000
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream(codec, rate=48_000 if codec == "libopus" else rate)
        resampler = av.AudioResampler(stream.format, stream.layout, stream.rate, frame_size=stream.frame_size or None)
        frame = av.AudioFrame.from_ndarray(samples[None].astype(np.float32), format="fltp", layout="mono")
        frame.rate, frame.pts = rate, 0
        for part in (*resampler.resample(frame), *resampler.resample(None)):
            out.mux(stream.encode(part))
        out.mux(stream.encode(None))
    return file.getvalue()


def encoded(clip, seconds: float) -> bytes:
    """A synthetic clip as the bytes of an MP4 file."""
    import av

    frames, samples = clip.frames[: round(seconds * clip.fps)], clip.samples[: round(seconds * 16_000)]
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        video = out.add_stream("libx264", rate=round(clip.fps), options={"preset": "ultrafast", "threads": "1"})
        video.height, video.width, video.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
        sound = out.add_stream("aac", rate=16_000)
        for array in frames:
            out.mux(video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(array), format="rgb24")))
        out.mux(video.encode(None))
        frame = av.AudioFrame.from_ndarray(samples[None].astype(np.float32), format="fltp", layout="mono")
        frame.rate, frame.pts = 16_000, 0
        out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
    return file.getvalue()


def distinct(data: bytes, number: int) -> bytes:
    """The same clip in other bytes: a box behind it that every reader skips."""
    return data + struct.pack(">I4sQ", 16, b"free", number)
