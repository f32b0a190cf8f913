"""A network of a few weights and points to fit it to, for tests of the loop and its checkpoints."""

from dataclasses import dataclass

import torch
from torch import nn

from cuewise.train.loop import LoopConfig


@dataclass
class Points:
    ids: list[str]
    x: torch.Tensor
    y: torch.Tensor


def model() -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(4, 16), nn.Dropout(0.2), nn.Tanh(), nn.Linear(16, 1))


def points(_: int, generator: torch.Generator) -> Points:
    x = torch.randn(8, 4, generator=generator)
    return Points([f"p{i}" for i in range(8)], x, x.sum(1, keepdim=True))


def squared(net: nn.Module, batch: Points) -> tuple[torch.Tensor, dict]:
    loss = (net(batch.x) - batch.y).square().mean()
    return loss, {"error": loss.detach()}


def config(**options) -> LoopConfig:
    return LoopConfig(**{"steps": 8, "batch_size": 8, "warmup_steps": 2, "lr": 0.05, "log_every": 4, "save_every": 3}
                      | options)  # fmt: skip


class StopError(Exception):
    pass
