"""The decoding process can be killed, is limited, comes back, and leaves nothing behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import media_samples as samples
import numpy as np
import pytest
from shared_data import shared_dir

from cuewise.mllm.clip import Clip
from cuewise.mllm.media import MediaConfig, MediaError, MediaTimeout, MediaTooLarge, MediaWorker, load_media
from cuewise.mllm.media.faces import DetectorError
from cuewise.mllm.media.worker import resident_mb

CONFIG = MediaConfig(detector="none")


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture(scope="module")
def worker():
    with MediaWorker(CONFIG) as worker:
        yield worker


def test_worker_and_own_process_give_the_same(worker, tmp_path):
    path = samples.sample_video(tmp_path)
    for clip in (Clip(path=path), Clip(data=path.read_bytes()), Clip(frames=samples.pattern(20), fps=25.0),
                 Clip(samples=samples.tone(1.0), sample_rate=16_000), Clip(transcript="we won")):  # fmt: skip
        ours, theirs = load_media(clip, CONFIG), worker.load(clip)
        for name in ("frames", "samples", "frame_times_s"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
        assert (ours.absent, ours.problems, ours.duration_s) == (theirs.absent, theirs.problems, theirs.duration_s)


def test_errors_come_back_as_they_are(worker, tmp_path):
    with pytest.raises(MediaError, match="there is no such file") as caught:
        worker.load(Clip(path=tmp_path / "no.mp4"))
    assert caught.value.code == "not_found"


def test_many_clips_in_order_with_errors_in_their_place(worker, tmp_path):
    good = samples.sample_video(tmp_path)
    answers = list(worker.load_many([Clip(path=good), Clip(path=tmp_path / "no.mp4"), Clip(path=good, start=1.0)]))
    assert [type(answer).__name__ for answer in answers] == ["Media", "MediaNotFound", "Media"]
    assert answers[2].start_s == 1.0
    assert list(worker.load_many([])) == []


def test_the_next_clip_is_decoded_while_this_one_is_used(worker, tmp_path):
    clips = worker.load_many([Clip(path=samples.sample_video(tmp_path))] * 2)
    next(clips)
    time.sleep(0.5)
    begun = time.perf_counter()
    media = next(clips)
    assert time.perf_counter() - begun < max(0.05, media.timing_ms["decode"] / 2000)


def test_a_batch_that_is_given_up_leaves_the_worker_usable(worker, tmp_path):
    path = samples.sample_video(tmp_path)
    some = worker.load_many([Clip(path=path), Clip(path=path), Clip(path=path)])
    next(some)
    assert worker.load(Clip(path=path, start=0.5)).start_s == 0.5  # in the middle of the batch
    assert next(some).start_s == 0.0
    some.close()
    assert worker.load(Clip(path=path, start=1.0)).start_s == 1.0


def test_too_slow_is_killed_and_the_next_clip_works(tmp_path):
    path = samples.sample_video(tmp_path, seconds=0.4, name="slow.mp4")
    with MediaWorker(MediaConfig(detector="none", decode_timeout_s=0.5)) as worker:
        worker.start()
        first = worker.pid
        os.kill(first, signal.SIGSTOP)  # a decoder that hangs
        with pytest.raises(MediaTimeout, match=r"slow\.mp4: .* media\.decode_timeout_s = 0\.5 s") as caught:
            worker.load(Clip(path=path))
        assert caught.value.code == "timeout"
        assert not os.path.exists(f"/proc/{first}")
        assert worker.load(Clip(transcript="still here")).transcript == "still here"
        assert worker.pid != first


def test_too_much_processor_time_is_killed():
    frames = np.random.default_rng(0).integers(0, 255, (600, 120, 160, 3), dtype=np.uint8)
    with MediaWorker(MediaConfig(detector="none", sampler="event", decode_cpu_s=0.1)) as worker:
        with pytest.raises(MediaTimeout, match=r"media\.decode_cpu_s = 0\.1 s"):
            worker.load(Clip(frames=frames, fps=25.0))


def test_too_much_memory_is_killed_and_the_next_clip_works():
    frames = np.zeros((400, 360, 640, 3), np.uint8)  # 264 MiB in the child
    with MediaWorker(MediaConfig(detector="none", memory_mb=200)) as worker:
        with pytest.raises(MediaTooLarge, match=r"media\.memory_mb = 200 MiB") as caught:
            worker.load(Clip(frames=frames, fps=25.0))
        assert caught.value.code == "out_of_memory"
        assert worker.load(Clip(frames=frames[:10], fps=25.0)).frames is not None


def test_a_crash_of_the_decoder_is_an_error_of_that_clip(tmp_path):
    path = samples.sample_video(tmp_path, seconds=0.4)
    with MediaWorker(CONFIG) as worker:
        worker.start()
        child = worker.pid
        os.kill(child, signal.SIGSTOP)  # so that it cannot answer before it is killed
        threading.Timer(0.2, os.kill, (child, signal.SIGKILL)).start()
        with pytest.raises(MediaError, match=r"clip\.mp4: the decoder crashed on this file"):
            worker.load(Clip(path=path))
        assert worker.load(Clip(transcript="still here")).transcript == "still here"


def test_a_child_that_died_while_idle_is_replaced(tmp_path):
    with MediaWorker(CONFIG) as worker:
        worker.start()
        os.kill(worker.pid, 9)
        time.sleep(0.2)
        assert worker.load(Clip(path=samples.sample_video(tmp_path))).frames is not None


def test_close_leaves_no_process_no_descriptor_and_no_file(tmp_path):
    import tempfile

    path = samples.sample_video(tmp_path)
    before = set(os.listdir("/proc/self/fd")), set(os.listdir(tempfile.gettempdir()))
    with MediaWorker(CONFIG) as worker:
        worker.load(Clip(data=path.read_bytes()))
        child = worker.pid
    assert not os.path.exists(f"/proc/{child}")
    assert worker.pid is None
    assert set(os.listdir("/proc/self/fd")) == before[0]
    new = set(os.listdir(tempfile.gettempdir())) - before[1]
    assert not [name for name in new if "cuewise" in name or "decord" in name]


def test_a_worker_that_is_forgotten_ends():
    worker = MediaWorker(CONFIG)
    worker.start()
    child = worker.pid
    del worker
    assert not os.path.exists(f"/proc/{child}")


def test_the_child_ends_with_its_parent():
    code = (
        "import os, sys; from cuewise.mllm.media import MediaWorker, MediaConfig;"
        "w = MediaWorker(MediaConfig(detector='none')); w.start(); print(w.pid, flush=True); os._exit(0)"
    )
    child = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    for _ in range(100):
        if not running(child):
            return
        time.sleep(0.1)
    pytest.fail("the decoding process outlived its parent by 10 s")


def test_a_wrong_detector_shows_before_the_first_clip(tmp_path):
    with pytest.raises(DetectorError, match="there is no file"):
        MediaWorker(MediaConfig(detector="yunet", yunet_path=str(tmp_path / "no.onnx")))


def test_torch_is_not_imported_in_the_child_and_memory_stays_small():
    clip = Clip(path=shared_dir("data", "av_clips", "ravdess_01-01-07-02-02-01-01.mp4"))
    with MediaWorker(MediaConfig()) as worker:
        worker.load(clip)
        with open(f"/proc/{worker.pid}/maps") as maps:
            assert "libtorch" not in maps.read()
        assert resident_mb(worker.pid) < 200  # the bar is 500


def test_several_threads_share_a_worker(worker, tmp_path):
    paths = [samples.sample_video(tmp_path, seconds=s, name=f"{s}.mp4") for s in (1, 2, 3)]
    lengths = {}

    def read(seconds, path):
        lengths[seconds] = worker.load(Clip(path=path)).duration_s

    threads = [threading.Thread(target=read, args=(i + 1, path)) for i, path in enumerate(paths)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(lengths[s] == pytest.approx(s, abs=0.1) for s in (1, 2, 3))
