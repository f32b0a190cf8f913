"""Windows, smoothing and cues of a timeline, on reports made by hand."""

import pytest

from cuewise.mllm.report import Cue, EmotionReport
from cuewise.serve.timeline import Plan, Seen, Smoother


def seen(number: int, begin: float, end: float, happy: float, cues=(), valence: float | None = None) -> Seen:
    report = EmotionReport(
        model="m", clip="c", form="direct", distribution={"happy": happy, "sad": round(1 - happy, 6)}, valence=valence,
        cues=list(cues), duration=end - begin,
    )  # fmt: skip
    return Seen(number, begin, end, report)


def run(plan: Plan, windows: list[Seen]) -> list[dict]:
    smoother = Smoother(plan)
    segments = [s for window in windows for s in smoother.add(window)]
    return segments + list(smoother.finish())


def test_windows_overlap_and_stay_inside_the_span():
    windows = list(Plan(8, 4, start=2, end=15).windows())
    assert windows == [(0, 2, 10), (1, 6, 14), (2, 10, 15), (3, 14, 15)]
    assert len(list(Plan(8, 4, limit_s=20).windows())) == 5


def test_segments_follow_each_other_without_gap_to_the_end():
    windows = [seen(i, 4.0 * i, min(4.0 * i + 8, 18.5), 0.5) for i in range(4)]
    segments = run(Plan(8, 4), windows)
    assert [(s["start"], s["end"]) for s in segments] == [(0, 4), (4, 8), (8, 12), (12, 16), (16, 18.5)]
    assert [s["index"] for s in segments] == [0, 1, 2, 3, 4]


def test_a_segment_is_told_as_soon_as_nothing_can_change_it():
    smoother = Smoother(Plan(8, 4))
    assert [s["index"] for s in smoother.add(seen(0, 0, 8, 0.2))] == [0]
    assert [s["index"] for s in smoother.add(seen(1, 4, 12, 0.8))] == [1]


def test_the_distribution_is_the_weighted_mean_of_the_windows_around():
    segments = run(Plan(8, 4), [seen(0, 0, 8, 0.2, valence=-1.0), seen(1, 4, 12, 0.8, valence=1.0)])
    first, middle, last = segments
    assert first["distribution"]["happy"] == pytest.approx(0.2) and last["distribution"]["happy"] == pytest.approx(0.8)
    # The middle of segment 1 (6 s) lies 2 s from both window middles (4 s and 8 s): equal weights.
    assert middle["distribution"]["happy"] == pytest.approx(0.5) and middle["valence"] == pytest.approx(0.0)
    assert middle["windows"] == [0, 1] and last["label"] == "happy"


def test_equal_windows_are_not_changed_by_smoothing():
    for segment in run(Plan(6, 2), [seen(i, 2.0 * i, 2.0 * i + 6, 0.3) for i in range(5)]):
        assert segment["distribution"] == pytest.approx({"happy": 0.3, "sad": 0.7})


def test_a_cue_seen_by_two_windows_is_told_once_in_seconds_of_the_file():
    early = Cue(channel="voice", start=5.0, end=6.0, observation="pitch clearly higher")
    same = Cue(channel="voice", start=1.0, end=2.0, observation="pitch clearly higher")
    segments = run(Plan(8, 4), [seen(0, 0, 8, 0.5, [early]), seen(1, 4, 12, 0.5, [same])])
    cues = [cue for segment in segments for cue in segment["cues"]]
    assert [(cue["start"], cue["end"]) for cue in cues] == [(5.0, 6.0)]


def test_a_clip_shorter_than_a_window_is_one_window():
    segments = run(Plan(8, 4), [seen(0, 0, 5.5, 0.9)])
    assert [(s["start"], s["end"]) for s in segments] == [(0, 4), (4, 5.5)]


def test_a_gap_leaves_its_neighbours_standing():
    segments = run(Plan(4, 4), [seen(0, 0, 4, 0.9), seen(2, 8, 12, 0.1)])
    assert [(s["start"], s["label"]) for s in segments] == [(0, "happy"), (8, "sad")]


def test_a_crumb_at_the_end_joins_the_segment_before_it():
    segments = run(Plan(8, 4), [seen(0, 0, 8, 0.5), seen(1, 4, 12, 0.5), seen(2, 8, 12.04, 0.5)])
    assert [(s["start"], s["end"]) for s in segments] == [(0, 4), (4, 8), (8, 12.04)]
