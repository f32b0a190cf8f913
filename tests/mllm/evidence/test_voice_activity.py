import numpy as np

from cuewise.mllm.evidence.voice import VoiceMeasures
from cuewise.mllm.evidence.voice_activity import frame_level_db, runs

RATE_HZ = 16_000


def buzz(duration_s):
    times = np.arange(int(duration_s * RATE_HZ)) / RATE_HZ
    return 0.1 * sum(np.sin(2 * np.pi * k * 140 * times) / k for k in range(1, 30))


def quiet(duration_s, level=0.001):
    return level * np.random.default_rng(0).standard_normal(int(duration_s * RATE_HZ))


def spoken_stretches(*pieces):
    return [(first / 100, last / 100) for first, last in runs(VoiceMeasures(np.concatenate(pieces)).speech_mask)]


def test_speech_is_found_to_a_few_hundredths_of_a_second():
    (first, last), (again, end) = spoken_stretches(quiet(0.5), buzz(0.8), quiet(0.4), buzz(0.6), quiet(0.5))
    np.testing.assert_allclose([first, last, again, end], [0.5, 1.3, 1.7, 2.3], atol=0.05)


def test_gaps_shorter_than_a_pause_are_part_of_speaking():
    assert len(spoken_stretches(quiet(0.5), buzz(0.5), quiet(0.1), buzz(0.5), quiet(0.5))) == 1
    assert len(spoken_stretches(quiet(0.5), buzz(0.5), quiet(0.25), buzz(0.5), quiet(0.5))) == 2


def test_the_hiss_of_a_consonant_belongs_to_the_word_and_a_lonely_hiss_does_not():
    hiss = np.diff(quiet(0.12, 0.05), prepend=0)
    (first, _), = spoken_stretches(quiet(0.5), hiss, buzz(0.6), quiet(0.6))
    assert first < 0.56
    (first, _), = spoken_stretches(quiet(0.3), hiss, quiet(0.6), buzz(0.6), quiet(0.6))
    assert first > 0.9


def test_speech_is_found_in_noise_that_becomes_louder():
    (first, last), = spoken_stretches(quiet(1.5, 0.001), quiet(1.5, 0.01), 1.5 * buzz(1.0), quiet(1.0, 0.01))
    assert abs(first - 3.0) < 0.06
    assert abs(last - 4.0) < 0.06


def test_levels_are_decibels_of_full_scale():
    times = np.arange(RATE_HZ) / RATE_HZ
    np.testing.assert_allclose(frame_level_db(np.sqrt(2) * np.sin(2 * np.pi * 500 * times))[5:-5], 0, atol=0.1)
    assert len(frame_level_db(np.zeros(0))) == 1
