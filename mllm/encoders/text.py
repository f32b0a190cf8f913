"""`text`: a small transformer over the token ids of a transcript, with an embedding table of its own."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from cuewise.mllm.encoders.base import Encoder, EncoderConfig, EncoderStates, InputKind
from cuewise.mllm.encoders.layers import TemporalAttention
from cuewise.mllm.registry import ENCODERS


@dataclass(kw_only=True, slots=True)
class TextConfig(EncoderConfig):
    """Sizes of the transcript network."""

    input_kind: ClassVar[InputKind] = "token_ids"

    vocab_size: int
    """Rows of the embedding table; the size of the processor's tokenizer."""

    width: int = 128
    """Channels of embeddings and states."""

    layers: int = 2
    """Transformer layers."""

    max_tokens: int = 192
    """Longest transcript read; of a longer one the processor keeps the last tokens."""

    dropout: float = 0.1
    """Share of activations dropped while training."""

    numbers: list[int] = field(default_factory=list)
    """Ids of the tokens 0 to 9 and of the decimal point, for tokenizers that write numbers digit by digit. Every number
    of a text is then also given by its value (after xVal, arXiv:2310.02989)."""

    def __post_init__(self) -> None:
        if len(self.numbers) not in (0, 11):
            raise ValueError(f"text.numbers are the ids of ten digits and the point, got {len(self.numbers)} ids")
        if self.vocab_size < 1 or self.max_tokens < 1:
            raise ValueError(f"text needs vocab_size and max_tokens >= 1, got {self.vocab_size} and {self.max_tokens}")

    @property
    def d_out(self) -> int:
        return self.width

    @property
    def embed_width(self) -> int:
        """Channels of the embedding table."""
        return self.width


ROOTS_TO = 25.0
"""Largest value whose square root is told."""


@ENCODERS.register("text", TextConfig)
class TextEncoder(Encoder):
    """Embeddings with learned positions, transformer layers, one state per token."""

    def __init__(self, config: TextConfig):
        super().__init__(config)
        self.embed = nn.Embedding(config.vocab_size, config.embed_width)
        self.position = nn.Parameter(torch.zeros(config.max_tokens, config.width))
        nn.init.normal_(self.embed.weight, std=0.05)
        nn.init.normal_(self.position, std=0.02)
        # Neighbouring pieces form words before attention relates the words.
        self.words = nn.Conv1d(config.width, config.width, 3, padding=1)
        self.layers = nn.ModuleList(
            TemporalAttention(config.width, dropout=config.dropout) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width)
        self.number = nn.Linear(3, config.width, bias=False) if config.numbers else None

    def embedded(self, values: Tensor, mask: Tensor) -> Tensor:
        """token ids [B, T] -> [B, T, width], without positions."""
        return self.embed(values)

    def forward(self, values: Tensor, mask: Tensor, times_s: Tensor | None = None) -> EncoderStates:
        """token ids [B, T] -> states [B, T, width]."""
        if values.shape[1] > self.config.max_tokens:
            raise ValueError(f"words: {values.shape[1]} tokens but the encoder reads at most {self.config.max_tokens}")
        valid = mask.unsqueeze(-1)
        rate = self.config.dropout if self.training else 0.0
        x = self.embedded(values, mask) + self.position[: values.shape[1]]
        if self.number is not None:
            ids = values[..., 0].long() if values.ndim == 3 else values
            x = x + self.number(numbers_so_far(ids, self.config.numbers).to(x.dtype))
        x = functional.dropout(x, rate) * valid
        x = x + functional.gelu(self.words(x.transpose(1, 2)).transpose(1, 2))
        for layer in self.layers:
            x = layer(x, mask)
        return EncoderStates(self.norm(x) * valid, mask, times_s)


def numbers_so_far(ids: Tensor, numbers: list[int]) -> Tensor:
    """ids [B, T] -> [B, T, 3]: 1, log(1 + value) and the square root at each digit and point of a number, 0 elsewhere.

    The value is that of the number up to this token, so that its last token has the whole: 2, 2, 2.3, 2.31 for 2.31.
    The root, of values up to `ROOTS_TO`, tells small ones apart.
    """
    kind = torch.full_like(ids, -1)
    for place, token in enumerate(numbers):
        kind = kind.masked_fill(ids == token, place)
    found = []
    value, unit = torch.zeros(len(ids), device=ids.device), torch.ones(len(ids), device=ids.device)
    inside = torch.zeros(len(ids), dtype=torch.bool, device=ids.device)
    for column in kind.unbind(1):
        digit, point = (column >= 0) & (column < 10), (column == 10) & inside & (unit == 1)
        value, unit = value.where(inside, 0.0), unit.where(inside, 1.0)
        fraction = unit < 1
        value = value.where(~digit, torch.where(fraction, value + unit * column, 10 * value + column)).clamp(max=1e6)
        unit = unit.where(~(point | (digit & fraction)), unit / 10)
        inside = digit | point
        root = value.clamp(max=ROOTS_TO).sqrt()
        found.append(torch.stack([inside.float(), inside * value.log1p(), inside * root], 1))
    return torch.stack(found, 1)
