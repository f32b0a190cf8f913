"""Pictures of a clip: times of all frames, and the pixels of chosen ones, scaled inside the decoder.

Every reader has the same face (`Picture`): `times_s` of all frames, `size` as shown, `read(indices, long_side)`. Video
is read by decord; where decord fails, by PyAV, which goes on after damage. Only frames that are asked for are
converted, and decoding starts at the key frame before them.
"""

import os
import re
import sys
import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

import numpy as np

from cuewise.mllm.media.errors import MediaError, MediaUnreadable
from cuewise.mllm.media.probe import Header, Source, open_container, opened
from cuewise.mllm.report import Problem

# Frames up to this many pixels are decoded by one thread: start-up and waiting cost more than a second one saves.
_ONE_THREAD_PIXELS = 1280 * 720
_DECODER_LINE = re.compile(r"^\[[^\]]* @ 0x[0-9a-f]+\]|^\[[\d:]*\] /|^\s*\[bt\]|^Stack trace|^\s*Last message repeated")
_stderr_lock = threading.Lock()
_import_lock = threading.Lock()
T = TypeVar("T")


class Picture(Protocol):
    """The frames of one clip."""

    times_s: np.ndarray
    """float64 [n], ascending, from the begin of the file."""

    size: tuple[int, int]
    """(width, height) in pixels as shown."""

    end_s: float
    """When the last frame ends."""

    problems: list[Problem]

    def read(self, indices: np.ndarray, long_side: int) -> tuple[np.ndarray, np.ndarray]:
        """Pixels of the frames `indices` (ascending) as uint8 [k, h, w, 3] RGB, and the indices that could be read."""
        ...


