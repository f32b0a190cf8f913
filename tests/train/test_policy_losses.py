"""Losses against hand-computed numbers, and against the losses of an independent trainer on the same inputs."""

import math
from collections import defaultdict
from types import SimpleNamespace

import pytest
import torch

from cuewise.train.policy_losses import (
    avem_prompt_loss,
    avem_response_loss,
    cispo,
    clipped,
    dpo_loss,
    dynamic_beta,
    k3,
    policy_loss,
    sequence_ratio,
    token_entropy,
    token_logprobs,
)

MASK = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0], [1, 1, 1, 1]], dtype=torch.bool)
ADVANTAGE = torch.tensor([1.0, -0.5, 0.25])


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def numbers():
    old = -torch.rand(3, 4) * 3
    return (old + torch.randn(3, 4) * 0.5).requires_grad_(), old, old + torch.randn(3, 4) * 0.3


def test_token_logprobs_and_entropy():
    logits = torch.randn(2, 5, 7)
    targets = torch.randint(7, (2, 5))
    expected = (logits / 0.7).log_softmax(-1).gather(-1, targets[..., None])[..., 0]
    torch.testing.assert_close(token_logprobs(logits, targets, 0.7), expected)
    torch.testing.assert_close(token_entropy(torch.zeros(3, 8)), torch.full((3,), math.log(8)))
    barred = torch.tensor([0.0, 0.0, torch.finfo(torch.float32).min])
    torch.testing.assert_close(token_entropy(barred, 0.8), torch.tensor(math.log(2)))


def test_clipping_by_hand():
    ratio = torch.tensor([[0.5, 1.0, 2.0], [0.5, 1.0, 2.0]])
    loss = clipped(ratio, torch.tensor([1.0, -1.0]), low=0.2, high=0.3)
    torch.testing.assert_close(loss, torch.tensor([[-0.5, -1.0, -1.3], [0.8, 1.0, 2.0]]))
    bounded = clipped(ratio, torch.tensor([1.0, -1.0]), low=0.2, high=0.3, ceiling=1.5)
    torch.testing.assert_close(bounded, torch.tensor([[-0.5, -1.0, -1.3], [0.8, 1.0, 1.5]]))


def test_cispo_caps_the_weight_and_keeps_every_gradient():
    logp = torch.tensor([[-1.0, -2.0]], requires_grad=True)
    loss = cispo(torch.tensor([[0.5, 9.0]]), torch.tensor([2.0]), logp, high=5.0)
    torch.testing.assert_close(loss, torch.tensor([[1.0, 20.0]]))
    loss.sum().backward()
    assert logp.grad.tolist() == [[-1.0, -10.0]]


def test_k3_by_hand():
    assert k3(torch.tensor(-1.0), torch.tensor(-1.0)) == 0
    torch.testing.assert_close(k3(torch.tensor(-1.0), torch.tensor(-2.0)), torch.tensor(math.exp(-1)))


def test_sequence_ratio_is_the_geometric_mean():
    logp = torch.log(torch.tensor([[2.0, 8.0, 5.0]]))
    ratio = sequence_ratio(logp, torch.zeros(1, 3), torch.tensor([[True, True, False]]))
    torch.testing.assert_close(ratio, torch.tensor([[4.0]]))


def test_on_policy_gradient_is_the_plain_policy_gradient():
    logp, _, _ = numbers()
    loss, stats = policy_loss(logp, logp.detach(), ADVANTAGE, MASK)
    loss.backward()
    torch.testing.assert_close(logp.grad, -ADVANTAGE[:, None] * MASK / MASK.sum())
    assert stats["clip/low"] == stats["clip/high"] == 0 and stats["ratio"] == 1


def test_micro_batches_with_the_tokens_of_the_step_give_the_same_gradient():
    logp, old, reference = numbers()
    options = {"normalizer": MASK.sum(), "reference": reference, "kl_weight": 0.1}
    whole, _ = policy_loss(logp, old, ADVANTAGE, MASK, **options)
    (expected,) = torch.autograd.grad(whole, logp)
    parts = [policy_loss(logp[i], old[i], ADVANTAGE[i], MASK[i], **(options | {"reference": reference[i]}))[0]
             for i in (slice(0, 1), slice(1, 3))]  # fmt: skip
    torch.testing.assert_close(torch.autograd.grad(sum(parts), logp)[0], expected)


# Parity with TRL (used here only)

