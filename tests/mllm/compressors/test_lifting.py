"""The lifting split: unlike frames are the detail, an odd clip is refused, and empty layers leave the plain formula."""

import pytest
import torch

from cuewise.mllm.compressors.lifting import Lifting, LiftingConfig, split_order


def planted() -> torch.Tensor:
    """Eight frames, of which 1, 4 and 6 are unlike all others, and 3 a little."""
    frames = torch.zeros(1, 8, 6)
    frames[..., 0] = 1.0
    for number, place in ((1, 1), (4, 2), (6, 3)):
        frames[0, number] = torch.nn.functional.one_hot(torch.tensor(place), 6).float()
    frames[0, 3, 4] = 0.5
    return frames


def test_unlike_frames_land_in_the_detail_half():
    order = split_order(planted())[0]
    assert order[4:].tolist() == [1, 3, 4, 6] and order[:4].tolist() == [0, 2, 5, 7]


def test_an_odd_number_of_frames_is_refused_or_repeated():
    with pytest.raises(ValueError, match="even number of frames, got 5"):
        split_order(torch.randn(1, 5, 4))
    with pytest.raises(ValueError, match="odd: repeat"):
        LiftingConfig().num_tokens(5)
    assert LiftingConfig(odd="repeat").num_tokens(5) == 4


@pytest.mark.parametrize("detail_first", [False, True])
def test_layers_that_give_nothing_leave_the_halves_as_they_are(detail_first):
    frames = planted()
    lifting = Lifting(6, heads=2, detail_first=detail_first)
    for layer in (lifting.update, lifting.predict):
        torch.nn.init.zeros_(layer.out_proj.weight)
        torch.nn.init.zeros_(layer.out_proj.bias)
    lifted = lifting(frames)
    assert torch.equal(lifted.approximation, frames[:, [0, 2, 5, 7]])
    assert torch.equal(lifted.detail, frames[:, [1, 3, 4, 6]])
    pooled = lifted.approximation.mean(1)
    want = 0.1 * torch.nn.functional.smooth_l1_loss(pooled, torch.zeros_like(pooled))
    assert torch.equal(lifting.regulariser(lifted), want)
