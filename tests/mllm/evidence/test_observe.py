"""What is proposed from measurements is supported by them, and little is proposed."""

import random
from itertools import pairwise

import pytest
from hand_measures import PieceMeasures, face, voice

from cuewise.mllm.evidence.check import check_cue
from cuewise.mllm.evidence.claims import load
from cuewise.mllm.evidence.observe import candidate_windows, observe
from cuewise.mllm.evidence.types import Measurements
from cuewise.mllm.report import Cue, Word

SCALE = {"pitch": (80, 320), "loudness": (-50, -10), "rate": (1, 9), "pitch range": (0, 15), "tremor": (0, 2),
         "breathiness": (-25, 0), "pauses": (0, 1), "pitch trend": (-15, 15), "loudness trend": (-15, 15)}  # fmt: skip


def random_clip(seed: int) -> Measurements:
    dice = random.Random(seed)
    duration = dice.choice([1.0, 2.4, 4.0, 7.5])
    edges = [i / 2 for i in range(int(duration * 2) + 1)]

    def pieces(low, high):
        return [(a, b, dice.uniform(low, high)) for a, b in pairwise(edges) if dice.random() < 0.9]

    quantities = {q for d in load("face").directions.values() for q in d.quantities}
    actions = {q: pieces(0, 5) if q.startswith("AU") else pieces(-30, 30) for q in sorted(quantities)}
    scene = {
        "brightness": pieces(0, 1),
        "colourfulness": pieces(0, 80),
        "people": pieces(1, 3),
        "motion": pieces(0, 0.2),
    }
    return Measurements(
        duration, voice=PieceMeasures(duration, {q: pieces(*limits) for q, limits in SCALE.items()}),
        face=PieceMeasures(duration, actions, 4.0), scene=PieceMeasures(duration, scene, 4.0),
    )  # fmt: skip


@pytest.mark.parametrize("channel", ["voice", "face", "scene"])
def test_every_proposed_cue_is_supported(channel):
    proposed = 0
    for seed in range(25):
        clip = random_clip(seed)
        for cue in observe(clip, channel, max_cues=8, min_degree="slightly"):
            proposed += 1
            again = check_cue(Cue(channel=channel, start=cue.start, end=cue.end, observation=cue.observation), clip)
            assert again == cue and cue.check.verdict == "supported"
    assert proposed > 25


def test_one_claim_an_attribute_and_moment():
    for seed in range(25):
        cues = observe(random_clip(seed), "face", max_cues=12, min_degree="slightly")
        for i, one in enumerate(cues):
            for other in cues[:i]:
                if one.claim.attribute == other.claim.attribute:
                    assert None not in (one.start, other.start)
                    assert one.end <= other.start or other.end <= one.start


def test_the_raised_second_is_found_where_it_is():
    steady = {q: [(0, 6, (low + high) / 2)] for q, (low, high) in SCALE.items() if "trend" not in q}
    still = {"pitch_trend": [(0, 6, 0.0)], "loudness_trend": [(0, 6, 0.0)]}
    named = {q.replace(" ", "_"): p for q, p in steady.items()} | still
    named |= {"pitch": [(0, 2.5, 110), (2.5, 3.75, 190), (3.75, 6, 110)], "tremor": [(0, 6, 0.4)],
              "rate": [(0, 6, 5.2)],
              "pitch_range": [(0, 6, 7.5)], "pauses": [(0, 6, 0.05)]}  # fmt: skip
    first, *others = observe(voice(6.0, **named), "voice")
    assert (first.observation, first.start, first.end) == ("pitch strongly higher", 2.5, 3.75)
    assert others == []


def test_nothing_is_claimed_of_a_neutral_face():
    names = {q.replace(" ", "_"): [(0, 4, 0.0)] for d in load("face").directions.values() for q in d.quantities}
    assert observe(face(4.0, **names), "face") == []


def test_strongest_first_and_no_more_than_asked():
    names = {q.replace(" ", "_"): [(0, 4, 0.0)] for d in load("face").directions.values() for q in d.quantities}
    names |= {"AU4": [(0, 4, 2.0)], "AU12": [(0, 4, 4.5)], "AU9": [(0, 4, 3.0)]}
    clip = face(4.0, **names)
    texts = [cue.observation for cue in observe(clip, "face", [None])]
    assert [text.split()[0] for text in texts] == ["lip", "nose", "brows"]
    assert [cue.observation for cue in observe(clip, "face", [None], max_cues=1)] == texts[:1]
    strong = observe(clip, "face", [None], min_degree="strongly")
    assert {cue.claim.degree for cue in strong} == {"strongly"}


def test_given_windows_are_the_only_ones():
    cues = observe(random_clip(3), "face", [(0.5, 2.0)], max_cues=9)
    assert {(cue.start, cue.end) for cue in cues} == {(0.5, 2.0)}


def test_phrases_that_are_said_become_cues_with_their_times():
    words = [Word(text="so", start=0.1, end=0.3), Word(text="sorry", start=0.3, end=0.8)]
    clip = Measurements(2.0, words=words)
    (cue,) = observe(clip, "words", phrases=["sorry", "happy"])
    assert (cue.observation, cue.start, cue.end, cue.check.verdict) == ('"sorry"', 0.3, 0.8, "supported")
    assert observe(clip, "words") == []


def test_an_absent_channel_has_no_cues_and_a_wrong_degree_is_refused():
    assert observe(Measurements(2.0), "voice") == []
    with pytest.raises(ValueError, match="min_degree must be one of slightly"):
        observe(Measurements(2.0), "voice", min_degree="much")


def test_windows_cover_the_clip():
    assert candidate_windows(1.0) == [None]
    spans = candidate_windows(4.0)[1:]
    assert spans[0] == (0.0, 1.25) and spans[-1] == (2.75, 4.0)


def test_little_voice_is_enough_for_a_verdict_but_not_for_a_proposal():
    def clip(seconds):
        values = dict.fromkeys(SCALE, 0.01) | {"pitch": 113.0, "pitch trend": 20.0}
        return voice(2.0, **{q.replace(" ", "_"): [(0, seconds, value)] for q, value in values.items()})

    rising = Cue(channel="voice", observation="pitch strongly rising")
    assert check_cue(rising, clip(0.4)).check.verdict == "supported"
    assert "pitch strongly rising" not in [cue.observation for cue in observe(clip(0.4), "voice", [None])]
    assert "pitch strongly rising" in [cue.observation for cue in observe(clip(1.5), "voice", [None], max_cues=9)]
