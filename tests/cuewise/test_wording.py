from cuewise.mllm.report import Agreement, ChannelReading, Check, Cue, StreamInfo
from cuewise.wording import agreement_text, check_text, number, span_text, stream_text


def test_numbers_keep_three_digits():
    assert [number(v) for v in (0, 1, -3, 0.123, 12.34, 231.4, -40.63)] == [
        "0", "1", "-3", "0.12", "12.3", "231", "-40.6",
    ]  # fmt: skip


def test_checks_say_what_was_measured_against_what_or_why_not():
    check = Check(verdict="supported", measured=231.4, unit="Hz", reference=180.2, reference_kind="population")
    assert check_text(check) == "measured 231 Hz, people in general 180 Hz"
    assert check_text(Check(verdict="not_measurable", why="no voice in the clip")) == "no voice in the clip"
    said = Check(verdict="supported", measured=1, unit="times", reference=0, reference_kind="absolute")
    assert check_text(said) == "said once"
    elsewhere = "it is said at 1.00-1.40 s, not in the span"
    assert check_text(said.model_copy(update={"measured": 0.0, "why": elsewhere})) == elsewhere
    assert "no claim" in check_text(None)


def test_spans_and_streams():
    assert span_text(Cue(channel="face", observation="x", start=0.4, end=1.25)) == "0.40–1.25 s"
    assert span_text(Cue(channel="face", observation="x")) == "whole clip"
    assert stream_text(StreamInfo(present=False, why="no sound")) == "absent: no sound"
    assert stream_text(StreamInfo(present=True, frames=16, frames_found=15)) == "16 frames, found in 15"
    assert stream_text(StreamInfo(present=True)) == "present"


def test_agreement_is_said_in_one_sentence():
    happy, sad = ChannelReading(label="happy", score=0.8), ChannelReading(label="sad", score=0.7)
    assert agreement_text(Agreement()) == ""
    assert agreement_text(Agreement(channels={"face": happy, "voice": happy})) == "Face and voice agree on happy."
    assert "not surely enough" in agreement_text(Agreement(channels={"face": happy, "voice": sad}))
    clash = Agreement(
        channels={"face": happy, "voice": sad}, conflict=True, conflicting=[("face", "voice")], followed="voice"
    )
    assert agreement_text(clash) == "The channels disagree: face (happy) and voice (sad); the answer follows the voice."
