"""Action units as maps: bumps at their landmarks, a loss with known ends, overlaps of known rectangles."""

import pytest
import torch

from cuewise.train.heatmaps import CODEBOOK, LANDMARKS, correlation_loss, heat_map, map_iou


def landmarks() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.rand(68, 2) * 0.8 + 0.1


@pytest.mark.parametrize("unit", LANDMARKS)
def test_a_map_peaks_at_the_landmarks_of_its_unit(unit):
    points, found = landmarks(), heat_map(landmarks(), [unit], (64, 64))
    for point in LANDMARKS[unit]:
        x, y = (points[point] * 64).long().tolist()
        assert found[y, x] > 0.9
    assert found.max() <= 1 and heat_map(points, [], (8, 8)).sum() == 0


def test_every_label_has_units_with_landmarks():
    for units in CODEBOOK.values():
        assert heat_map(landmarks(), units, (16, 16)).max() > 0.5
    with pytest.raises(ValueError, match="no landmarks for AU99"):
        heat_map(landmarks(), ["AU99"], (8, 8))


def test_the_loss_is_nothing_for_equal_and_two_for_opposite_maps():
    target = heat_map(landmarks(), ["AU12"], (16, 16))[None]
    assert correlation_loss(3 * target + 1, target).item() == pytest.approx(0, abs=1e-5)
    assert correlation_loss(-target, target).item() == pytest.approx(2, abs=1e-5)
    assert correlation_loss(torch.ones_like(target), target).item() == pytest.approx(1)


def test_attention_moves_to_the_unit_when_it_is_trained():
    target = heat_map(landmarks(), ["AU4"], (16, 16))
    score = torch.zeros(1, 16, 16, requires_grad=True)
    optimizer = torch.optim.Adam([score], 0.1)
    for _ in range(100):
        loss = correlation_loss(score.flatten(1).softmax(1).view(1, 16, 16), target[None])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.3 and map_iou(score.detach()[0], target > 0.5) > 0.5


def test_overlap_of_known_rectangles():
    region, attention = torch.zeros(8, 8, dtype=torch.bool), torch.zeros(8, 8)
    region[:4, :4], attention[:4, 2:6] = True, 1.0
    assert map_iou(attention, region) == pytest.approx(8 / 24)
    with pytest.raises(ValueError, match="empty"):
        map_iou(attention, torch.zeros(8, 8, dtype=torch.bool))
