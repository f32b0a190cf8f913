"""Cues in words: golden texts, both routes from one sample, and the choice by the transcript."""

import pytest

from cuewise.data_recipes.schema import Row
from cuewise.data_recipes.textualise import (
    choose_route,
    face_words,
    feature_route,
    text_route,
    textualise,
    tone_words,
    transcript_quality,
)
from cuewise.mllm.evidence.types import Measurements, Reading


class Voice:
    """Higher and louder in the first two of six seconds."""

    def read(self, quantity, spans=None):
        spans = spans or [(0.0, 6.0)]
        inside = sum(min(end, 2.0) - start for start, end in spans if start < 2.0)
        total = sum(end - start for start, end in spans)
        first = {"pitch": 260.0, "loudness": -18.0}.get(quantity, 0.3)
        rest = {"pitch": 150.0, "loudness": -30.0}.get(quantity, 0.3)
        return Reading((first * inside + rest * (total - inside)) / total, "?", total)

    def signals(self):
        return {}


HEARD = Measurements(6.0, voice=Voice(), absent={"face": "no picture"})


def row(**values) -> Row:
    return Row(id="r", corpus="c", **({"labels": ["happy"], "media": {"video": "a.mp4"}} | values))


def test_the_words_are_the_measured_ones():
    assert face_words({"AU12": 2.31, "AU6": 1.4, "AU4": 0.01, "AU99": 5}) == (
        "Measured face actions (mean, 0-5): lip corners up (AU12) 2.31, cheeks raised (AU6) 1.40."
    )
    tone = tone_words(HEARD)
    assert tone.startswith("Voice: ") and "pitch" in tone and "higher" in tone and " s" in tone
    assert tone_words(Measurements(6.0, absent={"voice": "the clip has no sound"})) == "Voice: the clip has no sound."
    assert textualise(row(aus={"AU12": 2.0}), HEARD) == f"{face_words({'AU12': 2.0})} {tone}"
    assert textualise(row(aus={"AU12": 2.0}), HEARD) == textualise(row(aus={"AU12": 2.0}), HEARD)


def test_one_sample_goes_both_ways():
    sample = row(aus={"AU12": 2.0}, transcript="We won!", context="before")
    text, features = text_route(sample, HEARD), feature_route(sample)
    assert text.media == {} and "AU12" in text.context and "Voice: " in text.context
    assert features.media == sample.media and features.context is None
    assert text.labels == features.labels == sample.labels and text.transcript == features.transcript
    assert text.id != features.id
    text.clip(), features.clip()
    with pytest.raises(ValueError, match="neither action units nor measurements"):
        text_route(row())
    with pytest.raises(ValueError, match="only the text route"):
        feature_route(row(media={}))


@pytest.mark.parametrize(
    ("transcript", "seconds", "low", "high"),
    [("I never thought we would win this game.", 3.0, 0.95, 1.0), ("", 3.0, 0.0, 0.0), ("%% ## 12 --", 3.0, 0.0, 0.3),
     ("you you you you you you you you", 3.0, 0.0, 0.3), ("Hm.", 9.0, 0.0, 0.2),
     ("I never thought we would win this game.", 0.4, 0.0, 0.5),
     ("Das hätte ich nie gedacht, wirklich.", None, 1.0, 1.0)],
)  # fmt: skip
def test_quality_of_a_transcript(transcript, seconds, low, high):
    assert low <= transcript_quality(transcript, duration_s=seconds) <= high


def test_the_words_are_chosen_where_they_can_be_trusted():
    assert choose_route(row(transcript="I never thought we would win this game."), 3.0) == "text"
    assert choose_route(row(transcript="uh uh uh uh uh uh uh"), 3.0) == "features"
    assert choose_route(row(transcript=None)) == "features" and choose_route(row(media={})) == "text"
