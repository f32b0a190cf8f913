import time
from itertools import pairwise

import numpy as np
import pytest

from cuewise.data_recipes.synthetic.phones import PHONES, sounds
from cuewise.data_recipes.synthetic.voice import AMOUNTS, DEGREES, DIRECTIONS, VoiceEvent, VoiceProgram, synthesize
from cuewise.mllm.evidence.voice import VoiceMeasures

TEXT = "We have to leave the house right now because the water keeps rising and nobody answers the telephone"
LEVELS = [(name, way) for name in DIRECTIONS for way in ("higher", "lower", "more", "fewer") if way in DIRECTIONS[name]]
TRENDS = [(name, way) for name in ("pitch", "loudness") for way in ("rising", "falling")]


def spoken(seed, events=(), duration_s=5.6, text=TEXT, **options):
    f0 = float(np.random.default_rng([seed, 9]).uniform(95, 260))
    return synthesize(VoiceProgram(transcript=text, duration_s=duration_s, base_f0_hz=f0, seed=seed,
                                   events=list(events), **options))  # fmt: skip


def moved(attribute, direction, degree, seed, length_s=1.7):
    """How far the event moved the measured value to its side: against the rest, or from 0 for a trend."""
    start = float(np.random.default_rng([seed, 8]).uniform(0.4, 3.2))
    event = VoiceEvent(attribute, direction, degree, start, start + length_s)
    voice = VoiceMeasures(spoken(seed, [event])[0])
    sign = 1 if direction in ("higher", "more", "rising") else -1
    if direction in ("rising", "falling"):
        return sign * voice.read(f"{attribute} trend", [(event.start, event.end)]).value
    rest = voice.read(attribute, [(0, event.start), (event.end, 5.6)]).value
    here = voice.read(attribute, [(event.start, event.end)]).value
    return sign * (np.log2(here / rest) if attribute in ("pitch", "rate") else here - rest)


@pytest.mark.parametrize(("attribute", "direction"), LEVELS + TRENDS)
def test_the_measured_value_moves_to_the_programmed_side(attribute, direction):
    assert all(moved(attribute, direction, "clearly", seed) > 0 for seed in range(3))


@pytest.mark.slow
@pytest.mark.parametrize(("attribute", "direction"), LEVELS + TRENDS)
def test_measured_values_follow_the_program_for_20_speakers_and_grow_with_the_degree(attribute, direction):
    """20 speakers at `clearly`, 8 at the other degrees, 18 ways: 648 clips."""
    speakers = {"slightly": 8, "clearly": 20, "strongly": 8}
    changes = {d: [moved(attribute, direction, d, seed) for seed in range(speakers[d])] for d in DEGREES}
    means = [float(np.mean(changes[degree])) for degree in DEGREES]
    right = {degree: float(np.mean(np.array(changes[degree]) > 0)) for degree in DEGREES}
    print(f"{attribute} {direction}: means {np.round(means, 2)}, right side {right}")
    assert right["clearly"] >= 0.95
    assert right["strongly"] >= 0.95
    assert 0 < means[0] < means[1] < means[2]


@pytest.mark.parametrize("degree", DEGREES)
def test_pitch_and_loudness_move_by_the_documented_amount(degree):
    for attribute, tolerance in (("pitch", 0.6), ("loudness", 0.8)):
        amount = AMOUNTS[attribute][DEGREES.index(degree)]
        changes = [moved(attribute, "higher", degree, seed) * (12 if attribute == "pitch" else 1) for seed in range(4)]
        assert np.mean(changes) == pytest.approx(amount, abs=tolerance)


def test_base_values_are_those_of_the_program():
    for seed, (f0, level) in enumerate([(90, -30), (140, -20), (210, -35), (300, -26)]):
        samples, _ = synthesize(VoiceProgram(transcript=TEXT, duration_s=5.5, base_f0_hz=f0, base_loudness_db=level,
                                             base_rate=5.0, seed=seed))  # fmt: skip
        voice = VoiceMeasures(samples)
        assert voice.read("pitch").value == pytest.approx(f0, rel=0.06)
        assert voice.read("loudness").value == pytest.approx(level, abs=1.0)
        assert voice.read("rate").value == pytest.approx(5.0, rel=0.2)


def test_a_whole_clip_event_moves_the_whole_clip():
    plain = VoiceMeasures(spoken(3)[0])
    raised = VoiceMeasures(spoken(3, [VoiceEvent("pitch", "higher", "clearly", 0, 5.6)])[0])
    assert 12 * np.log2(raised.read("pitch").value / plain.read("pitch").value) == pytest.approx(4, abs=0.4)


def test_pitch_steady_flattens_the_melody():
    for seed in range(3):
        voice = VoiceMeasures(spoken(seed, [VoiceEvent("pitch", "steady", "clearly", 2, 4)])[0])
        assert voice.read("pitch range", [(2, 4)]).value < 0.6 * voice.read("pitch range", [(0, 2), (4, 5.6)]).value


