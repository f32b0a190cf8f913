"""Media -> measurements, channel by channel."""

import numpy as np

from cuewise.mllm.evidence.check import check_cue
from cuewise.mllm.evidence.measure import measure, signals
from cuewise.mllm.media.types import SAMPLE_RATE_HZ, FaceTrack, Media
from cuewise.mllm.report import Cue, Word


def hum(semitones: float, seconds: float = 6.0) -> np.ndarray:
    """A buzzing voice at 120 Hz that is `semitones` higher from 2 to 3 s."""
    t = np.arange(int(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    f0 = np.where((t >= 2) & (t < 3), 120 * 2 ** (semitones / 12), 120.0)
    phase = 2 * np.pi * np.cumsum(f0) / SAMPLE_RATE_HZ
    return (0.1 * sum(np.sin(k * phase) / k for k in range(1, 12))).astype(np.float32)


def test_absent_channels_say_why():
    found = measure(Media(duration_s=2.0, transcript="hello", absent={"voice": "the file has no audio stream"}))
    assert (found.voice, found.face, found.scene) == (None, None, None)
    assert found.absent["voice"] == "the file has no audio stream"
    assert "no picture" in found.absent["face"] and "no picture" in found.absent["scene"]
    assert "words" not in found.absent
    assert signals(found) == {}


def test_a_claim_about_a_real_signal_gets_its_verdict():
    found = measure(Media(duration_s=6.0, samples=hum(5.0), words=[Word(text="hm")]))
    for text, verdict in (("pitch strongly higher", "supported"), ("pitch slightly lower", "contradicted")):
        check = check_cue(Cue(channel="voice", start=2.0, end=3.0, observation=text), found).check
        assert check.verdict == verdict
        assert abs(check.measured - 160.2) < 3 and abs(check.reference - 120) < 2


def test_curves_are_named_by_channel():
    curves = signals(measure(Media(duration_s=6.0, samples=hum(5.0))))
    assert set(curves) >= {"voice.pitch", "voice.loudness"}
    pitch = curves["voice.pitch"]
    assert len(pitch.times) == len(pitch.values) <= 400


def test_a_settled_clip_reads_the_same_and_holds_no_pictures():
    draw = np.random.default_rng(3)
    count, pixels = 6, draw.integers(0, 255, (6, 40, 60, 3), np.uint8)
    face = FaceTrack(
        boxes=np.tile(np.array((9, 9, 30, 30), np.float32), (count, 1)), scores=np.ones(count, np.float32),
        crops=draw.integers(0, 255, (count, 112, 112, 3), np.uint8), found=np.arange(count) != 2,
    )  # fmt: skip
    times = np.arange(count, dtype=np.float32) / 4
    media = Media(duration_s=1.5, frames=pixels, frame_times_s=times, frame_size=(60, 40), face=face)
    fresh, settled = measure(media), measure(media)
    settled.settle()
    assert signals(settled) == signals(fresh)
    for quantity in ("brightness", "motion", "people"):
        assert settled.scene.read(quantity, [(0.0, 1.0)]) == fresh.scene.read(quantity, [(0.0, 1.0)])
    assert settled.face.read("AU12") == fresh.face.read("AU12")
    assert media.outline().frames.nbytes == 0 and len(media.outline().frames) == count
    assert settled.face._crops.nbytes == settled.scene._media.frames.nbytes == 0 and media.frames is pixels
