"""One stage of supervised tuning: what learns, what a step's loss is, and what validation looks at."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn
from tqdm import tqdm

from cuewise.mllm.adapters.lora import add_lora
from cuewise.mllm.adapters.mose import add_mose
from cuewise.mllm.cache import FrozenEncoders
from cuewise.mllm.modeling import CuewiseForConditionalGeneration
from cuewise.mllm.processing import CuewiseProcessor
from cuewise.mllm.shared_prefix import VARLEN, use_kernel
from cuewise.train.augment import AugmentConfig
from cuewise.train.curriculum import Curriculum, StageConfig
from cuewise.train.data import Mixture, Targets, TrainBatch
from cuewise.train.examples import HEADS, Example
from cuewise.train.loop import Validate, run_stage, step_seed
from cuewise.train.losses import masked_intensity_loss, next_token_loss, soft_cross_entropy, valence_arousal_loss
from cuewise.train.packing import pack_written, row_loss
from cuewise.train.parallel import Parallel, moved, weighted_mean

PLAIN = AugmentConfig(voice=False, pictures=False, context_share=1.0, action_noise=0.0)
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
    used = {key: sources[key] for one in (stage, *(earlier if stage.replay else ())) for key in one.mixture.weights}
    reader = frozen_states(model, processor, stage, states_cache)
    used = encoded(used, reader, parallel.is_main)
    mixture = Curriculum(used, stage, processor, earlier, units_of(model))
    size = stage.loop.micro_size(parallel.size)

    def batches(step: int, generator: Generator) -> TrainBatch:
        mixture.step = step
        return (mixture.heads_batch if stage.objective == "heads" else mixture.answer_batch)(size, generator)

    def loss_fn(trained: nn.Module, batch: TrainBatch) -> tuple[Tensor, dict[str, Tensor | float]]:
        return stage_loss(trained, batch, stage)

    held_out = [example for key in stage.validation or validation for example in validation[key]]
    if stage.loop.evaluate_every and not held_out:
        raise ValueError(f"stage {name!r} has evaluate_every {stage.loop.evaluate_every} but no validation source; "
                         "name one under `validation`")  # fmt: skip
    validate = None
    if stage.loop.evaluate_every:
        held_out = encoded({"valid": held_out}, reader, False)["valid"]
        validate = validator(held_out, stage, processor, units_of(model), size, parallel)
    with _parts_apart(model) if stage.packed and parallel.device.type == "cpu" else nullcontext():
        return run_stage(name, model, batches, loss_fn, stage.loop, out / "checkpoints", run_seed=seed,
                         parallel=parallel, validate=validate)  # fmt: skip


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
    model: CuewiseForConditionalGeneration, processor: CuewiseProcessor, stage: StageConfig, folder: str | None
) -> FrozenEncoders | None:
    """A reader for the streams whose encoders neither learn nor see augmented input in this stage."""
    if folder is None:
        return None
    varied = {"voice": stage.mixture.augment.voice, "face": stage.mixture.augment.pictures,
              "scene": stage.mixture.augment.pictures}  # fmt: skip
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


class _Given(Mixture):
    """A mixture that gives the examples it is told."""

    given: Sequence[Example] = ()

    def draw(self, count: int, generator: Generator) -> list[Example]:
        return list(self.given)


def validator(
    examples: list[Example], stage: StageConfig, processor: CuewiseProcessor, units: list[str], size: int,
    parallel: Parallel,
) -> Validate:  # fmt: skip
    """The stage's loss and statistics over `examples`: each once, whole, explained, without augmentation."""
    quiet = replace(stage.mixture, weights={"valid": 1.0}, stream_dropout=0.0, explained_share=1.0, augment=PLAIN)
    mixture = _Given({"valid": examples}, quiet, processor, units)

    def validate(model: nn.Module) -> dict[str, float]:
        parts = []
        for start in range(0, len(examples), size):
            mixture.given = examples[start : start + size]
            draw = mixture.heads_batch if stage.objective == "heads" else mixture.answer_batch
            batch = draw(len(mixture.given), torch.Generator().manual_seed(0))
            loss, stats = stage_loss(model, moved(batch, parallel.device), stage)
            numbers = {"loss": float(loss), **{key: float(value) for key, value in stats.items()}}
            parts.append((numbers, batch.weight))
        return {f"valid/{key}": value for key, value in weighted_mean(parts).items()}

    return validate


