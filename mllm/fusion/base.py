"""What every pre-fusion offers: the states of several streams in, one token (or none, or several) for the model out.

Shapes: B clips, N states, C channels, M streams, H hidden, K tokens, d language-model width. A stream that is absent
has weight exactly 0 and its values are never read; the weights of the present streams sum to 1.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from cuewise.mllm.compressors.base import valid_first
from cuewise.mllm.compressors.grids import adaptive_mean, adaptive_members


@dataclass(kw_only=True, slots=True)
class FusionConfig:
    """Base of every pre-fusion config."""

    streams: list[str] = field(default_factory=list)
    """Streams that are fused; empty means all streams of the model."""

    def num_tokens(self, present: list[str]) -> int:
        """Fused tokens when the streams in `present` are there."""
        raise NotImplementedError


class StreamStates(NamedTuple):
    """The encoder states of one stream of a batch; clips without the stream have no valid state."""

    states: Tensor
    """float [B, N, C]."""

    valid: Tensor
    """bool [B, N]."""


class Fusion(nn.Module):
    """Base of pre-fusion modules, built as ``Fusion(config, {stream: channels}, d_model)``."""

    needs_states = False
    """Whether `forward` wants the states themselves, not only their means."""

    def forward(
        self, means: dict[str, Tensor], present: dict[str, Tensor], states: dict[str, StreamStates] | None = None
    ) -> tuple[Tensor, Tensor]:
        """means {stream: [B, C]}, present {stream: bool [B]} -> tokens [B, K, d], weights [B, M] in stream order.

        A stream that is missing in `means` counts as absent for all clips.
        """
        raise NotImplementedError


def masked_softmax(score: Tensor, there: Tensor) -> Tensor:
    """[..., M] -> weights that sum to 1 over the present streams, all 0 where none is present."""
    lowest = torch.finfo(score.dtype).min
    return functional.softmax(score.masked_fill(~there, lowest), -1) * there


def resampled(stream: StreamStates, steps: int) -> Tensor:
    """[B, N, C] -> [B, steps, C]: adaptive means over the valid states; 0 for clips without the stream."""
    states, valid, _ = valid_first(stream.states, stream.valid, None)
    return adaptive_mean(states, adaptive_members(valid, steps))


def given_streams(config: FusionConfig, means: dict[str, Tensor], name: str) -> list[str]:
    """The fused streams that arrived at all. Raises ValueError when none did."""
    given = [stream for stream in config.streams if stream in means]
    if not given:
        raise ValueError(f"prefusion {name} got none of its streams ({', '.join(config.streams)})")
    return given


def in_config_order(weight: Tensor, given: list[str], config: FusionConfig) -> Tensor:
    """[B, given] -> [B, M] with 0 for streams that did not arrive."""
    columns = [weight[:, given.index(name)] if name in given else torch.zeros_like(weight[:, 0])
               for name in config.streams]  # fmt: skip
    return torch.stack(columns, 1)
