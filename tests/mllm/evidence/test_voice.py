import csv
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import yaml
from shared_data import shared_dir

from cuewise.mllm.evidence import voice as voice_module
from cuewise.mllm.evidence.voice import UNITS, VoiceMeasures, voice_register

RATE_HZ = 16_000


def sung(f0_hz, duration_s=2.0, noise=0.0, level=0.1):
    """A buzz with falling harmonics whose pitch is `f0_hz`, a number or one value a sample."""
    f0 = np.broadcast_to(f0_hz, int(duration_s * RATE_HZ))
    phase = 2 * np.pi * np.cumsum(f0) / RATE_HZ
    wave = sum(np.where(k * f0 < 7000, np.sin(k * phase), 0) / k for k in range(1, 40))
    return level * (wave + noise * np.random.default_rng(0).standard_normal(len(f0)))


def syllables(gaps_s, f0_hz=140.0):
    """Buzzes of 0.14 s, the silences between them as given."""
    note = sung(f0_hz, 0.14) * np.hanning(int(0.14 * RATE_HZ))
    pieces = [np.zeros(1600), note]
    for gap in gaps_s:
        pieces += [np.zeros(int(gap * RATE_HZ)), note]
    return np.concatenate([*pieces, np.zeros(1600)])


@pytest.mark.parametrize("f0_hz", [80, 110, 165, 233, 320, 450])
def test_pitch_of_a_steady_voice_is_right_within_half_a_percent(f0_hz):
    reading = VoiceMeasures(sung(f0_hz)).read("pitch")
    assert reading.value == pytest.approx(f0_hz, rel=0.005)
    assert reading.unit == "Hz"
    assert reading.amount > 1.8


def test_pitch_survives_noise_at_10_db():
    assert VoiceMeasures(sung(200.0, noise=0.4)).read("pitch").value == pytest.approx(200, rel=0.01)


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(0), np.ones(1), np.zeros(32000), np.full(8000, np.nan), np.ones(16000),
        np.random.default_rng(0).normal(0, 0.1, 32000),
        0.3 * np.sin(2 * np.pi * 300 * np.arange(32000) / RATE_HZ),
        0.3 * np.sin(2 * np.pi * 2000 * np.arange(32000) / RATE_HZ),
        sung(150.0, 0.1),
    ],
    ids=["empty", "one", "silence", "nan", "dc", "hiss", "beep", "whistle", "short"],
)  # fmt: skip
def test_what_is_not_enough_voice_is_not_measured_and_says_why(samples):
    voice = VoiceMeasures(samples)
    for quantity, unit in UNITS.items():
        reading = voice.read(quantity)
        assert reading.value is None
        assert "voice" in reading.why
        assert reading.unit == unit
        assert reading.amount < 0.3
    assert all(set(signal.values) <= {None} or len(samples) == 1600 for signal in voice.signals().values())


def test_gain_moves_loudness_by_its_decibels_and_nothing_else():
    sound = syllables([0.1, 0.12, 0.3, 0.1, 0.1, 0.1])
    plain, louder = VoiceMeasures(sound), VoiceMeasures(sound * 10 ** (8 / 20))
    for quantity in UNITS:
        moved = 8.0 if quantity == "loudness" else 0.0
        assert louder.read(quantity).value == pytest.approx(plain.read(quantity).value + moved, abs=0.02), quantity


def test_loudness_is_decibels_of_full_scale():
    sound = sung(200.0)
    level = 10 * np.log10(np.mean(sound**2))
    assert VoiceMeasures(sound).read("loudness").value == pytest.approx(level, abs=0.3)


def test_values_of_a_span_do_not_depend_on_the_length_of_the_silence_around_it():
    sound = syllables([0.1, 0.12, 0.3, 0.1, 0.1, 0.1])
    alone = VoiceMeasures(sound)
    padded = VoiceMeasures(np.concatenate([np.zeros(RATE_HZ), sound, np.zeros(2 * RATE_HZ)]))
    for quantity in UNITS:
        there = padded.read(quantity, [(1.0, 1.0 + alone.duration_s)]).value
        # The noise floor differs, which may move an edge of the speech by one frame of 10 ms.
        assert there == pytest.approx(alone.read(quantity).value, rel=0.01, abs=0.01), quantity


