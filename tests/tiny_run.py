"""A run of the loop on a tiny net, as a program of its own: to be killed, and to be started on several processes.

    python tiny_run.py OUT [key=value ...]      options of LoopConfig and HardwareConfig, and `pause` seconds per step
"""

import sys
import time
from dataclasses import dataclass, fields
from pathlib import Path

import torch
import yaml
from torch import nn

from cuewise.train.checkpoints import whole
from cuewise.train.loop import LoopConfig, run_stage
from cuewise.train.parallel import HardwareConfig, Parallel

DEFAULTS = {"steps": 24, "batch_size": 8, "warmup_steps": 2, "lr": 0.02, "log_every": 3, "save_every": 1,
            "keep_last": 2, "evaluate_every": 4, "device": "cpu"}  # fmt: skip


@dataclass
class Points:
    ids: list[str]
    x: torch.Tensor
    y: torch.Tensor
    weight: float


class Layer(nn.Module):
    """Named like a layer of a language model, so that FSDP2 shards it by itself."""

    def __init__(self):
        super().__init__()
        self.self_attn = nn.Linear(16, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.self_attn(x).tanh()


class Net(nn.Module):
    """A few layers with dropout and a part that some batches do not use."""

    def __init__(self):
        super().__init__()
        self.first, self.drop = nn.Linear(4, 16), nn.Dropout(0.2)
        self.layers = nn.ModuleList([Layer(), Layer()])
        self.last, self.extra = nn.Linear(16, 1), nn.Linear(4, 1)

    def forward(self, x: torch.Tensor, also: bool) -> torch.Tensor:
        y = self.drop(self.first(x))
        for layer in self.layers:
            y = layer(y)
        return self.last(y) + (self.extra(x) if also else 0.0)


def loss_fn(net: nn.Module, batch: Points) -> tuple[torch.Tensor, dict]:
    loss = (net(batch.x, also=len(batch.ids) % 2 == 0) - batch.y).square().mean()
    return loss, {"error": loss.detach()}


def train(out: Path, options: dict) -> nn.Module:
    """One stage; returns the trained net."""
    options = DEFAULTS | options
    pause = options.pop("pause", 0.0)
    loop = LoopConfig(**{f.name: options[f.name] for f in fields(LoopConfig) if f.name in options})
    hardware = HardwareConfig(**{f.name: options[f.name] for f in fields(HardwareConfig) if f.name in options})
    parallel = Parallel(hardware, str(out))
    size = loop.micro_size(parallel.size)

    def batches(_: int, generator: torch.Generator) -> Points:
        time.sleep(pause)
        x = torch.randn(size, 4, generator=generator)
        return Points([f"p{i}" for i in range(size)], x, x.sum(1, keepdim=True), weight=size)

    held_out = torch.randn(32, 4, generator=torch.Generator().manual_seed(99))

    def validate(net: nn.Module) -> dict[str, float]:
        return {"valid/loss": float((net(held_out, True) - held_out.sum(1, keepdim=True)).square().mean())}

    torch.manual_seed(5)
    net = Net()
    run_stage("s", net, batches, loss_fn, loop, out, parallel=parallel,
              validate=None if parallel.shards else validate)  # fmt: skip
    weights = {name: whole(value) for name, value in net.state_dict().items()}
    if parallel.is_main:
        torch.save(weights, out / "final.tmp")
        (out / "final.tmp").replace(out / "final.pt")
    parallel.wait()
    return net


if __name__ == "__main__":
    torch.set_num_threads(1)
    train(Path(sys.argv[1]), {key: yaml.safe_load(value) for key, value in (o.split("=", 1) for o in sys.argv[2:])})
