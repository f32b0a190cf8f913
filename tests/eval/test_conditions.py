"""Conditions: blocks of the asked share, the same samples under each, drops in the results, gaps with intervals."""

import json

import numpy as np
import pytest
from suite_samples import WORDS, write_suite

from cuewise.eval.asking import RunConfig, ask_of
from cuewise.eval.blocks import make_sample, needs_making
from cuewise.eval.conditions import GREY, block, changed_clip, shrunk
from cuewise.eval.metrics.base import MetricInputError
from cuewise.eval.metrics.bootstrap import group_gap
from cuewise.eval.report import read_results
from cuewise.eval.runner import plan_suite, run_suite
from cuewise.eval.suites.suite import Condition, SuiteError, load_suite
from cuewise.mllm.clip import Clip


@pytest.mark.parametrize("share", [0.05, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("size", [(48, 48), (36, 64), (90, 30)])
def test_a_block_covers_the_asked_share_inside_the_picture(share, size):
    for seed in "abc":
        top, left, height, width = block(size, share, seed)
        assert top >= 0 and left >= 0 and top + height <= size[0] and left + width <= size[1]
        assert height * width / (size[0] * size[1]) == pytest.approx(share, abs=0.03)


def film() -> Clip:
    frames = np.random.default_rng(0).integers(128, 255, (4, 40, 60, 3), dtype=np.uint8)
    sound = np.zeros(16_000, np.float32)
    return Clip(frames=frames, fps=4.0, samples=sound, sample_rate=16_000, transcript="x", id="f")


def test_pictures_change_as_asked_and_everything_else_stays():
    covered = changed_clip(film(), Condition(occlude=0.25), "f@c")
    grey = (covered.frames == GREY).all(-1)
    assert grey.mean() == pytest.approx(0.25, abs=0.02) and (grey == grey[:1]).all()
    assert np.array_equal(covered.frames[~grey], film().frames[~grey])
    assert covered.transcript == "x" and len(covered.samples) == 16_000 and covered.fps == pytest.approx(4.0)
    poor = changed_clip(film(), Condition(shrink=0.1), "f@p").frames
    assert poor.shape == film().frames.shape and poor.std() < film().frames.std() / 2
    assert np.array_equal(shrunk(film().frames[0], 1.0), film().frames[0])
    again = changed_clip(film(), Condition(occlude=0.5), "f@other").frames
    smaller = (again == GREY).all(-1)
    assert smaller.mean() > grey.mean()
    words = Clip(transcript="only words")
    assert changed_clip(words, Condition(occlude=0.5), "w@c") is words


CONDITIONS = "{plain: {}, urged: {say: 'This matters a lot to me.'}, covered: {occlude: 0.5}}"


def run(tmp_path, answers: dict[str, str], **options):
    """A run over predictions made by condition: condition -> answer given to every sample."""
    suite = tmp_path / "texts.yaml"
    if not suite.exists():
        write_suite(tmp_path, count=20, metrics="uar, condition_spread")
    names = list(WORDS)
    with (tmp_path / "answers.jsonl").open("w") as out:
        for i in range(20):
            for condition, wrong_from in answers.items():
                label = names[i % 4] if i < wrong_from else names[(i + 1) % 4]
                out.write(json.dumps({"id": f"t{i:04d}@{condition}", "text": f"<answer>{label}</answer>"}) + "\n")
    sets = [f"datasets.texts.conditions={CONDITIONS}", *options.get("set", ())]
    return read_results(run_suite(RunConfig(
        suite=str(suite), predictions=tmp_path / "answers.jsonl", data=[str(tmp_path / "data")], out=tmp_path / "run",
        set=sets)))  # fmt: skip


def test_drops_and_spread_stand_in_the_results(tmp_path):
    results = run(tmp_path, {"plain": 20, "urged": 15, "covered": 10})
    spread = results.metric("texts", "condition_spread")
    assert results.n == 60 and spread.value == pytest.approx(0.5) and spread.low <= 0.5 <= spread.high
    assert spread.parts["covered"] == {"accuracy": 0.5, "n": 20, "drop": 0.5}
    assert spread.parts["urged"]["drop"] == pytest.approx(0.25) and spread.parts["plain"]["drop"] == 0
    note = "plain 100.0% (drop 0.0%, n 20); urged 75.0% (drop 25.0%, n 20); covered 50.0% (drop 50.0%, n 20)"
    assert f"Accuracy of texts by condition: {note}" in results.notes


def test_the_wording_of_a_condition_stands_last_and_only_pictures_are_made(tmp_path):
    write_suite(tmp_path, count=4, metrics="uar, condition_spread")
    config = RunConfig(suite=str(tmp_path / "texts.yaml"), data=[str(tmp_path / "data")],
                       set=[f"datasets.texts.conditions={CONDITIONS}"])  # fmt: skip
    suite, samples = plan_suite(config)
    assert [sample.id for sample in samples[:3]] == ["t0000@plain", "t0000@urged", "t0000@covered"]
    asks = [ask_of(sample, suite, config) for sample in samples[:3]]
    assert [ask.addition for ask in asks] == [None, "This matters a lot to me.", None]
    assert [needs_making(sample, suite) for sample in samples[:3]] == [False, False, True]
    made = make_sample(samples[2], suite)
    assert made.clip.transcript == samples[2].clip.transcript


def test_a_planted_gap_is_found_with_its_interval_and_none_where_there_is_none(tmp_path):
    rng = np.random.default_rng(0)
    names = ["old"] * 300 + ["young"] * 300
    hits = [float(rng.random() < (0.6 if name == "old" else 0.8)) for name in names]
    gap = group_gap(hits, names, "young", "old")
    assert gap.low < 0.2 < gap.high and gap.low > 0.05 and gap.n == 600
    fair = group_gap([float(rng.random() < 0.7) for _ in names], names, "young", "old")
    assert fair.low < 0 < fair.high
    with pytest.raises(MetricInputError, match="no sample of the group 'child'"):
        group_gap(hits, names, "child", "old")
    results = run(tmp_path, {"plain": 20, "urged": 20, "covered": 20}, set=["datasets.texts.gaps={speaker: [s0, s1]}"])
    assert any(note.startswith("Gap of texts by speaker: s0 100.0% (n 12), s1 100.0% (n 12); difference 0.0 points")
               for note in results.notes)  # fmt: skip


@pytest.mark.parametrize(
    ("option", "message"),
    [("conditions={x: {occlude: 1.5}}", r"occlude in \[0, 1\)"), ("gaps={sex: [f]}", "must name two groups"),
     ("metrics=[condition_spread]", "needs the option `conditions`")],
)  # fmt: skip
def test_impossible_conditions_are_named(tmp_path, option, message):
    write_suite(tmp_path, count=4)
    config = RunConfig(suite=str(tmp_path / "texts.yaml"), data=[str(tmp_path / "data")],
                       set=[f"datasets.texts.{option}"])  # fmt: skip
    with pytest.raises(SuiteError, match=message):
        plan_suite(config)
    assert load_suite(str(tmp_path / "texts.yaml")).datasets["texts"].conditions == {}
