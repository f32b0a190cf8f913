"""A recipe checked and planned on the meta device: shapes, scopes, adapters and stages are real, weights are not."""

import json
from dataclasses import asdict
from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from cuewise.mllm.config_tools import from_dict, override
from cuewise.mllm.configuration import CuewiseConfig
from cuewise.mllm.folders import model_folder
from cuewise.mllm.modeling import CuewiseForConditionalGeneration
from cuewise.mllm.presets import nano_config
from cuewise.train.base_model import on_meta
from cuewise.train.curriculum import BUILT_IN, StageConfig
from cuewise.train.data import MixtureConfig
from cuewise.train.dpo import DPOConfig
from cuewise.train.examples import HEADS
from cuewise.train.grpo import check_drawing
from cuewise.train.grpo import choose_parts as choose_policy_parts
from cuewise.train.grpo_config import GRPOConfig
from cuewise.train.loop import LoopConfig, parameter_groups
from cuewise.train.media_gate import check_streams
from cuewise.train.plan import (
    FRAGMENTATION,
    GPUS,
    ClipShape,
    Group,
    StagePlan,
    Work,
    encoder_positions,
    media_flops,
    parse_gpus,
    parts_of,
    plan_stage,
    plan_work,
    row_flops,
    tokens_of,
)
from cuewise.train.sft import SFTConfig, recipe_values, take_own_clips
from cuewise.train.stages import add_adapters, check_labels, check_work, choose_parts

Config = SFTConfig | GRPOConfig | DPOConfig
PLANNED = {"sft": SFTConfig, "grpo": GRPOConfig, "dpo": DPOConfig}
"""Kinds of recipes that have a plan; `sft` is that of a recipe without `kind`."""

READ = {"loss", "au/loss", "va/loss", "va/ccc"} | {
    f"{name}/{number}" for name in (*HEADS, "all") for number in ("loss", "accuracy")
}
"""Numbers that a validation of the heads can have."""

WRITTEN = {"loss", "answer_loss", "media_rows", "token_accuracy", "tokens"}
"""Numbers that a validation of answers has, besides shares of its tasks and what experts and heads say."""

SMALLER = "more micro_batches or GPUs, gradient_checkpointing, in a supervised recipe also fsdp2"


def config_of(recipe: str, overrides: list[str]) -> Config:
    """The recipe's config, of the kind that it names. Raises ValueError naming the wrong option."""
    values = override(recipe_values(recipe), overrides)
    kind = values.get("kind", "sft")
    if kind not in PLANNED:
        raise ValueError(f"plans exist for supervised, grpo and dpo recipes; this one is of kind `{kind}`")
    return from_dict(PLANNED[kind], values)


def meta_model(config: Config) -> CuewiseForConditionalGeneration:
    """The model that the recipe trains, on the meta device."""
    if getattr(config, "model", None) is not None:
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
    """The plan of a recipe as a table or as JSON.

    Raises ValueError for whatever would stop the run and can be told without its clips, weights and processes; only the
    table of `data` is read, with the headers of the files that it names.
    """
    config = config_of(recipe, overrides)
    if config.workers < 1:
        raise ValueError(f"workers must be >= 1, got {config.workers}")
    clip = ClipShape(seconds=seconds, frames=frames or config.media.num_frames)
    low_frozen = getattr(config, "model", None) is not None and config.model.dtype != "float32"
    options = {"low_frozen": low_frozen, "precision": config.hardware.precision,
               "sharded": config.hardware.parallel == "fsdp2", "clip": clip}  # fmt: skip
    planned = plan_stages if isinstance(config, SFTConfig) else plan_policy
    plans = planned(config, meta_model(config), gpus, options)
    if as_json:
        return json.dumps({"recipe": config.name, "gpus": gpus, "stages": [
            asdict(plan) | {"total": plan.total, "trained": plan.trained} for plan in plans
        ]})  # fmt: skip
    return f"{config.name}\n\n{table(plans, gpus, clip)}"


def plan_stages(
    config: SFTConfig, model: CuewiseForConditionalGeneration, gpus: str, options: dict[str, Any]
) -> list[StagePlan]:
    """All stages of a supervised recipe; its adapters are added to `model` first."""
    if config.data is not None:
        with TemporaryDirectory() as folder:
            take_own_clips(config, Path(folder))
    add_adapters(model, config.stages, config.seed)
    plans = []
    for name, stage in config.stages.items():
        plans.append(plan_stage(name, stage, model, gpus, **options))
        check_stage(name, stage, config, model)
    return plans


