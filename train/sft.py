"""Supervised tuning: `cuewise train RECIPE [key=value ...]`, a recipe's stages one after the other.

A stage trains named parts of the model on a mixture of sources, with one of two objectives: `heads` (what each stream
and all together say) or `answers` (write the answer). Weights of finished stages are kept, so an interrupted run goes
on where it stopped. The result is a folder that `cuewise analyze --model` loads.
"""

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from cuewise.mllm.config_tools import from_dict, load_yaml, override
from cuewise.mllm.folders import model_folder
from cuewise.mllm.media import MediaConfig
from cuewise.mllm.modeling import CuewiseForConditionalGeneration
from cuewise.mllm.presets import nano_config
from cuewise.mllm.processing import CuewiseProcessor
from cuewise.mllm.tokenizer import token_ids
from cuewise.train.calibration import calibrate
from cuewise.train.data import Mixture, MixtureConfig, Targets, TrainBatch
from cuewise.train.examples import CHANNELS, Example, SourceConfig, load_source
from cuewise.train.loop import LoopConfig, run_stage
from cuewise.train.losses import next_token_loss, soft_cross_entropy, valence_arousal_loss
from cuewise.train.vocabulary import VocabularyConfig, build_tokenizer

RECIPES = Path(__file__).parent / "recipes"


@dataclass(kw_only=True, slots=True)
class StageConfig:
    objective: Literal["heads", "answers"] = "answers"
    """`heads` trains what each stream says by itself and in all; `answers` trains the written answer."""

    trains: list[str]
    """Parts that learn (`scopes` of the model: llm, fusion, heads, voice, voice.encoder, ...); the rest is frozen."""

    loop: LoopConfig
    mixture: MixtureConfig
    head_weight: float = 0.0
    """Weight of the heads' loss beside the answers', so that they do not drift."""


@dataclass(kw_only=True, slots=True)
class SFTConfig:
    name: str
    """Name of the model that comes out."""

    out: str = "runs"
    """Folder for checkpoints, logs and the finished model (`out`/`name`)."""

    data_root: str = "data"
    """Folder that holds the corpora."""

    cache: str = "runs/cache"
    """Folder for prepared examples, shared by all recipes."""

    init: str | None = None
    """Shipped model or model folder to start from; nothing means new weights."""

    seed: int = 0
    workers: int = 2
    """Processes that prepare examples."""

    vocabulary: VocabularyConfig = field(default_factory=VocabularyConfig)
    media: MediaConfig = field(default_factory=MediaConfig)
    sources: dict[str, SourceConfig]
    validation: dict[str, SourceConfig] = field(default_factory=dict)
    """Sources that are never trained on: confidence is calibrated on them when the stages are done."""

    stages: dict[str, StageConfig]
    """Name -> stage, in the order in which they run."""

    def __post_init__(self) -> None:
        if not self.stages:
            raise ValueError("`stages` needs at least one stage")
        for name, stage in self.stages.items():
            unknown = sorted(set(stage.mixture.weights) - set(self.sources))
            if unknown:
                known = ", ".join(self.sources)
                raise ValueError(f"stage {name!r} draws from `{unknown[0]}`, but the sources are {known}")


