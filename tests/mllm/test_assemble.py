"""Where the fields of a report come from: scores, agreement, withheld labels."""

import math

import numpy as np
import pytest

from cuewise.mllm.assemble import Answered, agree, build_report, score_label, token_probability
from cuewise.mllm.engine.base import Completion
from cuewise.mllm.evidence.types import Measurements
from cuewise.mllm.media.types import Media
from cuewise.mllm.report import ChannelReading, parse


def answered(text: str, *, distribution=None, channels=None, logprobs=None, pieces=None) -> Answered:
    pieces = pieces or [text]
    completion = Completion("0", 0, text=text, token_ids=list(range(len(pieces))),
                            logprobs=logprobs or [-1.0] * len(pieces))  # fmt: skip
    media = Media(duration_s=3.0, samples=np.zeros(48_000, np.float32), absent={"face": "the file has no picture"})
    answer = parse(text, 3.0)
    return Answered(
        name="clip", model="m", media=media, measurements=Measurements(duration_s=3.0), answer=answer,
        completion=completion, pieces=pieces, cues=answer.cues, distribution=distribution or {},
        channels=channels or {}, va=(0.5, -0.2), tokens={"voice": 9},
    )  # fmt: skip


def reading(label: str, score: float) -> ChannelReading:
    return ChannelReading(label=label, score=score)


def test_a_label_with_a_head_class_takes_that_class_probability():
    found = answered("<answer>happy</answer>", distribution={"happy": 0.7, "sad": 0.3})
    emotion = score_label("happy", found)
    assert (emotion.score, emotion.score_kind) == (0.7, "class_head")


def test_another_label_takes_the_geometric_mean_of_its_tokens():
    pieces = ["<answer>", "spell", "bound", "</answer>"]
    found = answered("".join(pieces), pieces=pieces, logprobs=[-9.0, -0.2, -0.6, -9.0])
    emotion = score_label("spellbound", found)
    assert emotion.score_kind == "token_probability"
    assert emotion.score == pytest.approx(math.exp(-0.4))


def test_a_label_that_was_not_written_has_no_token_probability():
    assert token_probability("absent", ["<answer>", "happy"], [-1.0, -1.0]) is None


def test_confidence_falls_back_to_the_top_probability_and_abstains_below_the_threshold():
    found = answered("<answer>happy</answer>", distribution={"happy": 0.4, "sad": 0.35, "angry": 0.25})
    report = build_report(found, abstain_below=0.5)
    assert report.confidence == 0.4 and report.unsure
    written = build_report(answered("<answer>happy</answer><confidence>0.9</confidence>"), abstain_below=0.5)
    assert written.confidence == 0.9 and not written.unsure


def test_channels_conflict_only_when_both_are_sure_of_different_emotions():
    apart = agree({"face": reading("happy", 0.8), "voice": reading("sad", 0.6)}, ["sad"])
    assert apart.conflict and apart.conflicting == [("face", "voice")] and apart.followed == "voice"
    unsure = agree({"face": reading("happy", 0.8), "voice": reading("sad", 0.4)}, ["happy"])
    assert not unsure.conflict and unsure.followed == "face"
    quiet = agree({"voice": reading("angry", 0.8), "words": reading("neutral", 0.9)}, ["angry"])
    assert not quiet.conflict


def test_a_confident_label_that_is_not_what_is_read_is_unsure_and_says_so():
    shares = {"happy": 0.72, "sad": 0.2, "angry": 0.08}
    astray = build_report(answered("<answer>furious</answer><confidence>1</confidence>", distribution=shares))
    assert astray.confidence == 1.0 and astray.unsure
    problem = next(problem for problem in astray.problems if problem.code == "not_what_is_read")
    assert problem.message == "the answer says furious (0.08), but the streams read happy (0.72)"
    near = build_report(answered("<answer>sad</answer><confidence>1</confidence>", distribution=shares | {"sad": 0.4}))
    assert not near.unsure and not near.problems, "half of the top class is enough"
    unknown = build_report(answered("<answer>zesty</answer><confidence>1</confidence>", distribution=shares))
    assert not unknown.unsure and not unknown.problems


def test_an_answer_without_an_emotion_has_no_confidence():
    for text in ("<answer></answer><confidence>0.9</confidence>", "no tags at all", "<answer>sexual lust</answer>"):
        report = build_report(answered(text, distribution={"happy": 0.9, "sad": 0.1}))
        assert not report.emotions and report.confidence is None and report.unsure


def test_candidates_restrict_the_distribution_to_their_classes_and_mark_other_labels():
    found = answered("<answer>glad, sad</answer>", distribution={"happy": 0.5, "sad": 0.3, "angry": 0.2})
    found.candidates = ("joy", "sad")
    report = build_report(found)
    assert report.distribution == {"happy": 0.625, "sad": 0.375} and report.confidence == 0.625
    assert [problem.code for problem in report.problems] == ["off_list"] and "glad" in report.problems[0].message
    found.candidates = ("happy", "joy", "table")
    assert build_report(found).distribution == found.distribution, "one class is nothing to choose between"


@pytest.mark.parametrize(("prose", "voice", "marked"), [
    ("Face and voice agree, so happy.", "sad", True), ("Face and voice point the same way: happy.", "happy", False),
    ("The cues in face and voice fit together and show happy.", "angry", True), ("The channels agree.", "sad", True),
    ("The channels disagree: the face says happy but the voice says sad.", "happy", True),
    ("The channels disagree: the face says happy but the voice says sad.", "sad", False),
    ("Face and voice do not agree.", "happy", False), ("Only the face shows it.", "sad", False), ("", "sad", False),
])  # fmt: skip
def test_prose_that_contradicts_the_readings_is_marked(prose, voice, marked):
    found = answered(f"<think>\n[face] x\n{prose}\n</think>\n<answer>happy</answer>",
                     channels={"face": reading("happy", 0.8), "voice": reading(voice, 0.6)})  # fmt: skip
    messages = [p.message for p in build_report(found).problems if p.code == "prose_disagrees"]
    assert bool(messages) == marked
    assert not marked or f"voice {voice}" in messages[0]


def test_absent_streams_say_why_and_present_ones_their_size():
    streams = build_report(answered("<answer>calm</answer>")).streams
    assert streams["voice"].present and streams["voice"].seconds == 3.0 and streams["voice"].tokens == 9
    assert not streams["face"].present and streams["face"].why == "the file has no picture"
    assert all(info.present or info.why for info in streams.values())


def test_flagged_labels_are_withheld_and_parser_problems_are_told():
    report = build_report(answered("well <answer>sad, sexual lust</answer>"))
    assert [emotion.label for emotion in report.emotions] == ["sad"]
    assert report.withheld == ["sexual lust"]
    assert [problem.code for problem in report.problems] == ["text_outside"]
