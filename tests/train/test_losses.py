"""Losses against numbers worked out by hand, and the promise that missing targets give no gradient."""

import pytest
import torch

from cuewise.train.losses import concordance, next_token_loss, soft_cross_entropy, valence_arousal_loss


def test_soft_cross_entropy_is_the_entropy_of_the_votes_at_the_optimum():
    votes = torch.tensor([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5]])
    logits = (votes + 1e-12).log()
    loss, stats = soft_cross_entropy(logits, votes, torch.tensor([True, True]))
    entropy = -(votes * (votes + 1e-12).log()).sum(-1).mean()
    torch.testing.assert_close(loss, entropy)
    assert stats["count"] == 2


def test_samples_without_a_label_give_no_gradient():
    logits = torch.randn(3, 4, requires_grad=True)
    target = torch.nn.functional.one_hot(torch.tensor([1, 2, 0]), 4).float()
    soft_cross_entropy(logits, target, torch.tensor([True, False, True]))[0].backward()
    assert logits.grad[1].abs().sum() == 0 and logits.grad[0].abs().sum() > 0


def test_no_target_at_all_is_zero_loss_and_zero_gradient():
    predicted = torch.randn(3, 2, requires_grad=True)
    loss, _ = valence_arousal_loss(predicted, torch.zeros(3, 2), torch.zeros(3, dtype=torch.bool))
    loss.backward()
    assert loss == 0 and predicted.grad.abs().sum() == 0


def test_concordance_matches_the_published_vector():
    x, y = torch.tensor([0.1, 0.4, -0.2, 0.8]), torch.tensor([0.0, 0.5, -0.1, 0.6])
    assert concordance(x, y).item() == pytest.approx(0.923913, abs=1e-6)


def test_samples_without_valence_and_arousal_change_nothing():
    predicted, target = torch.randn(6, 2, requires_grad=True), torch.rand(6, 2)
    known = torch.tensor([True, True, False, True, False, True])
    loss, stats = valence_arousal_loss(predicted, target, known)
    alone, _ = valence_arousal_loss(predicted[known], target[known], torch.ones(4, dtype=torch.bool))
    torch.testing.assert_close(loss, alone)
    loss.backward()
    assert predicted.grad[~known].abs().sum() == 0 and stats["count"] == 4


def test_next_token_loss_looks_only_at_labelled_positions():
    logits, labels = torch.randn(2, 5, 7), torch.tensor([[-100, -100, 3, 4, -100], [-100, 1, -100, -100, -100]])
    loss, stats = next_token_loss(logits, labels)
    logp = logits.log_softmax(-1)
    want = -(logp[0, 1, 3] + logp[0, 2, 4] + logp[1, 0, 1]) / 3
    torch.testing.assert_close(loss, want)
    assert stats["tokens"] == 3


def test_micro_batches_with_the_step_normaliser_add_up_to_one_batch():
    logits = torch.randn(4, 6, 9, requires_grad=True)
    labels = torch.randint(0, 9, (4, 6))
    labels[:, :3] = -100
    tokens = (labels[:, 1:] != -100).sum()
    whole = torch.autograd.grad(next_token_loss(logits, labels)[0], logits)[0]
    parts = sum(next_token_loss(logits[i : i + 2], labels[i : i + 2], normalizer=tokens)[0] for i in (0, 2))
    torch.testing.assert_close(torch.autograd.grad(parts, logits)[0], whole)