def scaled_size(size: tuple[int, int], long_side: int) -> tuple[int, int]:
    """(width, height) with the longer side at most `long_side`, shape kept, never enlarged."""
    factor = min(1.0, long_side / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def use_video(source: Source, header: Header, use: Callable[["Picture"], T]) -> tuple[T, "Picture"]:
    """`use(picture)` and the picture it was done with: by decord, or by PyAV when decord fails on the way."""
    try:
        video = DecordVideo(source, header)
        try:
            result = use(video)
        finally:
            video.close()
        return result, video
    except (MediaError, MemoryError):
        raise
    except Exception as error:  # process boundary to C++: decord raises its own and builtin types
        fallback = PyAvVideo(source, header, _gist(error))
        return use(fallback), fallback


def import_decord():
    """The `decord` module, imported without the CUDA libraries that it would load beside it.

    decord's import opens every shared library of every installed `nvidia-*` package (with torch installed: 0.7 s of
    processor time and 340 MB of memory). Only NVDEC needs them, and clips are decoded on the CPU.
    """
    with _import_lock:
        if "decord" not in sys.modules:
            hidden = sys.modules.get("nvidia")
            sys.modules["nvidia"] = None  # type: ignore[assignment]  # find_spec("nvidia") then answers None
            try:
                import decord  # noqa: F401
            finally:
                if hidden is None:
                    del sys.modules["nvidia"]
                else:
                    sys.modules["nvidia"] = hidden
        return sys.modules["decord"]


class DecordVideo:
    """Video by decord. Raises decord's own errors when the file is too damaged for it; `close` it after use."""

    def __init__(self, source: Source, header: Header):
        self._source, self._pixels = source, header.width * header.height
        self.problems: list[Problem] = []
        self._log = _DecoderLog()
        try:
            self._reader = self._open()
            spans = self._reader.get_frame_timestamp(range(len(self._reader))).astype(np.float64)
            height, width = self._reader[0].shape[:2]
            if not np.isfinite(spans).all():
                raise ValueError("frame times are not finite")
        except BaseException:
            self.close()
            raise
        self.size = (width, height)
        shift = header.video_offset_s - spans[0, 0]
        self.times_s, self.end_s = np.maximum.accumulate(spans[:, 0] + shift), float(spans[-1, 1] + shift)

    def _open(self, width: int = -1, height: int = -1):
        # fault_tol=1: more than one frame that decord would silently replace by its neighbour is an error, and PyAV
        # then says which frames are lost.
        threads = 1 if self._pixels <= _ONE_THREAD_PIXELS else min(os.cpu_count() or 1, 4)
        return import_decord().VideoReader(
            opened(self._source), width=width, height=height, num_threads=threads, fault_tol=1
        )

    def read(self, indices: np.ndarray, long_side: int) -> tuple[np.ndarray, np.ndarray]:
        """See `Picture.read`."""
        target = scaled_size(self.size, long_side)
        if target == self.size:
            self._reader = self._reader or self._open()
            return self._reader.get_batch(indices).asnumpy(), indices
        self._reader = None  # two readers of a large picture would hold twice the memory
        return self._open(*target).get_batch(indices).asnumpy(), indices

    def close(self) -> None:
        """Stop the decoder threads, and note in `problems` what they complained of."""
        self._reader = None
        messages = self._log.stop()
        if messages:
            self.problems.append(_damaged(messages[0]))


class PyAvVideo:
    """Video by PyAV: slower in Python, but it goes on after damage and knows which frames are lost."""

    def __init__(self, source: Source, header: Header, why: str = ""):
        self._source, self._header = source, header
        self.problems: list[Problem] = []
        self._errors = 0
        pts, keys, unit = self._index()
        if not pts:
            raise MediaUnreadable(f"{header.name}: the picture cannot be decoded ({why or 'no frames found'})")
        self._pts, self._keys = np.array(pts), keys
        self.times_s = (self._pts - self._pts[0]) * unit + header.video_offset_s
        step = float(np.median(np.diff(self.times_s))) if len(pts) > 1 else 0.04
        self.end_s = float(self.times_s[-1]) + step
        first = next(iter(self._decoded(self._pts[:1])), None) or next(iter(self._decoded(self._pts)), None)
        if first is None:
            raise MediaUnreadable(f"{header.name}: no frame of the picture can be decoded ({why or 'damaged data'})")
        turned = first[1].rotation % 180 != 0
        self.size = (first[1].height, first[1].width) if turned else (first[1].width, first[1].height)

    def _index(self) -> tuple[list[int], list[int], float]:
        """Time stamps of all frames, those of the key frames, and their unit in seconds; nothing is decoded."""
        pts, keys = [], []
        with open_container(self._source) as container:
            stream = container.streams[self._header.video_stream]
            try:
                for packet in container.demux(stream):
                    if packet.size and packet.pts is not None:
                        pts.append(packet.pts)
                        keys += [packet.pts] if packet.is_keyframe else []
            except Exception:  # damage ends the index; what came before it can still be read
                self._errors += 1
            return sorted(set(pts)), sorted(keys), float(stream.time_base)

    def _decoded(self, wanted: np.ndarray) -> Iterator[tuple[int, object]]:
        """(time stamp, frame) of those wanted time stamps (ascending) that can be decoded."""
        left = deque(int(stamp) for stamp in wanted)
        with open_container(self._source) as container:
            stream = container.streams[self._header.video_stream]
            stream.thread_type = "AUTO" if self._header.width * self._header.height > _ONE_THREAD_PIXELS else "NONE"
            sought = self._pts[0]
            frames = self._frames(container, stream)
            while left:
                key = self._key_before(left[0])
                if key > sought:
                    frames, sought = self._sought(container, stream, key, frames), key
                for frame in frames:
                    while left and left[0] < frame.pts:
                        left.popleft()
                    if left and left[0] == frame.pts:
                        yield left.popleft(), frame
                    # A key frame between here and the next wanted frame is a shorter way to it.
                    if not left or self._key_before(left[0]) > max(sought, frame.pts):
                        break
                else:
                    return

    def _sought(self, container, stream, key: int, frames: Iterator) -> Iterator:
        """Frames from the key frame `key` on, or the frames as they come when the file is not seekable."""
        try:
            container.seek(key, stream=stream)
        except Exception:  # PyAV maps ffmpeg codes to many types
            self._errors += 1
            return frames
        return self._frames(container, stream)

    def _key_before(self, stamp: int) -> int:
        place = bisect_right(self._keys, stamp)
        return self._keys[place - 1] if place else int(self._pts[0])

    def _frames(self, container, stream) -> Iterator:
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
                frames = [] if packet is None else packet.decode()
            except EOFError:
                return
            except Exception:  # damaged packet: counted and passed over; after a demuxer error `packets` is at its end
                self._errors += 1
                continue
            if packet is None:
                return
            yield from (frame for frame in frames if frame.pts is not None)

    def read(self, indices: np.ndarray, long_side: int) -> tuple[np.ndarray, np.ndarray]:
        """See `Picture.read`; lost frames are left out and listed in `problems`."""
        target = scaled_size(self.size, long_side)
        places = {int(self._pts[index]): index for index in indices}
        arrays, kept, corrupt = [], [], 0
        for stamp, frame in self._decoded(self._pts[indices]):
            arrays.append(_rgb(frame, target))
            kept.append(places[stamp])
            corrupt += bool(frame.is_corrupt)
        self._note(len(indices) - len(kept), corrupt)
        shape = (0, target[1], target[0], 3)
        return np.stack(arrays) if arrays else np.zeros(shape, np.uint8), np.array(kept, dtype=np.int64)

    def _note(self, lost: int, corrupt: int) -> None:
        if (lost or corrupt or self._errors) and not self.problems:
            self.problems.append(_damaged(f"{lost} sampled frames lost, {corrupt} damaged, {self._errors} errors"))


def _rgb(frame, target: tuple[int, int]) -> np.ndarray:
    """uint8 [h, w, 3], scaled by swscale to `target` (as shown) and turned upright."""
    turned = frame.rotation % 180 != 0
    width, height = target[::-1] if turned else target
    array = frame.reformat(width=width, height=height, format="rgb24", interpolation="BICUBIC").to_ndarray()
    return np.rot90(array, round(frame.rotation / 90) % 4) if frame.rotation else array


_PLACE = re.compile(r"^\[[\d:]+\] \S+:\d+: ")


def _damaged(detail: str) -> Problem:
    return Problem(code="damaged_video", message=f"the picture is damaged: {detail}")


def _gist(error: BaseException) -> str:
    """What an error says, without the clock and the source line that decord puts in front."""
    return _PLACE.sub("", " ".join(str(error).split()))[:100]


class _DecoderLog:
    """Collects what decord's ffmpeg prints to standard error, the only place where it reports damage.

    The descriptor belongs to the whole process, so one reader at a time has it, and lines that are not the decoder's
    are handed back at the end.
    """

    def __init__(self) -> None:
        _stderr_lock.acquire()
        self._open, self._saved, self._caught = True, None, None
        try:
            self._saved = os.dup(2)
        except OSError:  # no standard error: nothing to collect
            return
        self._caught = os.memfd_create("decoder-log") if hasattr(os, "memfd_create") else os.open(os.devnull, os.O_RDWR)
        os.dup2(self._caught, 2)

    def stop(self) -> list[str]:
        """The messages; standard error is as before. A second call answers nothing."""
        if not self._open:
            return []
        self._open = False
        try:
            return self._messages() if self._caught is not None else []
        finally:
            _stderr_lock.release()

    def _messages(self) -> list[str]:
        os.dup2(self._saved, 2)
        text = os.pread(self._caught, 1 << 16, 0).decode(errors="replace")
        os.close(self._saved)
        os.close(self._caught)
        lines = [line for line in text.splitlines() if line.strip()]
        foreign = [line for line in lines if not _DECODER_LINE.match(line)]
        if foreign:
            os.write(2, ("\n".join(foreign) + "\n").encode())
        return [_plain(line) for line in lines if _DECODER_LINE.match(line) and not _of_sound(line)]


def _of_sound(line: str) -> bool:
    """Whether an audio decoder says it: decord tries all tracks when it opens a file, and sound is read elsewhere."""
    from av.codec import Codec
    from av.codec.codec import UnknownCodecError

    name = re.match(r"\[(\w+)", line)
    try:
        return name is not None and Codec(name[1], "r").type == "audio"
    except UnknownCodecError:
        return False


def _plain(line: str) -> str:
    """A message of ffmpeg without its address."""
    return re.sub(r"^\[([^\]]*?) @ 0x[0-9a-f]+\]\s*", r"\1: ", line).strip()[:160]
