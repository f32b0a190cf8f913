"""Losses as pure functions of tensors: each returns the loss and what a practitioner looks at first.

Shapes: B samples, C classes, L tokens, V vocabulary. A sample without a target contributes neither value nor gradient.
"""

import torch
from torch import Tensor

IGNORE = -100


def soft_cross_entropy(
    logits: Tensor, target: Tensor, has_target: Tensor, *, smoothing: float = 0.0
) -> tuple[Tensor, dict[str, Tensor]]:
    """Cross-entropy against vote shares, averaged over the samples that have a target.

    Args:
        logits: [B, C].
        target: [B, C] non-negative, rows of samples with a target sum to 1 (annotator vote shares or one-hot).
        has_target: bool [B].
        smoothing: share of the target spread evenly over the classes.
    """
    count = has_target.sum()
    logp = logits.log_softmax(-1)
    target = target * (1 - smoothing) + smoothing / logits.shape[-1]
    per_sample = -(target * logp).sum(-1)
    loss = torch.where(has_target, per_sample, 0.0).sum() / count.clamp(min=1)
    hits = (logits.argmax(-1) == target.argmax(-1)) & has_target
    return loss, {"accuracy": hits.sum() / count.clamp(min=1), "count": count}


def concordance(x: Tensor, y: Tensor) -> Tensor:
    """Concordance correlation coefficient of two vectors [B], population moments (Lin 1989)."""
    dx, dy = x - x.mean(), y - y.mean()
    return 2 * (dx * dy).mean() / (dx.square().mean() + dy.square().mean() + (x.mean() - y.mean()).square() + 1e-8)


def valence_arousal_loss(
    predicted: Tensor, target: Tensor, has_target: Tensor, *, beta: float = 3.0
) -> tuple[Tensor, dict[str, Tensor]]:
    """Sum over valence and arousal of (1 - CCC) + beta * MSE (CAGE, CVPR workshops 2024).

    With fewer than two samples that carry a target only the squared error counts, since CCC needs a spread.

    Args:
        predicted, target: [B, 2] in [-1, 1].
        has_target: bool [B].
    """
    chosen, wanted = predicted[has_target], target[has_target]
    if len(chosen) == 0:
        return predicted.sum() * 0.0, {"count": has_target.sum()}
    loss = beta * (chosen - wanted).square().mean(0).sum()
    stats = {"count": has_target.sum(), "mse": (chosen - wanted).square().mean().detach()}
    if len(chosen) > 1:
        agreement = torch.stack([concordance(chosen[:, i], wanted[:, i]) for i in range(chosen.shape[1])])
        loss = loss + (1 - agreement).sum()
        stats["ccc"] = agreement.mean().detach()
    return loss, stats


def masked_intensity_loss(predicted: Tensor, target: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean squared error over the entries that have a target.

    Args:
        predicted: [B, A] intensities (0-5).
        target: [B, A], NaN where nobody rated.
    """
    known = ~target.isnan()
    difference = torch.where(known, predicted - target.nan_to_num(), 0.0)
    return difference.square().sum() / known.sum().clamp(min=1), {"count": known.sum()}


def word_place_loss(predicted: Tensor, target: Tensor, has_token: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean squared error of valence, arousal and dominance over the tokens whose word has a place (SEVLM).

    Args:
        predicted: [B, L, 3].
        target: [B, L, 3] in [-1, 1], NaN where the lexicon does not know the word.
        has_token: bool [B, L], True for the tokens that are learnt.
    """
    known = has_token & ~target.isnan().any(-1)
    difference = torch.where(known.unsqueeze(-1), predicted - target.nan_to_num(), 0.0)
    return difference.square().sum() / (3 * known.sum()).clamp(min=1), {"count": known.sum()}


def next_token_loss(
    logits: Tensor, labels: Tensor, *, normalizer: float | Tensor | None = None, weights: Tensor | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Cross-entropy of the next token, over the positions whose label is not -100.

    Args:
        logits: [B, L, V]; position i predicts label i + 1.
        labels: int [B, L], -100 where nothing is learnt (prompt, media, padding).
        normalizer: divisor; pass the (weighted) token count of the whole optimizer step so that micro-batching does
            not change the gradient. Defaults to the tokens of this call.
        weights: optional [B, L] weight of each label, e.g. more for the conclusion than for the cues.
    """
    logits, labels = logits[:, :-1], labels[:, 1:]
    known = labels != IGNORE
    weight = known.to(logits.dtype) if weights is None else weights[:, 1:].to(logits.dtype) * known
    per_token = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1).float(), labels.flatten(), ignore_index=IGNORE, reduction="none"
    ).view(labels.shape)
    total = weight.sum().clamp(min=1e-8) if normalizer is None else normalizer
    right = (logits.argmax(-1) == labels) & known
    stats = {"token_accuracy": right.sum() / known.sum().clamp(min=1), "tokens": known.sum()}
    return (per_token * weight).sum() / total, stats
