"""`hybrid_compressor`: a general and an emotion expert over the same windows, mixed by one gate per clip.

After Emotion-Qwen (arXiv:2505.06685). The gate is a softmax over the two experts, from the mean state of the clip; a
clamped gate of (1, 0) is the general expert alone, which is how the base model's skill is kept and tested. Each expert
merges the states of a window and has K >= 1 routed sub-experts; routing is top-1 per token, with a balance loss.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from cuewise.mllm.compressors.base import Compressed, CompressorConfig, WindowCompressor
from cuewise.mllm.registry import COMPRESSORS


@dataclass(kw_only=True, slots=True)
class HybridConfig(CompressorConfig):
    """Sizes of the experts."""

    hidden: int = 256
    experts: int = 1
    """Routed sub-experts of each side."""

    gate: list[float] | None = None
    """Fixed (general, emotion) weights instead of the learned gate."""

    balance: float = 0.01
    """Weight of the load-balance loss of routed sub-experts in training."""

    def __post_init__(self) -> None:
        CompressorConfig.__post_init__(self)
        if self.experts < 1:
            raise ValueError(f"compressor.experts must be >= 1, got {self.experts}")
        if self.gate is not None and (len(self.gate) != 2 or abs(sum(self.gate) - 1) > 1e-6):
            raise ValueError(f"compressor.gate must be two weights that sum to 1, got {self.gate}")


class RoutedExpert(nn.Module):
    """LayerNorm, then the feed-forward of the sub-expert that each token is routed to."""

    def __init__(self, channels: int, hidden: int, experts: int):
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.router = nn.Linear(channels, experts, bias=False) if experts > 1 else None
        self.experts = nn.ModuleList([
            nn.Sequential(nn.Linear(channels, hidden), nn.GELU(), nn.Linear(hidden, channels)) for _ in range(experts)
        ])  # fmt: skip

    def route(self, tokens: Tensor) -> Tensor:
        """[..., C] -> router probabilities [..., E]."""
        x = self.norm(tokens)
        return self.router(x).softmax(-1) if self.router is not None else x.new_ones(*x.shape[:-1], 1)

    def forward(self, tokens: Tensor) -> Tensor:
        x, share = self.norm(tokens), self.route(tokens)
        best = share.argmax(-1, keepdim=True)
        weight = torch.zeros_like(share).scatter(-1, best, share.gather(-1, best))
        weight = weight / weight.detach().sum(-1, keepdim=True)
        return sum(weight[..., i : i + 1] * expert(x) for i, expert in enumerate(self.experts))

    def balance(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Load-balance loss over valid tokens: 1 when the sub-experts share them evenly (Fedus et al. 2021)."""
        share = self.route(tokens)[mask]
        load = functional.one_hot(share.argmax(-1), share.shape[-1]).to(share.dtype).mean(0)
        return share.shape[-1] * (load * share.mean(0)).sum()


@COMPRESSORS.register("hybrid_compressor", HybridConfig)
class HybridCompressor(WindowCompressor):
    """Window means through both experts, mixed by the clip's gate."""

    config: HybridConfig

    def __init__(self, config: HybridConfig, channels: int):
        super().__init__(config, channels)
        self.general = RoutedExpert(channels, config.hidden, config.experts)
        self.emotion = RoutedExpert(channels, config.hidden, config.experts)
        self.gate = nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, 2))
        self._balance: Tensor | None = None

    def auxiliary(self) -> Tensor | None:
        term, self._balance = self._balance, None
        return None if term is None else self.config.balance * term

    def score(self, states: Tensor) -> Tensor:
        return states.new_zeros(*states.shape[:2], 2)

    def gates(self, states: Tensor, mask: Tensor) -> Tensor:
        """[B, 2] weights of (general, emotion), summing to 1."""
        if self.config.gate is not None:
            return states.new_tensor(self.config.gate).expand(len(states), 2)
        mean = (states * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)
        return self.gate(mean).softmax(-1)

    def forward(self, states: Tensor, mask: Tensor, times_s: Tensor | None) -> Compressed:
        pooled = super().forward(states, mask, times_s)
        gate, sides = self.gates(states, mask), (self.general, self.emotion)
        learns = self.training and self.config.experts > 1
        self._balance = sum(side.balance(pooled.tokens, pooled.mask) for side in sides) / 2 if learns else None
        mixed = sum(gate[:, i, None, None] * side(pooled.tokens) for i, side in enumerate(sides))
        return pooled._replace(tokens=mixed * pooled.mask.unsqueeze(-1))

    def balance_loss(self, states: Tensor, mask: Tensor) -> Tensor:
        """Mean load-balance loss of both sides on a batch; 1 at an even load."""
        pooled = super().forward(states, mask, None)
        sides = (self.general, self.emotion)
        return sum(side.balance(pooled.tokens, pooled.mask) for side in sides) / len(sides)
