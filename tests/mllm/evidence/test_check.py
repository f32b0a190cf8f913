"""Verdicts: each path of the rule, each kind of reference, and what cannot be measured."""

import math

import pytest
from hand_measures import PieceMeasures, face, voice

from cuewise.data_recipes.synthetic.voice import VoiceEvent, VoiceProgram, synthesize
from cuewise.mllm.evidence.check import check_claim, check_cue, check_cues, rest_of
from cuewise.mllm.evidence.claims import DEGREES, direction, opposite, phrase
from cuewise.mllm.evidence.types import Measurements
from cuewise.mllm.evidence.voice import VoiceMeasures
from cuewise.mllm.report import Claim, Cue, Word

SPAN = (2.0, 3.0)


def raised(semitones: float, base: float = 120.0, duration_s: float = 6.0):
    """Pitch `semitones` above the rest of the clip between 2 and 3 s."""
    high = base * 2 ** (semitones / 12)
    return voice(duration_s, pitch=[(0, 2, base), (2, 3, high), (3, duration_s, base)])


def verdict(measurements, observation, channel="voice", span=SPAN):
    start, end = span or (None, None)
    return check_cue(Cue(channel=channel, start=start, end=end, observation=observation), measurements).check


def limits(channel, attribute, name):
    return direction(channel, Claim(attribute=attribute, direction=name)).thresholds


@pytest.mark.parametrize("degree", DEGREES)
def test_beyond_the_threshold_of_its_degree_a_claim_is_supported(degree):
    threshold = limits("voice", "pitch", "higher")[DEGREES.index(degree)]
    above = verdict(raised(threshold + 0.05), f"pitch {degree} higher")
    assert above.verdict == "supported" and above.reference_kind == "same_speaker_rest"
    assert above.reference == pytest.approx(120) and above.measured > 120 and above.unit == "Hz"
    assert verdict(raised(-threshold - 0.05), f"pitch {degree} higher").verdict == "contradicted"


def test_between_the_thresholds_only_slightly_is_supported():
    low = limits("voice", "pitch", "higher")[0]
    for semitones in (0.0, low - 0.1, -low + 0.1):
        assert verdict(raised(semitones), "pitch slightly higher").verdict == "supported"
        assert verdict(raised(semitones), "pitch clearly higher").verdict == "contradicted"
        assert verdict(raised(semitones), "pitch strongly higher").verdict == "contradicted"


def test_strongly_implies_clearly_implies_slightly():
    for semitones in [s / 4 for s in range(-32, 33)]:
        for way in ("higher", "lower"):
            found = [verdict(raised(semitones), f"pitch {degree} {way}").verdict == "supported" for degree in DEGREES]
            assert found == sorted(found, reverse=True)


def test_more_of_it_never_turns_support_into_contradiction():
    for degree in DEGREES:
        found = [verdict(raised(s / 4), f"pitch {degree} higher").verdict == "supported" for s in range(-32, 33)]
        assert found == sorted(found)


@pytest.mark.parametrize(
    ("quantity", "attribute", "rest", "there"),
    [("pitch", "pitch", 120, 180), ("loudness", "loudness", -30, -18), ("rate", "rate", 4, 6.5),
     ("pitch range", "pitch range", 3, 12), ("tremor", "tremor", 0.1, 2.0), ("breathiness", "breathiness", -15, -5)],
)  # fmt: skip
def test_flipped_voice_claims_are_contradicted(quantity, attribute, rest, there):
    measured = voice(**{quantity.replace(" ", "_"): [(0, 2, rest), (2, 3, there), (3, 6, rest)]})
    for degree in DEGREES:
        claim = Claim(attribute=attribute, direction="higher", degree=degree)
        assert check_claim("voice", claim, SPAN, measured).verdict == "supported"
        assert check_claim("voice", opposite("voice", claim), SPAN, measured).verdict == "contradicted"


def test_a_whole_clip_is_compared_with_the_population_of_its_register():
    low = verdict(voice(3, pitch=[(0, 3, 155)]), "pitch clearly higher", span=None)
    assert (low.verdict, low.reference_kind) == ("supported", "population") and low.reference < 150
    high = verdict(voice(3, pitch=[(0, 3, 208)]), "pitch clearly higher", span=None)
    assert (high.verdict, high.reference_kind) == ("contradicted", "population") and high.reference > 165


