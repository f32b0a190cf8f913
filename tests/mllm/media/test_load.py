"""One clip in, everything that is there out, and a reason for everything that is not."""

import media_samples as samples
import numpy as np
import pytest
from PIL import Image
from shared_data import shared_dir

from cuewise.mllm.clip import Clip
from cuewise.mllm.media import MediaConfig, MediaError, load_media
from cuewise.mllm.media.faces import DetectorError
from cuewise.mllm.media.load import NO_WORDS
from cuewise.mllm.report import Word

CONFIG = MediaConfig(detector="none")
STREAMS = {"face", "scene", "voice", "words"}


def present(media) -> set[str]:
    there = {"face": media.face, "scene": media.frames, "voice": media.samples, "words": media.transcript}
    return {name for name, value in there.items() if value is not None}


def clips(folder):
    video = samples.sample_video(folder)
    mute = samples.sample_video(folder, sound=False, name="mute.mp4")
    still = folder / "still.png"
    Image.fromarray(samples.pattern(1)[0]).save(still)
    yield Clip(path=video, transcript="we won"), {"scene", "voice", "words"}, {}
    yield Clip(path=mute), {"scene"}, {"voice": "the file has no sound", "words": NO_WORDS}
    yield Clip(path=samples.audio_file(folder, "wav")), {"voice"}, {"scene": "the file has no picture"}
    yield Clip(path=still), {"scene"}, {"voice": "an image has no sound"}
    yield Clip(transcript="we won"), {"words"}, {"scene": "no picture was given", "voice": "no sound was given"}
    yield Clip(audio=samples.audio_file(folder, "flac")), {"voice"}, {"scene": "no picture was given"}
    yield Clip(path=video, audio=mute), {"scene"}, {"voice": "the separate audio file has no sound"}
    yield Clip(data=video.read_bytes()), {"scene", "voice"}, {}


def test_every_stream_is_there_or_says_why(tmp_path):
    for clip, streams, reasons in clips(tmp_path):
        media = load_media(clip, CONFIG)
        assert present(media) == streams
        assert set(media.absent) == STREAMS - streams
        assert reasons.items() <= media.absent.items()
        assert media.timing_ms["decode"] > 0


def test_a_face_that_is_not_there_says_so(tmp_path):
    media = load_media(Clip(path=samples.sample_video(tmp_path, seconds=0.4)), MediaConfig())
    assert media.absent["face"] == "no face was found in 10 sampled frames"


def test_shapes_and_clocks(tmp_path):
    media = load_media(Clip(path=samples.sample_video(tmp_path, seconds=3, size=(320, 180))), CONFIG)
    assert media.frames.shape == (16, 90, 160, 3)
    assert media.frames.dtype == np.uint8
    assert media.frame_size == (320, 180)
    assert media.frame_times_s.dtype == np.float32
    assert (np.diff(media.frame_times_s) > 0).all()
    assert media.duration_s == pytest.approx(3.0, abs=0.1)
    assert media.problems == []


def test_a_span_is_read_alone_and_its_clock_starts_at_its_begin(tmp_path):
    path = samples.sample_video(tmp_path, seconds=4)
    words = [Word(text="a", start=0.2, end=0.5), Word(text="b", start=1.4, end=1.8), Word(text="c", start=3.0, end=3.4),
             Word(text="d")]  # fmt: skip
    media = load_media(Clip(path=path, start=1.5, end=2.5, words=words), MediaConfig(detector="none", num_frames=5))
    whole = load_media(Clip(path=path), MediaConfig(detector="none", num_frames=100))
    assert (media.start_s, media.duration_s) == (1.5, 1.0)
    assert media.frame_times_s[0] >= 0
    assert media.frame_times_s[-1] < 1.0
    for frame, time in zip(media.frames, media.frame_times_s):
        np.testing.assert_array_equal(frame, whole.frames[round((time + 1.5) * 25)])
    assert len(media.samples) == pytest.approx(16_000, abs=200)
    assert [(w.text, w.start and round(w.start, 6), w.end and round(w.end, 6)) for w in media.words] == [
        ("b", 0.0, 0.3), ("d", None, None)]  # fmt: skip
    assert media.transcript == "b d"


