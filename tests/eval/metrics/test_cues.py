"""Cues against known ones and against checks: counts by hand, order and repetition."""

import random

import pytest

from cuewise.eval.metrics.cues import cue_counts, known_cue_score, match_credit, measured_cue_score, span_overlap
from cuewise.mllm.report import Check, Cue


def face(text: str, start=None, end=None, supports=("happy",), verdict=None, **measured) -> Cue:
    check = None if verdict is None else Check(verdict=verdict, **measured)
    return Cue(channel="face", start=start, end=end, observation=text, supports=list(supports), check=check)


KNOWN = [face("lip corners clearly up (AU12)", 1, 2), face("cheeks slightly raised (AU6)", 1, 2),
         Cue(channel="words", observation='"what a day"', supports=["happy"])]  # fmt: skip


def test_counts_take_each_claim_once_and_idle_talk_as_written():
    written = [KNOWN[0], KNOWN[0], face("brows lowered"), face("a nice face")]
    assert cue_counts(KNOWN, written) == (1, 3, 3)
    assert cue_counts(KNOWN, KNOWN) == (3, 3, 3)
    assert cue_counts([], []) == (0, 0, 0)


def test_the_known_cues_themselves_score_one_in_any_order():
    shuffled = random.Random(0).sample(KNOWN, len(KNOWN))
    assert known_cue_score(KNOWN, shuffled, 4.0).f == pytest.approx(1.0)
    assert known_cue_score([], []).f == 1.0 and known_cue_score(KNOWN, []).f == known_cue_score([], KNOWN).f == 0.0


def test_a_match_earns_by_degree_time_and_supported_emotion():
    truth = KNOWN[0]
    assert match_credit(truth, truth, 4.0) == 1.0
    assert match_credit(truth, face("lip corners slightly up", 1, 2), 4.0) == 0.75
    assert match_credit(truth, face("lip corners clearly up", 3, 4), 4.0) == 0.25
    assert match_credit(truth, face("lip corners clearly up", 1, 2, ("sad",)), 4.0) == 0.5
    assert match_credit(truth, face("lip corners clearly down", 1, 2), 4.0) == 0.0
    assert match_credit(truth, truth.model_copy(update={"channel": "voice"}), 4.0) == 0.0
    quote = KNOWN[2].model_copy(update={"observation": '"what a nice day"'})
    assert match_credit(KNOWN[2], quote) == 0.75


def test_what_is_true_of_most_clips_earns_little_even_where_it_is_known():
    even = [Cue(channel="voice", observation="pitch steady", supports=["neutral"])]
    assert known_cue_score(even, even).f == 0.25 > known_cue_score(even, KNOWN[:1]).f == 0.0


def test_overlap_of_spans():
    assert span_overlap((0, 1), (2, 3)) == 0.0 and span_overlap((0, 2), (1, 3)) == pytest.approx(1 / 3)
    assert span_overlap(None, (1, 2)) == 0.5 and span_overlap((1, 2), None, 5.0) == 0.2


def test_repetition_padding_and_claims_true_of_most_clips_do_not_pay():
    good = face("lip corners clearly up", verdict="supported")
    other = face("cheeks clearly raised", verdict="supported")
    assert measured_cue_score([good, other]).f == 1.0
    assert measured_cue_score([good] * 8).f < measured_cue_score([good]).f
    common = [face("head toward", verdict="supported"), face("gaze toward", verdict="supported")]
    assert measured_cue_score(common).f == pytest.approx(0.25)
    slight = face("lip corners slightly up", verdict="supported", measured=2.0, reference=0.5,
                  reference_kind="same_speaker_rest")  # fmt: skip
    assert measured_cue_score([slight, other]).f == pytest.approx(0.75)
    assert measured_cue_score([good, other, face("brows lowered", verdict="contradicted")]).f == pytest.approx(0.8)
    unseen = measured_cue_score([good, other, face("nose wrinkled", verdict="not_measurable")]).f
    assert 0.8 < unseen < 1.0
    assert measured_cue_score([]).f == 0.0
    quote = Cue(channel="words", observation='"so happy"', check=Check(verdict="supported"))
    assert measured_cue_score([quote] * 2).f < measured_cue_score([quote]).f == pytest.approx(0.2)
    assert 0.9 < measured_cue_score([good, other, quote]).f < 1.0
    assert measured_cue_score([good, quote]).f > measured_cue_score([quote]).f


def test_a_slight_claim_that_anyone_could_make_hardly_pays():
    """Short of its threshold so is the opposite supported; beside people in general a whole corpus can be slight."""
    def slight(reference_kind, measured):
        return measured_cue_score([face("lip corners slightly up", verdict="supported", measured=measured,
                                        reference=0.5, reference_kind=reference_kind)]).f  # fmt: skip

    assert slight("same_speaker_rest", 0.55) == 0.0 < slight("population", 4.0) < slight("same_speaker_rest", 2.0)


def test_known_cues_in_free_words_are_neither_asked_for_nor_a_cost():
    free = face("she beams from ear to ear")
    assert known_cue_score([*KNOWN, free], [*KNOWN, free], 4.0).f == pytest.approx(1.0)
    assert known_cue_score([*KNOWN, free], KNOWN, 4.0).f == pytest.approx(1.0)
    assert known_cue_score(KNOWN, [*KNOWN, free], 4.0).f < 1.0