def test_too_little_voice_outside_the_span_asks_the_population():
    found = verdict(voice(2.5, pitch=[(0, 2.5, 300)]), "pitch clearly higher", span=(0.5, 1.5))
    assert (found.verdict, found.reference_kind) == ("supported", "population")


def test_loudness_has_no_population_and_says_so():
    found = verdict(voice(2, loudness=[(0, 2, -10)]), "loudness strongly higher", span=None)
    assert found.verdict == "not_measurable" and "microphone" in found.why and found.measured == -10


def test_too_little_voice_in_the_span_is_not_measurable():
    found = verdict(voice(6, pitch=[(0, 2.2, 120), (4, 6, 120)]), "pitch clearly higher")
    assert found.verdict == "not_measurable" and "0.2 s voiced" in found.why and "0.3" in found.why


def test_trends_are_compared_with_zero():
    measured = voice(6, pitch_trend=[(2, 3, -6.0)])
    falling = verdict(measured, "pitch clearly falling")
    assert (falling.verdict, falling.reference, falling.reference_kind) == ("supported", 0.0, "absolute")
    assert verdict(measured, "pitch clearly rising").verdict == "contradicted"
    assert verdict(measured, "pitch steady").verdict == "contradicted"
    assert verdict(voice(6, pitch_trend=[(2, 3, 0.3)]), "pitch steady").verdict == "supported"


def test_a_quantity_without_a_slope_compares_the_halves_of_the_span():
    measured = voice(6, rate=[(0, 3, 3.0), (3, 6, 6.0)])
    rising = verdict(measured, "rate strongly speeding up", span=None)
    assert rising.verdict == "supported" and rising.measured == pytest.approx(2.0) and rising.reference == 1.0
    assert verdict(measured, "rate clearly slowing down", span=None).verdict == "contradicted"
    assert verdict(measured, "rate steady", span=None).verdict == "contradicted"
    assert verdict(measured, "rate steady", span=(0.0, 2.0)).verdict == "supported"
    short = verdict(measured, "rate clearly speeding up", span=(2.9, 3.2))
    assert short.verdict == "not_measurable" and "half" in short.why


def test_a_facial_action_against_the_rest_of_the_clip():
    measured = face(AU12=[(0, 1, 0.1), (1, 2, 4.5), (2, 4, 0.1)], AU15=[(0, 4, 0.0)], AU9=[(0, 4, 0.0)])
    found = verdict(measured, "lip corners strongly up (AU12)", "face", (1.0, 2.0))
    assert (found.verdict, found.reference_kind) == ("supported", "same_speaker_rest")
    assert verdict(measured, "lip corners clearly down (AU15)", "face", (1.0, 2.0)).verdict == "contradicted"
    # An action that is not there at all is the opposite of the action, so not even `slightly` is supported.
    assert verdict(measured, "nose slightly wrinkled (AU9)", "face", (1.0, 2.0)).verdict == "contradicted"


def test_too_few_frames_outside_ask_the_population_and_too_few_inside_nobody():
    measured = face(2.0, AU4=[(0, 2, 4.0)])
    found = verdict(measured, "brows clearly lowered (AU4)", "face", (0.0, 1.5))
    assert (found.verdict, found.reference_kind) == ("supported", "population")
    found = verdict(measured, "brows clearly lowered (AU4)", "face", (0.0, 0.5))
    assert found.verdict == "not_measurable" and "2 tracked frames in the span, 3 needed" in found.why


def test_either_action_of_raised_brows_is_enough():
    measured = face(AU1=[(0, 1, 0.0), (1, 2, 4.0), (2, 4, 0.0)], AU2=[(0, 4, 0.0)])
    assert verdict(measured, "brows clearly raised", "face", (1.0, 2.0)).verdict == "supported"


def test_eyes_closed_and_jaw_dropped_are_absolute():
    measured = face(AU43=[(0, 4, 5.0)], AU26=[(0, 4, 0.0)])
    shut = verdict(measured, "eyes clearly closed (AU43)", "face", (1.0, 2.0))
    assert (shut.verdict, shut.reference_kind, shut.reference) == ("supported", "absolute", 0.0)
    jaw = verdict(measured, "jaw clearly dropped (AU26)", "face", (1.0, 2.0))
    assert (jaw.verdict, jaw.reference_kind) == ("contradicted", "absolute")


