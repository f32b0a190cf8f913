"""Frames are the right ones, at the right time, the same by decord and by PyAV, and only those asked for."""

import media_samples as samples
import numpy as np
import pytest

from cuewise.mllm.clip import Clip
from cuewise.mllm.media import MediaConfig, MediaError, load_media
from cuewise.mllm.media.decode import DecordVideo, PyAvVideo, _gist, _of_sound, import_decord, scaled_size, use_video
from cuewise.mllm.media.probe import inspect

WANTED = np.array([0, 3, 20, 24, 26, 49])


def both(path, side=640):
    """(frames, picture) by decord and by PyAV."""
    header = inspect(path, MediaConfig())
    decord = DecordVideo(path, header)
    try:
        first = decord.read(WANTED, side)[0]
    finally:
        decord.close()
    pyav = PyAvVideo(path, header)
    return (first, decord), (pyav.read(WANTED, side)[0], pyav)


@pytest.mark.parametrize(("codec", "name"), [
    ("h264", "a.mp4"), ("h265", "a.mp4"), ("vp9", "a.webm"), ("av1", "a.mp4"), ("av1", "a.webm"), ("h264", "a.mkv"),
    ("h264", "a.ts"), ("h264", "a.flv"), ("mpeg4", "a.avi"), ("mjpeg", "a.mov"),
])  # fmt: skip
def test_decord_and_pyav_agree_bit_for_bit(tmp_path, codec, name):
    path = samples.write_video(tmp_path / name, samples.pattern(50), codec=codec, gop=12)
    (a, first), (b, second) = both(path)
    np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(first.times_s, second.times_s, atol=1e-4)
    assert first.problems == second.problems == []


def test_frames_are_the_ones_at_their_time(tmp_path):
    frames = samples.pattern(50)
    path = samples.write_video(tmp_path / "a.mp4", frames)
    (read, picture), _ = both(path)
    # Each frame must be nearer to its own drawing than to the neighbours'; compression blurs, but less than that.
    for index, frame in zip(WANTED, read):
        distance = [np.abs(frame.astype(int) - other).mean() for other in frames.astype(int)]
        assert int(np.argmin(distance)) == index
    np.testing.assert_allclose(picture.times_s, np.arange(50) / 25, atol=1e-3)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_turned_video_is_upright(tmp_path, degrees):
    plain = samples.sample_video(tmp_path)
    (a, first), (b, second) = both(samples.turned(plain, degrees))
    (upright, _), _ = both(plain)
    np.testing.assert_array_equal(a, b)
    assert first.size == second.size == ((120, 160) if degrees != 180 else (160, 120))
    np.testing.assert_array_equal(a[2], np.rot90(upright[2], -degrees // 90))


def test_scaling_happens_in_the_decoder_and_keeps_the_shape(tmp_path):
    path = samples.sample_video(tmp_path, size=(320, 180), seconds=2)
    (a, _), (b, _) = both(path, side=160)
    assert a.shape == b.shape == (6, 90, 160, 3)
    assert np.abs(a.astype(int) - b).mean() < 2  # two builds of swscale


@pytest.mark.parametrize(
    ("size", "side", "wanted"),
    [
        ((1920, 1080), 640, (640, 360)),
        ((320, 568), 160, (90, 160)),
        ((100, 80), 640, (100, 80)),
        ((4000, 2), 100, (100, 1)),
    ],
)
def test_scaled_size(size, side, wanted):
    assert scaled_size(size, side) == wanted


def test_damage_is_reported_and_the_rest_is_read(tmp_path):
    whole = samples.sample_video(tmp_path, seconds=4, options={"movflags": "faststart"}, sound=False)
    data = bytearray(whole.read_bytes())
    rng = np.random.default_rng(1)
    for place in rng.integers(len(data) // 2, len(data) - 100, 60):
        data[place] ^= 0xFF
    path = tmp_path / "hurt.mp4"
    path.write_bytes(data)
    media = load_media(Clip(path=path), MediaConfig(detector="none"))
    assert any(problem.code == "damaged_video" for problem in media.problems)
    assert 4 <= len(media.frames) <= 16


def test_what_decord_cannot_read_goes_to_pyav(tmp_path):
    path = samples.sample_video(tmp_path)
    header = inspect(path, MediaConfig())
    seen = []

    def use(picture):
        seen.append(type(picture))
        if isinstance(picture, DecordVideo):
            raise RuntimeError("as decord does on damage")
        return len(picture.read(WANTED, 80)[0])

    count, picture = use_video(path, header, use)
    assert (count, seen) == (6, [DecordVideo, PyAvVideo])
    assert isinstance(picture, PyAvVideo)


def test_only_the_frames_needed_are_decoded(tmp_path):
    """A frame late in a long file costs a small part of decoding all of it, thanks to key frames."""
    path = samples.sample_video(tmp_path, seconds=20, gop=25, size=(64, 48), sound=False)
    picture = PyAvVideo(path, inspect(path, MediaConfig()))
    decoded = []
    frames = picture._frames
    picture._frames = lambda *a: (decoded.append(1) or frame for frame in frames(*a))
    picture.read(np.array([10, 490]), 64)
    assert len(decoded) < 60


def test_decord_is_imported_without_the_cuda_libraries():
    import_decord()
    with open("/proc/self/maps") as maps:
        assert "/nvidia/" not in maps.read() or "torch" in __import__("sys").modules


def test_no_video_at_all_is_a_media_error(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(samples.sample_video(tmp_path, name="b.mp4").read_bytes()[:3000])
    with pytest.raises(MediaError):
        load_media(Clip(path=path), MediaConfig())


def test_what_an_audio_decoder_says_is_no_damage_of_the_picture():
    assert _of_sound("[aac @ 0x7f11] Error decoding AAC frame header.") and not _of_sound("[h264 @ 0x7f11] error while")
    assert not _of_sound("[mov,mp4,m4a @ 0x7f11] moov atom not found") and not _of_sound("Last message repeated")


def test_what_a_decoder_says_comes_without_its_clock_and_source_line():
    said = RuntimeError("[13:50:58] /project/src/video/graph.cc:55: Check failed: create_filter()\n  <trace>")
    assert _gist(said) == "Check failed: create_filter() <trace>"
