"""`mean` and `attn_pool`: one token per time window."""

import torch
from torch import Tensor, nn

from cuewise.mllm.compressors.base import CompressorConfig, WindowCompressor
from cuewise.mllm.registry import COMPRESSORS


@COMPRESSORS.register("mean", CompressorConfig)
class MeanPool(WindowCompressor):
    """The mean of the states in each window."""

    def score(self, states: Tensor) -> Tensor:
        return states.new_zeros(*states.shape[:2], 2)


@COMPRESSORS.register("attn_pool", CompressorConfig)
class AttentionPool(WindowCompressor):
    """Learned scores, softmax over the valid states of each window; equals `mean` before training."""

    def __init__(self, config: CompressorConfig, channels: int):
        super().__init__(config, channels)
        self.scorer = nn.Linear(channels, 2)
        with torch.no_grad():
            self.scorer.weight.zero_()
            self.scorer.bias.zero_()

    def score(self, states: Tensor) -> Tensor:
        return self.scorer(states)
