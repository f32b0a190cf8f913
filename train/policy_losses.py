"""Losses of policy optimisation: pure functions of log-probabilities.

Shapes: B completions, T tokens (padded on the right, masked). Published rules are compositions of three choices: which
ratio, which objective of it, and what the sum is divided by.
"""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

LOG_RATIO_LIMIT = 20.0


def token_logprobs(logits: Tensor, targets: Tensor, temperature: float = 1.0) -> Tensor:
    """Log-probability of `targets` [..., N] under `logits` [..., N, V], in float32 at least."""
    logits = logits if logits.dtype == torch.float64 else logits.float()
    logits = logits if temperature == 1 else logits / temperature
    return torch.gather(logits, -1, targets.unsqueeze(-1)).squeeze(-1) - logits.logsumexp(-1)


@torch.no_grad()
def token_entropy(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Entropy in nats of each distribution [..., V]."""
    return torch.special.entr((logits.float() / temperature).softmax(-1)).sum(-1)


def token_ratio(logp: Tensor, old_logp: Tensor) -> Tensor:
    """Probability ratio of every token [B, T] (PPO, GRPO)."""
    return (logp - old_logp).clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT).exp()


def sequence_ratio(logp: Tensor, old_logp: Tensor, mask: Tensor) -> Tensor:
    """Length-normalised ratio of every completion [B, 1] (GSPO, arXiv:2507.18071)."""
    mean = ((logp - old_logp) * mask).sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp(min=1)
    return mean.clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT).exp()


def clipped(
    ratio: Tensor, advantage: Tensor, low: float = 0.2, high: float = 0.28, ceiling: float | None = None
) -> Tensor:
    """PPO surrogate with a bound for each side (clip-higher of DAPO, arXiv:2503.14476), to be minimised.

    Args:
        ratio: [B, T] or [B, 1].
        advantage: [B], or [B, T] where tokens have advantages of their own.
        ceiling: also bounds the ratio of completions with a negative advantage (two-sided clipping,
            arXiv:2505.07291).
    """
    advantage = _by_token(advantage)
    inside = ratio.clamp(1 - low, 1 + high) * advantage
    outside = (ratio if ceiling is None else ratio.clamp(max=ceiling)) * advantage
    return -torch.minimum(outside, inside)


def cispo(ratio: Tensor, advantage: Tensor, logp: Tensor, high: float) -> Tensor:
    """Log-likelihood weighted by a capped ratio without gradient (CISPO, arXiv:2506.13585); `high` caps the ratio."""
    return -ratio.clamp(max=high).detach() * _by_token(advantage) * logp


def _by_token(advantage: Tensor) -> Tensor:
    """[B] or [B, T] -> [B, 1 or T]."""
    return advantage if advantage.ndim == 2 else advantage.unsqueeze(1)


def k3(logp: Tensor, reference: Tensor) -> Tensor:
    """Unbiased, never negative estimate of KL(policy, reference) per token (Schulman 2020)."""
    difference = reference - logp
    return difference.exp() - difference - 1


def per_token_mean(losses: Tensor, mask: Tensor, normalizer: float | Tensor | None = None) -> Tensor:
    """Sum over tokens divided by the tokens of the whole optimizer step, so that micro-batching changes nothing."""
    total = (losses * mask).sum()
    return total / (mask.sum().clamp(min=1) if normalizer is None else normalizer)


def per_completion_mean(losses: Tensor, mask: Tensor, normalizer: float | Tensor | None = None) -> Tensor:
    """Mean over tokens, then over completions (the original GRPO, and GSPO); `normalizer` counts completions."""
    means = (losses * mask).sum(1) / mask.sum(1).clamp(min=1)
    return means.sum() / (len(means) if normalizer is None else normalizer)


def policy_loss(
    logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor, *, objective: str = "clip",
    ratio: str = "token", low: float = 0.2, high: float = 0.28, ceiling: float | None = None,
    mean: str = "tokens", normalizer: float | Tensor | None = None,
    reference: Tensor | None = None, kl_weight: float = 0.0,
) -> tuple[Tensor, dict[str, Tensor]]:  # fmt: skip
    """Loss of one step and what a practitioner looks at first.

    Args:
        logp, old_logp: [B, T] log-probabilities under the current and the sampling policy.
        advantage: [B], or [B, T].
        mask: bool [B, T], True for tokens that the policy wrote, up to and including the end token.
        objective: `clip`, or `cispo` with `high` as the cap of the ratio.
        ratio: `token`, or `sequence` for GSPO.
        mean: `tokens` (normalizer: tokens) or `completions` (normalizer: completions). For the constant of Dr. GRPO
            use `tokens` and give completions x longest completion.
        reference: [B, T] log-probabilities of the reference policy, for the KL term of weight `kl_weight`.
    """
    weights = sequence_ratio(logp, old_logp, mask) if ratio == "sequence" else token_ratio(logp, old_logp)
    if objective == "cispo":
        losses = cispo(weights, advantage, logp, high)
    else:
        losses = clipped(weights, advantage, low, high, ceiling)
    losses = losses.expand_as(logp)
    tokens = mask.sum().clamp(min=1)
    with torch.no_grad():
        here, sign = weights.expand_as(logp), _by_token(advantage)
        lower, upper = (here < 1 - low) & (sign < 0), (here > (high if objective == "cispo" else 1 + high)) & (sign > 0)
        stats = {
            "ratio": (here * mask).sum() / tokens, "clip/low": (lower & mask).sum() / tokens,
            "clip/high": (upper & mask).sum() / tokens,
        }  # fmt: skip
    if reference is not None:
        divergence = k3(logp, reference)
        losses = losses + kl_weight * divergence
        stats["kl"] = ((divergence.detach() * mask).sum() / tokens).detach()
    reduce = per_completion_mean if mean == "completions" else per_token_mean
    return reduce(losses, mask, normalizer), stats


# Preferences. P pairs; a score is log p(answer | policy) - log p(answer | reference), summed over the answer.


def dynamic_beta(margin: Tensor, beta: float = 0.1, weight: float = 0.5, rate: float = 0.5) -> Tensor:
    """beta that grows with how much better the chosen answer was rated (MM-RLHF, ICML 2025): [P] -> [P].

    Stays in [beta, (1 + weight) beta]; a margin below zero counts as zero.
    """
    return beta * (1 + weight * (1 - torch.exp(-rate * margin.clamp(min=0)))).clamp(1, 1 + weight)


def dpo_loss(
    chosen: Tensor, rejected: Tensor, beta: float | Tensor = 0.1, *, kind: str = "sigmoid", smoothing: float = 0.0,
    lengths: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:  # fmt: skip
    """Direct preference optimisation (arXiv:2305.18290) of scores [P], averaged over the pairs.

    Args:
        beta: one value, or one per pair (`dynamic_beta`).
        kind: `sigmoid`; `hinge` (SLiC); `ipo` (arXiv:2310.12036), on means over the `lengths` of the two answers;
            `robust` (arXiv:2403.00409), which expects a share `smoothing` of swapped labels.
        smoothing: share of swapped labels that is expected; only for `robust`, must be below 0.5.
    """
    margin = chosen - rejected
    if kind == "sigmoid":
        losses = -logsigmoid(beta * margin)
    elif kind == "hinge":
        losses = (1 - beta * margin).relu()
    elif kind == "ipo":
        if lengths is None:
            raise ValueError("dpo_loss of kind `ipo` needs `lengths`, the token counts of chosen and rejected answers")
        losses = (chosen / lengths[0] - rejected / lengths[1] - 1 / (2 * beta)).square()
    elif kind == "robust":
        swapped = logsigmoid(-beta * margin) * smoothing
        losses = -((1 - smoothing) * logsigmoid(beta * margin) - swapped) / (1 - 2 * smoothing)
    else:
        raise ValueError(f"unknown preference loss `{kind}`; known: sigmoid, hinge, ipo, robust")
    return losses.mean(), _preference_stats(chosen, rejected)


def avem_response_loss(
    chosen: Tensor, rejected: Tensor, shares: Tensor, text_margin: Tensor, *, beta: float | Tensor = 0.1,
    gamma: float = 0.2,
) -> tuple[Tensor, dict[str, Tensor]]:  # fmt: skip
    """Preference of the chosen answer over several rejected kinds, less what the text alone explains (AVEm-DPO).

    Args:
        chosen: [P] scores.
        rejected: [K, P] scores of the K rejected kinds (spurious cue, hallucinated cue).
        shares: [K] weight of each kind; [K, P] where a pair lacks a kind (weight 0).
        text_margin: [P] log p(chosen) - log p(rejected) of a model that sees no media, without gradient.
        gamma: strength of the text-prior debiasing; 0 leaves it out.
    """
    shares = shares.to(rejected).view(len(rejected), -1)
    against = (shares * rejected).sum(0)
    logits = beta * (chosen - against) - gamma * text_margin.detach()
    return -logsigmoid(logits).mean(), _preference_stats(chosen, against)


def avem_prompt_loss(
    chosen: Tensor, chosen_elsewhere: Tensor, beta: float | Tensor = 0.1
) -> tuple[Tensor, dict[str, Tensor]]:
    """The chosen answer must be likelier for its own clip than for one whose asked-about stream was replaced [P]."""
    loss = -logsigmoid(beta * (chosen - chosen_elsewhere)).mean()
    return loss, {"input_accuracy": (chosen > chosen_elsewhere).float().mean()}


def _preference_stats(chosen: Tensor, rejected: Tensor) -> dict[str, Tensor]:
    return {
        "score/chosen": chosen.detach().mean(), "score/rejected": rejected.detach().mean(),
        "margin": (chosen - rejected).detach().mean(), "accuracy": (chosen > rejected).float().mean(),
    }  # fmt: skip