GRPO_CASES = {
    "dapo": ({"loss_type": "dapo"}, {"mean": "tokens"}),
    "bnpo": ({"loss_type": "bnpo"}, {"mean": "tokens"}),
    "grpo": ({"loss_type": "grpo"}, {"mean": "completions"}),
    "dr_grpo": ({"loss_type": "dr_grpo"}, {"mean": "tokens", "normalizer": 3 * 4}),
    "clip-higher": ({"loss_type": "dapo", "epsilon_high": 0.05}, {"mean": "tokens", "high": 0.05}),
    "two-sided": ({"loss_type": "dapo", "delta": 1.4}, {"mean": "tokens", "ceiling": 1.4}),
    "gspo": ({"loss_type": "grpo", "importance_sampling_level": "sequence"},
             {"mean": "completions", "ratio": "sequence"}),
    "cispo": ({"loss_type": "cispo", "epsilon_high": 1.1}, {"objective": "cispo", "high": 1.1}),
    "kl": ({"loss_type": "dapo", "beta": 0.3}, {"mean": "tokens", "kl_weight": 0.3}),
}  # fmt: skip


@pytest.mark.parametrize("name", GRPO_CASES)
def test_grpo_losses_equal_trl(name):
    trl = pytest.importorskip("trl.trainer.grpo_trainer", reason="TRL is not installed")
    theirs, ours = GRPO_CASES[name]
    logp, old, reference = numbers()
    state = {
        "importance_sampling_level": "token", "loss_type": "dapo", "epsilon_low": 0.2, "epsilon_high": 0.28,
        "beta": 0.0, "delta": None,
    } | theirs  # fmt: skip
    trainer = trl_trainer(trl.GRPOTrainer, state, logp, max_completion_length=4)
    inputs = {
        "prompt_ids": torch.zeros(3, 2, dtype=torch.long), "prompt_mask": torch.ones(3, 2, dtype=torch.long),
        "completion_ids": torch.zeros(3, 4, dtype=torch.long), "completion_mask": MASK.long(),
        "advantages": ADVANTAGE, "old_per_token_logps": old, "ref_per_token_logps": reference,
        "num_items_in_batch": MASK.sum(),
    }  # fmt: skip
    expected = trl.GRPOTrainer._compute_loss(trainer, None, inputs)
    (gradient,) = torch.autograd.grad(expected, logp)
    options = {"low": 0.2, "high": 0.28, "reference": reference if theirs.get("beta") else None} | ours
    loss, _ = policy_loss(logp, old, ADVANTAGE, MASK, **options)
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(torch.autograd.grad(loss, logp)[0], gradient, atol=1e-5, rtol=1e-5)
    assert gradient.abs().sum() > 0


def trl_trainer(kind, state, logp, max_completion_length):
    """A trainer of TRL with its loss code and nothing else: no dataset, no model, log-probabilities as given."""
    trainer = kind.__new__(kind)
    accelerator = SimpleNamespace(gather=lambda x: x, reduce=lambda x, **_: x, num_processes=1, device="cpu")
    trainer.__dict__ |= {
        "importance_sampling_level": state["importance_sampling_level"], "loss_type": state["loss_type"],
        "epsilon_low": state["epsilon_low"], "epsilon_high": state["epsilon_high"], "beta": state["beta"],
        "args": SimpleNamespace(delta=state["delta"], use_bias_correction_kl=False, steps_per_generation=1),
        "top_entropy_quantile": 1.0, "off_policy_mask_threshold": None, "use_vllm": False, "aux_loss_enabled": False,
        "_entropy_bonus_enabled": False, "max_completion_length": max_completion_length, "accelerator": accelerator,
        "model": SimpleNamespace(training=True), "current_gradient_accumulation_steps": 1,
        "_metrics": {"train": defaultdict(list)},
        "_get_per_token_logps_and_entropies": lambda *a, **k: (logp, torch.zeros_like(logp), None),
    }  # fmt: skip
    return trainer


