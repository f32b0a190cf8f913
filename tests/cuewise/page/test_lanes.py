import re

from cuewise.mllm.report import Claim, Cue, Signal
from cuewise.page.lanes import choose_signals, pack, signal_channel, speaks_of, timeline, timeline_length


def cue(start: float | None, end: float | None, **fields) -> Cue:
    return Cue(channel="voice", start=start, end=end, observation=fields.pop("observation", "x"), **fields)


def test_cues_that_overlap_get_rows_of_their_own():
    cues = [cue(0, 2), cue(1, 3), cue(2, 4), cue(None, None)]
    rows = pack(cues, duration=4.0)
    assert [[(c.start, c.end) for c in row] for row in rows] == [[(None, None)], [(0, 2), (2, 4)], [(1, 3)]]


def test_curves_know_their_lane():
    names = ("AU12", "head yaw", "gaze pitch", "pitch", "loudness", "brightness", "motion", "voice.pitch", "face AU4")
    assert [signal_channel(n) for n in names] == [
        "face", "face", "face", "voice", "voice", "scene", "scene", "voice", "face",
    ]  # fmt: skip


def test_curves_that_a_cue_speaks_of_come_first():
    flat, moving = [Signal(unit="", times=[0, 1], values=v) for v in ([1, 1], [0, 3])]
    signals = {"AU1": flat, "AU2": flat, "AU4": flat, "AU5": moving, "AU6": flat, "AU9": flat}
    lowered = Cue(channel="face", observation="brows clearly lowered (AU4)")
    assert choose_signals(signals, [lowered])[:2] == ["AU4", "AU5"]
    assert len(choose_signals(signals, [lowered])) == 4


def test_a_cue_speaks_of_the_curve_its_claim_is_about():
    pitch = cue(0, 1, claim=Claim(attribute="pitch", direction="higher"))
    assert speaks_of(pitch, "pitch") and not speaks_of(pitch, "loudness")
    assert not speaks_of(cue(0, 1, claim=Claim(attribute="pitch range", direction="higher")), "voice.pitch")
    head = Cue(channel="face", observation="head away", claim=Claim(attribute="head", direction="away"))
    assert speaks_of(head, "face.head yaw") and not speaks_of(head, "head roll") and not speaks_of(head, "AU12")
    brows = Cue(channel="face", observation="brows lowered", claim=Claim(attribute="brows", direction="lowered"))
    assert speaks_of(brows, "face.brows lowered") and not speaks_of(brows, "face.brows raised")
    assert not speaks_of(Cue(channel="face", observation="lips (AU12)"), "AU1")


def test_the_timeline_places_cues_in_per_cent_and_marks_verdicts_by_more_than_colour(report):
    page = timeline(report, [], {id(c): f"c{i}" for i, c in enumerate(report.cues)})
    assert "left:13.33%;width:26.67%" in page, "0.4 to 1.2 of 3 s"
    for kind, words in (
        ("supported", "supported"), ("contradicted", "contradicted"), ("not_measurable", "not measurable"),
    ):  # fmt: skip
        button = re.search(rf'<button[^>]*class="cue {kind}"[^>]*>.*?</button>', page).group()
        assert "<svg" in button and words in re.search(r'aria-label="([^"]*)"', button).group(1)
    assert "absent: the clip is a tight face crop" in page
    assert '<button type="button" class="word" data-start="1" data-end="1.4"' in page


def test_a_picture_and_words_without_times_have_no_time_axis(report):
    report.duration, report.cues, report.words = None, [], []
    assert timeline_length(report) is None and timeline(report, [], {}) is None


def test_the_ruler_has_a_readable_number_of_ticks(report):
    for duration in (0.04, 0.7, 3.0, 60.0, 119.9, 1199.0):
        report.duration, report.cues = duration, []
        ticks = timeline(report, [], {}).count('class="tick"')
        assert 1 <= ticks <= 11, (duration, ticks)
