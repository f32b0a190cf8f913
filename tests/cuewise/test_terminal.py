import pytest

from cuewise.mllm.report import Cue, EmotionReport, Problem
from cuewise.terminal import bar, render_report


def test_everything_a_reader_needs_is_in_the_report(report):
    text = render_report(report, width=88, colour=False)
    for part in (
        "clip.mp4 · 3.00 s · model nano · read in 2.1 s", "angry, tense", "confidence 0.58",
        "valence -0.40 (unpleasant)",
        "✓ face   0.40–1.20 s", "brows clearly lowered (AU4) → angry",
        "supported: measured 2.40 of 5, rest of the clip",
        "✗ voice  1.00–2.00 s", "measured 180 Hz, rest of the clip 231 Hz", "? voice  2.50–2.70 s",
        "not measurable: only 0.18 s of voice there", "· words  whole clip", "The channels disagree: face (angry)",
        "the answer follows the face", "16 frames, found in 15", "absent: the clip is a tight face crop", "bad_time:",
        "Article 5",
    ):  # fmt: skip
        assert part in " ".join(text.split()) or part in text, part


def test_cues_stand_in_the_order_of_time(report):
    report.cues.reverse()
    text = render_report(report, colour=False)
    places = [text.index(part) for part in ("0.40–1.20", "1.00–2.00", "2.50–2.70", "whole clip")]
    assert places == sorted(places)


@pytest.mark.parametrize("width", [40, 60, 88, 100])
def test_lines_keep_to_the_width(report, width):
    assert max(len(line) for line in render_report(report, width=width, colour=False).splitlines()) <= width


def test_colour_is_only_written_when_asked_for(report):
    assert "\x1b[" in render_report(report, colour=True)
    assert "\x1b" not in render_report(report, colour=False)


def test_a_transcript_or_a_model_cannot_send_commands_to_the_terminal(report):
    evil = "\x1b]0;owned\x07\x1b[2J"
    report.reasoning = report.clip = evil
    report.cues = [Cue(channel="words", observation=evil, supports=[evil])]
    report.emotions[0].label = evil
    text = render_report(report, colour=True)
    assert "\x1b]" not in text and "\x1b[2J" not in text and "\x07" not in text


def test_a_confident_answer_that_is_not_what_is_read_and_prose_against_it_are_marked(report):
    report.confidence, report.unsure = 1.0, True
    report.problems = [Problem(code="not_what_is_read", message="the answer says angry, but the streams read happy"),
                       Problem(code="prose_disagrees", message="read alone: face angry, voice happy")]  # fmt: skip
    text = " ".join(render_report(report, width=100, colour=False).split())
    assert "confidence 1.00 (unsure)" in text and "! read alone: face angry, voice happy" in text
    assert "Unsure: the answer says angry, but the streams read happy. Take the answer as a guess." in text


def test_an_almost_empty_report_is_shown_too():
    text = render_report(EmotionReport(model="nano", clip="text", form="unparsed"), colour=False)
    assert "no emotion was named" in text


def test_bars_are_as_long_as_their_share():
    assert bar(0, 10) == "" and bar(1, 10) == "█" * 10 and bar(0.5, 10) == "█" * 5
    assert bar(7, 10) == "█" * 10 and bar(0.0625, 10) == "▋"
