"""Bottleneck adapters behind a noisy router, beside the feed-forward of a transformer layer; after S4D (TAFFC 2025).

``out = x + MLP(LN(x)) + MoE(LN(x))``. The router takes the k best of E experts per token; in training its logits carry
learned noise and experts have a capacity, in evaluation it is deterministic and drops nothing. The last layer of each
expert starts at zero, so a block put into a trained encoder changes nothing at first. One picture and many frames use
the same weights.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class MixtureOfAdapters(nn.Module):
    """E bottleneck adapters behind a noisy top-k router."""

    def __init__(self, channels: int, experts: int = 8, top: int = 2, ratio: float = 0.25, capacity: float = 1.0):
        super().__init__()
        if not 1 <= top <= experts:
            raise ValueError(f"top must lie in 1..{experts} experts, got {top}")
        hidden = max(1, int(channels * ratio))
        self.top, self.capacity = top, capacity
        self.router, self.noise = nn.Linear(channels, experts, bias=False), nn.Linear(channels, experts, bias=False)
        self.experts = nn.ModuleList([
            nn.Sequential(nn.Linear(channels, hidden), nn.GELU(), nn.Linear(hidden, channels)) for _ in range(experts)
        ])  # fmt: skip
        for expert in self.experts:
            nn.init.zeros_(expert[2].weight)
            nn.init.zeros_(expert[2].bias)
        nn.init.zeros_(self.noise.weight)
        self.balance = torch.zeros(())
        """Load-balance term of the last forward pass; 1 at an even load."""

    def forward(self, x: Tensor) -> Tensor:
        """[..., C] -> [..., C]."""
        rows = x.reshape(-1, x.shape[-1])
        logits = self.router(rows)
        if self.training:
            logits = logits + torch.randn_like(logits) * functional.softplus(self.noise(rows))
        best = logits.topk(self.top, -1)
        share = torch.zeros_like(logits).scatter(-1, best.indices, best.values.softmax(-1))
        if self.training:
            share = self._within_capacity(share)
        self.balance = balance_loss(logits.softmax(-1), best.indices)
        out = torch.zeros_like(rows)
        for i, expert in enumerate(self.experts):
            chosen = share[:, i].nonzero().squeeze(1)
            if len(chosen):
                out = out.index_add(0, chosen, share[chosen, i, None] * expert(rows[chosen]))
        return out.view_as(x)

    def _within_capacity(self, share: Tensor) -> Tensor:
        """Tokens beyond ``tokens * top / experts * capacity`` of an expert are dropped, first come first served."""
        most = max(1, int(len(share) * self.top / share.shape[1] * self.capacity))
        place = (share > 0).long().cumsum(0)
        return share * (place <= most)


def balance_loss(probabilities: Tensor, chosen: Tensor) -> Tensor:
    """``E * sum_e fraction_e * mean probability_e``: 1 at uniform routing, which is its minimum over such pairs.

    Router probabilities [N, E], not raw noisy logits, and the experts chosen per token [N, k].
    """
    experts = probabilities.shape[1]
    fraction = functional.one_hot(chosen, experts).float().mean((0, 1))
    return experts * (fraction * probabilities.mean(0)).sum()


class BesideFeedForward(nn.Module):
    """A layer's feed-forward with experts beside it; takes its place in the layer."""

    def __init__(self, feed_forward: nn.Module, channels: int, **options: float):
        super().__init__()
        self.feed_forward = feed_forward
        self.experts = MixtureOfAdapters(channels, **options)

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, C], normalised by the layer -> [B, N, C]."""
        return self.feed_forward(x) + self.experts(x)


def add_experts(encoder: nn.Module, channels: int, layers: int, **options: float) -> list[MixtureOfAdapters]:
    """Put experts beside the feed-forward (`mlp`) of the last `layers` layers; returns them.

    Raises ValueError when the encoder has no such layers.
    """
    found = [parent for parent in encoder.modules() if "mlp" in dict(parent.named_children())]
    if len(found) < layers:
        raise ValueError(f"experts are wanted in {layers} layers, but the encoder has {len(found)} with an `mlp`")
    added = []
    for parent in found[len(found) - layers :]:
        beside = BesideFeedForward(parent.mlp, channels, **options)
        parent.mlp = beside
        added.append(beside.experts)
    return added
