"""Contrastive objectives: streams of one clip are near each other, those of other clips are not. No labels needed.

`pairwise` is the sum over pairs of streams (modality-pairwise contrastive learning): a missing stream drops only its
own pairs, and fusion happens at inference only. `layerwise` adds the term at several depths (HiCMAE). `to_text` aligns
a clip with its description (VAEmo). `triple` tells an explanation from those of another emotion or another image
(SEVLM).
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional

TEMPERATURE = 0.07


def info_nce(
    a: Tensor, b: Tensor, temperature: float | Tensor = TEMPERATURE, groups: Tensor | None = None
) -> Tensor:
    """Symmetric InfoNCE of rows [B, d] with rows [B, d]; row i belongs to row i. Needs B >= 2.

    Rows of one group (int [B]) are equal in truth, so they are not held against each other.

    >>> x = torch.eye(4)
    >>> bool(info_nce(x, x) < 1e-4), bool(info_nce(x, x.flip(0)) > 5)
    (True, True)
    """
    if a.shape != b.shape or len(a) < 2:
        raise ValueError(f"InfoNCE needs two equal batches of at least 2 rows, got {tuple(a.shape)}, {tuple(b.shape)}")
    logits = functional.normalize(a.float(), dim=1) @ functional.normalize(b.float(), dim=1).mT / temperature
    if groups is not None:
        equal = (groups[:, None] == groups[None]) & ~torch.eye(len(a), dtype=torch.bool, device=groups.device)
        logits = logits.masked_fill(equal.to(logits.device), -torch.inf)
    target = torch.arange(len(a), device=a.device)
    return (functional.cross_entropy(logits, target) + functional.cross_entropy(logits.mT, target)) / 2


def pairwise(
    rows: Mapping[str, Tensor], present: Mapping[str, Tensor], temperature: float | Tensor = TEMPERATURE
) -> tuple[Tensor, dict[str, Tensor]]:
    """Sum of InfoNCE over pairs of streams, each over the clips that have both; zero-gradient 0 without such a pair.

    Args:
        rows: {stream: [B, d]} in one common space.
        present: {stream: bool [B]}.
    """
    total, stats = sum((row.sum() * 0.0 for row in rows.values()), torch.zeros(())), {}
    for a, b in combinations(sorted(rows), 2):
        both = present[a] & present[b]
        if int(both.sum()) >= 2:
            loss = info_nce(rows[a][both], rows[b][both], temperature)
            total, stats[f"{a}-{b}/contrast"] = total + loss, loss.detach()
    return total, stats


def layerwise(
    a: Sequence[Tensor], b: Sequence[Tensor], weight: float = 0.0025, temperature: float | Tensor = TEMPERATURE
) -> Tensor:
    """``weight * sum over depths of InfoNCE``; the states of each depth [B, d] in one common space."""
    if len(a) != len(b):
        raise ValueError(f"layer-wise contrast needs as many depths on both sides, got {len(a)} and {len(b)}")
    return weight * sum(info_nce(x, y, temperature) for x, y in zip(a, b))


def to_text(
    clips: Tensor, texts: Tensor, temperature: float | Tensor = TEMPERATURE, groups: Tensor | None = None
) -> Tensor:
    """Clip embeddings [B, d] against those of their descriptions [B, d], by both paths; equal descriptions share a
    group."""
    return info_nce(clips, texts, temperature, groups)


def retrieval_at_1(queries: Tensor, keys: Tensor, groups: Tensor | None = None) -> float:
    """Share of rows whose nearest key is their own, or of their group."""
    score = functional.normalize(queries.float(), dim=1) @ functional.normalize(keys.float(), dim=1).mT
    found, own = score.argmax(1), torch.arange(len(queries), device=score.device)
    return float((found == own if groups is None else groups[found] == groups).float().mean())


def triple(positive: Tensor, negatives: Tensor) -> Tensor:
    """``-log(e^pos / (e^pos + sum e^neg))`` of scores [B] and [B, N] of (image, emotion, explanation) triples."""
    return functional.cross_entropy(
        torch.cat([positive[:, None], negatives], 1), positive.new_zeros(len(positive), dtype=torch.long)
    )


def similarity_distillation(student: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """KL of the student's batch similarities [B, B] to the teacher's; 0 when they are equal (UniEmoX)."""
    target = (teacher.float() / temperature).softmax(1)
    return functional.kl_div((student.float() / temperature).log_softmax(1), target, reduction="batchmean")
