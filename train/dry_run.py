"""A recipe checked and planned on the meta device: shapes, scopes, adapters and stages are real, weights are not."""

import json
from dataclasses import asdict

import torch

from cuewise.mllm.configuration import CuewiseConfig
from cuewise.mllm.folders import model_folder
from cuewise.mllm.modeling import CuewiseForConditionalGeneration
from cuewise.mllm.presets import nano_config
from cuewise.train.base_model import on_meta
from cuewise.train.plan import ClipShape, plan_recipe, table
from cuewise.train.sft import SFTConfig, read_recipe


def meta_model(config: SFTConfig) -> CuewiseForConditionalGeneration:
    """The model that the recipe trains, on the meta device."""
    if config.model is not None:
        return on_meta(config.model)
    made = CuewiseConfig.from_pretrained(model_folder(config.init)) if config.init else nano_config(
        config.vocabulary.size
    )  # fmt: skip
    with torch.device("meta"):
        return CuewiseForConditionalGeneration(made)


def plan_of(
    recipe: str, overrides: list[str], gpus: str, *, seconds: float = 6.0, frames: int | None = None,
    as_json: bool = False,
) -> str:  # fmt: skip
    """The plan of a recipe as a table or as JSON. Raises ValueError for anything that would stop the run."""
    config = read_recipe(recipe, overrides)
    clip = ClipShape(seconds=seconds, frames=frames or config.media.num_frames)
    low_frozen = config.model is not None and config.model.dtype != "float32"
    plans = plan_recipe(
        config.stages, meta_model(config), gpus, low_frozen=low_frozen, precision=config.hardware.precision,
        sharded=config.hardware.parallel == "fsdp2", clip=clip,
    )  # fmt: skip
    if as_json:
        return json.dumps({"recipe": config.name, "gpus": gpus, "stages": [
            asdict(plan) | {"total": plan.total, "trained": plan.trained} for plan in plans
        ]})  # fmt: skip
    return f"{config.name}\n\n{table(plans, gpus, clip)}"
