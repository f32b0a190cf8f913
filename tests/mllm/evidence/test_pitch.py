import numpy as np
import pytest

from cuewise.mllm.evidence.pitch import frame_count, track_pitch

RATE_HZ = 16_000


def buzz(f0_hz, duration_s=1.0, strongest=1):
    """Harmonics at `f0_hz`; the one numbered `strongest` stands 20 dB above its neighbours."""
    phase = 2 * np.pi * np.cumsum(np.broadcast_to(f0_hz, int(duration_s * RATE_HZ))) / RATE_HZ
    return sum((10 if k == strongest else 1) * np.sin(k * phase + k) for k in range(1, 12)) / 30


@pytest.mark.parametrize("strongest", [1, 2, 3, 4])
def test_a_strong_harmonic_is_not_taken_for_the_pitch(strongest):
    f0 = track_pitch(buzz(120.0, strongest=strongest)).f0_hz[5:-5]
    np.testing.assert_allclose(f0, 120, rtol=0.02)


def test_every_second_pulse_weaker_is_not_an_octave_lower():
    pulses = np.zeros(RATE_HZ)
    pulses[::80] = 1.0
    pulses[80::160] = 0.85
    f0 = track_pitch(np.convolve(pulses, np.hanning(30), "same")).f0_hz[5:-5]
    np.testing.assert_allclose(f0, 200, rtol=0.02)


def test_pitch_does_not_depend_on_loudness_or_on_where_the_chunks_end():
    sound = buzz(150 + 40 * np.sin(np.arange(12 * RATE_HZ) / 9000), 12.0)
    whole = track_pitch(sound)
    np.testing.assert_allclose(track_pitch(0.01 * sound).f0_hz, whole.f0_hz, rtol=1e-3)
    later = track_pitch(sound[2 * RATE_HZ :])
    np.testing.assert_allclose(later.f0_hz[10:], whole.f0_hz[210:], rtol=1e-3)


@pytest.mark.parametrize("length", [0, 1, 159, 160, 1600, 16001])
def test_every_length_has_its_frames(length):
    track = track_pitch(np.random.default_rng(0).normal(0, 0.1, length))
    assert len(track.f0_hz) == len(track.periodicity) == len(track.syllable_level_db) == frame_count(length)
    assert frame_count(length) == max(1, length // 160)


def test_filtered_hiss_has_no_pitch():
    rng = np.random.default_rng(1)
    hiss = np.diff(rng.standard_normal(2 * RATE_HZ + 1))
    voice = buzz(130.0, 2.0)
    f0 = track_pitch(np.concatenate([voice, 0.1 * hiss, voice])).f0_hz
    assert np.isfinite(f0[205:395]).mean() < 0.05
    np.testing.assert_allclose(np.nanmedian(f0), 130, rtol=0.01)
