"""Processes, precision and reductions: everything that differs between one process, DDP and FSDP2 is in this file.

Gradients are averaged over P processes, so the loop hands in losses multiplied by P; what remains is the weighted sum
over all micro-batches of a step, whatever number of processes shares them.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, Literal

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

Batch = Any
LossFn = Callable[[nn.Module, Batch], tuple[Tensor, dict[str, Tensor | float]]]


@dataclass(kw_only=True, slots=True)
class HardwareConfig:
    """Where and how a recipe runs; none of it changes what is learnt, save for the rounding of the precision."""

    parallel: Literal["ddp", "fsdp2"] = "ddp"
    """How processes share the work once `accelerate launch` starts several: `ddp` copies the model, `fsdp2` shards
    weights, gradients and optimizer layer by layer."""

    precision: Literal["no", "bf16", "fp16"] = "no"
    """Mixed precision: the forward pass runs in this type, weights and optimizer stay in float32."""

    device: Literal["auto", "cpu"] = "auto"
    """`auto` takes the GPU of the process where there is one."""

    trackers: list[str] = field(default_factory=list)
    """Where numbers go besides log.jsonl: tensorboard, wandb, or whatever else accelerate offers and is installed."""

    batch_workers: int = 0
    """Processes that draw and vary the batches of coming steps while the model learns; 0 draws them in between."""

    def __post_init__(self) -> None:
        if self.batch_workers < 0:
            raise ValueError(f"hardware.batch_workers must be >= 0, got {self.batch_workers}")
        for name, known in (("parallel", ("ddp", "fsdp2")), ("precision", ("no", "bf16", "fp16")),
                            ("device", ("auto", "cpu"))):  # fmt: skip
            if getattr(self, name) not in known:
                raise ValueError(f"hardware.{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}")


class Step(nn.Module):
    """Model and loss as one module, so that a wrapper sees one forward pass whatever the loss calls on the model."""

    def __init__(self, model: nn.Module, loss_fn: LossFn):
        super().__init__()
        self.model, self.loss_fn = model, loss_fn

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor | float]]:
        return self.loss_fn(self.model, batch)


class Parallel:
    """One way to run a step on all processes."""

    def __init__(self, config: HardwareConfig | None = None, log_dir: str | None = None):
        self.config = config or HardwareConfig()
        cpu = self.config.device == "cpu" or not torch.cuda.is_available()
        self.accelerator = Accelerator(
            cpu=cpu, mixed_precision=self.config.precision, log_with=list(self.config.trackers) or None,
            project_dir=log_dir,
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
        )  # fmt: skip
        self.shards = self.config.parallel == "fsdp2"
        if self.shards and not torch.distributed.is_initialized():
            raise ValueError("hardware.parallel is fsdp2 but only one process runs; start with `accelerate launch "
                             "--num_processes N -m cuewise train …`, or set hardware.parallel=ddp")  # fmt: skip

    @property
    def size(self) -> int:
        """Number of processes P."""
        return self.accelerator.num_processes

    @property
    def rank(self) -> int:
        """Number of this process, 0 is the one that writes files."""
        return self.accelerator.process_index

    @property
    def is_main(self) -> bool:
        return self.accelerator.is_main_process

    @property
    def device(self) -> torch.device:
        return self.accelerator.device

    def wrap(self, model: nn.Module, loss_fn: LossFn) -> nn.Module:
        """The step as all processes run it: calls give (loss, statistics). What was wrapped before is let go."""
        self.accelerator.free_memory()
        step = Step(model, loss_fn)
        if not self.shards:
            return self.accelerator.prepare_model(step)
        return _sharded(step.to(self.device), self.config.precision)

    def autocast(self) -> AbstractContextManager:
        """Mixed precision; the FSDP2 policy casts by itself."""
        return nullcontext() if self.shards else self.accelerator.autocast()

    def accumulating(self, step: nn.Module, last: bool) -> AbstractContextManager:
        """Gradients stay on this process until the last micro-batch of a step."""
        if self.shards:
            step.set_requires_gradient_sync(last)
            return nullcontext()
        return nullcontext() if last else self.accelerator.no_sync(step)

    def state(self) -> dict[str, Any]:
        """What a resumed run needs besides weights and optimizer: the loss scale of fp16."""
        scaler = self.accelerator.scaler
        return {} if scaler is None else {"scaler": scaler.state_dict()}

    def load_state(self, state: dict[str, Any] | None) -> None:
        """Take up what `state` gave."""
        if state and "scaler" in state and self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])

    def backward(self, loss: Tensor) -> None:
        self.accelerator.backward(loss)

    def clip(self, parameters: list[nn.Parameter], max_norm: float) -> float:
        """Scale gradients down to `max_norm`; returns their norm before."""
        norm = self.accelerator.clip_grad_norm_(parameters, max_norm)
        return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)

    def sum(self, values: list[float]) -> list[float]:
        """Sums over all processes."""
        if self.size == 1:
            return values
        total = self.accelerator.reduce(torch.tensor(values, dtype=torch.float64, device=self.device), "sum")
        return total.tolist()

    def average(self, stats: dict[str, float], weight: float) -> dict[str, float]:
        """Weighted mean of each statistic over the processes that report it."""
        if self.size == 1:
            return stats
        gathered: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(gathered, (stats, weight))
        return weighted_mean(gathered)

    def wait(self) -> None:
        """Until all processes are here."""
        self.accelerator.wait_for_everyone()

    def main_first(self) -> AbstractContextManager:
        """The main process goes first, e.g. to prepare what the others then find on disk."""
        return self.accelerator.main_process_first()

    def move(self, batch: Batch) -> Batch:
        """The batch on this process's device."""
        return batch if self.device.type == "cpu" else moved(batch, self.device)


def weighted_mean(parts: list[tuple[dict[str, float], float]]) -> dict[str, float]:
    """Mean of each named value over the parts that have it, by weight."""
    names = list(dict.fromkeys(name for stats, _ in parts for name in stats))
    out = {}
    for name in names:
        known = [(stats[name], weight) for stats, weight in parts if name in stats]
        total = sum(weight for _, weight in known)
        out[name] = sum(value * weight for value, weight in known) / total if total else known[-1][0]
    return out


def moved(value: Any, device: torch.device) -> Any:
    """`value` with every tensor in it on `device`; dataclasses, mappings and lists are rebuilt."""
    if isinstance(value, Tensor):
        return value.to(device, non_blocking=True)
    if isinstance(value, dict):
        return {key: moved(item, device) for key, item in value.items()}
    if isinstance(value, list):
        return [moved(item, device) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: moved(getattr(value, f.name), device) for f in fields(value) if f.init})
    return value


def _sharded(step: Step, precision: str) -> nn.Module:
    """FSDP2: every layer of a long list of equal layers is one unit, what is left belongs to the whole."""
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    dtype = {"no": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32 if dtype else None)
    for module in step.modules():
        if isinstance(module, nn.ModuleList) and len(module) > 1 and len({type(layer) for layer in module}) == 1:
            for layer in module:
                if hasattr(layer, "self_attn") or hasattr(layer, "attention"):
                    fully_shard(layer, mp_policy=policy)
    return fully_shard(step, mp_policy=policy)