@pytest.mark.parametrize("yaw", [-35.0, 35.0])
def test_head_away_counts_both_sides_and_contradicts_toward(yaw):
    measured = face(head_yaw=[(0, 4, yaw)])
    assert verdict(measured, "head strongly away", "face", None).verdict == "supported"
    assert verdict(measured, "head slightly toward", "face", None).verdict == "contradicted"
    straight = face(head_yaw=[(0, 4, yaw / 30)])
    assert verdict(straight, "head strongly toward", "face", None).verdict == "supported"
    assert verdict(straight, "head slightly away", "face", None).verdict == "contradicted"


def test_shaking_and_nodding_are_told_apart_by_their_axis():
    measured = face(head_yaw_motion=[(0, 4, 60.0)], head_pitch_motion=[(0, 4, 4.0)])
    assert verdict(measured, "head clearly shaking", "face", None).verdict == "supported"
    assert verdict(measured, "head slightly nodding", "face", None).verdict == "contradicted"


def test_people_are_counted():
    clip = Measurements(4.0, scene=PieceMeasures(4.0, {"people": [(0, 4, 1.0)]}, 4.0))
    assert verdict(clip, "one person", "scene", None).verdict == "supported"
    assert verdict(clip, "several people", "scene", None).verdict == "contradicted"


@pytest.mark.parametrize("channel", ["voice", "face", "scene"])
def test_an_absent_channel_is_not_measurable_with_its_reason(channel):
    texts = {"voice": "pitch clearly higher", "face": "jaw clearly dropped", "scene": "one person"}
    clip = Measurements(4.0, absent={channel: "the file is damaged there"})
    found = verdict(clip, texts[channel], channel)
    assert (found.verdict, found.why) == ("not_measurable", "the file is damaged there")
    assert f"no {channel}" in verdict(Measurements(4.0), texts[channel], channel).why


def test_a_measure_that_gives_up_is_not_measurable_with_its_reason():
    assert verdict(voice(6, pitch=[(0, 6, math.nan)]), "pitch clearly higher").verdict == "not_measurable"


SAID = [Word(text="I'm", start=0.2, end=0.4), Word(text="sorry,", start=0.4, end=0.9),
        Word(text="we", start=2.0, end=2.2), Word(text="WON!", start=2.2, end=2.7)]  # fmt: skip


@pytest.mark.parametrize(
    ("observation", "span", "expected"),
    [
        ('"we won"', None, "supported"), ('"We  won!!"', (1.9, 2.8), "supported"),
        ("‘im sorry’", (0.0, 1.0), "supported"),
        ('"we won"', (0.0, 1.0), "contradicted"), ('"they won"', None, "contradicted"),
        ('"sorry we"', None, "supported"),
        ('"won we"', None, "contradicted"), ('"on"', None, "contradicted"),
    ],
)  # fmt: skip
def test_quotes_are_looked_up_in_the_transcript(observation, span, expected):
    found = verdict(Measurements(3.0, words=SAID), observation, "words", span)
    assert (found.verdict, found.reference_kind, found.unit) == (expected, "absolute", "times")


def test_a_transcript_without_times_still_supports_a_quote():
    clip = Measurements(3.0, transcript="Ich habe gewonnen. 我赢了！")
    found = verdict(clip, '"habe gewonnen"', "words", (0.0, 1.0))
    assert found.verdict == "supported" and "no times" in found.why
    cue = check_cue(Cue(channel="words", start=0.0, end=1.0, observation='"habe gewonnen"'), clip)
    assert (cue.start, cue.end) == (0.0, 1.0) and "when is not known" in cue.check.why
    assert verdict(clip, '"赢了"', "words", None).verdict == "supported"
    assert verdict(clip, '"赢我"', "words", None).verdict == "contradicted"
    assert verdict(Measurements(3.0), '"we won"', "words", None).verdict == "not_measurable"