def test_spans_are_pooled():
    voice = VoiceMeasures(np.concatenate([sung(120.0, 1.0), sung(240.0, 1.0), sung(120.0, 1.0)]))
    assert voice.read("pitch", [(0, 0.95), (2.05, 3)]).value == pytest.approx(120, rel=0.01)
    assert voice.read("pitch", [(1.05, 1.95)]).value == pytest.approx(240, rel=0.01)
    assert voice.read("pitch", [(0, 0.9), (1.1, 1.9)]).amount == pytest.approx(1.7, abs=0.05)
    whole = [voice.read(quantity, [(0, 1.0), (1.0, 3.0)]).value for quantity in ("pitch", "loudness", "pitch range")]
    assert whole == [voice.read(quantity).value for quantity in ("pitch", "loudness", "pitch range")]


def test_syllables_are_counted_and_pauses_do_not_slow_the_rate():
    even = VoiceMeasures(syllables([0.06] * 9))
    assert len(even.syllable_times_s) == 10
    assert even.read("rate").value == pytest.approx(5.0, rel=0.1)
    halting = VoiceMeasures(syllables([0.06] * 4 + [0.8] + [0.06] * 4))
    assert halting.read("rate").value == pytest.approx(even.read("rate").value, rel=0.1)


def test_pauses_are_the_share_of_silence_between_first_and_last_speech():
    assert VoiceMeasures(syllables([0.06] * 9)).read("pauses").value == 0
    sound = np.concatenate([sung(150.0, 1.0), np.zeros(RATE_HZ // 2), sung(150.0, 0.5), np.zeros(RATE_HZ)])
    assert VoiceMeasures(sound).read("pauses").value == pytest.approx(0.25, abs=0.03)


def test_pitch_range_is_the_distance_of_the_10_and_90_percent_quantiles():
    glide = 100 * 2 ** np.linspace(0, 1, 2 * RATE_HZ)
    assert VoiceMeasures(sung(glide)).read("pitch range").value == pytest.approx(9.6, abs=0.2)


@pytest.mark.parametrize("slope", [-6.0, -2.0, 3.0, 8.0])
def test_pitch_trend_is_the_slope_in_semitones_a_second(slope):
    glide = 180 * 2 ** (slope * np.arange(2 * RATE_HZ) / RATE_HZ / 12)
    assert VoiceMeasures(sung(glide)).read("pitch trend").value == pytest.approx(slope, abs=0.1)


@pytest.mark.parametrize("slope", [-6.0, 5.0])
def test_loudness_trend_is_the_slope_of_the_syllables_levels(slope):
    sound = syllables([0.06] * 9)
    sound = sound * 10 ** (slope * np.arange(len(sound)) / RATE_HZ / 20)
    assert VoiceMeasures(sound).read("loudness trend").value == pytest.approx(slope, abs=0.3)


def test_tremor_follows_the_depth_of_a_6_hz_modulation_and_ignores_melody():
    times = np.arange(3 * RATE_HZ) / RATE_HZ

    def measured(depth, hertz):
        shaking = 150 * 2 ** (depth * np.sin(2 * np.pi * hertz * times) / 12)
        return VoiceMeasures(sung(shaking, 3.0)).read("tremor").value

    assert measured(0.0, 6) < 0.02
    depths = [measured(depth, 6) for depth in (0.5, 1.0, 2.0)]
    assert depths[0] == pytest.approx(0.5 * 0.707 * 0.68, rel=0.15)  # 0.68 = what the band filter passes at 6 Hz
    assert depths[1] == pytest.approx(2 * depths[0], rel=0.1)
    assert depths[2] > 1.7 * depths[1]
    assert measured(1.0, 1) < 0.15 * depths[1]


def test_breathiness_grows_with_the_noise_in_the_voice():
    values = [VoiceMeasures(sung(150.0, noise=noise)).read("breathiness").value for noise in (0.02, 0.1, 0.3, 0.6)]
    assert all(later > earlier + 2 for earlier, later in pairwise(values))


def test_sample_rate_does_not_matter():
    sound, times = syllables([0.1] * 9), np.arange(0, 2.3, 1 / 48_000)
    resampled = np.interp(times, np.arange(len(sound)) / RATE_HZ, sound)
    slow, fast = VoiceMeasures(sound), VoiceMeasures(resampled, 48_000)
    assert fast.read("pitch").value == pytest.approx(slow.read("pitch").value, rel=0.005)
    assert fast.read("rate").value == pytest.approx(slow.read("rate").value, rel=0.05)


def test_wrong_input_is_refused_with_the_way_out():
    with pytest.raises(ValueError, match="unknown voice quantity `pitsch`; known: pitch"):
        VoiceMeasures(sung(150.0)).read("pitsch")
    with pytest.raises(ValueError, match=r"one channel \[n\], got shape \(2, 800\)"):
        VoiceMeasures(np.zeros((2, 800)))
    with pytest.raises(ValueError, match="sample_rate must be > 0"):
        VoiceMeasures(np.zeros(800), 0)


def test_signals_are_short_enough_to_draw():
    signals = VoiceMeasures(np.tile(sung(150.0), 6)).signals()
    assert set(signals) == {"pitch", "loudness"}
    for signal in signals.values():
        assert len(signal.times) == len(signal.values) <= 400
    assert np.median([v for v in signals["pitch"].values if v is not None]) == pytest.approx(150, rel=0.01)


def test_four_seconds_are_measured_within_150_ms_of_processor_time():
    sound = sung(150 + 30 * np.sin(np.arange(4 * RATE_HZ) / 4000), 4.0, noise=0.1)
    VoiceMeasures(sound[:1600])
    spent = []
    for _ in range(3):
        begin = time.process_time()
        voice = VoiceMeasures(sound)
        for quantity in UNITS:
            voice.read(quantity)
        spent.append(time.process_time() - begin)
    assert min(spent) < 0.15


def test_population_names_every_quantity_in_rising_quantiles():
    path = Path(voice_module.__file__).with_name("voice_population.yaml")
    table = yaml.safe_load(path.read_text(encoding="utf-8"))
    for group in (table, table["all_emotions"], table["synthetic"]):
        for register in ("low", "high"):
            rows = group[register]
            assert rows["clips"] >= 15
            assert set(rows) == {"clips", *UNITS}
            assert all(len(rows[q]) == 5 and rows[q] == sorted(rows[q]) for q in UNITS)
            assert voice_register(rows["pitch"][2]) == register


@pytest.mark.parametrize(("every", "clips"), [(8, 36), pytest.param(1, 285, marks=pytest.mark.slow)])
def test_pitch_agrees_with_published_pitch_of_real_speech(every, clips):
    """RAVDESS, 15 clips an actor. The published value is the mean of another tracker, ours the median: hence 20 %."""
    soundfile = pytest.importorskip("soundfile")
    root = shared_dir("data", "ravdess_speech")
    with (root / "clips.csv").open() as lines:
        sex = {row["clip"]: row["sex"] for row in csv.DictReader(lines)}
    with (root / "pyfeat_and_acoustic_features.csv").open() as lines:
        published = {row["clip"]: row for row in csv.DictReader(lines) if row["clip"] in sex}
    names = sorted(published)[::every]
    assert len(names) == clips
    ours, theirs, breath, harmonics = [], [], [], []
    for name in names:
        samples, rate = soundfile.read(root / "audio" / f"actor_{name[-2:]}" / f"{name}.opus", dtype="float32")
        voice = VoiceMeasures(samples, rate)
        ours.append(voice.read("pitch").value or np.nan)
        breath.append(voice.read("breathiness").value or np.nan)
        theirs.append(float(published[name]["f0_mean"]))
        harmonics.append(float(published[name]["hnr_mean"]))
    ours, theirs = np.array(ours), np.array(theirs)
    measured = np.isfinite(ours)
    correlation = np.corrcoef(np.log(ours[measured]), np.log(theirs[measured]))[0, 1]
    breath_correlation = np.corrcoef(np.array(breath)[measured], np.array(harmonics)[measured])[0, 1]
    gross = np.mean(np.abs(ours[measured] / theirs[measured] - 1) > 0.2)
    is_male = np.array([sex[name] == "male" for name in names])
    print(f"{len(names)} clips, {measured.mean():.3f} measured, r = {correlation:.3f}, gross errors {gross:.3f}, "
          f"ratio {np.median(ours[measured] / theirs[measured]):.3f}, quartiles of men "
          f"{np.nanpercentile(ours[is_male], [25, 50, 75]).round()}, women "
          f"{np.nanpercentile(ours[~is_male], [25, 50, 75]).round()}; breathiness against published "
          f"harmonics-to-noise ratio r = {breath_correlation:.3f}")  # fmt: skip
    assert measured.mean() > 0.97
    assert correlation > 0.94
    assert breath_correlation < -0.3
    assert gross < 0.12
    assert 100 < np.nanmedian(ours[is_male]) < 180 < np.nanmedian(ours[~is_male]) < 300
