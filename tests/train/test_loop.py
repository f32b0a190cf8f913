"""The loop: exact resume, loud stops, learning-rate schedule."""

import json
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from cuewise.train.loop import LoopConfig, TrainingError, learning_rate, run_stage, step_seed


@dataclass
class Points:
    ids: list[str]
    x: torch.Tensor
    y: torch.Tensor


def model() -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(4, 16), nn.Dropout(0.2), nn.Tanh(), nn.Linear(16, 1))


def points(_: int, generator: torch.Generator) -> Points:
    x = torch.randn(8, 4, generator=generator)
    return Points([f"p{i}" for i in range(8)], x, x.sum(1, keepdim=True))


def squared(net: nn.Module, batch: Points) -> tuple[torch.Tensor, dict]:
    loss = (net(batch.x) - batch.y).square().mean()
    return loss, {"error": loss.detach()}


def config(**options) -> LoopConfig:
    return LoopConfig(**{"steps": 8, "batch_size": 8, "warmup_steps": 2, "lr": 0.05, "log_every": 4, "save_every": 3}
                      | options)  # fmt: skip


class StopError(Exception):
    pass


@pytest.mark.parametrize("killed_at", [1, 3, 4, 7])
def test_a_run_that_was_killed_and_resumed_ends_with_the_same_weights(tmp_path, killed_at):
    whole = model()
    run_stage("s", whole, points, squared, config(), tmp_path / "whole")

    def dies(step: int, generator: torch.Generator) -> Points:
        if step == killed_at:
            raise StopError
        return points(step, generator)

    with pytest.raises(StopError):
        run_stage("s", model(), dies, squared, config(), tmp_path / "killed")
    resumed = model()
    run_stage("s", resumed, points, squared, config(), tmp_path / "killed")
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name


def test_a_finished_stage_is_loaded_and_not_trained_again(tmp_path):
    trained = model()
    run_stage("s", trained, points, squared, config(), tmp_path)
    again = model()
    run_stage("s", again, lambda *_: pytest.fail("trained again"), squared, config(), tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(trained.state_dict().values(), again.state_dict().values()))


def test_training_lowers_the_loss_and_logs_it(tmp_path):
    run_stage("s", model(), points, squared, config(steps=120), tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == 120
    assert lines[-1]["s/loss"] < 0.3 * lines[0]["s/loss"]


def test_a_loss_that_is_not_finite_stops_and_names_step_and_samples(tmp_path):
    def broken(net: nn.Module, batch: Points) -> tuple[torch.Tensor, dict]:
        return net(batch.x).mean() * float("nan"), {}

    with pytest.raises(TrainingError, match=r"stage 's', step 0: loss is nan; samples p0, p1"):
        run_stage("s", model(), points, broken, config(), tmp_path)


def test_a_stage_without_anything_to_train_is_refused(tmp_path):
    frozen = model().requires_grad_(False)
    with pytest.raises(TrainingError, match="trains nothing"):
        run_stage("s", frozen, points, squared, config(), tmp_path)


def test_learning_rate_warms_up_and_falls():
    rates = [learning_rate(step, config(steps=10, warmup_steps=3)) for step in range(10)]
    assert rates[:3] == pytest.approx([0.05 / 3, 0.1 / 3, 0.05])
    assert rates[3:] == sorted(rates[3:], reverse=True) and rates[-1] < 0.01


def test_steps_draw_different_numbers_and_stages_too():
    seeds = {step_seed(run, stage, step) for run in (0, 1) for stage in ("a", "b") for step in range(50)}
    assert len(seeds) == 200
