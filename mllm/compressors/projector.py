"""Projector of one stream: pooled states -> rows of the language model, with the time of each row added."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cuewise.mllm.compressors.base import Compressed
from cuewise.mllm.encoders.layers import time_features

TIME_SIZE = 32


@dataclass(kw_only=True, slots=True)
class ProjectorConfig:
    """Sizes of a projector."""

    hidden: int = 256
    """Width of the hidden layer."""

    times: bool = True
    """Add an embedding of each token's time; off for streams without times, such as plain words."""

    def __post_init__(self) -> None:
        if self.hidden < 1:
            raise ValueError(f"projector.hidden must be >= 1, got {self.hidden}")


class Projector(nn.Module):
    """LayerNorm, linear, GELU, linear; plus a linear map of sine time features, or the summary vector."""

    def __init__(self, config: ProjectorConfig, channels: int, d_model: int, summary: bool = False):
        super().__init__()
        self.net = nn.Sequential(
            nn.LayerNorm(channels), nn.Linear(channels, config.hidden), nn.GELU(), nn.Linear(config.hidden, d_model)
        )
        self.time = nn.Linear(TIME_SIZE, d_model, bias=False) if config.times else None
        self.summary = nn.Parameter(torch.zeros(d_model)) if summary else None

    def forward(self, pooled: Compressed) -> Tensor:
        """tokens [B, K, C] -> rows [B, K, d_model]; zeros where a token does not exist."""
        rows = self.net(pooled.tokens)
        if self.time is not None:
            at = self.time(time_features(pooled.times_s, TIME_SIZE).to(rows.dtype))
            rows = rows + at * ~pooled.is_summary[:, None]
        if self.summary is not None:
            rows = rows + self.summary * pooled.is_summary[:, None]
        return rows * pooled.mask.unsqueeze(-1)