@pytest.mark.parametrize("kind", ["sigmoid", "hinge", "ipo", "robust"])
def test_preference_losses_equal_trl(kind):
    trl = pytest.importorskip("trl.trainer.dpo_trainer", reason="TRL is not installed")
    smoothing = 0.1 if kind == "robust" else 0.0
    # Two pairs: rows are [chosen 0, chosen 1, rejected 0, rejected 1], four tokens each, the first no answer.
    logps = (-torch.rand(4, 3)).requires_grad_()
    completion = torch.tensor([[0, 1, 1, 1], [0, 1, 1, 0], [0, 1, 1, 1], [0, 1, 0, 0]])
    per_token = logps * completion[:, 1:]
    reference = [-torch.rand(2), -torch.rand(2)]
    trainer = trl.DPOTrainer.__new__(trl.DPOTrainer)
    trainer.__dict__ |= {
        "accelerator": SimpleNamespace(device="cpu", gather_for_metrics=lambda x: x, gather=lambda x: x),
        "model": SimpleNamespace(training=True), "aux_loss_enabled": False, "ld_alpha": None,
        "precompute_ref_logps": True, "f_divergence_type": "reverse_kl", "loss_types": [kind], "loss_weights": [1.0],
        "beta": 0.3, "label_smoothing": smoothing, "use_weighting": False, "_total_train_tokens": 0, "_tp_size": 1,
        "_metrics": {"train": defaultdict(list)},
    }  # fmt: skip
    outputs = SimpleNamespace(
        log_probs=per_token, entropy=torch.zeros(4, 3), mean_logits=torch.zeros(4, 3), is_top1=torch.ones(4, 3) > 0
    )
    inputs = {"input_ids": torch.zeros(4, 4, dtype=torch.long), "attention_mask": torch.ones(4, 4, dtype=torch.long),
              "completion_mask": completion, "ref_chosen_logps": reference[0],
              "ref_rejected_logps": reference[1]}  # fmt: skip
    expected = trl.DPOTrainer._compute_loss(trainer, lambda **_: outputs, inputs, False)
    (gradient,) = torch.autograd.grad(expected, logps, retain_graph=True)
    scores = per_token.sum(1)
    lengths = completion.sum(1).float()
    loss, _ = dpo_loss(
        scores[:2] - reference[0], scores[2:] - reference[1], 0.3, kind=kind, smoothing=smoothing,
        lengths=(lengths[:2], lengths[2:]),
    )  # fmt: skip
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(torch.autograd.grad(loss, logps)[0], gradient, atol=1e-5, rtol=1e-5)


# Preferences


def test_dynamic_beta_gives_the_published_values():
    found = dynamic_beta(torch.tensor([0.0, 1.0, 2.0, 5.0, -3.0, 1e9]))
    torch.testing.assert_close(
        found, torch.tensor([0.1, 0.1197, 0.1316, 0.1459, 0.1, 0.15]), atol=5e-5, rtol=0
    )


def test_dynamic_beta_per_pair_enters_the_loss():
    chosen, rejected = torch.tensor([1.0, 2.0]), torch.tensor([0.0, 0.5])
    each = [dpo_loss(chosen[i : i + 1], rejected[i : i + 1], beta)[0] for i, beta in enumerate((0.1, 0.15))]
    torch.testing.assert_close(dpo_loss(chosen, rejected, torch.tensor([0.1, 0.15]))[0], sum(each) / 2)


def test_avem_with_one_rejected_and_no_debiasing_is_dpo():
    chosen, rejected = torch.randn(4), torch.randn(4)
    plain, _ = dpo_loss(chosen, rejected, 0.1)
    found, _ = avem_response_loss(chosen, rejected[None], torch.ones(1), torch.randn(4), beta=0.1, gamma=0.0)
    torch.testing.assert_close(found, plain, atol=0, rtol=0)


def test_avem_by_hand_with_two_rejected_kinds():
    found, stats = avem_response_loss(
        torch.tensor([1.0]), torch.tensor([[0.5], [-2.0]]), torch.tensor([0.5, 0.5]), torch.tensor([3.0]), beta=0.1,
        gamma=0.2,
    )  # fmt: skip
    logit = 0.1 * (1.0 - (0.25 - 1.0)) - 0.2 * 3.0
    torch.testing.assert_close(found, torch.tensor(math.log1p(math.exp(-logit))))
    assert stats["margin"] == pytest.approx(1.75)


def test_the_same_clip_teaches_nothing_about_the_input():
    score = torch.randn(3, requires_grad=True)
    loss, _ = avem_prompt_loss(score, score)
    torch.testing.assert_close(loss, torch.tensor(math.log(2)))
    loss.backward()
    assert score.grad.abs().max() == 0


def test_a_preference_that_text_alone_explains_must_be_won_by_that_much_more():
    """gamma * text margin is taken off the logit, so a margin of beta * score equal to it leaves the loss at log 2."""
    chosen, text_margin = torch.tensor([6.0], requires_grad=True), torch.tensor([3.0], requires_grad=True)
    loss, _ = avem_response_loss(chosen, torch.zeros(1, 1), torch.ones(1), text_margin, beta=0.1, gamma=0.2)
    torch.testing.assert_close(loss, torch.tensor(math.log(2)))
    loss.backward()
    assert text_margin.grad is None and chosen.grad is not None, "no gradient reaches the text-only model"


def test_unknown_kinds_are_errors():
    with pytest.raises(ValueError, match="unknown preference loss `sigmod`"):
        dpo_loss(torch.zeros(1), torch.zeros(1), kind="sigmod")
    with pytest.raises(ValueError, match="needs `lengths`"):
        dpo_loss(torch.zeros(1), torch.zeros(1), kind="ipo")
