"""Conflict subsets: the rule, both protocols, and the counts on real votes."""

import csv

import pytest
from shared_data import shared_dir

from cuewise.eval.metrics.base import MetricInputError
from cuewise.eval.metrics.conflict import alignment, ca_mer, ca_mer_strict


@pytest.mark.parametrize(
    ("voice", "face", "joint", "expected"),
    [("a", "a", "a", "consistent"), ("a", "b", "b", "video_aligned"), ("b", "a", "b", "audio_aligned"),
     ("a", "a", "b", "emergent"), ("a", "b", "c", "all_different"), ("a:b", "b", "b", "tie_or_missing"),
     (None, "b", "b", "tie_or_missing")],
)  # fmt: skip
def test_alignment_rule(voice, face, joint, expected):
    assert alignment(voice, face, joint) == expected


def test_open_counterpart_has_the_known_counts():
    votes: dict[str, dict[str, str]] = {}
    emotions = ("anger", "disgust", "fear", "happiness", "neutral", "sadness")
    with shared_dir("data", "cremad_votes", "votes.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            counts = {emotion: int(row[emotion]) for emotion in emotions}
            top = [emotion for emotion, count in counts.items() if count == max(counts.values())]
            votes.setdefault(row["clip"], {})[row["modality"]] = ":".join(top)
    kinds = [alignment(v.get("voice"), v.get("face"), v.get("audiovisual")) for v in votes.values()]
    counts = {kind: kinds.count(kind) for kind in ("consistent", "video_aligned", "audio_aligned")}
    assert counts == {"consistent": 2493, "video_aligned": 1501, "audio_aligned": 459}


GT = [
    {"subset": "video_aligned", "labels": ["happy", "proud"]}, {"subset": "video_aligned", "labels": "sad"},
    {"subset": "audio_aligned", "labels": ["angry"]}, {"subset": "consistent", "labels": ["fear"]},
]  # fmt: skip


def test_published_protocol_by_hand():
    result = ca_mer(GT, ["[happy, angry, sad]", [], ["anger"], ["fear", "sad"]])
    assert result["video_aligned"] == {
        "n": 2, "acc": pytest.approx((1 / 3 + 0) / 2), "recall": 0.25, "avg": pytest.approx((1 / 6 + 1 / 4) / 2),
        "invalid_rate": 0.5,
    }  # fmt: skip
    assert result["audio_aligned"]["avg"] == 1 and result["consistent"]["avg"] == 0.75
    assert result["gap_audio_minus_video"] == pytest.approx(1 - 5 / 24)
    assert result["conflict"] == pytest.approx((1 + 5 / 24) / 2)


def test_strict_protocol_wants_one_known_label():
    result = ca_mer_strict(GT[1:], ["sad", "angry, sad", "worried"])
    assert result["video_aligned"]["accuracy"] == 1
    assert result["audio_aligned"] == {"n": 1, "accuracy": 0, "invalid_rate": 1}
    assert result["gap_audio_minus_video"] == -1 and result["overall"] == pytest.approx(1 / 3)


def test_rows_without_a_subset_are_refused():
    with pytest.raises(MetricInputError, match="subset one of video_aligned"):
        ca_mer([{"labels": ["sad"]}], ["sad"])
