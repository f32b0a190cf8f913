"""Supervised tuning: `cuewise train RECIPE [key=value ...]`, a recipe's stages one after the other.

A stage trains named parts of the model on a mixture of sources, with one of two objectives: `heads` (what each stream
and all together say) or `answers` (write the answer). Weights of finished stages are kept, so an interrupted run goes
on where it stopped. The result is a folder that `cuewise analyze --model` loads, and, where LoRA was trained, an
adapter for `--adapter`.
"""

import json
import logging
import shutil
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file, save_file

from cuewise.mllm.config_tools import from_dict, load_yaml, override
from cuewise.mllm.folders import model_folder
from cuewise.mllm.media import MediaConfig
from cuewise.mllm.modeling import CuewiseForConditionalGeneration
from cuewise.mllm.presets import new_nano
from cuewise.mllm.processing import CuewiseProcessor
from cuewise.mllm.tokenizer import token_ids
from cuewise.train.base_model import BaseModelConfig, load_base
from cuewise.train.basis import recorded, write_rows
from cuewise.train.calibration import calibrate
from cuewise.train.checkpoints import whole
from cuewise.train.curriculum import StageConfig, check_order
from cuewise.train.examples import Example, SourceConfig, load_source
from cuewise.train.own_clips import OwnClipsConfig, check_streams, rows_of
from cuewise.train.parallel import HardwareConfig, Parallel
from cuewise.train.published import FOLDER as PUBLISHED
from cuewise.train.stages import add_adapters, train_stage
from cuewise.train.vocabulary import VocabularyConfig, build_tokenizer

_LOG = logging.getLogger(__name__)
RECIPES = Path(__file__).parent / "recipes"


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

    model: BaseModelConfig | None = None
    """Instead of `init`: a language model and encoders of others, with weights from a hub or folders."""

    seed: int = 0
    workers: int = 2
    """Processes that prepare examples."""

    hardware: HardwareConfig = field(default_factory=HardwareConfig)
    states_cache: str | None = None
    """Folder where states of frozen encoders are kept; nothing computes them in every step."""

    data: OwnClipsConfig | None = None
    """Your own clips with a table of labels; they become the source `mine`, and a part of them its validation."""

    stored: Literal["float32", "float16"] = "float32"
    """How the finished weights lie on disk: float16 halves the file; they are computed with in float32 all the same."""

    vocabulary: VocabularyConfig = field(default_factory=VocabularyConfig)
    media: MediaConfig = field(default_factory=MediaConfig)
    sources: dict[str, SourceConfig] = field(default_factory=dict)
    """Name -> rows. The vocabulary is learnt from all of them; those that no stage draws from are not prepared."""

    validation: dict[str, SourceConfig] = field(default_factory=dict)
    """Sources that are never trained on: confidence is calibrated on them when the stages are done."""

    stages: dict[str, StageConfig]
    """Name -> stage, in the order in which they run."""

    def __post_init__(self) -> None:
        if not self.stages:
            raise ValueError("`stages` needs at least one stage")
        if self.init and self.model is not None:
            raise ValueError(f"the recipe has both init ({self.init}) and `model`; keep one of them")
        check_order(self.stages)
        known = [*self.sources, *(["mine"] if self.data is not None else [])]
        for name, stage in self.stages.items():
            unknown = sorted(set(stage.mixture.weights) - set(known))
            if unknown:
                hint = "; give your clips with data.csv=FILE" if unknown[0] == "mine" else ""
                listed = ", ".join(known) or "none"
                raise ValueError(f"stage {name!r} draws from `{unknown[0]}`, but the sources are {listed}{hint}")
        held_out = [*self.validation, *(["mine_dev"] if self.data is not None else [])]
        for name, stage in self.stages.items():
            unknown = sorted(set(stage.validation) - set(held_out))
            if unknown:
                raise ValueError(f"stage {name!r} is validated on `{unknown[0]}`, but `validation` has "
                                 f"{', '.join(held_out) or 'nothing'}")  # fmt: skip
        if self.data is not None and not any("mine" in stage.mixture.weights for stage in self.stages.values()):
            raise ValueError("data.csv gives clips of your own but no stage draws from them; add `mine` to the "
                             "mixture.weights of a stage, or leave `data` out")  # fmt: skip


def main(recipe: str, overrides: list[str] | None = None) -> Path:
    """Run a recipe (a path, or the name of a shipped one); returns the folder of the finished model."""
    config = read_recipe(recipe, overrides or [])
    out = Path(config.out) / config.name
    parallel = Parallel(config.hardware, str(out))

    def first() -> None:
        if config.data is not None:
            with parallel.main_first():
                take_own_clips(config, out)

    with recorded(config, out, writes=parallel.is_main, first=first):
        return run(config, out, parallel)


