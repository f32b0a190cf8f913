"""The face-action encoder reads crops as the evidence does, and the same from actions read before."""

import numpy as np
import pytest
import torch

from cuewise.mllm.encoders.face_actions import SCALE, FaceActionsConfig, FaceActionsEncoder, read_actions
from cuewise.mllm.evidence.face_actions import CROP, FaceActionEstimator
from cuewise.mllm.evidence.face_names import ANGLES, UNITS


@pytest.fixture(scope="module")
def encoder() -> FaceActionsEncoder:
    torch.manual_seed(0)
    made = FaceActionsEncoder(FaceActionsConfig(width=16, layers=1))
    made.load_weights()
    return made.eval()


def crops(count: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 255, (count, CROP, CROP, 3), dtype=np.uint8))


def test_it_reads_what_the_evidence_measures(encoder):
    with torch.inference_mode():
        read = read_actions(encoder.estimator, crops(3)) / SCALE
    measured = FaceActionEstimator.load().estimate(crops(3).numpy())
    for place, name in enumerate(UNITS + ANGLES):
        value = read[:, place].clamp(0, 5) if name in UNITS else read[:, place]
        np.testing.assert_allclose(value.numpy(), measured.values[name], atol=1e-3)


def test_crops_and_the_actions_read_from_them_give_the_same_states(encoder):
    pictures = crops(4)[None]
    mask, times = torch.tensor([[True, True, False, True]]), torch.arange(4.0)[None]
    actions = read_actions(encoder.estimator, pictures[0])[None].detach()
    with torch.inference_mode():
        one, other = encoder(pictures, mask, times), encoder(actions, mask, times)
    torch.testing.assert_close(one.states, other.states, atol=1e-5, rtol=0)


def test_the_estimator_never_learns(encoder):
    encoder.train()
    encoder.requires_grad_(True)
    encoder.train()
    out = encoder(crops(2)[None], torch.ones(1, 2, dtype=torch.bool), torch.arange(2.0)[None])
    out.states.sum().backward()
    assert all(weight.grad is None and not weight.requires_grad for weight in encoder.estimator.parameters())
    assert not any(module.training for module in encoder.estimator.modules())
    encoder.eval()


def test_another_crop_size_is_refused():
    with pytest.raises(ValueError, match="96 pixels"):
        FaceActionsConfig(image_size=64)
