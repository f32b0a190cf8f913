"""Still and animated images, and frames handed in as arrays."""

import media_samples as samples
import numpy as np
import pytest
from PIL import Image

from cuewise.mllm.clip import Clip
from cuewise.mllm.media import MediaConfig, MediaError, load_media

CONFIG = MediaConfig(detector="none", frame_size=160)


def still(folder, name="still.png", **options):
    path = folder / name
    Image.fromarray(samples.pattern(1)[0]).save(path, **options)
    return path


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.bmp", "a.tiff", "a.gif", "a.avif"])
def test_a_still_image_is_one_frame_without_length_or_sound(tmp_path, name):
    if name == "a.avif" and ".avif" not in Image.registered_extensions():
        pytest.skip("this Pillow reads no AVIF")
    media = load_media(Clip(path=still(tmp_path, name)), CONFIG)
    assert media.frames.shape == (1, 120, 160, 3)
    assert (media.duration_s, media.frame_size, media.frame_times_s.tolist()) == (0.0, (160, 120), [0.0])
    assert media.absent["voice"] == "an image has no sound"
    assert np.abs(media.frames[0].astype(int) - samples.pattern(1)[0]).mean() < 12


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_animations_keep_their_times(tmp_path, name):
    frames = [Image.fromarray(frame) for frame in samples.pattern(10)]
    path = tmp_path / name
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=[40] * 5 + [200] * 5)
    media = load_media(Clip(path=path), CONFIG)
    assert media.duration_s == pytest.approx(1.2, abs=0.01)
    np.testing.assert_allclose(media.frame_times_s, [0, .04, .08, .12, .16, .2, .4, .6, .8, 1.0], atol=1e-3)
    assert media.absent["voice"] == "an animated image has no sound"
    for index in (0, 4, 9):
        difference = [np.abs(media.frames[index].astype(int) - other).mean() for other in samples.pattern(10)]
        assert int(np.argmin(difference)) == index


def test_turned_photographs_are_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    media = load_media(Clip(path=still(tmp_path, "a.jpg", exif=exif, quality=95)), CONFIG)
    plain = load_media(Clip(path=still(tmp_path, "b.jpg", quality=95)), CONFIG)
    assert media.frame_size == (120, 160)
    assert np.abs(media.frames[0].astype(int) - np.rot90(plain.frames[0], -1)).mean() < 3


def test_transparency_becomes_white(tmp_path):
    path = tmp_path / "a.png"
    Image.new("RGBA", (64, 48), (255, 0, 0, 0)).save(path)
    assert (load_media(Clip(path=path), CONFIG).frames == 255).all()


def test_sixteen_bit_pictures_are_not_washed_out(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.full((48, 64), 40_000, np.uint16)).save(path)
    assert load_media(Clip(path=path), CONFIG).frames.mean() == pytest.approx(40_000 / 256, abs=1)


def test_image_and_sound_together(tmp_path):
    media = load_media(Clip(path=still(tmp_path), audio=samples.audio_file(tmp_path, "wav", seconds=1.0)), CONFIG)
    assert len(media.frames) == 1
    assert media.duration_s == pytest.approx(1.0, abs=0.01)
    assert "voice" not in media.absent


def test_arrays_are_sampled_like_files():
    frames = samples.pattern(50)
    media = load_media(Clip(frames=frames, fps=25.0, samples=samples.tone(2.0), sample_rate=16_000), CONFIG)
    np.testing.assert_array_equal(media.frames, frames[np.round(media.frame_times_s * 25).astype(int)])
    assert (len(media.frames), media.duration_s) == (16, 2.0)
    assert media.absent == {"face": "the face detector is off (media.detector is 'none')",
                            "words": media.absent["words"]}  # fmt: skip


@pytest.mark.parametrize(
    ("shape", "dtype"), [((2, 4, 4), np.uint8), ((2, 4, 4, 3), np.float64), ((0, 4, 4, 3), np.uint8)]
)
def test_arrays_that_are_no_picture(shape, dtype):
    frames = np.zeros(shape, dtype)
    with pytest.raises(MediaError, match=r"clip\.frames must be uint8") as caught:
        load_media(Clip(frames=frames, fps=25.0), CONFIG)
    assert caught.value.code == "bad_arrays"


def test_limits_count_for_arrays_and_animations(tmp_path):
    tight = MediaConfig(detector="none", max_seconds=1.0)
    frames = samples.pattern(50)
    path = tmp_path / "a.gif"
    pictures = [Image.fromarray(frame) for frame in frames[:10]]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=200)
    for clip in (Clip(frames=frames, fps=25.0), Clip(path=path)):
        with pytest.raises(MediaError) as caught:
            load_media(clip, tight)
        assert caught.value.code == "too_long"
    assert load_media(Clip(path=path, start=0.5, end=1.2), tight).duration_s == pytest.approx(0.7)