def test_a_cue_without_a_claim_keeps_no_check_and_order_is_kept():
    cues = [Cue(channel="face", observation="a smile"), Cue(channel="voice", observation="pitch clearly higher")]
    checked = check_cues(cues, raised(4))
    assert [c.observation for c in checked] == ["a smile", "pitch clearly higher"]
    assert checked[0].claim is None and checked[0].check is None
    assert checked[1].claim == Claim(attribute="pitch", direction="higher") and checked[1].check is not None
    assert cues[1].check is None


def test_a_claim_that_the_words_do_not_make_is_not_kept():
    false = Cue(channel="face", observation="a smile", claim=Claim(attribute="jaw", direction="dropped"))
    assert check_cue(false, face(AU26=[(0, 4, 5.0)])).claim is None


def test_the_rest_of_a_clip_lies_outside_the_span():
    assert rest_of(None, 4.0) == []
    assert rest_of((0.0, 4.0), 4.0) == []
    assert rest_of((0.0, 1.0), 4.0) == [(1.0, 4.0)]
    assert rest_of((1.0, 2.0), 4.0) == [(0.0, 1.0), (2.0, 4.0)]
    assert rest_of((3.0, 9.0), 4.0) == [(0.0, 3.0)]


def test_the_reason_names_difference_reference_and_threshold():
    claim = Claim(attribute="pitch", direction="higher")
    found = check_claim("voice", claim, SPAN, raised(4))
    assert found.why.startswith("+4 semitones against the rest of the clip; as much as claimed (clearly: +")
    assert phrase("voice", claim) == "pitch clearly higher"


def test_a_small_difference_is_called_small_and_a_large_one_by_its_side():
    claim = Claim(attribute="lip corners", direction="up")
    for level, said in ((0.45, "hardly different from the rest of the clip"), (0.9, "less than claimed"),
                        (1.6, "as much as claimed")):  # fmt: skip
        why = check_claim("face", claim, (1.0, 2.0), face(AU12=[(0, 1, 0.4), (1, 2, level), (2, 4, 0.4)])).why
        assert said in why and "`" not in why
    why = check_claim("voice", Claim(attribute="pitch", direction="higher"), SPAN, raised(-4)).why
    assert "on the opposite side" in why
    away = check_claim("face", Claim(attribute="head", direction="away"), None, face(head_yaw=[(0, 4, 1.0)])).why
    assert "less than claimed" in away


def test_a_state_that_lasts_does_not_stand_out_in_its_own_clip():
    measured = face(AU10=[(0, 1, 4.83), (1, 2, 4.88), (2, 4, 4.83)])
    found = verdict(measured, "upper lip clearly raised (AU10)", "face", (1.0, 2.0))
    assert found.verdict == "contradicted" and found.reference_kind == "same_speaker_rest"
    assert "hardly different from the rest of the clip" in found.why


VOICE_EVENTS = [
    ("pitch", "higher", "clearly"), ("pitch", "lower", "strongly"), ("loudness", "lower", "clearly"),
    ("loudness", "higher", "strongly"), ("tremor", "higher", "clearly"), ("breathiness", "higher", "strongly"),
    ("pitch", "falling", "strongly"), ("pauses", "more", "strongly"), ("rate", "lower", "strongly"),
]  # fmt: skip


@pytest.mark.slow
def test_what_a_synthetic_voice_does_is_supported_and_its_opposite_contradicted():
    """Two speakers for each event; one of the 36 verdicts may be wrong, since a short span says little of a rate."""
    text = "the blue bag is standing at the door and the old clock on the wall is slow again today"
    wrong = []
    for number, (attribute, name, degree) in enumerate(VOICE_EVENTS):
        for f0 in (110.0, 210.0):
            program = VoiceProgram(
                transcript=text, duration_s=6.0, base_f0_hz=f0, base_rate=4.6, seed=number + 1,
                events=[VoiceEvent(attribute, name, degree, 1.5, 3.2)],
            )  # fmt: skip
            samples, _ = synthesize(program)
            measured = Measurements(6.0, voice=VoiceMeasures(samples))
            claim = Claim(attribute=attribute, direction=name, degree=degree)
            for asked, right in ((claim, "supported"), (opposite("voice", claim), "contradicted")):
                found = check_claim("voice", asked, (1.5, 3.2), measured)
                if found.verdict != right:
                    wrong.append((f0, asked, found))
    assert len(wrong) <= 1, wrong