def main(recipe: str, overrides: list[str] | None = None) -> Path:
    """Run a recipe (a path, or the name of a shipped one); returns the folder of the finished model."""
    config = read_recipe(recipe, overrides or [])
    out = Path(config.out) / config.name
    out.mkdir(parents=True, exist_ok=True)
    (out / "recipe.json").write_text(json.dumps(asdict(config), indent=1, default=str) + "\n", encoding="utf-8")
    torch.manual_seed(config.seed)
    model, processor = start(config, out)
    sources, validation = prepare(config.sources, config, processor), prepare(config.validation, config, processor)
    for name, stage in config.stages.items():
        train_stage(name, stage, model, Mixture(sources, stage.mixture, processor), out, config.seed)
    if validation:
        found = calibrate(model, processor, [example for examples in validation.values() for example in examples])
        (out / "calibration.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return save(model, processor, out / "model")


def prepare(
    sources: dict[str, SourceConfig], config: SFTConfig, processor: CuewiseProcessor
) -> dict[str, list[Example]]:
    """All examples of these sources."""
    return {name: load_source(name, source, processor, config.media, Path(config.data_root), Path(config.cache),
                              config.workers) for name, source in sources.items()}  # fmt: skip


def read_recipe(recipe: str, overrides: list[str]) -> SFTConfig:
    """The recipe's config with overrides applied. Raises ValueError naming the wrong option.

    A recipe that names another one under `extends` changes only what it writes itself.
    """
    return from_dict(SFTConfig, override(_recipe_values(recipe), overrides))


def _recipe_values(recipe: str) -> dict[str, Any]:
    path = Path(recipe)
    if not path.is_file():
        path = RECIPES / f"{recipe}.yaml"
    if not path.is_file():
        shipped = ", ".join(sorted(file.stem for file in RECIPES.glob("*.yaml")))
        raise ValueError(f"recipe {recipe!r} is neither a file nor a shipped recipe ({shipped})")
    values = load_yaml(path)
    base = values.pop("extends", None)
    return values if base is None else merged(_recipe_values(str(base)), values)


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with `changes`, group by group."""
    out = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(out.get(key), dict)
        out[key] = merged(out[key], value) if both else value
    return out


def start(config: SFTConfig, out: Path) -> tuple[CuewiseForConditionalGeneration, CuewiseProcessor]:
    """The model to train: `init`, or new weights with a vocabulary learnt from the sources' texts."""
    if config.init:
        folder = model_folder(config.init)
        return CuewiseForConditionalGeneration.from_pretrained(folder), CuewiseProcessor.from_pretrained(folder)
    tokenizer = build_tokenizer(config.vocabulary, config.sources, Path(config.data_root), out / "tokenizer")
    model_config = nano_config(len(tokenizer), token_ids(tokenizer))
    processor = CuewiseProcessor.from_config(model_config, tokenizer)
    return CuewiseForConditionalGeneration(model_config), processor


def train_stage(
    name: str, stage: StageConfig, model: CuewiseForConditionalGeneration, mixture: Mixture, out: Path, seed: int
) -> dict[str, float]:
    """Train what the stage names, on its mixture."""
    model.train_only(*stage.trains)
    model.train()
    heads = stage.objective == "heads"
    draw = mixture.heads_batch if heads else mixture.answer_batch

    def batches(_: int, generator: torch.Generator) -> TrainBatch:
        return draw(stage.loop.batch_size, generator)

    def loss_fn(trained: nn.Module, batch: TrainBatch) -> tuple[Tensor, dict[str, Tensor | float]]:
        return heads_loss(trained, batch) if heads else answers_loss(trained, batch, stage.head_weight)

    return run_stage(name, model, batches, loss_fn, stage.loop, out / "checkpoints", run_seed=seed)


def heads_loss(model: CuewiseForConditionalGeneration, batch: TrainBatch) -> tuple[Tensor, dict[str, Tensor | float]]:
    """Cross-entropy of each stream's reading and of all together, and valence/arousal of all together."""
    return readings_loss(model.encode_batch(batch.streams), batch.targets)


def readings_loss(encoded: Any, targets: Targets) -> tuple[Tensor, dict[str, Tensor | float]]:
    """The heads' loss on an encoded batch."""
    total, stats = torch.zeros(()), {}
    for name in CHANNELS:
        stream = encoded.streams.get(name)
        if stream is None:
            continue
        known = targets.known[name] & stream.present
        if not known.any():
            continue
        loss, found = soft_cross_entropy(stream.reading.logits, targets.shares[name], known, smoothing=0.05)
        total = total + loss
        stats |= {f"{name}/loss": loss.detach(), f"{name}/accuracy": found["accuracy"]}
        va_loss, _ = valence_arousal_loss(stream.reading.va, targets.va, targets.va_known & known)
        total = total + 0.2 * va_loss
    known = targets.known["all"] & encoded.any_present
    loss, found = soft_cross_entropy(encoded.logits, targets.shares["all"], known, smoothing=0.05)
    va_loss, va_found = valence_arousal_loss(encoded.va, targets.va, targets.va_known & encoded.any_present)
    stats |= {"all/loss": loss.detach(), "all/accuracy": found["accuracy"], "va/loss": va_loss.detach()}
    stats |= {f"va/{key}": value for key, value in va_found.items() if key == "ccc"}
    return total + 0.5 * loss + 0.2 * va_loss, stats


def answers_loss(
    model: CuewiseForConditionalGeneration, batch: TrainBatch, head_weight: float
) -> tuple[Tensor, dict[str, Tensor | float]]:
    """Cross-entropy of the answer; the media rows that reached the model are counted and must not be zero."""
    output = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, **batch.streams)
    rows = sum(int(stream.mask.sum()) for stream in output.encoded.streams.values())
    if rows == 0:
        raise ValueError(f"no media reached the model in this batch; samples {', '.join(batch.ids)}")
    loss, stats = next_token_loss(output.logits, batch.labels, weights=batch.label_weights)
    stats |= {"answer_loss": loss.detach(), "media_rows": rows / len(batch.ids)}
    if head_weight:
        extra, _ = readings_loss(output.encoded, batch.targets)
        loss = loss + head_weight * extra
    return loss, stats


def save(model: CuewiseForConditionalGeneration, processor: CuewiseProcessor, folder: Path) -> Path:
    """Write the finished model so that the folder is whole or not there."""
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    model.eval().save_pretrained(part)
    processor.save_pretrained(part)
    shutil.rmtree(folder, ignore_errors=True)
    part.replace(folder)
    return folder
