"""`bridge_transformer`: trainable encoder layers between a frozen encoder and the language model.

After XEmoGPT's cue bridges (arXiv:2602.05496): learned positions and two transformer layers over the states of a frozen
encoder, one token per state, here gathered into time windows when there are more states than tokens.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cuewise.mllm.compressors.base import Compressed, CompressorConfig, WindowCompressor, valid_first
from cuewise.mllm.registry import COMPRESSORS


@dataclass(kw_only=True, slots=True)
class BridgeConfig(CompressorConfig):
    """Sizes of the bridge."""

    layers: int = 2
    heads: int = 4
    dropout: float = 0.0
    positions: int = 1024
    """Most states that are told apart by position."""


@COMPRESSORS.register("bridge_transformer", BridgeConfig)
class BridgeTransformer(WindowCompressor):
    """Context first, then the mean of each time window."""

    config: BridgeConfig

    def __init__(self, config: BridgeConfig, channels: int):
        super().__init__(config, channels)
        if channels % config.heads:
            raise ValueError(f"compressor.heads must divide the encoder's {channels} channels, got {config.heads}")
        self.position = nn.Embedding(config.positions, channels)
        self.layers = nn.ModuleList([
            nn.TransformerEncoderLayer(channels, config.heads, 4 * channels, config.dropout, "gelu", batch_first=True,
                                       norm_first=True) for _ in range(config.layers)
        ])  # fmt: skip

    def states(self, states: Tensor, valid: Tensor) -> Tensor:
        """[B, N, C] with valid states in front -> the same with context; padding is never read and stays 0."""
        at = torch.arange(states.shape[1], device=states.device).clamp(max=self.config.positions - 1)
        states = states + self.position(at)
        for layer in self.layers:
            states = layer(states, src_key_padding_mask=~valid)
        return states * valid.unsqueeze(-1)

    def forward(self, states: Tensor, mask: Tensor, times_s: Tensor | None) -> Compressed:
        states, valid, times_s = valid_first(states, mask, times_s)
        return super().forward(self.states(states, valid), valid, times_s)

    def score(self, states: Tensor) -> Tensor:
        return states.new_zeros(*states.shape[:2], 2)
