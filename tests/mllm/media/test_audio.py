"""Sound comes out at 16 kHz, mono, finite, in time, from every format; what was wrong with it is said."""

import media_samples as samples
import numpy as np
import pytest

from cuewise.mllm.clip import Clip
from cuewise.mllm.media import MediaConfig, MediaError, load_media
from cuewise.mllm.media.audio import finish, resample, sound_from_array

CONFIG = MediaConfig(detector="none")


def pitch(sound: np.ndarray) -> float:
    """Strongest frequency in Hz."""
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return float(np.argmax(spectrum) * 16_000 / len(sound))


@pytest.mark.parametrize("kind", sorted(samples.AUDIO_FORMATS))
def test_every_format_gives_the_same_tone(tmp_path, kind):
    media = load_media(Clip(path=samples.audio_file(tmp_path, kind, seconds=1.5, hz=440)), CONFIG)
    assert media.samples.dtype == np.float32
    assert len(media.samples) / 16_000 == pytest.approx(1.5, abs=0.1)
    assert media.duration_s == pytest.approx(1.5, abs=0.1)
    assert pitch(media.samples) == pytest.approx(440, abs=2)
    assert np.sqrt(np.mean(media.samples[4000:20_000] ** 2)) == pytest.approx(0.3 / 2**0.5, rel=0.06)  # lossy
    assert media.absent["face"] == media.absent["scene"] == "the file has no picture"
    assert media.problems == []


def test_stereo_becomes_the_mean_of_its_channels(tmp_path):
    both = np.stack([samples.tone(1.0, hz=300), np.zeros(16_000, np.float32)])
    path = samples.write_audio(tmp_path / "two.flac", both, codec="flac")
    media = load_media(Clip(path=path), CONFIG)
    np.testing.assert_allclose(media.samples, both[0] / 2, atol=2e-4)


def test_surround_keeps_the_speech(tmp_path):
    voice, noise = samples.tone(1.0, hz=300), samples.tone(1.0, hz=2000)
    six = np.stack([voice, voice, voice, noise, noise, noise])  # FL FR FC LFE BL BR
    path = samples.write_audio(tmp_path / "six.flac", six, codec="flac")
    np.testing.assert_allclose(load_media(Clip(path=path), CONFIG).samples, voice, atol=2e-4)


@pytest.mark.parametrize("kind", ["wav", "flac", "mp3", "opus", "m4a"])
def test_a_span_is_the_same_as_cutting_the_whole(tmp_path, kind):
    rate = samples.AUDIO_FORMATS[kind].get("rate", 16_000)
    options = {key: value for key, value in samples.AUDIO_FORMATS[kind].items() if key != "rate"}
    times = np.arange(6 * rate) / rate
    sweep = (0.3 * np.sin(2 * np.pi * (200 * times + 50 * times**2))).astype(np.float32)
    path = samples.write_audio(tmp_path / f"sweep.{kind}", sweep, rate=rate, **options)
    whole = load_media(Clip(path=path), CONFIG).samples
    part = load_media(Clip(path=path, start=3.0, end=4.5), CONFIG)
    assert part.duration_s == pytest.approx(1.5, abs=0.02)
    assert part.start_s == 3.0
    assert len(part.samples) == pytest.approx(24_000, abs=320)
    cut = whole[48_000 : 48_000 + len(part.samples)]
    lag = np.argmax(np.correlate(cut, part.samples[400:8400], "full")) - (8400 - 400 - 1) - 400
    assert abs(lag) <= 32  # 2 ms; lossy formats restart their filters after a jump
    assert np.corrcoef(cut[800:20_000], part.samples[800:20_000])[0, 1] > 0.98


def test_sound_of_a_video_starts_when_the_video_does(tmp_path):
    click = np.zeros(32_000, np.float32)
    click[16_000:16_160] = 0.9
    path = samples.write_video(tmp_path / "a.mp4", samples.pattern(50), samples=click)
    sound = load_media(Clip(path=path), CONFIG).samples
    assert np.argmax(np.abs(sound)) / 16_000 == pytest.approx(1.0, abs=0.03)


def test_separate_sound_replaces_that_of_the_file(tmp_path):
    video = samples.sample_video(tmp_path)
    other = samples.audio_file(tmp_path, "wav", seconds=1.0, hz=660)
    for audio in (other, other.read_bytes()):
        media = load_media(Clip(path=video, audio=audio), CONFIG)
        assert pitch(media.samples) == pytest.approx(660, abs=2)
        assert media.frames is not None


def test_no_numbers_become_silence_and_are_counted():
    sound = samples.tone(1.0)
    sound[100:110], sound[200], sound[300] = np.nan, np.inf, -np.inf
    cleaned, problems = finish(sound, 16_000)
    assert np.isfinite(cleaned).all()
    assert (cleaned[100:110] == 0).all()
    assert [p.code for p in problems] == ["nan_sound"]
    assert problems[0].message.startswith("12 of 16,000 samples")


@pytest.mark.parametrize("rate", [8000, 11_025, 22_050, 44_100, 48_000])
def test_resampling_keeps_length_and_pitch(rate):
    out = resample(samples.tone(2.0, rate, hz=300), rate)
    assert len(out) == 32_000
    assert pitch(out) == pytest.approx(300, abs=1)


def test_silence_is_present_and_says_so(tmp_path):
    media = load_media(Clip(path=samples.float_wav(tmp_path / "a.wav", np.zeros(16_000))), CONFIG)
    assert len(media.samples) == 16_000
    assert [p.code for p in media.problems] == ["silent_sound"]


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.int32, np.float64, np.float32])
def test_arrays_of_any_number_type(dtype):
    tone = samples.tone(0.5, 8000)
    values = tone.astype(dtype)
    if np.issubdtype(dtype, np.integer):
        top = 2.0 ** (8 * np.dtype(dtype).itemsize - 1)
        values = (tone * (top - 1) + (top if dtype == np.uint8 else 0)).astype(dtype)
    sound = sound_from_array(np.stack([values, values]), 8000, "clip", 0.0, None)
    np.testing.assert_allclose(sound.samples, resample(tone, 8000), atol=0.02)


@pytest.mark.parametrize("values", [np.zeros((2, 3, 4)), np.zeros(0), np.array(["a"])])
def test_arrays_that_are_no_sound(values):
    with pytest.raises(MediaError, match=r"clip\.samples must be numbers") as caught:
        load_media(Clip(samples=values, sample_rate=16_000), CONFIG)
    assert caught.value.code == "bad_arrays"


def test_long_sound_without_a_length_in_its_header_is_stopped(tmp_path):
    path = samples.write_audio(tmp_path / "a.aac", samples.tone(20), codec="aac", container="adts")
    with pytest.raises(MediaError) as caught:
        load_media(Clip(path=path), MediaConfig(detector="none", max_seconds=5))
    assert caught.value.code == "too_long"
