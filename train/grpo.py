"""GRPO: `cuewise train RECIPE` with a recipe of `kind: grpo`.

A step: draw prompts, encode their media once, sample G answers to each from one copy of the prompt, score them, compare
them within the group, and learn from one packed row. docs/grpo.md has the options and the log names.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cuewise.mllm.engine.build import build_engine
from cuewise.mllm.folders import model_folder
from cuewise.mllm.modeling import CuewiseForConditionalGeneration
from cuewise.mllm.processing import CuewiseProcessor
from cuewise.mllm.shared_prefix import VARLEN, use_kernel
from cuewise.train.base_model import load
from cuewise.train.basis import recorded, write_rows
from cuewise.train.data import Mixture, MixtureConfig
from cuewise.train.examples import Example, load_source
from cuewise.train.grpo_config import GRPOConfig, PolicyConfig
from cuewise.train.grpo_groups import Alarms, GroupBatch, Groups, answer_logits
from cuewise.train.loop import run_stage, step_seed
from cuewise.train.parallel import LossFn, Parallel
from cuewise.train.policy_losses import policy_loss, token_entropy, token_logprobs
from cuewise.train.reference import Reference
from cuewise.train.rollout import EngineRollout, RolloutEngine, SharedPrefixRollout

STAGE = "grpo"


def train(config: GRPOConfig) -> Path:
    """Run a recipe; returns the folder of the finished model."""
    return run_recipe(config, run, "GRPO samples from the whole model")


def run_recipe(config: Any, run: Callable[..., dict[str, float]], needs_whole: str) -> Path:
    """Load, choose parts, train with `run`, write the model: what GRPO and preference recipes do alike.

    `run` takes (model, processor, sources, config, out, parallel); `needs_whole` says why sharding is refused.
    """
    out = Path(config.out) / config.name
    parallel = Parallel(config.hardware, str(out))
    if parallel.shards:
        raise ValueError(f"{needs_whole}; set hardware.parallel=ddp")
    check_drawing(config)
    with recorded(config, out, writes=parallel.is_main):
        return _run_recipe(config, run, out, parallel)


def check_drawing(config: Any) -> None:
    """Raise ValueError where other processes should draw batches, which only the model that learns can."""
    if config.hardware.batch_workers:
        raise ValueError(f"a {config.kind} recipe draws its batches with the model that learns, so no other process "
                         "can draw them ahead; set hardware.batch_workers=0")  # fmt: skip


def _run_recipe(config: Any, run: Callable[..., dict[str, float]], out: Path, parallel: Parallel) -> Path:
    with parallel.main_first():
        model, processor = load(config.init)
        sources = {name: load_source(name, source, processor, config.media, Path(config.data_root), Path(config.cache),
                                     config.workers) for name, source in config.sources.items()}  # fmt: skip
        if parallel.is_main:
            write_rows(sources, out, model_folder(config.init))
    if config.hardware.trackers:
        parallel.accelerator.init_trackers("logs")
    choose_parts(model, config.trains, config.adapters, config.seed)
    model.to(parallel.device)
    run(model, processor, sources, config, out, parallel)
    parallel.accelerator.end_training()
    return finish(model, processor, config.init, out, config.stored) if parallel.is_main else out / "model"


def run(
    model: CuewiseForConditionalGeneration, processor: CuewiseProcessor, sources: dict[str, list[Example]],
    config: GRPOConfig, out: Path, parallel: Parallel | None = None,
) -> dict[str, float]:  # fmt: skip
    """Train a model whose trained parts are chosen; returns the last logged numbers."""
    parallel = parallel or Parallel(config.hardware)
    use_kernel(model.language_model, VARLEN)
    weights = config.weights or dict.fromkeys(sources, 1.0)
    mixture = Mixture(sources, MixtureConfig(weights=weights), processor)
    parts = config.loop.parts(parallel.size) // parallel.size
    groups = Groups(
        model, processor, mixture, rollout_engine(model, processor, config), config,
        reference=Reference(model) if config.policy.kl_weight else None, parts=parts,
        size=config.loop.micro_size(parallel.size), autocast=parallel.autocast,
    )  # fmt: skip

    model.train()
    return run_stage(STAGE, model, groups, watched_loss(groups.alarms, config), config.loop, out / "checkpoints",
                     run_seed=config.seed, parallel=parallel)  # fmt: skip


def watched_loss(alarms: Alarms, config: Any) -> LossFn:
    """The loss of a recipe's policy, with an alarm on its entropy."""

    def loss_fn(trained: nn.Module, batch: GroupBatch) -> tuple[Tensor, dict[str, Tensor | float]]:
        loss, stats = grpo_loss(trained, batch, config.policy, config.rollout.temperature, config.rollout.limit)
        if "entropy" in stats:
            low, high = config.alarms.entropy_below, config.alarms.entropy_above
            alarms.check("entropy", float(stats["entropy"]), low, high, batch.ids)
        return loss, stats

    return loss_fn


