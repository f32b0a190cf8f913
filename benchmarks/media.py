"""Cost of reading one clip, against two other ways, in the same run on the same clip.

    python benchmarks/media.py [CLIP ...] [--repeats 7] [--yunet yunet.onnx] [--decord06 PYTHON] [--json out.json]

Without CLIP a 4-s 320x568 H.264 clip of a drawn face with speech is made. All numbers are processor time (user and
system, all threads, children included) of a warm process, medians over the repeats, which take turns.

Compared: the whole media stage in the worker (decoding, sound, face tracking); sampling 16 frames by our reader
(decord2, scaled in the decoder); by PyAV, our fallback; by OpenCV decoding every frame, as released systems of this
field do; and by decord 0.6, which shares its import name with decord2 and needs an environment of its own:

    python -m venv decord06 && decord06/bin/pip install decord==0.6.0 "numpy<2.3"
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import cv2
import numpy as np

from cuewise.mllm.clip import Clip
from cuewise.mllm.media.config import MediaConfig
from cuewise.mllm.media.decode import DecordVideo, Picture, PyAvVideo
from cuewise.mllm.media.probe import inspect
from cuewise.mllm.media.sampling import uniform
from cuewise.mllm.media.worker import MediaWorker, resident_mb

FRAMES, LONG_SIDE = 16, 640
BARS = {"media stage, cascade": 0.8, "media stage, YuNet": 0.4}
"""Seconds of processor time for a 4-s 320x568 clip."""
MEMORY_BAR_MB = 500

OTHER_DECORD = """
import sys, time
import numpy as np, decord
for line in sys.stdin:
    path, count, width, height = line.rstrip("\\n").split("\\t")
    begun = time.process_time()
    reader = decord.VideoReader(path, width=int(width), height=int(height), num_threads=1)
    indices = ((np.arange(int(count)) + 0.5) * len(reader) / int(count)).astype(int)
    frames = reader.get_batch(indices).asnumpy()
    del reader
    print(time.process_time() - begun, frames.shape[0], flush=True)
"""


def main() -> int:
    """Measure, print the table, return 1 when a bar is missed."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        clips = [Path(path) for path in options.clips] or [drawn_clip(Path(folder))]
        results = [measure(path, options) for path in clips]
    for result in results:
        show(result)
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=1))
    missed = [f"{r['clip']}: {m}" for r in results for m in r["missed"]]
    print("bars missed: " + "; ".join(missed) if missed else "all bars met")
    return 1 if missed else 0


def measure(path: Path, options: argparse.Namespace) -> dict:
    """Median processor seconds of every way to read one clip."""
    ways = {
        "16 frames, cuewise (decord2)": lambda: by_reader(path, DecordVideo),
        "16 frames, cuewise fallback (PyAV)": lambda: by_reader(path, PyAvVideo),
        "16 frames, OpenCV decoding every frame": lambda: by_opencv(path),
    }
    other = OtherDecord(options.decord06) if options.decord06 else None
    if other is not None:
        ways["16 frames, decord 0.6"] = lambda: other.read(path)
    stages = {"media stage, cascade": MediaConfig(), "media stage, no faces": MediaConfig(detector="none")}
    if options.yunet:
        stages["media stage, YuNet"] = MediaConfig(detector="yunet", yunet_path=options.yunet)
    workers = {name: MediaWorker(config) for name, config in stages.items()}
    try:
        for name, worker in workers.items():
            ways[name] = lambda worker=worker: by_worker(path, worker)
        seconds = {name: [] for name in ways}
        for way in ways.values():
            way()
        for _ in range(options.repeats):
            for name, way in ways.items():
                seconds[name].append(way())
        memory = resident_mb(workers["media stage, cascade"].pid)
        face = workers["media stage, cascade"].load(Clip(path=path)).face
    finally:
        for worker in workers.values():
            worker.close()
    medians = {name: median(values) for name, values in seconds.items()}
    missed = [f"{name} {medians[name]:.2f} s" for name, bar in BARS.items() if medians.get(name, 0) > bar]
    missed += [f"worker memory {memory:.0f} MiB"] if memory > MEMORY_BAR_MB else []
    return {"clip": path.name, "median_cpu_s": medians, "all_cpu_s": seconds, "repeats": options.repeats,
            "worker_anonymous_mib": memory, "face_found": None if face is None else float(face.found.mean()),
            "missed": missed}  # fmt: skip


def by_reader(path: Path, reader: Callable[..., Picture]) -> float:
    """Header and 16 frames, scaled in the decoder."""
    begun = time.process_time()
    header = inspect(path, MediaConfig())
    picture = reader(path, header)
    picture.read(uniform(len(picture.times_s), FRAMES), LONG_SIDE)
    if isinstance(picture, DecordVideo):
        picture.close()
    return time.process_time() - begun


