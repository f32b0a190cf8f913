"""The reference stays what the model was at the start, whatever training moves."""

import torch
from tiny import tiny_inputs, tiny_model

from cuewise.train.reference import Reference


def readings(model: torch.nn.Module) -> torch.Tensor:
    training = model.training
    with torch.no_grad():
        found = model.eval().encode_batch(tiny_inputs(9)).logits
    model.train(training)
    return found


def test_running_statistics_do_not_carry_the_reference_along():
    model = tiny_model()
    model.train_only("face", "voice")
    first, reference = readings(model.train()), Reference(model)
    for seed in range(3):
        model.encode_batch(tiny_inputs(seed))
    with torch.no_grad():
        model.media.towers["voice"].head.classes.bias.add_(1.0)
    moved = readings(model)
    assert not torch.equal(moved, first)
    with reference.on():
        assert torch.equal(readings(model), first)
    assert torch.equal(readings(model), moved)


def test_a_reference_that_is_run_in_training_mode_stays():
    model = tiny_model()
    model.train_only("voice")
    first, reference = readings(model.train()), Reference(model)
    with reference.on():
        model.encode_batch(tiny_inputs(5))
    assert torch.equal(readings(model), first)
    with reference.on():
        assert torch.equal(readings(model), first)
