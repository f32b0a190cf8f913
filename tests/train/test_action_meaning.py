"""The regression that says what measured face actions mean."""

import pytest
import torch

from cuewise.train.action_meaning import fit_meaning

linear_model = pytest.importorskip("sklearn.linear_model")


def faces(count: int = 240):
    generator = torch.Generator().manual_seed(0)
    actions = torch.rand(count, 5, generator=generator) ** 3 * 4
    scores = actions.sqrt() @ torch.randn(5, 3, generator=generator) + 0.4 * torch.randn(count, 3, generator=generator)
    return actions, scores.argmax(1)


def test_it_is_the_logistic_regression_of_standard_software():
    actions, labels = faces()
    decay = 0.01
    ours = fit_meaning(actions, torch.eye(3)[labels], torch.ones(len(labels)), torch.zeros(3), decay=decay)
    roots = actions.double().sqrt()
    inputs = ((roots - roots.mean(0)) / roots.std(0, unbiased=False)).numpy()
    peer = linear_model.LogisticRegression(C=1 / (decay * len(labels)), max_iter=5000, tol=1e-10)
    wanted = torch.tensor(peer.fit(inputs, labels.numpy()).predict_proba(inputs))
    torch.testing.assert_close(ours(actions).exp().double(), wanted, atol=2e-4, rtol=0)


def test_a_frequent_label_is_not_favoured_when_its_share_is_told():
    actions, labels = faces()
    seldom = (labels != 0) | (torch.arange(len(labels)) % 4 == 0)
    actions, labels = actions[seldom], labels[seldom]
    shares, ones = torch.eye(3)[labels], torch.ones(len(labels))
    prior = shares.mean(0).log()
    plain, even = (fit_meaning(actions, shares, ones, given, decay=0.01) for given in (torch.zeros(3), prior))
    assert even(actions).exp()[:, 0].mean() > 1.3 * plain(actions).exp()[:, 0].mean()


def test_weights_count_like_copies():
    actions, labels = faces(60)
    shares = torch.eye(3)[labels]
    twice = fit_meaning(torch.cat([actions, actions[:20]]), torch.cat([shares, shares[:20]]), torch.ones(80),
                        torch.zeros(3), decay=0.02)  # fmt: skip
    weights = torch.ones(60)
    weights[:20] = 2
    weighted = fit_meaning(actions, shares, weights, torch.zeros(3), decay=0.02)
    torch.testing.assert_close(weighted(actions), twice(actions), atol=1e-4, rtol=1e-4)
