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