@pytest.mark.parametrize("span", [{"start": 10.0}, {"start": 10.0, "end": 12.0}])
def test_a_span_behind_the_end_is_an_error(tmp_path, span):
    for path in (samples.sample_video(tmp_path), samples.audio_file(tmp_path, "wav")):
        with pytest.raises(MediaError, match="nothing in the span 10 s to") as caught:
            load_media(Clip(path=path, **span), CONFIG)
        assert caught.value.code == "bad_span"


@pytest.mark.parametrize("end", [9.0, 9999.0])
def test_a_span_that_reaches_over_the_end_is_cut_and_says_so(tmp_path, end):
    media = load_media(Clip(path=samples.sample_video(tmp_path), start=1.0, end=end), CONFIG)
    assert media.duration_s == pytest.approx(1.0, abs=0.1)
    assert [problem.code for problem in media.problems] == ["span_cut"]


def test_a_long_clip_is_refused_but_a_span_of_it_is_read(tmp_path):
    frames = np.repeat(samples.pattern(2, (64, 48)), 90, axis=0)
    path = samples.write_video(tmp_path / "long.mkv", frames, fps=1, codec="mpeg4", samples=samples.tone(180, 8000),
                               rate=8000, audio_codec="pcm_s16le")  # fmt: skip
    for clip in (Clip(path=path), Clip(path=path, start=10.0), Clip(path=path, start=10.0, end=140.0)):
        with pytest.raises(MediaError, match=r"media\.max_seconds is 120 s") as caught:
            load_media(clip, CONFIG)
        assert caught.value.code == "too_long"
    media = load_media(Clip(path=path, start=100.0, end=110.0), CONFIG)
    assert (media.duration_s, len(media.frames)) == (10.0, 10)
    assert len(media.samples) == pytest.approx(160_000, abs=1600)


def test_bytes_path_and_text_path_are_the_same(tmp_path):
    path = samples.sample_video(tmp_path)
    clips = (Clip(path=path), Clip(path=str(path)), Clip(data=path.read_bytes()))
    a, b, c = (load_media(clip, CONFIG) for clip in clips)
    for other in (b, c):
        np.testing.assert_array_equal(a.frames, other.frames)
        np.testing.assert_array_equal(a.samples, other.samples)
        assert a.duration_s == other.duration_s


def test_the_same_clip_gives_the_same_media():
    clip = Clip(path=shared_dir("data", "av_clips", "cremad_1001_DFA_ANG_XX.mp4"))
    a, b = (load_media(clip, MediaConfig(num_frames=6)) for _ in range(2))
    for name in ("boxes", "scores", "crops", "found"):
        np.testing.assert_array_equal(getattr(a.face, name), getattr(b.face, name))
    np.testing.assert_array_equal(a.frames, b.frames)
    np.testing.assert_array_equal(a.samples, b.samples)


def test_the_part_that_is_whole_is_kept(tmp_path):
    """Sound of a file whose picture is destroyed, and the other way round."""
    path = samples.write_video(tmp_path / "a.mkv", samples.pattern(50), samples=samples.tone(2.0))
    header = path.read_bytes()
    hurt = tmp_path / "hurt.mkv"
    at = header.index(b"V_MPEG4/ISO/AVC")
    hurt.write_bytes(header[:at] + b"V_XXXXX/XXX/XXX" + header[at + 15 :])
    media = load_media(Clip(path=hurt), CONFIG)
    assert present(media) == {"voice"}
    assert media.absent["scene"]


def test_context_and_language_are_carried(tmp_path):
    clip = Clip(path=samples.audio_file(tmp_path, "wav"), transcript="tak", language="pl", context="she lost")
    media = load_media(clip, CONFIG)
    assert (media.transcript, media.language, media.context) == ("tak", "pl", "she lost")


def test_a_blank_transcript_is_no_words(tmp_path):
    media = load_media(Clip(path=samples.audio_file(tmp_path, "wav"), transcript="  "), CONFIG)
    assert media.absent["words"] == NO_WORDS


def test_sound_alone_asks_for_no_face_detector(tmp_path):
    config = MediaConfig(detector="yunet", yunet_path=str(tmp_path / "nowhere.onnx"))
    tone = np.sin(np.arange(16000) / 20).astype(np.float32)
    assert present(load_media(Clip(samples=tone, sample_rate=16000), config)) == {"voice"}
    with pytest.raises(DetectorError, match="there is no file"):
        load_media(Clip(frames=np.zeros((4, 64, 64, 3), np.uint8), fps=4.0), config)