def by_opencv(path: Path) -> float:
    """Decode and convert every frame, then keep 16 of them, scaled."""
    begun = time.process_time()
    video = cv2.VideoCapture(str(path))
    frames = []
    while True:
        read, frame = video.read()
        if not read:
            break
        scale = min(1.0, LONG_SIDE / max(frame.shape[:2]))
        small = frame if scale == 1 else cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        frames.append(cv2.cvtColor(small, cv2.COLOR_BGR2RGB))
    video.release()
    if not frames:
        raise SystemExit(f"{path}: OpenCV cannot read this clip; name another one")
    np.stack([frames[index] for index in uniform(len(frames), FRAMES)])
    return time.process_time() - begun


def by_worker(path: Path, worker: MediaWorker) -> float:
    """The whole media stage: processor time of this process and of the worker."""
    worker.start()
    begun = time.process_time() + process_seconds(worker.pid)
    worker.load(Clip(path=path))
    return time.process_time() + process_seconds(worker.pid) - begun


def process_seconds(pid: int) -> float:
    """Processor time of a process to the nanosecond where the kernel keeps it, else to the clock tick."""
    tasks = Path(f"/proc/{pid}/task")
    # Threads that have ended count in the process clock only, so the finer clock is a lower bound; take the larger.
    fine = sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e9
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return max(fine, ticks)


class OtherDecord:
    """decord 0.6 in its own interpreter, kept warm."""

    def __init__(self, python: str):
        self._process = subprocess.Popen(
            [python, "-c", OTHER_DECORD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def read(self, path: Path) -> float:
        """Processor seconds that it says it took."""
        picture = DecordVideo(path, inspect(path, MediaConfig()))
        width, height = picture.size
        picture.close()
        scale = min(1.0, LONG_SIDE / max(width, height))
        line = f"{path}\t{FRAMES}\t{round(width * scale)}\t{round(height * scale)}\n"
        self._process.stdin.write(line)
        answer = self._process.stdout.readline().split()
        if len(answer) != 2:
            raise SystemExit(f"decord 0.6 could not read {path}; see its message above, or leave --decord06 out")
        return float(answer[0])


def drawn_clip(folder: Path) -> Path:
    """A 4-s 320x568 H.264 clip at 30 frames a second: a drawn face that speaks."""
    import av

    from cuewise.data_recipes.synthetic.face import render
    from cuewise.data_recipes.synthetic.face_program import FaceEvent, FaceProgram

    events = [FaceEvent("AU12", 3.0, 0.5, 2.0), FaceEvent("AU26", 2.0, 2.2, 3.5)]
    frames = render(FaceProgram(seed=3, events=events), 4.0, 30, size=(320, 568))
    path = folder / "drawn.mp4"
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=30, options={"crf": "23"})
        video.width, video.height, video.pix_fmt = 320, 568, "yuv420p"
        sound = out.add_stream("aac", rate=16_000, layout="mono")
        for frame in frames:
            out.mux(video.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        out.mux(video.encode(None))
        tone = 0.3 * np.sin(2 * np.pi * 180 * np.arange(64_000) / 16_000)
        for begin in range(0, 64_000 - 1023, 1024):
            piece = tone[None, begin : begin + 1024].astype(np.float32)
            block = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
            block.rate, block.pts = 16_000, begin
            out.mux(sound.encode(block))
        out.mux(sound.encode(None))
    return path


def show(result: dict) -> None:
    """Print one clip's table."""
    medians = result["median_cpu_s"]
    ours = medians["16 frames, cuewise (decord2)"]
    print(f"\n{result['clip']}, median of {result['repeats']}, processor milliseconds")
    for name, seconds in sorted(medians.items(), key=lambda item: item[1]):
        ratio = f"{seconds / ours:6.2f} x ours" if name.startswith("16") else " " * 13
        bar = f"  bar {BARS[name] * 1000:.0f}" if name in BARS else ""
        print(f"  {name:42}{seconds * 1000:9.1f} {ratio}{bar}")
    found = "no face" if result["face_found"] is None else f"face in {result['face_found']:.0%} of sampled frames"
    print(f"  worker holds {result['worker_anonymous_mib']:.0f} MiB of anonymous memory (bar {MEMORY_BAR_MB}); {found}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("clips", nargs="*", help="clips to read; by default one is drawn")
    parser.add_argument("--repeats", type=int, default=7, help="repeats per way, at least 5")
    parser.add_argument("--yunet", help="model file of YuNet")
    parser.add_argument("--decord06", metavar="PYTHON", help="interpreter of an environment with decord 0.6")
    parser.add_argument("--json", help="write the numbers to this file")
    options = parser.parse_args()
    if options.repeats < 5:
        parser.error(f"--repeats must be at least 5 for a median, got {options.repeats}")
    return options


if __name__ == "__main__":
    sys.exit(main())
