import numpy as np
import pytest

from cuewise.mllm.evidence.breath import noise_ratio_db

RATE_HZ = 16_000


def voice(f0_hz, noise):
    """Two seconds of harmonics up to 7 kHz at a pitch given a sample, with white noise; and its pitch by frames."""
    phase = 2 * np.pi * np.cumsum(f0_hz) / RATE_HZ
    wave = sum(np.where(k * f0_hz < 7000, np.cos(k * phase), 0) for k in range(1, 80)) / 10
    wave = wave + noise * np.random.default_rng(0).standard_normal(len(f0_hz))
    return wave, f0_hz[80::160]


def test_more_noise_is_more_decibels():
    levels = [np.median(noise_ratio_db(*voice(np.full(32000, 150.0), noise))) for noise in (0.05, 0.2, 0.8)]
    assert levels == sorted(levels)
    assert levels[1] - levels[0] > 5
    assert levels[2] - levels[1] == pytest.approx(12, abs=3)  # 4 times the noise is 12 dB


def test_a_trembling_pitch_does_not_read_as_breath():
    shaking = 150 * 2 ** (1.0 * np.sin(2 * np.pi * 6 * np.arange(32000) / RATE_HZ) / 12)
    steady, trembling = (np.median(noise_ratio_db(*voice(f0, 0.2))) for f0 in (np.full(32000, 150.0), shaking))
    assert trembling == pytest.approx(steady, abs=1.5)


def test_unvoiced_frames_have_no_value():
    sound, pitch = voice(np.full(32000, 150.0), 0.1)
    pitch[50:100] = np.nan
    ratio = noise_ratio_db(sound, pitch)
    assert np.array_equal(np.isnan(ratio), np.isnan(pitch))
    assert np.isnan(noise_ratio_db(sound, np.full(200, np.nan))).all()
