"""Samplers: exactly as many sorted unique frames as asked for, at the places they promise."""

import media_samples as samples
import numpy as np
import pytest

from cuewise.mllm.clip import Clip
from cuewise.mllm.media import MediaConfig, load_media
from cuewise.mllm.media.sampling import change_motion, event, flow_motion, middle, peak, uniform


def burst(count: int, *centres: int, height: float = 4.0) -> np.ndarray:
    """Motion curve with bumps of 10 frames."""
    frames = np.arange(count)
    return 0.1 + sum(height * np.exp(-(((frames - c) / 5.0) ** 2)) for c in centres)


@pytest.mark.parametrize("count", [17, 30, 64, 100, 333])
@pytest.mark.parametrize("total", [1, 2, 5, 16])
def test_exactly_total_sorted_unique_frames(count, total):
    rng = np.random.default_rng(count * 31 + total)
    curves = [rng.random(count) * 5, burst(count, count // 3), burst(count, 5, count // 2, count - 6), np.zeros(count)]
    answers = [uniform(count, total), middle(count, total)]
    answers += [sampler(curve, total) for sampler in (peak, event) for curve in curves]
    for indices in answers:
        assert len(indices) == total
        assert (np.diff(indices) > 0).all()
        assert indices[0] >= 0
        assert indices[-1] < count


@pytest.mark.parametrize("sampler", [event, peak])
def test_short_clips_give_every_frame(sampler):
    np.testing.assert_array_equal(sampler(burst(7, 3), 16), np.arange(7))
    np.testing.assert_array_equal(uniform(7, 16), np.arange(7))


def test_uniform_takes_the_middle_of_each_part():
    np.testing.assert_array_equal(uniform(100, 4), [12, 37, 62, 87])


def test_middle_and_peak_are_neighbouring_frames():
    np.testing.assert_array_equal(middle(100, 4), [48, 49, 50, 51])
    indices = peak(burst(200, 150), 8)
    np.testing.assert_array_equal(np.diff(indices), 1)
    assert indices[0] <= 150 <= indices[-1]
    np.testing.assert_array_equal(peak(burst(200, 199), 4), [196, 197, 198, 199])


def test_event_puts_its_quota_into_each_event():
    indices = event(burst(300, 60, 200), 18)
    for centre in (60, 200):
        assert ((indices >= centre - 15) & (indices <= centre + 15)).sum() >= 6
    outside = [i for i in indices if abs(i - 60) > 15 and abs(i - 200) > 15]
    assert len(outside) == 6
    assert max(outside) > 215  # filled before sorting: cutting after sorting would lose the end


def test_event_without_motion_is_uniform():
    for still in (np.zeros(100), np.full(100, 3.0), np.full(100, 3.0) + 0.001 * np.random.default_rng(0).random(100)):
        np.testing.assert_array_equal(event(still, 16), uniform(100, 16))


def test_more_events_than_frames_is_uniform():
    np.testing.assert_array_equal(event(burst(300, 40, 110, 180, 250), 4), uniform(300, 4))


def moving(count: int, start: int, end: int) -> np.ndarray:
    """A textured square that moves only between two frames."""
    rng = np.random.default_rng(0)
    patch, frames = rng.integers(60, 255, (24, 24, 3)).astype(np.uint8), np.full((count, 60, 80, 3), 40, np.uint8)
    for i in range(count):
        left = 8 + 2 * int(np.clip(i - start, 0, end - start))
        frames[i, 18:42, left : left + 24] = patch
    return frames


def test_motion_is_measured_where_it_is():
    frames = moving(60, 30, 40)
    for motion in (flow_motion(frames), change_motion(frames)):
        assert motion.shape == (60,)
        assert motion[31:41].min() > 5 * motion[:30].max() + 1e-6
    assert change_motion(frames, np.array([60, 50, 80, 60])).max() == 0


@pytest.mark.parametrize("sampler", ["event", "peak"])
def test_samplers_find_a_burst_in_a_video(tmp_path, sampler):
    path = samples.write_video(tmp_path / "a.mp4", moving(150, 90, 104), codec="h264")
    media = load_media(Clip(path=path), MediaConfig(sampler=sampler, num_frames=12, detector="none"))
    inside = (media.frame_times_s > 3.2) & (media.frame_times_s < 4.6)
    assert len(media.frame_times_s) == 12
    assert inside.sum() >= (5 if sampler == "event" else 12)


def test_long_clips_are_scanned_in_strides(tmp_path):
    path = samples.write_video(tmp_path / "a.mp4", moving(150, 90, 104))
    config = MediaConfig(sampler="event", num_frames=12, detector="none", scan_frames=50)
    times = load_media(Clip(path=path), config).frame_times_s
    assert len(times) == 12
    assert ((times > 3.2) & (times < 4.6)).sum() >= 5
