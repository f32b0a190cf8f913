"""What every pre-fusion offers: the states of several streams in, one token (or none) for the language model out.

Shapes: B clips, N states, C channels, M streams, H hidden, d language-model width. A stream that is absent has weight
exactly 0 and its values are never read; the weights of the present streams sum to 1.
"""

from dataclasses import dataclass, field

from torch import Tensor, nn


@dataclass(kw_only=True, slots=True)
class FusionConfig:
    """Base of every pre-fusion config."""

    streams: list[str] = field(default_factory=list)
    """Streams that are fused; empty means all streams of the model."""

    def num_tokens(self, present: list[str]) -> int:
        """Fused tokens when the streams in `present` are there."""
        raise NotImplementedError


class Fusion(nn.Module):
    """Base of pre-fusion modules, built as ``Fusion(config, {stream: channels}, d_model)``."""

    def forward(self, means: dict[str, Tensor], present: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """means {stream: [B, C]}, present {stream: bool [B]} -> tokens [B, 1, d], weights [B, M] in stream order."""
        raise NotImplementedError
