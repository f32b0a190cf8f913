"""`MediaWorker`: clips are decoded in a child process that is stopped when it takes too long or too much memory.

Hostile or broken media can hang, crash or bloat a decoder; here only the child suffers, the caller gets a `MediaError`
and the next clip works again. The child is a fresh interpreter (never a fork), so the caller may use threads and GPUs.
"""

import contextlib
import os
import pickle
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from cuewise.mllm.clip import Clip
from cuewise.mllm.media.config import MediaConfig
from cuewise.mllm.media.errors import MediaError, MediaTimeout, MediaTooLarge, MediaUnreadable
from cuewise.mllm.media.faces import make_detector
from cuewise.mllm.media.types import Media

_POLL_S = 0.02
_START_TIMEOUT_S = 120.0
"""Starting an interpreter on a busy machine with a cold disk."""
_BOOTSTRAP = "import sys; sys.path[:] = {path!r}; from cuewise.mllm.media.child import main; main({fd}, {pid})"


@dataclass(slots=True)
class _Job:
    """A clip that was handed to a child, and what came back."""

    clip: Clip
    child: "_Child | None" = None
    answer: Media | Exception | None = None


class MediaWorker:
    """One decoding process with limits on time and memory. Use it as a context manager, or `close` it.

    A worker decodes one clip at a time; calls from several threads wait for each other.
    """

    def __init__(self, config: MediaConfig | None = None):
        self.config = config or MediaConfig()
        make_detector(self.config)  # a wrong detector option shows here and not at the first clip
        self._lock = threading.RLock()
        self._child: _Child | None = None
        self._running: _Job | None = None

    def __enter__(self) -> "MediaWorker":
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Process number of the child that runs now; None before the first clip and after `close`."""
        return self._child.pid if self._child is not None else None

    def start(self) -> None:
        """Start the child now, so that the first clip does not wait for it."""
        with self._lock:
            self._ready_child()

    def load(self, clip: Clip) -> Media:
        """Decode `clip`; raises `MediaError` when it cannot be read or passes a limit."""
        return self._result(self._submit(clip))

    def load_many(self, clips: Iterable[Clip]) -> Iterator[Media | MediaError]:
        """Media or the error of each clip, in order; the next clip is decoded while the caller works on this one."""
        waiting: _Job | None = None
        for clip in clips:
            if waiting is None:
                waiting = self._submit(clip)
                continue
            self._wait(waiting)
            done, waiting = waiting, self._submit(clip)
            yield self._result_or_error(done)
        if waiting is not None:
            yield self._result_or_error(waiting)

    def close(self) -> None:
        """End the child. The worker can be used again; it then starts a new one."""
        with self._lock:
            child, self._child, self._running = self._child, None, None
            if child is not None:
                child.stop()

    def _ready_child(self) -> "_Child":
        if self._child is None or not self._child.alive:
            self.close()
            self._child = _Child(self.config)
        return self._child

    def _submit(self, clip: Clip) -> _Job:
        """Hand a clip to the child, after the one it works on."""
        with self._lock:
            if self._running is not None:
                self._wait(self._running)
            job = _Job(clip, self._ready_child())
            try:
                job.child.send(clip)
            except OSError:  # the child died while idle: a new one
                self.close()
                job.child = self._ready_child()
                job.child.send(clip)
            self._running = job
            return job

    def _wait(self, job: _Job) -> None:
        """Receive the answer of `job`, unless another call has done so."""
        with self._lock:
            if job.answer is not None:
                return
            if job.child is not self._child:
                job.answer = MediaUnreadable(f"{job.clip.name}: the worker was closed before the clip was decoded")
                return
            job.answer = job.child.receive(job.clip)
            self._running = None
            if not job.child.alive:
                self.close()

    def _result(self, job: _Job) -> Media:
        self._wait(job)
        if isinstance(job.answer, Exception):
            raise job.answer
        return job.answer

    def _result_or_error(self, job: _Job) -> Media | MediaError:
        try:
            return self._result(job)
        except MediaError as error:
            return error


class _Child:
    """The process, its pipe, and the thread that watches its limits."""

    def __init__(self, config: MediaConfig):
        self.config = config
        ours, theirs = socket.socketpair()
        path = [str(Path(entry or ".").absolute()) for entry in sys.path if entry]
        code = _BOOTSTRAP.format(path=path, fd=theirs.fileno(), pid=os.getpid())
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", code], pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        theirs.close()
        self.pid = self._process.pid
        self._pipe = Connection(ours.detach())
        self._finalizer = weakref.finalize(self, _end, self._process, self._pipe)
        self._begin()

    def _begin(self) -> None:
        """Hand over the config and wait until the child is ready."""
        try:
            self._pipe.send_bytes(pickle.dumps(self.config))
            ready = self._pipe.poll(_START_TIMEOUT_S) and self._pipe.recv_bytes() == b"ready"
        except (EOFError, OSError):
            ready = False
        if not ready:
            self._process.kill()
            said = self._process.stderr.read().decode(errors="replace").strip().splitlines()
            self.stop()
            raise RuntimeError(f"the decoding process did not start: {said[-1] if said else 'it gave no reason'}")

    @property
    def alive(self) -> bool:
        """True while the process runs."""
        return self._process.poll() is None

    def send(self, clip: Clip) -> None:
        """Hand over a clip, and watch the child until its answer is received."""
        self._verdict: str | None = None
        self._done = threading.Event()
        self._pipe.send_bytes(pickle.dumps(clip, protocol=5))
        self._watcher = threading.Thread(target=self._watch, name=f"media-watch-{self.pid}", daemon=True)
        self._watcher.start()

    def receive(self, clip: Clip) -> Media | Exception:
        """The answer to the clip sent last."""
        try:
            answer = pickle.loads(self._pipe.recv_bytes())
        except (EOFError, OSError):
            answer = None
        self._done.set()
        self._watcher.join()
        if answer is None:
            answer = self._why_it_ended(clip)
        return answer

    def _watch(self) -> None:
        """Kill the child when it passes a limit while it works on a clip."""
        config, begun = self.config, time.monotonic()
        cpu_begun = cpu_seconds(self.pid)
        while not self._done.wait(_POLL_S):
            if time.monotonic() - begun > config.decode_timeout_s:
                self._verdict = "timeout"
            elif resident_mb(self.pid) > config.memory_mb:
                self._verdict = "memory"
            elif cpu_seconds(self.pid) - cpu_begun > config.decode_cpu_s:
                self._verdict = "cpu"
            else:
                # The answer may lie in the pipe while the caller is busy; from then on no clock runs.
                with contextlib.suppress(OSError, EOFError):
                    if self._pipe.poll(0):
                        return
                continue
            self._process.kill()
            return

    def _why_it_ended(self, clip: Clip) -> MediaError:
        config, name = self.config, clip.name if clip.path is None else str(clip.path)
        code = self._process.wait()
        if self._verdict == "timeout":
            limit = f"media.decode_timeout_s = {config.decode_timeout_s:g} s"
            return MediaTimeout(f"{name}: decoding was stopped after the limit {limit}; raise it or shorten the span")
        if self._verdict == "cpu":
            limit = f"media.decode_cpu_s = {config.decode_cpu_s:g} s of processor time"
            return MediaTimeout(f"{name}: decoding was stopped after the limit {limit}; raise it or shorten the span")
        if self._verdict == "memory":
            limit = f"media.memory_mb = {config.memory_mb:g} MiB"
            return MediaTooLarge(
                f"{name}: decoding was stopped above the memory limit {limit}; raise it or scale the clip down",
                "out_of_memory",
            )
        return MediaUnreadable(f"{name}: the decoder crashed on this file (exit status {code})")

    def stop(self) -> None:
        """End the process and leave nothing of it."""
        self._finalizer()


def resident_mb(pid: int) -> float:
    """Resident memory of a process in MiB without mapped files; 0 where the system does not tell (no /proc)."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    kib = [int(line.split()[1]) for line in lines if line.startswith(("RssAnon:", "RssShmem:"))]
    return sum(kib) / 1024


def cpu_seconds(pid: int) -> float:
    """Processor time of a process, all threads, in seconds; 0 where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _end(process: subprocess.Popen, pipe: Connection) -> None:
    """Kill and reap the process, close its pipes."""
    process.kill()
    process.wait()
    pipe.close()
    if process.stderr is not None:
        process.stderr.close()
