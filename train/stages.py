"""One stage of supervised tuning: what learns, what a step's loss is, and what validation looks at."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn
from tqdm import tqdm

from cuewise.data_recipes.corpora import COMMON_LABELS
from cuewise.data_recipes.sides import check_sides
from cuewise.mllm.adapters.lora import add_lora
from cuewise.mllm.adapters.mose import add_mose
from cuewise.mllm.cache import FrozenEncoders
from cuewise.mllm.modeling import CuewiseForConditionalGeneration
from cuewise.mllm.processing import CuewiseProcessor
from cuewise.mllm.shared_prefix import VARLEN, use_kernel
from cuewise.train.curriculum import BUILT_IN, Curriculum, StageConfig, replays, used_options
from cuewise.train.data import Mixture, TrainBatch
from cuewise.train.examples import Example
from cuewise.train.loop import Validate, run_stage, step_seed
from cuewise.train.objectives import OBJECTIVES, Objective, ObjectiveBatch, attached
from cuewise.train.parallel import HardwareConfig, Parallel, moved
from cuewise.train.stage_losses import answers_loss, collecting, heads_loss, with_experts
from cuewise.train.validation import Found, Given

AnyBatch = TrainBatch | ObjectiveBatch
Draw = Callable[[Mixture, int, Generator], AnyBatch]
Sources = dict[str, list[Example]]


def train_stage(
    name: str, stage: StageConfig, model: CuewiseForConditionalGeneration, processor: CuewiseProcessor,
    sources: Sources, validation: Sources, out: Path, seed: int, *, parallel: Parallel | None = None,
    earlier: Sequence[StageConfig] = (), states_cache: str | None = None,
) -> dict[str, float]:  # fmt: skip
    """Train what the stage names, on its mixture; returns the last logged numbers."""
    parallel = parallel or Parallel()
    choose_parts(model, stage)
    model.train()
    check_labels(name, stage, model, validation)
    used = {key: sources[key] for one in (stage, *replays(stage, earlier)) for key in one.mixture.weights}
    if stage.objective == "heads" or {*stage.tasks} - {"reply"}:
        check_sides({key: [example.row for example in part] for key, part in used.items()}, f"stage {name!r}")
    reader = frozen_states(model, processor, stage, states_cache, earlier)
    with parallel.autocast():  # as the encoders would compute in a step
        used = encoded(used, reader, parallel.is_main)
    mixture = Curriculum(used, stage, processor, earlier, units_of(model))
    size = stage.loop.micro_size(parallel.size)
    objective = objective_of(name, stage, model, processor, seed)
    held_out = [example for key in stage.validation or validation for example in validation[key]]
    check_work(name, stage, parallel.config, bool(held_out))
    draw = drawer(objective, stage)

    def batches(step: int, generator: Generator) -> AnyBatch:
        mixture.step = step
        return draw(mixture, size, generator)

    def loss_fn(trained: nn.Module, batch: AnyBatch) -> tuple[Tensor, dict[str, Tensor | float]]:
        return stage_loss(trained, batch, stage)

    validate = None
    if stage.loop.evaluate_every:
        with parallel.autocast():
            held_out = encoded({"valid": held_out}, reader, False)["valid"]
        validate = validator(held_out, stage, processor, units_of(model), size, parallel, objective)
    apart = _parts_apart(model) if stage.packed and parallel.device.type == "cpu" else nullcontext()
    with attached(model, objective), apart:
        return run_stage(name, model, batches, loss_fn, stage.loop, out / "checkpoints", run_seed=seed,
                         parallel=parallel, validate=validate)  # fmt: skip


def check_work(name: str, stage: StageConfig, hardware: HardwareConfig, validated: bool) -> None:
    """Raise ValueError where batches cannot be drawn as the hardware asks, or there is nothing to evaluate on."""
    own = stage.objective not in BUILT_IN
    if own and OBJECTIVES[stage.objective].module_class.draws_with_model and hardware.batch_workers:
        raise ValueError(f"stage {name!r}: {stage.objective} draws its batches with the model that learns, so no other "
                         "process can draw them ahead; set hardware.batch_workers=0")  # fmt: skip
    if stage.loop.evaluate_every and not validated:
        raise ValueError(f"stage {name!r} has evaluate_every {stage.loop.evaluate_every} but no validation source; "
                         "name one under `validation`")  # fmt: skip


def check_labels(name: str, stage: StageConfig, model: CuewiseForConditionalGeneration, validation: Sources) -> None:
    """Raise ValueError where the heads would learn, or be calibrated on, labels of another order than they read."""
    labels = tuple(model.config.heads_config.labels)
    learns = stage.objective == "heads" or stage.head_weight > 0 or (
        stage.objective not in BUILT_IN and OBJECTIVES[stage.objective].module_class.learns_labels
    )
    if (learns or validation) and labels and labels != COMMON_LABELS:
        raise ValueError(f"stage {name!r}: model.heads.labels is {', '.join(labels)}, but heads are trained and "
                         f"calibrated on the common labels in this order: {', '.join(COMMON_LABELS)}; set heads.labels "
                         "to these, or leave it out")  # fmt: skip


def objective_of(
    name: str, stage: StageConfig, model: CuewiseForConditionalGeneration, processor: CuewiseProcessor, seed: int
) -> Objective | None:
    """The stage's objective with new weights of its own; None for `heads` and `answers`, which have none."""
    if stage.objective in BUILT_IN:
        return None
    torch.manual_seed(step_seed(seed, f"{name}/objective", 0))
    values = {"name": stage.objective, **stage.options}
    try:
        objective = OBJECTIVES.build(values, model, processor, path="options").to(model.device)
    except ValueError as error:
        raise ValueError(f"stage {name!r}: {error}") from None
    objective.packed, objective.head_weight = stage.packed, stage.head_weight
    objective.experts = stage.experts is not None
    return objective