def grpo_loss(
    model: Any, batch: GroupBatch, policy: PolicyConfig, temperature: float = 1.0, max_tokens: int = 1
) -> tuple[Tensor, dict[str, Tensor | float]]:
    """Loss of one packed row of groups, normalised so that the loop's weights make it the loss of the whole step."""
    if batch.row is None or not batch.mask.any():
        trained = [weight for weight in model.parameters() if weight.requires_grad]
        return sum(weight.sum() for weight in trained) * 0.0, dict(batch.stats)
    logits, media_rows = answer_logits(model, batch, "loss")
    row = batch.row
    logp = row.by_answer(token_logprobs(logits, row.targets, temperature))
    mask, normalizer = batch.mask, batch.weight * (max_tokens if policy.mean == "constant" else 1)
    loss, stats = policy_loss(
        logp, logp.detach() if batch.old_logp is None else batch.old_logp, batch.advantage, mask,
        objective=policy.objective, ratio=policy.ratio, low=policy.clip_low, high=policy.clip_high,
        ceiling=policy.ceiling, mean="completions" if policy.mean == "completions" else "tokens",
        normalizer=normalizer, reference=batch.reference, kl_weight=policy.kl_weight,
    )  # fmt: skip
    entropy = (row.by_answer(token_entropy(logits.detach(), temperature)) * mask).sum() / mask.sum()
    counts = {"media_rows": media_rows / len(batch.prompts)} if any(p.expected for p in batch.prompts) else {}
    return loss, {**batch.stats, **stats, "entropy": entropy, **counts}


def rollout_engine(
    model: CuewiseForConditionalGeneration, processor: CuewiseProcessor, config: GRPOConfig
) -> RolloutEngine:
    """The engine that the recipe names."""
    ends = [processor.plan.tokens.end]
    longest = getattr(model.config.text_config, "max_position_embeddings", 4096)
    if config.rollout.engine == "shared_prefix":
        return SharedPrefixRollout(model, processor.tokenizer, ends, longest)
    kind = config.rollout.engine
    # Keys that an engine keeps for the next request would be those of weights from before the last update.
    engine = build_engine(model, processor.tokenizer, ends, longest, kind=kind, prefix_tokens=0)
    return EngineRollout(engine)


def choose_parts(
    model: CuewiseForConditionalGeneration, trains: list[str], adapters: dict[str, Any], seed: int
) -> None:
    """Full training for `trains`, new low-rank factors for `adapters`, all else frozen."""
    if adapters:
        from cuewise.mllm.adapters.lora import add_lora

        torch.manual_seed(step_seed(seed, "adapters", 0))
        adapter = add_lora(model, adapters)
        own = adapter.weights()
        model.train_only(*trains)
        adapter.remember_base([k for k, weight in model.named_parameters() if weight.requires_grad and k not in own])
        adapter.learn(*adapters)
    else:
        model.train_only(*trains)


def finish(
    model: CuewiseForConditionalGeneration, processor: CuewiseProcessor, init: str, out: Path, stored: str = "float32"
) -> Path:  # fmt: skip
    """Store the adapter where there is one, and the model with it merged."""
    from cuewise.train.sft import save

    model.cpu()
    use_kernel(model.language_model, "sdpa")
    if model.adapter is not None:
        from cuewise.mllm.adapters.store import save_adapter

        save_adapter(model, out / "adapter", base=init)
        model.adapter.merge()
    return save(model, processor, out / "model", stored)