def test_a_program_and_its_seed_give_the_same_sound_and_another_seed_another_speaker():
    first, words = spoken(1)
    again, same_words = spoken(1)
    assert np.array_equal(first, again)
    assert words == same_words
    other, _ = synthesize(VoiceProgram(transcript=TEXT, duration_s=5.6, base_f0_hz=150, seed=2))
    third, _ = synthesize(VoiceProgram(transcript=TEXT, duration_s=5.6, base_f0_hz=150, seed=3))
    spectra = [np.abs(np.fft.rfft(sound))[2000:20000].reshape(-1, 500).sum(1) for sound in (other, third)]
    assert np.abs(np.log(spectra[0] / spectra[1])).mean() > 0.1


def test_words_are_where_the_sound_is():
    samples, words = spoken(4, text="We won! Nobody expected that, honestly.", duration_s=4.0, base_rate=4.0)
    assert [word.text for word in words] == ["We", "won", "Nobody", "expected", "that", "honestly"]
    assert all(word.start < word.end for word in words)
    assert all(earlier.end <= later.start for earlier, later in pairwise(words))
    level = VoiceMeasures(samples).loudness_db
    inside = np.zeros(len(level), bool)
    for word in words:
        inside[int(word.start * 100) : int(word.end * 100)] = True
    outside = ~np.convolve(inside, np.ones(7), "same").astype(bool)
    assert level[inside].mean() > level[outside].mean() + 20
    pause = (words[1].end + words[2].start) / 2
    assert words[2].start - words[1].end > 0.25
    assert level[int(pause * 100)] < level[inside].mean() - 20


@pytest.mark.parametrize(
    ("text", "language", "count"),
    [("Cześć, źle się czuję dziś", "pl", 5), ("Der Lappen liegt auf dem Eisschrank.", "de", 6), ("我们赢了！", "zh", 4),
     ("Мы победили сегодня", "ru", 3), ("At 7 we won 2 games", "en", 6), ("हम जीत गए", "hi", 3)],
)  # fmt: skip
def test_any_script_is_spoken(text, language, count):
    samples, words = spoken(0, text=text, language=language, duration_s=3.0)
    assert len(words) == count
    assert VoiceMeasures(samples).read("pitch").value is not None


@pytest.mark.parametrize("text", ["", "...", "—"])
def test_nothing_to_say_is_a_quiet_room(text):
    samples, words = spoken(0, text=text, duration_s=1.0)
    assert words == []
    assert samples.shape == (16000,)
    assert 0 < np.abs(samples).max() < 0.01


@pytest.mark.parametrize("duration_s", [0.5, 0.777, 2.0, 7.3])
def test_length_and_range_are_as_announced(duration_s):
    events = [VoiceEvent("loudness", "higher", "strongly", 0, duration_s)]
    samples, words = spoken(5, events, duration_s, text="We won", base_loudness_db=-12.0)
    assert samples.dtype == np.float32
    assert samples.shape == (round(duration_s * 16000),)
    assert np.abs(samples).max() <= 0.981
    assert words[-1].end <= duration_s


def test_wrong_programs_are_refused_with_the_way_out():
    with pytest.raises(ValueError, match="a voice cannot become `pitch more`; known: pitch: higher, lower"):
        VoiceEvent("pitch", "more", "clearly", 0, 1)
    with pytest.raises(ValueError, match="degree must be one of slightly, clearly, strongly, got 'much'"):
        VoiceEvent("pitch", "higher", "much", 0, 1)
    with pytest.raises(ValueError, match="needs 0 <= start < end, got 2 to 1 s"):
        VoiceEvent("pitch", "higher", "clearly", 2, 1)
    with pytest.raises(ValueError, match="base_f0_hz must lie in 70 to 350 Hz, got 20"):
        VoiceProgram(transcript="a", duration_s=1, base_f0_hz=20)
    with pytest.raises(ValueError, match=r"19 words do not fit a clip of 1\.0 s even at 9\.0 syllables/s; shorten"):
        spoken(0, duration_s=1.0, text=" ".join(TEXT.split()[:18]) + " yes")


def test_four_seconds_are_spoken_within_150_ms_of_processor_time():
    text = " ".join(TEXT.split()[:12])
    spoken(0, duration_s=4.0, text=text)
    spent = []
    for seed in range(3):
        begin = time.process_time()
        spoken(seed, duration_s=4.0, text=text)
        spent.append(time.process_time() - begin)
    assert min(spent) < 0.15


def test_spelling_rules_name_known_sounds_and_every_word_has_a_vowel():
    for language in ("en", "de", "pl", "xx"):
        for word in (*TEXT.split(), "hmm", "Straße", "żółć", "rhythm", "x", "naïve"):
            named = sounds(word, language)
            assert set(named) <= set(PHONES)
            assert any(phone.is_nucleus for name in named for phone in PHONES[name])
