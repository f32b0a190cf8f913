"""Contrastive objectives: order of streams does not matter, a missing stream drops its pairs, retrieval rises."""

import math

import pytest
import torch

from cuewise.train.contrastive import (
    info_nce,
    layerwise,
    pairwise,
    retrieval_at_1,
    similarity_distillation,
    to_text,
    triple,
)

NAMES = ("face", "voice", "words")


def rows(size: int = 6, width: int = 8) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {name: torch.randn(size, width, requires_grad=True) for name in NAMES}


def everywhere(size: int = 6) -> dict[str, torch.Tensor]:
    return {name: torch.ones(size, dtype=torch.bool) for name in NAMES}


def test_the_order_of_the_streams_does_not_matter_and_each_gets_a_gradient():
    given = rows()
    loss, stats = pairwise(given, everywhere())
    other, _ = pairwise(dict(reversed(given.items())), everywhere())
    torch.testing.assert_close(loss, other)
    loss.backward()
    assert all(row.grad.abs().sum() > 0 for row in given.values()) and len(stats) == 3


def test_a_missing_stream_drops_its_own_pairs_only():
    given, present = rows(), everywhere()
    present["words"] = torch.zeros(6, dtype=torch.bool)
    loss, stats = pairwise(given, present)
    assert set(stats) == {"face-voice/contrast"}
    torch.testing.assert_close(loss, info_nce(given["face"], given["voice"]))
    present["voice"] = torch.tensor([True, True, True, False, False, False])
    torch.testing.assert_close(pairwise(given, present)[0], info_nce(given["face"][:3], given["voice"][:3]))
    nothing, stats = pairwise(given, {name: torch.zeros(6, dtype=torch.bool) for name in NAMES})
    assert float(nothing.detach()) == 0 and not stats


def test_layers_add_up_and_lambda_zero_leaves_nothing():
    a, b = [torch.randn(5, 4) for _ in range(3)], [torch.randn(5, 4) for _ in range(3)]
    torch.testing.assert_close(layerwise(a, b, 0.5), 0.5 * sum(info_nce(x, y) for x, y in zip(a, b)))
    assert float(layerwise(a, b, 0.0)) == 0
    with pytest.raises(ValueError, match="as many depths"):
        layerwise(a, b[:2])


@pytest.mark.parametrize("paired", [True, False])
def test_retrieval_rises_on_pairs_and_not_on_shuffled_ones(paired):
    torch.manual_seed(0)
    hidden = torch.randn(64, 6)
    clips, texts = hidden @ torch.randn(6, 12), hidden @ torch.randn(6, 10)
    one, other = torch.nn.Linear(12, 8), torch.nn.Linear(10, 8)
    optimizer = torch.optim.Adam([*one.parameters(), *other.parameters()], 1e-2)
    for _ in range(150):
        order = torch.arange(32) if paired else torch.randperm(32)
        loss = to_text(one(clips[:32]), other(texts[:32][order]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found = retrieval_at_1(one(clips[32:]), other(texts[32:]))
    assert found > 0.6 if paired else found < 0.2


def test_the_triple_loss_is_its_formula_and_falls():
    positive, negatives = torch.tensor([1.0]), torch.tensor([[0.0, 2.0]])
    want = -math.log(math.e / (math.e + 1 + math.e**2))
    assert triple(positive, negatives).item() == pytest.approx(want)
    score = torch.zeros(8, 3, requires_grad=True)
    optimizer = torch.optim.SGD([score], 1.0)
    first = triple(score[:, 0], score[:, 1:]).item()
    for _ in range(50):
        optimizer.zero_grad()
        loss = triple(score[:, 0], score[:, 1:])
        loss.backward()
        optimizer.step()
    assert loss.item() < first / 3


def test_a_student_with_the_teachers_similarities_has_nothing_to_learn():
    teacher = torch.randn(6, 6)
    assert similarity_distillation(teacher.clone(), teacher).item() == pytest.approx(0, abs=1e-6)
    assert similarity_distillation(-teacher, teacher).item() > 0.1


def test_unequal_or_single_rows_are_refused():
    with pytest.raises(ValueError, match="at least 2 rows"):
        info_nce(torch.randn(1, 4), torch.randn(1, 4))
