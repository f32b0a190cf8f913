"""The one training loop: steps whose every random choice follows from (run seed, stage, step).

Because batch, augmentation and dropout of step i are a function of these three numbers, resuming needs no sampler or
generator state: weights, optimizer and the step number are the whole checkpoint, and a resumed run ends with the
same weights as an undisturbed one.
"""

import json
import math
import os
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from tqdm import tqdm

Batch = Any
LossFn = Callable[[nn.Module, Batch], tuple[Tensor, dict[str, Tensor | float]]]


class TrainingError(RuntimeError):
    """Training cannot go on; the message names stage, step and samples."""


@dataclass(kw_only=True, slots=True)
class LoopConfig:
    steps: int
    """Optimizer steps of the stage."""

    batch_size: int = 16
    """Samples per optimizer step."""

    lr: float = 1e-3
    """Peak learning rate; linear warm-up, then cosine down to 2 % of it."""

    lr_scale: dict[str, float] = field(default_factory=dict)
    """Factor on `lr` for parameters whose name contains the key."""

    warmup_steps: int = 100
    weight_decay: float = 0.02
    """AdamW decay, on matrices only."""

    grad_clip: float = 1.0
    """Gradients are scaled down to this norm."""

    log_every: int = 25
    save_every: int = 500
    """Steps between checkpoints; the last step always saves."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "log_every", "save_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")
        if not self.lr > 0:
            raise ValueError(f"lr must be > 0, got {self.lr}")


def step_seed(run_seed: int, stage: str, step: int) -> int:
    """The seed of everything random in one step."""
    return zlib.crc32(f"{run_seed}/{stage}/{step}".encode())


def learning_rate(step: int, config: LoopConfig) -> float:
    """Linear warm-up, then cosine to 2 % of the peak."""
    if step < config.warmup_steps:
        return config.lr * (step + 1) / config.warmup_steps
    done = (step - config.warmup_steps) / max(config.steps - config.warmup_steps, 1)
    return config.lr * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))


def parameter_groups(model: nn.Module, config: LoopConfig) -> list[dict[str, Any]]:
    """Trainable parameters by (learning-rate factor, decayed or not)."""
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            scale = next((factor for key, factor in config.lr_scale.items() if key in name), 1.0)
            groups.setdefault((scale, parameter.ndim >= 2), []).append(parameter)
    return [
        {"params": parameters, "scale": scale, "weight_decay": config.weight_decay if decayed else 0.0}
        for (scale, decayed), parameters in groups.items()
    ]


def run_stage(
    name: str, model: nn.Module, batches: Callable[[int, torch.Generator], Batch], loss_fn: LossFn, config: LoopConfig,
    out_dir: Path, *, run_seed: int = 0, accelerator: Accelerator | None = None,
) -> dict[str, float]:  # fmt: skip
    """Train one stage; returns the last logged numbers. Resumes from `out_dir` when a checkpoint lies there.

    Args:
        batches: (step, generator) -> batch; must draw everything random from the generator. A batch offers `ids`.
        loss_fn: (model, batch) -> (loss, statistics); statistics are logged as ``stage/quantity``.
    """
    accelerator = accelerator or Accelerator(cpu=not torch.cuda.is_available())
    groups = parameter_groups(model, config)
    if not groups:
        raise TrainingError(f"stage {name!r} trains nothing: no parameter has requires_grad")
    optimizer = torch.optim.AdamW(groups, lr=config.lr, betas=(0.9, 0.98))
    first = _resume(name, model, optimizer, out_dir)
    model, optimizer = accelerator.prepare(model, optimizer)
    stats: dict[str, float] = {}
    log = _Log(out_dir / "log.jsonl")
    began = time.monotonic()
    for step in _progress(name, first, config.steps):
        seed = step_seed(run_seed, name, step)
        batch = batches(step, torch.Generator().manual_seed(seed))
        torch.manual_seed(seed)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, config) * group["scale"]
        loss, stats = loss_fn(model, batch)
        if not torch.isfinite(loss):
            raise TrainingError(f"stage {name!r}, step {step}: loss is {loss.item()}; samples {', '.join(batch.ids)}")
        accelerator.backward(loss)
        norm = accelerator.clip_grad_norm_(model.parameters(), config.grad_clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        stats = {"loss": float(loss.detach()), "grad_norm": float(norm), **{k: float(v) for k, v in stats.items()}}
        if (step + 1) % config.log_every == 0 or step + 1 == config.steps:
            rate = (step + 1 - first) * config.batch_size / (time.monotonic() - began)
            log.write(name, step + 1, {**stats, "lr": learning_rate(step, config), "samples_per_s": rate})
        if (step + 1) % config.save_every == 0 or step + 1 == config.steps:
            _save(name, step + 1, accelerator.unwrap_model(model), optimizer, out_dir)
    return stats


def _progress(name: str, first: int, steps: int) -> Iterator[int]:
    return iter(tqdm(range(first, steps), initial=first, total=steps, desc=name, unit="step", mininterval=2))


class _Log:
    """One JSON object per logged step."""

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path

    def write(self, stage: str, step: int, stats: dict[str, float]) -> None:
        line = {"stage": stage, "step": step} | {f"{stage}/{key}": round(value, 6) for key, value in stats.items()}
        with self.path.open("a", encoding="utf-8") as out:
            out.write(json.dumps(line) + "\n")


def _save(name: str, step: int, model: nn.Module, optimizer: torch.optim.Optimizer, out_dir: Path) -> None:
    """Write the checkpoint of a stage so that a kill at any moment leaves the old one or the new one."""
    out_dir.mkdir(parents=True, exist_ok=True)
    part, path = out_dir / f".{name}.pt.part", out_dir / f"{name}.pt"
    with part.open("wb") as out:
        torch.save({"step": step, "model": model.state_dict(), "optimizer": optimizer.state_dict()}, out)
        out.flush()
        os.fsync(out.fileno())
    part.replace(path)


def _resume(name: str, model: nn.Module, optimizer: torch.optim.Optimizer, out_dir: Path) -> int:
    path = out_dir / f"{name}.pt"
    if not path.exists():
        return 0
    state = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return state["step"]
