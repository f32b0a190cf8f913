"""`xattn_experts`: cross-attention experts from the voice to the picture, mixed by a gate.

After Nano-EmoX: each expert lets one stream's steps ask the other's, with the asking stream on a residual path; a gate
over the experts' means mixes them. The release feeds each expert another encoder depth; our encoders give one depth, so
the experts differ by their weights, and `levels` splits the channels into as many parts when an encoder gives several
depths side by side.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cuewise.mllm.fusion.base import (
    Fusion,
    FusionConfig,
    StreamStates,
    given_streams,
    in_config_order,
    resampled,
)
from cuewise.mllm.registry import FUSIONS


@dataclass(kw_only=True, slots=True)
class XAttnExpertsConfig(FusionConfig):
    """Sizes of the experts."""

    ask: str = "voice"
    """The stream whose steps ask; the other fused streams answer."""

    experts: int = 3
    levels: bool = False
    """Whether the channels of a stream are `experts` encoder depths side by side, one for each expert."""

    steps: int = 8
    hidden: int = 128
    heads: int = 4
    per_step: bool = False
    """One token per step instead of their mean."""

    def __post_init__(self) -> None:
        if self.experts < 1 or self.steps < 1 or self.hidden % self.heads:
            raise ValueError(f"prefusion.experts and steps must be >= 1 and hidden a multiple of heads, got "
                             f"{self.experts}, {self.steps}, {self.hidden}, {self.heads}")  # fmt: skip

    def num_tokens(self, present: list[str]) -> int:
        if not any(name in self.streams for name in present):
            return 0
        return self.steps if self.per_step else 1


class Expert(nn.Module):
    """``h = MHA(q = a, k = v = other) + a W; e = h + FFN(LN h)``."""

    def __init__(self, ask: int, answer: dict[str, int], hidden: int, heads: int):
        super().__init__()
        self.query, self.residual = nn.Linear(ask, hidden), nn.Linear(ask, hidden)
        self.answer = nn.ModuleDict({name: nn.Linear(width, hidden) for name, width in answer.items()})
        self.attention = nn.MultiheadAttention(hidden, heads, batch_first=True)
        self.norm = nn.LayerNorm(hidden)
        self.feed_forward = nn.Sequential(nn.Linear(hidden, 4 * hidden), nn.GELU(), nn.Linear(4 * hidden, hidden))

    def forward(self, ask: Tensor, answers: dict[str, Tensor], there: dict[str, Tensor]) -> Tensor:
        """ask [B, K, C], answers {stream: [B, K, C]}, there {stream: bool [B]} -> [B, K, H]."""
        h = self.residual(ask)
        if answers:
            keys = torch.cat([self.answer[name](rows) for name, rows in answers.items()], 1)
            steps = ask.shape[1]
            hidden = ~torch.cat([there[name][:, None].expand(-1, steps) for name in answers], 1)
            alone = hidden.all(1)
            hidden = hidden & ~alone[:, None]
            read = self.attention(self.query(ask), keys, keys, key_padding_mask=hidden, need_weights=False)[0]
            h = h + read * ~alone[:, None, None]
        return h + self.feed_forward(self.norm(h))


@FUSIONS.register("xattn_experts", XAttnExpertsConfig)
class XAttnExperts(Fusion):
    """One token, or one per step. Without the asking stream the tokens come from a learned question."""

    needs_states = True

    def __init__(self, config: XAttnExpertsConfig, widths: dict[str, int], d_model: int):
        super().__init__()
        if config.ask not in config.streams:
            raise ValueError(f"prefusion.ask must be one of {', '.join(config.streams)}, got {config.ask!r}")
        share = config.experts if config.levels else 1
        uneven = [name for name in config.streams if widths[name] % share]
        if uneven:
            raise ValueError(f"prefusion.levels: {widths[uneven[0]]} channels of {uneven[0]} are no {share} depths")
        self.config, self.share = config, share
        width = {name: widths[name] // share for name in config.streams}
        answer = {name: width[name] for name in config.streams if name != config.ask}
        self.unasked = nn.Parameter(torch.zeros(widths[config.ask]))
        self.experts = nn.ModuleList([
            Expert(width[config.ask], answer, config.hidden, config.heads) for _ in range(config.experts)
        ])  # fmt: skip
        wide = config.hidden * config.experts
        self.gate = nn.Sequential(nn.Linear(wide, config.hidden), nn.ReLU(), nn.Linear(config.hidden, config.experts))
        self.out = nn.Linear(config.hidden, d_model)

    def forward(
        self, means: dict[str, Tensor], present: dict[str, Tensor], states: dict[str, StreamStates] | None = None
    ) -> tuple[Tensor, Tensor]:
        given = given_streams(self.config, means, "xattn_experts")
        mixed, _ = self.mix(given, present, states)
        tokens = self.out(mixed if self.config.per_step else mixed.mean(1, keepdim=True))
        there = torch.stack([present[name] for name in given], 1).float()
        return tokens, in_config_order(there / there.sum(1, keepdim=True).clamp(min=1), given, self.config)

    def mix(
        self, given: list[str], present: dict[str, Tensor], states: dict[str, StreamStates]
    ) -> tuple[Tensor, Tensor]:
        """Mixed steps [B, K, H] and the gate over experts [B, E]."""
        ask, size = self.config.ask, len(present[given[0]])
        question = self.unasked.expand(size, self.config.steps, -1)
        if ask in given:
            question = torch.where(present[ask][:, None, None], resampled(states[ask], self.config.steps), question)
        answers = {name: resampled(states[name], self.config.steps) for name in given if name != ask}
        found = [
            expert(self._depth(question, i), {name: self._depth(rows, i) for name, rows in answers.items()}, present)
            for i, expert in enumerate(self.experts)
        ]
        gate = self.gate(torch.cat(found, 2).mean(1)).softmax(1)
        return torch.einsum("be,bekh->bkh", gate, torch.stack(found, 1)), gate

    def _depth(self, rows: Tensor, index: int) -> Tensor:
        return rows.chunk(self.share, 2)[index] if self.share > 1 else rows
