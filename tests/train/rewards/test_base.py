"""The table of rewards: every reward keeps its range, its map is monotone, and configs refuse what does not exist."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest

from cuewise.data_recipes.schema import Row
from cuewise.mllm.config_tools import from_dict
from cuewise.train.rewards import RewardConfig, RewardError, RewardSample, load_config, reward, rewards, score
from cuewise.train.rewards.base import REWARDS, Entry, Schedule


def sample(text: str, **row) -> RewardSample:
    return RewardSample.read("?", text, Row(id="r", corpus="c", **({"labels": ["happy"]} | row)))


def config(**entries) -> RewardConfig:
    return RewardConfig(rewards={name: Entry(weight=weight) for name, weight in entries.items()})


@pytest.mark.parametrize("name", sorted(rewards()))
def test_the_map_of_every_reward_is_monotone_into_zero_to_one(name):
    known = reward(name)
    low, high = max(known.low, -50.0), min(known.high, 50.0)
    values = [known.to_unit(low + (high - low) * i / 400) for i in range(401)]
    ordered = values if known.direction == "higher" else values[::-1]
    assert all(a <= b for a, b in pairwise(ordered))
    assert ordered[0] < ordered[-1] and min(values) >= 0 and max(values) <= 1
    if math.isfinite(known.low) and math.isfinite(known.high):
        assert {min(values), max(values)} == {0.0, 1.0}


def test_total_is_the_weighted_mean_over_rewards_that_score_the_row():
    samples = [sample("<answer>happy</answer>"), sample("<answer>sad</answer>", statement=None)]
    table = score(samples, config(exact=3.0, format=1.0, statement=5.0))
    assert table.unit["statement"] == [None, None]
    assert table.total == [1.0, 0.25]
    assert table.means()["reward/exact/raw"] == 0.5 and "reward/statement/raw" not in table.means()
    matrix = table.matrix()
    assert matrix[:2] == [[1.0, 0.0], [1.0, 1.0]] and all(map(math.isnan, matrix[2]))
    assert table.row(1) == {"exact_raw": 0.0, "format_raw": 1.0, "statement_raw": None, "exact": 0.0, "format": 1.0,
                            "statement": None, "total": 0.25}  # fmt: skip


def test_weights_follow_their_schedule():
    ramp = Schedule(kind="linear", start=0.0, end=2.0, from_step=10, to_step=20)
    assert [ramp.at(step) for step in (0, 10, 15, 20, 99)] == [0.0, 0.0, 1.0, 2.0, 2.0]
    jump = Schedule(kind="step", start=1.0, end=0.0, to_step=5)
    assert [jump.at(step) for step in (0, 4, 5, 6)] == [1.0, 1.0, 0.0, 0.0]
    only = RewardConfig(rewards={"exact": Entry(weight=ramp), "format": Entry(weight=1.0)})
    wrong = [sample("<answer>sad</answer>")]
    assert [score(wrong, only, step=step).total[0] for step in (0, 20)] == [1.0, pytest.approx(1 / 3)]


def test_a_config_file_is_read_with_schedules(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(
        "rewards:\n  ew: {weight: {kind: linear, start: 0, end: 1, to_step: 10}, options: {penalty: P1}}\n"
        "  format: 0.5\n"
    )
    found = load_config(path)
    assert found.weights(5) == {"ew": 0.5, "format": 0.5} and found.rewards["ew"].options == {"penalty": "P1"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rewards: {formt: {weight: 1}}", "unknown reward `formt`; did you mean `format`"),
        ("rewards: {ew: {weight: 1, options: {penalti: P1}}}", "no option `penalti`; did you mean `penalty`"),
        ("rewards: {ew: {wieght: 1}}", r"unknown option `rewards.ew.wieght`; did you mean `rewards.ew.weight`"),
        ("rewards: {ew: {weight: {kind: linear, end: 1}}}", "to_step must lie after from_step 0, got 0"),
        ("rewards: {ew: {weight: -1}}", "weights must be >= 0"),
        ("rewards: {}", "no reward is configured"),
    ],
)  # fmt: skip
def test_bad_configs_say_what_to_change(tmp_path, text, message):
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(RewardError, match=message):
        load_config(path)


def test_a_reward_outside_its_range_or_without_its_resource_is_an_error(monkeypatch):
    with pytest.raises(RewardError, match="`critique` needs the resource `critic`"):
        score([sample("x")], config(critique=1.0))
    monkeypatch.setitem(REWARDS, "exact", replace(reward("exact"), function=lambda samples: [2.0] * len(samples)))
    with pytest.raises(RewardError, match=r"`exact` gave 2.0 for row 'r'; its raw values lie in \[0, 1\]"):
        score([sample("x")], config(exact=1.0))


def test_the_shipped_config_is_sound():
    assert set(load_config().weights()) <= set(rewards())


def test_values_of_options_are_checked_when_a_config_is_read():
    for name, options, message in (
        ("ew", {"penalty": "p3"}, "`ew.options.penalty` must be one of none, P1, P2, P3, got 'p3'"),
        ("ew", {"level": 3}, "must be one of 1, 2"), ("confidence", {"hit": "EW"}, "must be one of exact, ew"),
        ("follow_up", {"positive": "Yes."}, "must be a list"), ("exact", {"single": "no"}, "must be bool"),
    ):  # fmt: skip
        with pytest.raises(RewardError, match=message):
            RewardConfig(rewards={name: Entry(options=options)})


def test_a_number_is_a_weight_in_every_recipe():
    made = from_dict(RewardConfig, {"rewards": {"format": 0.2, "exact": {"options": {"single": True}}}})
    assert made.weights() == {"format": 0.2, "exact": 1.0}
    with pytest.raises(RewardError, match="weight must be a number or a schedule, got 'much'"):
        from_dict(RewardConfig, {"rewards": {"format": "much"}})
    moving = Schedule(kind="linear", start=0.0, end=1.0, from_step=10, to_step=20)
    assert RewardConfig(rewards={"format": Entry(), "exact": Entry(weight=moving)}).turns == [0, 10, 20]
