"""Checkpoints: exact resume, which are kept, what cannot be taken up."""

import pytest
import torch
from torch import nn
from toy_loop import Points, StopError, config, model, points, squared

from cuewise.train.loop import run_stage


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


def test_a_damaged_checkpoint_is_named_with_what_to_do(tmp_path):
    run_stage("s", model(), points, squared, config(), tmp_path)
    whole = (tmp_path / "s.pt").read_bytes()
    (tmp_path / "s.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"checkpoint .*s\.pt is damaged .* remove it to begin the stage anew"):
        run_stage("s", model(), points, squared, config(), tmp_path)


def test_the_hint_for_a_damaged_checkpoint_names_a_sound_one(tmp_path):
    """The newest numbered checkpoint is the same file under another name."""
    options = config(steps=4, save_every=2, keep_last=2)
    run_stage("s", model(), points, squared, options, tmp_path)
    with (tmp_path / "s.pt").open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(ValueError, match=r"or put s\.step-2\.pt in its place"):
        run_stage("s", model(), points, squared, options, tmp_path)


def test_the_newest_checkpoints_stay_and_each_can_be_taken_up(tmp_path):
    run_stage("s", model(), points, squared, config(save_every=2, keep_last=3), tmp_path)
    kept = sorted(path.name for path in tmp_path.glob("*.pt"))
    assert kept == ["s.pt", "s.step-4.pt", "s.step-6.pt", "s.step-8.pt"]
    assert torch.load(tmp_path / "s.step-6.pt")["step"] == 6
    whole = model()
    run_stage("s", whole, points, squared, config(save_every=2, keep_last=3), tmp_path)
    (tmp_path / "s.step-4.pt").replace(tmp_path / "s.pt")
    resumed = model()
    run_stage("s", resumed, points, squared, config(save_every=2, keep_last=3), tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), resumed.state_dict().values()))


def test_only_trained_weights_are_saved_where_asked(tmp_path):
    net = model()
    net[0].requires_grad_(False)
    run_stage("s", net, points, squared, config(save="trained"), tmp_path)
    assert set(torch.load(tmp_path / "s.pt")["model"]) == {"3.weight", "3.bias"}
    again = model()
    again[0].requires_grad_(False)
    run_stage("s", again, points, squared, config(save="trained"), tmp_path)
    assert torch.equal(again[3].weight, net[3].weight)


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    run_stage("s", model(), points, squared, config(), tmp_path)
    other = nn.Sequential(nn.Linear(4, 1))
    with pytest.raises(ValueError, match=r"s\.pt does not fit this model: \d+ weights differ"):
        run_stage("s", other, points, squared, config(), tmp_path)
