"""The one training loop: steps whose every random choice follows from (run seed, stage, step).

Because batch, augmentation and dropout of step i are a function of these three numbers, resuming needs no sampler,
scheduler or generator state: weights, optimizer and the step number are the whole checkpoint, and a resumed run ends
with the same weights as an undisturbed one. A step may be cut into micro-batches, which any number of processes share;
each micro-batch counts by its weight (answer tokens, or samples), so the cut does not change what is learnt.
"""

import logging
import math
import time
import zlib
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from cuewise.train.averaging import WeightAverage
from cuewise.train.basis import basis_of
from cuewise.train.checkpoints import Checkpoints
from cuewise.train.parallel import Batch, LossFn, Parallel, weighted_mean
from cuewise.train.prefetch import Drawn, drawn_batches
from cuewise.train.tracking import JsonLog, progress, write_table

log = logging.getLogger(__name__)
Batches = Callable[[int, torch.Generator], Batch]
Validate = Callable[[nn.Module], dict[str, float]]


class TrainingError(RuntimeError):
    """Training cannot go on; the message names stage, step and samples."""


@dataclass(kw_only=True, slots=True)
class LoopConfig:
    steps: int
    """Optimizer steps of the stage."""

    batch_size: int = 16
    """Samples per optimizer step, of all micro-batches and processes together."""

    micro_batches: int = 1
    """Parts into which a step's samples are cut to save memory. All processes share them; where there are more
    processes than parts, each process gets one."""

    lr: float = 1e-3
    """Peak learning rate."""

    lr_scale: dict[str, float] = field(default_factory=dict)
    """Factor on `lr` by scope of the model (llm, voice.encoder, ...) or by part of a parameter's name."""

    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """After the warm-up: down to `final_lr`, or level."""

    final_lr: float = 0.02
    """Share of `lr` at which `cosine` and `linear` end."""

    warmup_steps: int = 100
    """Steps in which the learning rate rises in a straight line."""

    betas: tuple[float, float] = (0.9, 0.98)
    """AdamW's averages of gradient and squared gradient."""

    weight_decay: float = 0.02
    """AdamW decay, on matrices only."""

    grad_clip: float = 1.0
    """Gradients are scaled down to this norm."""

    average: float = 0.0
    """Decay of a running average of the trained weights, e.g. 0.999: validation looks at the average, and the stage
    ends with it. 0 keeps none."""

    gradient_checkpointing: bool = False
    """Compute the layers of the language model again in the backward pass instead of keeping their activations."""

    log_every: int = 25
    """Steps between lines of the log."""

    sample_every: int = 0
    """Steps between sample tables (parquet); 0 writes none."""

    save_every: int = 500
    """Steps between checkpoints; the last step always saves."""

    keep_last: int = 1
    """Newest checkpoints that stay."""

    save: Literal["all", "trained"] = "all"
    """Weights in a checkpoint: all, or those the stage trains, for a large frozen language model."""

    evaluate_every: int = 0
    """Steps between evaluations on the stage's validation sources; 0 evaluates never."""

    metric: str = "valid/loss"
    """The validation number that decides; the stage ends with the weights that had the best one."""

    higher_is_better: bool = False
    """Whether a larger `metric` is better."""

    patience: int = 0
    """Evaluations without a better `metric` after which the stage ends; 0 never ends early."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "micro_batches", "log_every", "save_every", "keep_last"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be >= 1, got {getattr(self, name)}")
        for name in ("lr", "grad_clip"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be > 0, got {getattr(self, name):g}")
        for name in ("warmup_steps", "weight_decay", "evaluate_every", "sample_every", "patience"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be >= 0, got {getattr(self, name):g}")
        if not 0 <= self.final_lr <= 1:
            raise ValueError(f"final_lr is a share of lr in [0, 1], got {self.final_lr:g}")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas are two decays in [0, 1), got {', '.join(map(str, self.betas))}")
        if self.schedule not in ("cosine", "linear", "constant"):
            raise ValueError(f"schedule must be cosine, linear or constant, got {self.schedule!r}")
        if self.patience and not self.evaluate_every:
            raise ValueError(f"patience is {self.patience} but evaluate_every is 0; set evaluate_every, e.g. to 100")
        if not 0 <= self.average < 1:
            raise ValueError(f"average is a decay in [0, 1), got {self.average:g}")
        self.betas = tuple(self.betas)
        self.micro_size()

    def parts(self, processes: int = 1) -> int:
        """Micro-batches of a step, a multiple of the number of processes."""
        return -(-self.micro_batches // processes) * processes

    def micro_size(self, processes: int = 1) -> int:
        """Samples of one micro-batch."""
        parts = self.parts(processes)
        if self.batch_size % parts:
            near = max(parts, round(self.batch_size / parts) * parts)
            raise ValueError(f"batch_size {self.batch_size} cannot be cut into {parts} equal micro-batches; "
                             f"set it to {near}")  # fmt: skip
        return self.batch_size // parts


def step_seed(run_seed: int, stage: str, step: int, part: int = 0) -> int:
    """The seed of everything random in one micro-batch of one step."""
    return zlib.crc32(f"{run_seed}/{stage}/{step}{f'/{part}' if part else ''}".encode())


def learning_rate(step: int, config: LoopConfig) -> float:
    """Linear warm-up, then the schedule."""
    if step < config.warmup_steps:
        return config.lr * (step + 1) / config.warmup_steps
    if config.schedule == "constant":
        return config.lr
    done = min((step - config.warmup_steps) / max(config.steps - config.warmup_steps, 1), 1.0)
    left = 0.5 * (1 + math.cos(math.pi * done)) if config.schedule == "cosine" else 1 - done
    return config.lr * (config.final_lr + (1 - config.final_lr) * left)


def parameter_groups(model: nn.Module, config: LoopConfig) -> list[dict[str, Any]]:
    """Trainable parameters by (learning-rate factor, decayed or not). The narrowest scope of `lr_scale` counts."""
    factors = _factors(model, config.lr_scale)
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((factors.get(name, 1.0), parameter.ndim >= 2), []).append(parameter)
    return [
        {"params": parameters, "scale": scale, "weight_decay": config.weight_decay if decayed else 0.0}
        for (scale, decayed), parameters in groups.items()
    ]


def _factors(model: nn.Module, lr_scale: dict[str, float]) -> dict[str, float]:
    """Parameter name -> learning-rate factor. Raises ValueError for a key that fits no parameter."""
    names = [name for name, _ in model.named_parameters()]
    scopes = model.scopes() if hasattr(model, "scopes") else {}
    reached = {}
    for key in lr_scale:
        if key in scopes:
            members = {id(weight) for weight in scopes[key].parameters()}
            reached[key] = [name for name, weight in model.named_parameters() if id(weight) in members]
        else:
            reached[key] = [name for name in names if key in name]
        if not reached[key]:
            near = get_close_matches(key, scopes, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"known scopes: {', '.join(scopes) or 'none'}"
            raise ValueError(f"lr_scale names `{key}`, which no parameter belongs to; {hint}")
    factors: dict[str, float] = {}
    for key in sorted(lr_scale, key=lambda name: -len(reached[name])):
        factors |= dict.fromkeys(reached[key], lr_scale[key])
    return factors


def run_stage(
    name: str, model: nn.Module, batches: Batches, loss_fn: LossFn, config: LoopConfig, out_dir: Path, *,
    run_seed: int = 0, parallel: Parallel | None = None, validate: Validate | None = None,
) -> dict[str, float]:  # fmt: skip
    """Train one stage; returns the last logged numbers. Resumes from `out_dir` when a checkpoint lies there.

    A checkpoint of other data or options (`cuewise.train.basis`) is refused with a ChangedRunError.

    Args:
        batches: (step, generator) -> batch of `config.micro_size(processes)` samples; must draw everything random from
            the generator. A batch offers `ids`, and may offer `weight` (how much it counts; by default its samples) and
            `table()` (rows for the sample tables).
        loss_fn: (model, batch) -> (loss, statistics); statistics are logged as ``stage/quantity``.
        validate: (model) -> numbers, called in eval mode; logged as they are named, e.g. ``valid/loss``.
    """
    stage = _Stage(name, model, config, out_dir, run_seed, parallel or Parallel())
    return stage.run(batches, loss_fn, validate)


class _Stage:
    """One stage on its way."""

    def __init__(
        self, name: str, model: nn.Module, config: LoopConfig, out_dir: Path, run_seed: int, parallel: Parallel
    ):
        self.name, self.model, self.config, self.out_dir = name, model, config, out_dir
        self.run_seed, self.parallel = run_seed, parallel
        basis = basis_of(out_dir.parent, name, config, run_seed)
        self.checkpoints = Checkpoints(out_dir, name, config.keep_last, config.save, basis)
        self.log = JsonLog(out_dir / "log.jsonl")
        config.micro_size(parallel.size)

    def run(self, batches: Batches, loss_fn: LossFn, validate: Validate | None) -> dict[str, float]:
        config, parallel = self.config, self.parallel
        if not any(weight.requires_grad for weight in self.model.parameters()):
            raise TrainingError(f"stage {self.name!r} trains nothing: no parameter has requires_grad")
        step_module = parallel.wrap(self.model, loss_fn)
        optimizer = torch.optim.AdamW(parameter_groups(self.model, config), lr=config.lr, betas=config.betas)
        self.progress, more = self.checkpoints.resume(self.model, optimizer)
        parallel.load_state(more.get("parallel"))
        optimizer = parallel.accelerator.prepare_optimizer(optimizer)
        self.average = WeightAverage(self.model, config.average, more.get("average")) if config.average else None
        if parallel.is_main:
            self.log.rewind(self.name, self.progress.step)
        stats: dict[str, float] = {}
        first, began = self.progress.step, time.monotonic()
        if config.gradient_checkpointing:
            _recompute(self.model, True)
        steps = [] if self.progress.stopped else progress(self.name, first, config.steps, parallel.is_main)
        drawn = drawn_batches(batches, self._seeds(first if steps else config.steps), parallel.config.batch_workers)
        for step in steps:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, config) * group["scale"]
            stats = self._step(step, step_module, optimizer, next(drawn))
            if self.average is not None:
                self.average.update(step)
            rate = (step + 1 - first) * config.batch_size / (time.monotonic() - began)
            if self._finish(step + 1, stats | {"lr": learning_rate(step, config), "samples_per_s": rate},
                            optimizer, validate):  # fmt: skip
                break
        if config.gradient_checkpointing:
            _recompute(self.model, False)
        if self.average is not None:
            self.average.put()
        if config.evaluate_every:
            self.checkpoints.load_best(self.model)
        return stats

    def _seeds(self, first: int) -> list[tuple[int, list[int]]]:
        """(step, seed of each of this process's micro-batches) from `first` on."""
        parts = range(self.parallel.rank, self.config.parts(self.parallel.size), self.parallel.size)
        return [(step, [step_seed(self.run_seed, self.name, step, part) for part in parts])
                for step in range(first, self.config.steps)]  # fmt: skip

    def _step(self, step: int, module: nn.Module, optimizer: Any, drawn: Drawn) -> dict[str, float]:
        """One optimizer step over this process's micro-batches."""
        parallel, parts = self.parallel, self.config.parts(self.parallel.size)
        weights = [float(getattr(batch, "weight", len(batch.ids))) for _, batch in drawn]
        drawn = [(seed, parallel.move(batch)) for seed, batch in drawn]
        total = parallel.sum([sum(weights)])[0]
        collected = []
        for index, (seed, batch) in enumerate(drawn):
            torch.manual_seed(seed)
            with parallel.accumulating(module, last=index == len(drawn) - 1):
                with parallel.autocast():
                    loss, found = module(batch)
                self._check(step, loss, found, batch.ids)
                share = weights[index] / total * parallel.size if parts > 1 else 1.0
                parallel.backward(loss * share if parts > 1 else loss)
            numbers = {"loss": float(loss.detach()), **{key: float(value) for key, value in found.items()}}
            collected.append((numbers, weights[index]))
        norm = parallel.clip([weight for weight in self.model.parameters() if weight.requires_grad],
                             self.config.grad_clip)  # fmt: skip
        if not math.isfinite(norm) and parallel.config.precision != "fp16":
            ids = [key for _, batch in drawn for key in batch.ids]
            raise TrainingError(f"stage {self.name!r}, step {step}: gradient norm is {norm}; samples {', '.join(ids)}")
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if self._due(step + 1, self.config.sample_every) and parallel.is_main:
            rows = [row for _, batch in drawn if hasattr(batch, "table") for row in batch.table()]
            write_table(self.out_dir / "samples", self.name, step + 1, rows)
        stats = weighted_mean(collected) if parts > 1 else collected[0][0]
        return {**parallel.average(stats, sum(weights)), "grad_norm": norm}

    def _check(self, step: int, loss: Tensor, stats: dict[str, Any], ids: list[str]) -> None:
        where = f"stage {self.name!r}, step {step}"
        if not torch.isfinite(loss):
            raise TrainingError(f"{where}: loss is {loss.item()}; samples {', '.join(ids)}")
        if "media_rows" in stats and not float(stats["media_rows"]) > 0:
            raise TrainingError(f"{where}: no media reached the model; samples {', '.join(ids)}")

    def _finish(self, step: int, stats: dict[str, float], optimizer: Any, validate: Validate | None) -> bool:
        """What follows a step: evaluation, log, checkpoint. True when the stage ends here."""
        config, state, main = self.config, self.progress, self.parallel.is_main
        state.step, last = step, step == config.steps
        evaluated = {}
        if validate is not None and (self._due(step, config.evaluate_every) or (last and config.evaluate_every)):
            evaluated = self._evaluate(validate)
        state.stopped = not last and config.patience > 0 and state.misses >= config.patience
        ends = last or state.stopped
        if self._due(step, config.log_every) or ends or evaluated:
            if main:
                self.log.write(self.name, step, stats | evaluated)
            named = {f"{self.name}/{key}": value for key, value in (stats | evaluated).items()}
            self.parallel.accelerator.log(named, step=step)
        if self._due(step, config.save_every) or ends:
            more = {} if self.average is None else {"average": self.average.state()}
            self.checkpoints.save(state, self.model, optimizer, main, parallel=self.parallel.state(), **more)
        return ends

    def _evaluate(self, validate: Validate) -> dict[str, float]:
        """Validation numbers; keeps the weights when they are the best so far."""
        with nullcontext() if self.average is None else self.average.shown():
            return self._validated(validate)

    def _validated(self, validate: Validate) -> dict[str, float]:
        config, state = self.config, self.progress
        self.model.eval()
        with torch.no_grad(), self.parallel.autocast():
            found = validate(self.model)
        self.model.train()
        if config.metric not in found:
            near = get_close_matches(config.metric, found, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(sorted(found))}"
            raise ValueError(f"stage {self.name!r}: no validation number is named `{config.metric}`; {hint}")
        value, best = found[config.metric], state.best
        if math.isnan(value):
            log.warning("stage %r, step %d: `%s` is nan, which is never the best", self.name, state.step, config.metric)
        first = best is None or math.isnan(best)
        better = not math.isnan(value) and (first or (value > best if config.higher_is_better else value < best))
        state.misses = 0 if better else state.misses + 1
        if better:
            state.best, state.best_step = value, state.step
            self.checkpoints.save_best(state, self.model, self.parallel.is_main)
        return found

    def _due(self, step: int, every: int) -> bool:
        return every > 0 and step % every == 0


def _recompute(model: nn.Module, on: bool) -> None:
    """Switch gradient checkpointing; newer versions of the library call it activation checkpointing."""
    verb = "enable" if on else "disable"
    for kind in ("activation_checkpointing", "gradient_checkpointing"):
        if hasattr(model, f"{kind}_{verb}"):
            options = {f"{kind}_kwargs": {"use_reentrant": False}} if on else {}
            getattr(model, f"{kind}_{verb}")(**options)
            return
    raise ValueError(f"gradient_checkpointing is on but {type(model).__name__} does not offer it; set it to false")