def drawer(objective: Objective | None, stage: StageConfig) -> Draw:
    """How a stage draws its batches from a mixture."""
    if objective is not None:
        return objective.batch
    return _heads_batch if stage.objective == "heads" else _answer_batch


def _heads_batch(mixture: Mixture, count: int, generator: Generator) -> TrainBatch:
    return mixture.heads_batch(count, generator)


def _answer_batch(mixture: Mixture, count: int, generator: Generator) -> TrainBatch:
    return mixture.answer_batch(count, generator)


@contextmanager
def _parts_apart(model: CuewiseForConditionalGeneration) -> Iterator[None]:
    """Inside, attention computes the samples of a packed row one by one: half the time of a padded batch on a CPU."""
    kernel = model.language_model.config._attn_implementation
    use_kernel(model.language_model, VARLEN)
    yield
    model.language_model.set_attn_implementation(kernel)


def add_adapters(model: CuewiseForConditionalGeneration, stages: dict[str, StageConfig], seed: int) -> None:
    """Put the LoRA layers or experts of all stages into the model; they change nothing until they are trained."""
    scopes: dict[str, Any] = {}
    experts = [(name, stage.experts) for name, stage in stages.items() if stage.experts is not None]
    for name, stage in stages.items():
        for scope, config in stage.adapters.items():
            if scopes.setdefault(scope, config) != config:
                raise ValueError(f"stage {name!r} adapts `{scope}` with other options than an earlier stage; make "
                                 "them equal, since both train the same factors")  # fmt: skip
    if experts and (scopes or any(config != experts[0][1] for _, config in experts)):
        raise ValueError(f"stage {experts[0][0]!r} has modality experts; all stages must use the same ones and no "
                         "`adapters`")  # fmt: skip
    if not scopes and not experts:
        return
    full = sorted({scope for stage in stages.values() for scope in stage.trains})
    torch.manual_seed(step_seed(seed, "adapters", 0))
    adapter = add_lora(model, scopes) if scopes else add_mose(model, experts[0][1])
    own = adapter.weights()
    model.train_only(*full)
    adapter.remember_base([key for key, weight in model.named_parameters() if weight.requires_grad and key not in own])


