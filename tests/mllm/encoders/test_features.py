import numpy as np
import pytest
import torch

from cuewise.mllm.encoders.features import PROSODY, MelConfig, log_mel, prosody, speech_span, voice_features


@pytest.mark.parametrize("samples", [1, 159, 160, 400, 16_000])
def test_number_of_frames_is_declared(samples):
    config = MelConfig()
    assert log_mel(torch.randn(samples), config).shape == (config.num_frames(samples), 64)


def test_the_same_samples_give_the_same_rows():
    wave = np.random.default_rng(0).standard_normal(8000).astype(np.float32)
    assert torch.equal(log_mel(wave, MelConfig()), log_mel(wave.copy(), MelConfig()))


@pytest.mark.parametrize("hz", [200, 1000, 4000])
def test_a_tone_is_loudest_in_the_band_around_its_frequency(hz):
    wave = torch.sin(2 * torch.pi * hz * torch.arange(16_000) / 16_000)
    band = int(log_mel(wave, MelConfig())[50].argmax())
    mels = 2595 * np.log10(1 + np.array([20, hz, 8000]) / 700)
    expected = (mels[1] - mels[0]) / (mels[2] - mels[0]) * 65 - 1
    assert abs(band - expected) <= 1


def test_ten_times_the_amplitude_is_two_bels_everywhere():
    wave = torch.randn(4000) * 0.01
    torch.testing.assert_close(log_mel(10 * wave, MelConfig()) - log_mel(wave, MelConfig()), torch.full((26, 64), 2.0),
                               atol=1e-3, rtol=0)  # fmt: skip


def test_silence_is_finite():
    assert log_mel(torch.zeros(1600), MelConfig()).isfinite().all()


def test_a_click_lies_at_its_time():
    wave = torch.zeros(16_000)
    wave[8000] = 1.0
    config = MelConfig()
    loudest = int(log_mel(wave, config).sum(1).argmax())
    assert config.times_s(101)[loudest] == pytest.approx(0.5, abs=0.011)


@pytest.mark.parametrize("bad", [torch.zeros(0), torch.zeros(2, 100)])
def test_what_is_not_mono_sound_is_refused(bad):
    with pytest.raises(ValueError, match="mono samples"):
        log_mel(bad, MelConfig())


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="not finite"):
        log_mel(torch.tensor([0.0, float("nan")]), MelConfig())


def spoken(lead_s: float, tail_s: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    noise = 1e-4 * torch.randn(int(16_000 * (lead_s + 1 + tail_s)), generator=generator)
    begin = int(16_000 * lead_s)
    noise[begin : begin + 16_000] += 0.3 * torch.randn(16_000, generator=generator)
    return noise


@pytest.mark.parametrize(("lead", "tail"), [(1.0, 0.7), (0.0, 2.0), (0.5, 0.0)])
def test_silence_around_the_speech_is_left_out_and_a_margin_kept(lead, tail):
    config = MelConfig()
    bands = log_mel(spoken(lead, tail), config)
    span = config.times_s(len(bands))[speech_span(bands, config)]
    assert span[0] == pytest.approx(max(0.0, lead - 0.1), abs=0.03)
    assert span[-1] == pytest.approx(lead + 1 + min(tail, 0.1), abs=0.03)


def test_trimming_can_be_turned_off_and_keeps_at_least_one_frame():
    bands = log_mel(spoken(1.0, 1.0), MelConfig())
    assert speech_span(bands, MelConfig(trim_db=0)) == slice(0, len(bands))
    assert len(bands[:1][speech_span(bands[:1], MelConfig())]) == 1


def gliding(low_hz: float, high_hz: float, seconds: float = 1.0) -> torch.Tensor:
    """A buzz of six harmonics whose pitch rises evenly in octaves."""
    octaves = torch.linspace(np.log2(low_hz), np.log2(high_hz), int(16_000 * seconds), dtype=torch.float64)
    phase = (2 * torch.pi * 2**octaves / 16_000).cumsum(0)
    return sum((number * phase).sin() / number for number in range(1, 7)).float() * 0.2


def test_melody_follows_a_gliding_pitch():
    columns = dict(zip(PROSODY, prosody(gliding(120, 240), 101).T))
    inside = slice(10, 90)
    assert columns["voiced"][inside].all()
    steps = columns["pitch"][inside].diff()
    assert float(steps.mean()) == pytest.approx(0.01, abs=0.001)  # an octave in 100 frames
    assert float(columns["pitch"][50]) == pytest.approx(np.log2(120 * 2**0.5 / 165), abs=0.03)
    assert float(columns["relative pitch"][inside].median()) == pytest.approx(0.0, abs=0.05)


def test_ten_times_the_amplitude_moves_the_level_alone():
    quiet, loud = (prosody(gliding(150, 200) * gain, 100) for gain in (0.05, 0.5))
    level = PROSODY.index("level")
    torch.testing.assert_close(loud[10:90, level] - quiet[10:90, level], torch.ones(80), atol=1e-2, rtol=0)
    others = [index for index in range(len(PROSODY)) if index != level]
    torch.testing.assert_close(loud[10:90, others], quiet[10:90, others], atol=1e-2, rtol=0)


@pytest.mark.parametrize("samples", [1, 200, 16_000])
def test_melody_of_silence_is_finite_and_has_no_voice(samples):
    values, times = voice_features(torch.zeros(samples), MelConfig(prosody=True))
    assert values.shape == (len(times), MelConfig(prosody=True).columns) and values.isfinite().all()
    assert not values[:, 64 + PROSODY.index("voiced")].any()
