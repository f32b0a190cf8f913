import math

import pytest
import torch

from cuewise.train.advantages import (
    EPSILON,
    advantages,
    batch_scaled,
    centred,
    group_scaled,
    has_spread,
    leave_one_out,
    overlong_penalty,
    per_reward,
    weighted_mean,
)

NAN = float("nan")
REWARDS = torch.tensor([[1.0, 0.0, 0.0, 1.0], [0.2, 0.2, 0.2, 1.0]])


def test_hand_computed_advantages():
    torch.testing.assert_close(centred(REWARDS), torch.tensor([[0.5, -0.5, -0.5, 0.5], [-0.2, -0.2, -0.2, 0.6]]))
    deviations = [math.sqrt(4 * 0.25 / 3), math.sqrt((3 * 0.04 + 0.36) / 3)]
    expected = centred(REWARDS) / (torch.tensor(deviations).unsqueeze(1) + EPSILON)
    torch.testing.assert_close(group_scaled(REWARDS), expected)
    mean = 3.6 / 8
    whole = math.sqrt(sum((float(x) - mean) ** 2 for x in REWARDS.flatten()) / 7)
    torch.testing.assert_close(batch_scaled(REWARDS), centred(REWARDS) / (whole + EPSILON))
    torch.testing.assert_close(leave_one_out(REWARDS)[0], torch.tensor([2 / 3, -2 / 3, -2 / 3, 2 / 3]))
    torch.testing.assert_close(leave_one_out(REWARDS)[1, 3], torch.tensor(0.8))


def test_per_reward_scaling_hears_a_reward_with_a_small_range():
    loud, quiet = torch.tensor([[100.0, 0.0, 100.0, 0.0]]), torch.tensor([[0.0, 0.0, 0.01, 0.01]])
    both = torch.stack([loud, quiet])
    summed = advantages(both, torch.ones(2), "group")[0]
    apart = per_reward(both, torch.ones(2))[0]
    assert abs(summed[0] - summed[2]) < 1e-3, "summed, the quiet reward is lost"
    order = [round(float(x), 2) for x in apart]
    assert order[2] > order[0] > order[1] and order[0] == pytest.approx(order[3], abs=0.05), order
    scaled = 0.5 / (math.sqrt(4 * 0.25e-4 / 3) + EPSILON) / 100  # of the quiet reward: 0.005 / (0.005774 + 1e-4)
    loudly = 50 / (math.sqrt(4 * 2500 / 3) + EPSILON)
    total = torch.tensor([loudly - scaled, -loudly - scaled, loudly + scaled, -loudly + scaled])
    torch.testing.assert_close(apart, total / (total.std() + EPSILON))


def test_a_reward_that_cannot_judge_counts_for_nothing():
    rewards = torch.tensor([[1.0, 0.0, NAN, NAN]])
    assert centred(rewards).tolist() == [[0.5, -0.5, 0.0, 0.0]]
    assert group_scaled(rewards)[0, 2] == 0 and torch.isfinite(group_scaled(rewards)).all()
    assert leave_one_out(rewards).tolist() == [[1.0, -1.0, 0.0, 0.0]]
    both = torch.stack([rewards, torch.tensor([[NAN, 1.0, 1.0, NAN]])])
    total = weighted_mean(both, torch.tensor([2.0, 3.0]))
    assert total[0, :3].tolist() == pytest.approx([1.0, 0.6, 1.0]) and total[0, 3].isnan()


@pytest.mark.parametrize("kind", ["none", "group", "batch", "rloo", "gdpo"])
def test_equal_rewards_give_zero_and_finite_advantages(kind):
    found = advantages(torch.full((2, 3, 4), 0.7), torch.tensor([1.0, 0.5]), kind)
    assert found.shape == (3, 4) and found.abs().max() < 1e-6


@pytest.mark.parametrize("kind", ["none", "group", "batch", "rloo", "gdpo"])
def test_the_order_of_a_group_changes_nothing(kind):
    torch.manual_seed(0)
    rewards, weights, order = torch.rand(2, 3, 5), torch.tensor([1.0, 0.5]), torch.randperm(5)
    torch.testing.assert_close(
        advantages(rewards[:, :, order], weights, kind), advantages(rewards, weights, kind)[:, order]
    )


def test_spread_is_seen_in_any_reward():
    rewards = torch.tensor([[[1.0, 1.0], [0.3, 0.3], [NAN, NAN]], [[0.0, 0.0], [0.1, 0.2], [0.5, 0.5]]])
    assert has_spread(rewards).tolist() == [False, True, False]


def test_long_answers_are_punished_softly():
    lengths = torch.tensor([10, 80, 85, 90, 100, 120])
    torch.testing.assert_close(
        overlong_penalty(lengths, 100, 20), torch.tensor([0.0, 0.0, -0.25, -0.5, -1.0, -1.0])
    )
    assert overlong_penalty(lengths, 100, 0).tolist() == [0, 0, 0, 0, -1, -1]


def test_an_unknown_kind_is_an_error():
    with pytest.raises(ValueError, match="unknown advantage `grup`; known: none, group, batch, rloo, gdpo"):
        advantages(torch.rand(1, 1, 2), torch.ones(1), "grup")