def choose_parts(model: CuewiseForConditionalGeneration, stage: StageConfig) -> None:
    """Full training for `trains`, low-rank factors for `adapters` or `experts`, all else frozen."""
    model.train_only(*stage.trains)
    if model.adapter is not None:
        model.adapter.learn(*stage.adapters, *(["llm"] if stage.experts is not None else []))


def units_of(model: nn.Module) -> list[str]:
    """Action units that the face's head reads."""
    units = [tower.units for name, tower in model.media.towers.items() if name == "face"]
    return [unit for head in units if head is not None for unit in head.units]


def frozen_states(
    model: CuewiseForConditionalGeneration, processor: CuewiseProcessor, stage: StageConfig, folder: str | None,
    earlier: Sequence[StageConfig] = (),
) -> FrozenEncoders | None:  # fmt: skip
    """A reader for the streams whose encoders neither learn nor see augmented input in this stage, be it in its own
    samples or in those of the stages that it replays."""
    if folder is None:
        return None
    ways = [one.mixture.augment for one in (stage, *replays(stage, earlier))]
    pictures = any(way.pictures for way in ways)
    varied = {"voice": any(way.voice or way.mixup > 0 for way in ways), "face": pictures, "scene": pictures}
    streams = [name for name, tower in model.media.towers.items() if not varied.get(name, False)
               and not any(weight.requires_grad for weight in tower.encoder.parameters())]  # fmt: skip
    return FrozenEncoders(model, processor, streams, folder) if streams else None


def encoded(sources: Sources, reader: FrozenEncoders | None, shown: bool) -> Sources:
    """The examples with states in place of what frozen encoders eat."""
    if reader is None:
        return sources
    return {
        name: [Example(example.row, reader.encode(example.tensors), example.duration_s, example.source)
               for example in tqdm(examples, desc=f"encode {name}", unit="clip", disable=not shown)]
        for name, examples in sources.items()
    }  # fmt: skip


def validator(
    examples: list[Example], stage: StageConfig, processor: CuewiseProcessor, units: list[str], size: int,
    parallel: Parallel, objective: Objective | None = None,
) -> Validate:  # fmt: skip
    """The stage's loss and statistics over `examples`, in batches of `size`; see `cuewise.train.validation`."""
    draw = drawer(objective, stage)
    cut = [examples[start : start + size] for start in range(0, len(examples), size)]
    cut = cut if objective is None else objective.parts(examples, size)
    mixture = Given(examples, stage, processor, units)
    head_share = stage.head_weight if "head_weight" in used_options(stage.objective) else 1.0

    def validate(model: nn.Module) -> dict[str, float]:
        found = Found(head_share)
        for mixture.given in cut:
            batch = draw(mixture, len(mixture.given), torch.Generator().manual_seed(0))
            with collecting() as said:
                loss, stats = stage_loss(model, moved(batch, parallel.device), stage)
            numbers = {"loss": float(loss), **{key: float(value) for key, value in stats.items()}}
            found.add(numbers, len(batch.ids), batch.weight, said)
        return {f"valid/{key}": value for key, value in found.numbers().items()}

    return validate


def stage_loss(
    model: CuewiseForConditionalGeneration, batch: AnyBatch, stage: StageConfig
) -> tuple[Tensor, dict[str, Tensor | float]]:
    """The loss of the stage's objective, and while training what mechanisms in the towers ask for themselves."""
    if stage.objective == "heads":
        loss, stats = heads_loss(model, batch)
    elif stage.objective == "answers":
        loss, stats = answers_loss(model, batch, stage.head_weight, packed=stage.packed)
    else:
        loss, stats = model.objective.loss(model, batch)
    for name, term in model.media.auxiliary().items() if model.training else ():
        loss, stats = loss + term, {**stats, f"{name}/auxiliary": term.detach()}
    if stage.experts is not None and stage.objective == "answers":
        loss, stats = with_experts(model, loss, stats)
    return loss, stats