def check_stage(name: str, stage: StageConfig, config: SFTConfig, model: CuewiseForConditionalGeneration) -> None:
    """Raise ValueError for what would stop a stage before or at its first step, or at its first validation."""
    choose_parts(model, stage)
    check_labels(name, stage, model, config.validation)
    check_streams(f"stage {name!r}: mixture.streams", stage.mixture.streams, model.plan)
    check_work(name, stage, config.hardware, bool(stage.validation or config.validation))
    if stage.objective in BUILT_IN:  # others add parameters of their own
        check_parameters(name, model, stage.loop)
    lost = [key for key in stage.validation if key not in config.validation]
    if lost:
        raise ValueError(f"stage {name!r} is validated on `{lost[0]}`, for which the table of data.csv leaves no clip; "
                         "set data.dev_share higher, or label some lines `dev`")  # fmt: skip
    if stage.loop.evaluate_every:
        check_metric(name, stage)


def check_parameters(name: str, model: CuewiseForConditionalGeneration, loop: LoopConfig) -> None:
    """Raise ValueError where nothing learns, or `lr_scale` names what no parameter belongs to."""
    if not parameter_groups(model, loop):
        raise ValueError(f"stage {name!r} trains nothing: what it names has no parameters")


def check_metric(name: str, stage: StageConfig) -> None:
    """Raise ValueError for a `loop.metric` that no validation of this stage gives; objectives of their own give more
    numbers than can be told."""
    known, metric = validation_names(stage), stage.loop.metric
    if metric.startswith("valid/") and (known is None or metric.removeprefix("valid/") in known):
        return
    listed = sorted(f"valid/{one}" for one in known or ())
    near = get_close_matches(metric, listed, n=1)
    hint = f"there are {', '.join(listed)}" if listed else "their names begin with `valid/`, e.g. valid/loss"
    hint = f"did you mean `{near[0]}`?" if near else hint
    raise ValueError(f"stage {name!r}: no validation number is named `{metric}`; {hint}")


def validation_names(stage: StageConfig) -> set[str] | None:
    """Names that numbers of the stage's validation can have; None where they cannot be told."""
    if stage.objective == "heads":
        return READ
    if stage.objective != "answers":
        return None
    tasks = {f"task/{task}" for task in (*stage.tasks, "fallback", "replay")}
    return WRITTEN | tasks | (READ if stage.head_weight else set()) | ({"balance_loss"} if stage.experts else set())


def plan_policy(
    config: GRPOConfig | DPOConfig, model: CuewiseForConditionalGeneration, gpus: str, options: dict[str, Any]
) -> list[StagePlan]:
    """The one stage of a recipe of kind grpo or dpo; its adapters are added to `model` first."""
    kind = config.kind
    if options["sharded"]:
        raise ValueError(f"a {kind} recipe needs the whole model in every process; set hardware.parallel=ddp")
    check_drawing(config)
    MixtureConfig(weights=getattr(config, "weights", None) or dict.fromkeys(config.sources, 1.0))
    check_streams("requires", config.requires, model.plan)
    choose_policy_parts(model, config.trains, config.adapters, config.seed)
    check_parameters(kind, model, config.loop)
    work = (grpo_work if kind == "grpo" else dpo_work)(config, model, options["clip"])
    return [plan_work(kind, work, config.loop, model, gpus, **options)]


def grpo_work(config: GRPOConfig, model: CuewiseForConditionalGeneration, clip: ClipShape) -> Work:
    """One prompt with a group of answers, all as long as they may be; no prompt is drawn anew for a flat group.

    The prompt is read and answered, read again by the old policy (`policy.updates` > 1) and the reference
    (`policy.kl_weight` > 0), which is done once for all updates, and learnt from.
    """
    rollout, policy = config.rollout, config.policy
    group = Group(media_rows(model, clip) + clip.prompt, rollout.group, rollout.limit)
    tokens = media_tokens(model, clip) | {"prompt": clip.prompt, "answers": group.written}
    learns = any(weight.requires_grad for weight in model.media.parameters())  # else its rows are kept
    again = (policy.updates > 1) + (policy.kl_weight > 0)
    media, row = without_gradient(model, clip, tokens, [group])
    return Work(
        tokens=tokens, row=[group], predicted=group.written, clips=int(learns),
        aside=((1 + again) * row + (1 + again * learns) * media) / policy.updates,
        keys=key_bytes(model, group.rows), keeps_reference=policy.kl_weight > 0 and not config.adapters,
    )  # fmt: skip


