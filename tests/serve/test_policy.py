"""Flagged words stay behind, however a stream is cut."""

import pytest

from cuewise.mllm.report import Cue, Emotion, EmotionReport
from cuewise.serve.policy import KINDS, Redactor, apply, redact

TEXT = "<answer>happy, Sexual Arousal, drunk</answer> lustre and painter; in pain!"
CLEAN = "<answer>happy, [withheld], [withheld]</answer> lustre and painter; [withheld]!"


def test_whole_words_only_in_any_case():
    assert redact(TEXT) == CLEAN


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_a_stream_in_pieces_is_the_same_as_the_whole(size):
    redactor = Redactor()
    pieces = [redactor.push(TEXT[i : i + size]) for i in range(0, len(TEXT), size)]
    assert "".join(pieces) + redactor.flush() == CLEAN


def test_text_is_held_back_only_while_it_may_become_a_flagged_word():
    redactor = Redactor()
    assert redactor.push("happy and lu") == "happy and "
    assert redactor.push("cid") == "lucid"


def test_a_word_inside_another_is_left_alone_also_across_pieces():
    redactor = Redactor()
    assert (
        redactor.push("spo") + redactor.push("ils pa") + redactor.push("inter") + redactor.flush() == "spoils painter"
    )


def test_what_the_operator_shows_is_shown():
    assert redact("drunk, lust", ["substance"]) == "drunk, [withheld]"
    assert redact(TEXT, KINDS) == TEXT


def test_an_unknown_kind_is_named():
    with pytest.raises(ValueError, match="unknown kind 'rude'"):
        redact("x", ["rude"])


def report() -> EmotionReport:
    return EmotionReport(
        model="m", clip="c", form="direct", emotions=[Emotion(label="happy")], withheld=["drunk", "lust"],
        cues=[Cue(channel="voice", observation="sounds drunk", supports=["drunk", "happy"])], reasoning="lust, maybe",
        text="<answer>happy, drunk, lust</answer>",
    )  # fmt: skip


def test_a_report_names_the_kind_and_never_the_word():
    shown = apply(report())
    assert shown.withheld == ["sexual", "substance"] and shown.cues[0].supports == ["happy"]
    assert "drunk" not in shown.model_dump_json() and "lust" not in shown.model_dump_json()


def test_a_shown_kind_comes_back_as_an_emotion():
    shown = apply(report(), ["substance"])
    assert [e.label for e in shown.emotions] == ["happy", "drunk"] and shown.withheld == ["sexual"]