def run(config: SFTConfig, out: Path, parallel: Parallel) -> Path:
    """Prepare the data, train every stage, finish the model."""
    with parallel.main_first():
        torch.manual_seed(config.seed)
        model, processor = start(config, out)
        drawn = {name for stage in config.stages.values() for name in stage.mixture.weights}
        used = {name: source for name, source in config.sources.items() if name in drawn}
        sources, validation = prepare(used, config, processor), prepare(config.validation, config, processor)
        if parallel.is_main:
            write_rows(sources, out, model_folder(config.init) if config.init else None)
    if config.hardware.trackers:
        parallel.accelerator.init_trackers("logs")
    if config.data is not None:
        check_streams([*sources["mine"], *validation.get("mine_dev", ())], config.data.needs)
    add_adapters(model, config.stages, config.seed)
    for number, (name, stage) in enumerate(config.stages.items()):
        train_stage(name, stage, model, processor, sources, validation, out, config.seed, parallel=parallel,
                    earlier=[*config.stages.values()][:number], states_cache=config.states_cache)  # fmt: skip
        if parallel.shards:
            model = unsharded(model, config, out)
    parallel.accelerator.end_training()
    return finish(model, processor, validation, config, out) if parallel.is_main else out / "model"


def finish(
    model: CuewiseForConditionalGeneration, processor: CuewiseProcessor, validation: dict[str, list[Example]],
    config: SFTConfig, out: Path,
) -> Path:  # fmt: skip
    """Calibrate, store the adapter where there is one, and write the model with it merged."""
    model.cpu()
    held_out = [example for examples in validation.values() for example in examples]
    if held_out and all(example.shares("all") is None for example in held_out):
        _LOG.warning("confidence is not calibrated: none of the %d validation clips has one of the common labels; give "
                     "some that have one", len(held_out))  # fmt: skip
    elif held_out:
        found = calibrate(model, processor, held_out)
        (out / "calibration.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if model.adapter is not None:
        from cuewise.mllm.adapters.store import save_adapter

        folder = save_adapter(model, out / "adapter", base=config.init or "")
        if model.adapter.kind == "mose":
            return folder
        model.adapter.merge()
    return save(model, processor, out / "model", config.stored)


def take_own_clips(config: SFTConfig, out: Path) -> None:
    """Turn the user's table into the sources `mine` and `mine_dev`."""
    files = rows_of(config.data, out)
    where = {"kind": "rows", "split": None}
    config.sources["mine"] = SourceConfig(folder=str(files["train"]), **where)
    if "dev" in files:
        config.validation["mine_dev"] = SourceConfig(folder=str(files["dev"]), **where)


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
    return from_dict(SFTConfig, override(recipe_values(recipe), overrides))


def recipe_values(recipe: str) -> dict[str, Any]:
    places = [Path(recipe), *(folder / f"{recipe}.yaml" for folder in (RECIPES, PUBLISHED))]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        shipped, published = (
            ", ".join(sorted(file.stem for file in folder.glob("*.yaml"))) for folder in (RECIPES, PUBLISHED)
        )
        near = get_close_matches(recipe, f"{shipped}, {published}".split(", "), n=1)
        hint = f"; did you mean `{near[0]}`?" if near else ""
        raise ValueError(f"recipe {recipe!r} is neither a file nor a shipped recipe ({shipped}) nor that of a "
                         f"published system ({published}){hint}")  # fmt: skip
    values = load_yaml(path)
    base = values.pop("extends", None)
    return values if base is None else merged(recipe_values(str(base)), values)


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
    if config.model is not None:
        return load_base(config.model, sorted({scope for stage in config.stages.values() for scope in stage.trains}))
    tokenizer = build_tokenizer(config.vocabulary, config.sources, Path(config.data_root), out / "tokenizer")
    model = new_nano(len(tokenizer), token_ids(tokenizer))
    return model, CuewiseProcessor.from_config(model.config, tokenizer)


def unsharded(
    model: CuewiseForConditionalGeneration, config: SFTConfig, out: Path
) -> CuewiseForConditionalGeneration:
    """A plain model with the weights of a sharded one, which cannot be sharded twice. Every process must call it."""
    weights = {name: whole(value) for name, value in model.state_dict().items()}
    plain, _ = start(config, out)
    add_adapters(plain, config.stages, config.seed)
    plain.load_state_dict(weights)
    return plain


def save(
    model: CuewiseForConditionalGeneration, processor: CuewiseProcessor, folder: Path, stored: str = "float32"
) -> Path:  # fmt: skip
    """Write the finished model so that the folder is whole or not there."""
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    model.eval().save_pretrained(part)
    processor.save_pretrained(part)
    if stored == "float16":
        for file in part.glob("*.safetensors"):
            weights = {name: value.half() if value.is_floating_point() else value
                       for name, value in load_file(file).items()}  # fmt: skip
            save_file(weights, file, metadata={"format": "pt"})
    shutil.rmtree(folder, ignore_errors=True)
    part.replace(folder)
    return folder
