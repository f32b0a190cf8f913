"""Media -> measurements, channel by channel."""

import numpy as np

from cuewise.mllm.evidence.check import check_cue
from cuewise.mllm.evidence.measure import measure, signals
from cuewise.mllm.media.types import SAMPLE_RATE_HZ, Media
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