def stage_loss(
    model: CuewiseForConditionalGeneration, batch: TrainBatch, stage: StageConfig
) -> tuple[Tensor, dict[str, Tensor | float]]:
    """The loss of the stage's objective."""
    if stage.objective == "heads":
        loss, stats = heads_loss(model, batch)
    else:
        loss, stats = answers_loss(model, batch, stage.head_weight, packed=stage.packed)
    if stage.experts is not None and stage.objective == "answers":
        extra, found = model.adapter.loss()
        loss, stats = loss + extra, stats | found
    return loss, stats


def heads_loss(model: CuewiseForConditionalGeneration, batch: TrainBatch) -> tuple[Tensor, dict[str, Tensor | float]]:
    """Cross-entropy of each stream's reading and of all together, and valence/arousal of all together."""
    return readings_loss(model.encode_batch(batch.streams), batch.targets)


def readings_loss(encoded: Any, targets: Targets) -> tuple[Tensor, dict[str, Tensor | float]]:
    """The heads' loss on an encoded batch."""
    total, stats = torch.zeros(()), {}
    for name in HEADS:
        stream = encoded.streams.get(name)
        if stream is None:
            continue
        known = targets.known[name] & stream.present
        if not known.any():
            continue
        logits = stream.reading.logits + targets.prior.get(name, 0.0)
        loss, found = soft_cross_entropy(logits, targets.shares[name], known, smoothing=0.05)
        total = total + loss
        stats |= {f"{name}/loss": loss.detach(), f"{name}/accuracy": found["accuracy"]}
        va_loss, _ = valence_arousal_loss(stream.reading.va, targets.va, targets.va_known & known)
        total = total + 0.2 * va_loss
    known = targets.known["all"] & encoded.any_present
    loss, found = soft_cross_entropy(encoded.logits, targets.shares["all"], known, smoothing=0.05)
    va_loss, va_found = valence_arousal_loss(encoded.va, targets.va, targets.va_known & encoded.any_present)
    stats |= {"all/loss": loss.detach(), "all/accuracy": found["accuracy"], "va/loss": va_loss.detach()}
    stats |= {f"va/{key}": value for key, value in va_found.items() if key == "ccc"}
    total = total + 0.5 * loss + 0.2 * va_loss
    face = encoded.streams.get("face")
    if targets.aus is not None and face is not None and face.aus is not None:
        mean = (face.aus * face.state_mask.unsqueeze(-1)).sum(1) / face.state_mask.sum(1, keepdim=True).clamp(min=1)
        wanted = targets.aus.masked_fill(~face.present.unsqueeze(-1), float("nan"))
        au_loss, found = masked_intensity_loss(mean, wanted)
        if found["count"]:
            total = total + 0.1 * au_loss
            stats["au/loss"] = au_loss.detach()
    return total, stats


def answers_loss(
    model: CuewiseForConditionalGeneration, batch: TrainBatch, head_weight: float, *, packed: bool = False
) -> tuple[Tensor, dict[str, Tensor | float]]:
    """Cross-entropy of the answer; the media rows that reached the model are counted and must not be zero."""
    row = None
    if packed:
        texts = batch.written
        row = pack_written(batch.ids, [text.ids for text in texts], [text.labels for text in texts],
                           [text.weights for text in texts]).to(batch.input_ids.device)  # fmt: skip
        output = model(**row.inputs, **batch.streams)
    else:
        output = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False, **batch.streams)
    rows = sum(int(stream.mask.sum()) for stream in output.encoded.streams.values())
    if rows == 0:
        raise ValueError(f"no media reached the model in this batch; samples {', '.join(batch.ids)}")
    loss, stats = row_loss(output.logits, row) if packed else next_token_loss(
        output.logits, batch.labels, weights=batch.label_weights
    )  # fmt: skip
    stats |= {"answer_loss": loss.detach(), "media_rows": rows / len(batch.ids), **batch.stats}
    if head_weight:
        extra, _ = readings_loss(output.encoded, batch.targets)
        loss = loss + head_weight * extra
    return loss, stats


