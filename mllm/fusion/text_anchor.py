"""`text_anchor`: the words ask, the other streams answer, and what they answer is added to the words.

After Traits Run Deep, whose target (personality) is not ours: text features anchor the fusion because they are the
cleanest. Here the mean state of the words is the query of an attention to each other stream; a clip without words asks
with a learned vector. Words and answers are mixed by a softmax over the present streams.
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
    masked_softmax,
)
from cuewise.mllm.registry import FUSIONS


@dataclass(kw_only=True, slots=True)
class TextAnchorConfig(FusionConfig):
    """Sizes of the fusion."""

    text: str = "words"
    """The stream that asks."""

    hidden: int = 128
    heads: int = 4

    def __post_init__(self) -> None:
        if self.hidden < 1 or self.hidden % self.heads:
            raise ValueError(f"prefusion.hidden must be a multiple of heads, got {self.hidden} and {self.heads}")

    def num_tokens(self, present: list[str]) -> int:
        return int(any(name in self.streams for name in present))


@FUSIONS.register("text_anchor", TextAnchorConfig)
class TextAnchor(Fusion):
    """One token."""

    needs_states = True

    def __init__(self, config: TextAnchorConfig, widths: dict[str, int], d_model: int):
        super().__init__()
        self.config = config
        self.inputs = nn.ModuleDict({
            name: nn.Sequential(nn.LayerNorm(widths[name]), nn.Linear(widths[name], config.hidden))
            for name in config.streams
        })  # fmt: skip
        self.wordless = nn.Parameter(torch.randn(config.hidden) * 0.02)
        self.read = nn.ModuleDict({
            name: nn.MultiheadAttention(config.hidden, config.heads, batch_first=True)
            for name in config.streams if name != config.text
        })  # fmt: skip
        self.score = nn.Linear(config.hidden, 1)
        self.out = nn.Linear(config.hidden, d_model)

    def forward(
        self, means: dict[str, Tensor], present: dict[str, Tensor], states: dict[str, StreamStates] | None = None
    ) -> tuple[Tensor, Tensor]:
        given = given_streams(self.config, means, "text_anchor")
        anchor = self._anchor(means, present, len(means[given[0]]))
        rows = torch.stack([anchor if name == self.config.text else self._answer(name, anchor, states[name])
                            for name in given], 1)  # fmt: skip
        there = torch.stack([present[name] for name in given], 1)
        weight = masked_softmax(self.score(rows).squeeze(-1).float(), there)
        token = self.out(torch.einsum("bm,bmh->bh", weight.to(rows.dtype), rows * there.unsqueeze(-1)))
        return token.unsqueeze(1), in_config_order(weight, given, self.config)

    def _anchor(self, means: dict[str, Tensor], present: dict[str, Tensor], size: int) -> Tensor:
        """[B, H]: what asks."""
        wordless = self.wordless.expand(size, -1)
        if self.config.text not in means:
            return wordless
        said = self.inputs[self.config.text](means[self.config.text])
        return torch.where(present[self.config.text][:, None], said, wordless)

    def _answer(self, name: str, anchor: Tensor, stream: StreamStates) -> Tensor:
        """[B, H]: what a stream answers; clips without it answer nothing that counts."""
        alone = ~stream.valid.any(1, keepdim=True)
        values = self.inputs[name](stream.states.masked_fill(~stream.valid.unsqueeze(-1), 0))
        hidden = ~(stream.valid | alone)
        read = self.read[name](anchor[:, None], values, values, key_padding_mask=hidden, need_weights=False)[0]
        return anchor + read[:, 0]