def dpo_work(config: DPOConfig, model: CuewiseForConditionalGeneration, clip: ClipShape) -> Work:
    """One clip with its chosen and rejected answers, and the chosen one behind another input where inputs are compared.

    What the reference says is computed once per pair; counted is a step whose pairs are all new.
    """
    preference, rejected = config.preference, config.per_row
    prompt = media_rows(model, clip) + clip.prompt
    own, once = Group(prompt, 1 + rejected, clip.answer), Group(prompt, 1, clip.answer)
    tokens = media_tokens(model, clip) | {"prompt": clip.prompt, "answers": own.written}
    groups, avem = [own], preference.method == "avem"
    if avem and preference.input_weight > 0:
        groups.append(once)
        tokens["other input"] = once.rows
    media, aside = without_gradient(model, clip, tokens, groups)
    aside += len(groups) * media
    if preference.method == "cut":  # no reference; every rejected answer is read behind its judgment
        aside += without_gradient(model, clip, tokens, [once] * rejected)[1] + rejected * media
    elif avem and preference.text_weight > 0:
        aside += without_gradient(model, clip, tokens, [Group(clip.prompt, 1 + rejected, clip.answer)])[1]
    return Work(
        tokens=tokens, row=groups, predicted=sum(group.written for group in groups), clips=len(groups), aside=aside,
        keeps_reference=not config.adapters,
    )  # fmt: skip


def media_tokens(model: CuewiseForConditionalGeneration, clip: ClipShape) -> dict[str, int]:
    """Slot -> rows of a clip's media."""
    return {slot: rows for slot, rows in tokens_of(model, clip).items() if slot != "text"}


def media_rows(model: CuewiseForConditionalGeneration, clip: ClipShape) -> int:
    """Rows of a clip's media in all."""
    return sum(media_tokens(model, clip).values())


def without_gradient(
    model: CuewiseForConditionalGeneration, clip: ClipShape, tokens: dict[str, int], row: list[Group]
) -> tuple[float, float]:
    """FLOPs of encoding one clip, and of reading a row whose answers have logits."""
    parts = parts_of(model)
    media = media_flops(parts, tokens, encoder_positions(model, clip), learns=False)
    return media, sum(row_flops(model, parts, row, sum(group.written for group in row)))


def key_bytes(model: CuewiseForConditionalGeneration, tokens: int) -> float:
    """Keys and values of `tokens` in float32, as rollouts keep them."""
    text = model.config.text_config
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    return 8.0 * tokens * text.num_hidden_layers * heads * width


def table(plans: list[StagePlan], gpus: str, clip: ClipShape) -> str:
    """The plan for people."""
    count, kind = parse_gpus(gpus)
    first = plans[0]
    lines = [f"{'part':22} {'parameters':>16}  " + "  ".join(f"{plan.name[:14]:>14}" for plan in plans)]
    for part in first.parts:
        cells = []
        for plan in plans:
            same = next(other for other in plan.parts if other.name == part.name)
            cells.append(f"{'frozen' if not same.trained else f'{same.trained:,}':>14}")
        lines.append(f"{part.name:22} {part.total:>16,}  " + "  ".join(cells))
    shares = [f"{plan.trained / plan.total:>14.2%}" for plan in plans]
    lines.append(f"{'all':22} {first.total:>16,}  " + "  ".join(shares))
    slots = ", ".join(f"{slot} {rows}" for slot, rows in first.tokens.items())
    lines += ["", f"rows of a clip of {clip.seconds:g} s, {clip.frames} frames, {clip.words} words: {slots}; "
                  f"{sum(first.tokens.values())} in all", "",
              f"on {count} x {kind}, each with {GPUS[kind].memory_gib:g} GiB"]  # fmt: skip
    for plan in plans:
        parts = ", ".join(f"{name} {value:.2f}" for name, value in plan.memory_gib.items())
        need = sum(plan.memory_gib.values()) * FRAGMENTATION
        verdict = "fits" if plan.fits else f"DOES NOT FIT: {SMALLER}"
        writes = " (answers, written token by token, take longer)" if "rollout" in plan.memory_gib else ""
        lines.append(f"  {plan.name}: {need:.1f} GiB per process ({parts}), {verdict}; a step of {plan.batch} samples "
                     f"takes {plan.flops / 1e12:.3g} TFLOP and about {plan.step_s:.3g} s{writes}")  # fmt: skip
    return "\n".join(lines)
