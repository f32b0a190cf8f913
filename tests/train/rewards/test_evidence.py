"""Rewards of the evidence: action units by hand, cues that are there, and the whole tree."""

import pytest

from cuewise.data_recipes.schema import Row
from cuewise.data_recipes.targets import target
from cuewise.mllm.evidence.types import Measurements, Reading
from cuewise.mllm.report import Cue, render
from cuewise.train.rewards import RewardSample, reward
from cuewise.train.rewards.evidence import action_unit_reward, grounding_reward, tree_reward

LIPS = Cue(channel="face", start=1.0, end=2.0, observation="lip corners clearly up (AU12)", supports=["happy"])
PITCH = Cue(channel="voice", start=0.5, end=1.5, observation="pitch clearly higher", supports=["happy"])


def row(**values) -> Row:
    return Row(id="r", corpus="c", **({"labels": ["happy"], "cues": [LIPS, PITCH]} | values))


def said(*lines: str, label: str = "happy", **known) -> RewardSample:
    text = "\n".join(["<think>", *lines, "</think>", f"<answer>{label}</answer>"])
    return RewardSample.read("?", text, known.pop("row", row()), duration_s=4.0, **known)


@pytest.mark.parametrize(
    ("named", "gold", "raw", "unit"),
    [("AU6 AU12", {"AU6": 2, "AU12": 3, "AU25": 1}, 0.6, 0.8), ("AU4", {"AU6": 2, "AU12": 2}, -1.0, 0.0),
     ("AU6, AU12", {"AU6": 1, "AU12": 2, "AU4": 0.4}, 1.0, 1.0), ("AU4", {}, None, None), ("", {"AU6": 1}, -1.0, 0.0)],
)  # fmt: skip
def test_action_units_score_as_facial_r1_says(named, gold, raw, unit):
    found = action_unit_reward([said(f"[face] {named or 'nothing'}", row=row(cues=[], aus=gold))])[0]
    assert found == (None if raw is None else pytest.approx(raw))
    if raw is not None:
        assert reward("action_units").to_unit(found) == pytest.approx(unit)


def test_known_cues_are_matched_one_to_one_with_credit_for_degree_and_time():
    lips = "[face 1.00-2.00] lip corners clearly up (AU12) => happy"
    pitch = "[voice 0.50-1.50] pitch clearly higher => happy"
    cases = {
        "both": said(lips, pitch), "one": said(lips), "wrong": said("[face 1.00-2.00] brows clearly lowered => happy"),
        "vague": said("[face] lip corners clearly up => happy", "[voice] pitch clearly higher => happy"),
        "strongly": said(lips.replace("clearly", "strongly"), pitch), "repeated": said(*[lips] * 8), "empty": said(),
        "for sad": said(lips.replace("=> happy", "=> sad"), pitch), "talk": said(lips, pitch, "[face] she is happy"),
    }  # fmt: skip
    f = dict(zip(cases, grounding_reward(list(cases.values()))))
    assert f["both"] == 1.0 and f["one"] == pytest.approx(2 / 3)
    assert f["wrong"] == f["empty"] == 0.0
    assert f["vague"] == pytest.approx(0.25 + 0.75 / 4)
    assert f["strongly"] == pytest.approx(0.875) and f["for sad"] == pytest.approx(0.75)
    assert f["repeated"] == pytest.approx(2 * (1 / 8) * 0.5 / (1 / 8 + 0.5))
    assert f["talk"] == pytest.approx(0.8)


class Voice:
    """A voice whose first second is higher and louder than the rest."""

    def read(self, quantity, spans=None):
        inside = sum(min(end, 1.0) - start for start, end in spans or [(0.0, 4.0)] if start < 1.0)
        first = {"pitch": 240.0, "loudness": -20.0}.get(quantity, 1.0)
        rest = {"pitch": 160.0, "loudness": -28.0}.get(quantity, 1.0)
        total = sum(end - start for start, end in spans or [(0.0, 4.0)])
        return Reading((first * inside + rest * (total - inside)) / total, "?", total)

    def signals(self):
        return {}


def test_real_clips_are_held_against_their_measurements():
    heard = Measurements(4.0, voice=Voice(), absent={"face": "no face was found"})
    pitch, loud = "[voice 0.00-1.00] pitch clearly higher => happy", "[voice 0.00-1.00] loudness clearly higher"
    cases = {
        "both": (pitch, loud), "one": (pitch,), "flipped": (pitch.replace("higher", "lower"), loud),
        "repeated": (pitch,) * 6, "even": ("[voice 1.00-4.00] pitch steady",),
        "face": (pitch, loud, "[face] lips parted"),
    }  # fmt: skip
    samples = [said(*lines, row=row(cues=[]), measurements=heard) for lines in cases.values()]
    f = dict(zip(cases, grounding_reward(samples)))
    assert f["both"] == 1.0 and f["one"] == pytest.approx(2 / 3)
    assert f["flipped"] == 0.5 and f["repeated"] == pytest.approx(2 * (1 / 6) * 0.5 / (1 / 6 + 0.5))
    assert f["even"] < 0.3 and 0.8 < f["face"] < 1.0
    assert grounding_reward([said(pitch, row=row(cues=[]))]) == [None]


def test_trees_reward_the_right_attribute_under_the_right_label():
    gold = render(target(row()))
    texts = [gold, gold.replace("lip corners clearly up (AU12)", "brows clearly lowered (AU4)"),
             gold.replace("happy", "sad"), gold.replace("</think>", "[face] lips slightly parted\n</think>"),
             "happy"]  # fmt: skip
    identical, attribute, emotion, more, unparsed = tree_reward([RewardSample.read("?", t, row()) for t in texts])
    assert identical == 1.0 and unparsed == 0.0
    assert 0 < emotion < 1 and 0 < attribute < 1 and 0 < more < 1
