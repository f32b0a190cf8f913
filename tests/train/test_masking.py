"""Masks hide exactly what was asked, and only what is hidden is scored."""

import pytest
import torch

from cuewise.train.masking import masked_mse, random_mask, shuffled_frames, tube_mask


@pytest.mark.parametrize(("ratio", "places", "hidden"), [(0.8, 50, 40), (0.9, 16, 14), (0.5, 7, 4)])
def test_the_ratio_is_exact_in_every_row(ratio, places, hidden):
    mask = random_mask((6, places), ratio, torch.Generator().manual_seed(0))
    assert mask.sum(1).tolist() == [hidden] * 6
    assert len({tuple(row.tolist()) for row in mask}) > 1


def test_tubes_hide_the_same_places_in_every_frame():
    mask = tube_mask(3, frames=4, places=16, ratio=0.75).view(3, 4, 16)
    assert (mask == mask[:, :1]).all() and mask.sum(2).unique().tolist() == [12]


def test_only_hidden_places_are_scored():
    target, hidden = torch.randn(2, 5, 3), random_mask((2, 5), 0.4)
    prediction = torch.where(hidden[..., None], target, target + 100)
    assert float(masked_mse(prediction, target, hidden)) == 0
    assert float(masked_mse(target + 1, target, hidden)) == pytest.approx(1)
    with pytest.raises(ValueError, match="nothing hidden"):
        masked_mse(target, target, torch.zeros(2, 5, dtype=torch.bool))


def test_ratios_that_hide_nothing_or_all_are_refused():
    for ratio in (0.0, 1.0, 0.01):
        with pytest.raises(ValueError, match=r"mask ratio|hides"):
            random_mask((1, 10), ratio)


def test_shuffled_frames_are_never_in_order():
    states = torch.arange(2.0)[None, :, None].expand(20, 2, 1)
    assert (shuffled_frames(states)[:, 0] == 1).all()
    with pytest.raises(ValueError, match="no other order"):
        shuffled_frames(states[:, :1])
