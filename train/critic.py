"""A critic: `cuewise train RECIPE` with a recipe of `kind: critic` makes the reward model of MM-RLHF.

It reads what is known about a clip and an answer, writes a critique, and scores the answer after its own words. It
learns from the pairs that preference optimisation makes: the chosen answer with praise, each rejected one with its
fault. The reward `critique` scores with it: `readers: {critic: FOLDER}`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Generator, Tensor, nn

from cuewise.data_recipes.preferences import KINDS
from cuewise.mllm.adapters.lora import LoraScope
from cuewise.train.critique import HEAD, critic_of, known_facts
from cuewise.train.examples import Example, SourceConfig
from cuewise.train.grpo import run_recipe
from cuewise.train.loop import LoopConfig, run_stage
from cuewise.train.parallel import Parallel
from cuewise.train.preference_pairs import PRAISE, Pair, fault, make_pairs
from cuewise.train.recipe_config import RecipeConfig

STAGE = "critic"


@dataclass(kw_only=True, slots=True)
class CriticConfig(RecipeConfig):
    """Its folder (`out`/`name`) is what `readers.critic` names; the language model of `init` becomes the critic."""

    kind: str = "critic"
    sources: dict[str, SourceConfig]
    corruptions: list[str] = field(default_factory=lambda: list(KINDS))
    """Kinds of rejected answers; see `data_recipes.preferences`."""

    per_row: int = 2
    trains: list[str] = field(default_factory=lambda: ["llm"])
    """Scopes of the model that learn in full; the score always does."""

    adapters: dict[str, LoraScope] = field(default_factory=dict)
    critique_weight: float = 1.0
    """Weight of writing the critiques beside ranking the answers."""

    loop: LoopConfig
    """`batch_size` counts pairs."""


@dataclass(slots=True)
class CriticBatch:
    """Pairs of one micro-batch: what is known, and (answer, critique) of either side."""

    ids: list[str]
    known: list[str]
    chosen: list[tuple[str, str]]
    rejected: list[tuple[str, str]]


class CriticPairs:
    """Batches for the loop: a pair is drawn, then one of its rejected answers."""

    def __init__(self, pairs: Sequence[Pair], size: int):
        if not pairs:
            raise ValueError("no clip gives a preference pair; use other `corruptions` or sources with cues")
        self.pairs, self.size = list(pairs), size

    def __call__(self, step: int, generator: Generator) -> CriticBatch:
        picks = torch.randint(len(self.pairs), (self.size,), generator=generator).tolist()
        return self.batch([self.pairs[pick] for pick in picks], generator)

    def batch(self, pairs: Sequence[Pair], generator: Generator) -> CriticBatch:
        """These pairs, each with one of its rejected answers."""
        kinds = [list(pair.rejected)[int(torch.randint(len(pair.rejected), (), generator=generator))] for pair in pairs]
        return CriticBatch(
            [pair.id for pair in pairs], [known_facts(pair.example.row) for pair in pairs],
            [(pair.chosen, PRAISE) for pair in pairs],
            [(pair.rejected[kind], fault(pair, kind)) for pair, kind in zip(pairs, kinds)],
        )  # fmt: skip


def train(config: CriticConfig) -> Path:
    """Run a recipe; returns the folder of the run, which holds the model and its score."""
    run_recipe(config, run, "the critic is scored whole")
    return Path(config.out) / config.name


def run(
    model: Any, processor: Any, sources: dict[str, list[Example]], config: CriticConfig, out: Path,
    parallel: Parallel | None = None,
) -> dict[str, float]:  # fmt: skip
    """Train a model whose trained parts are chosen, and write its score to `out`; returns the last logged numbers."""
    parallel = parallel or Parallel(config.hardware)
    examples = [example for rows in sources.values() for example in rows]
    pairs = make_pairs(examples, config.corruptions, seed=config.seed, per_row=config.per_row)
    critic = critic_of(model, processor)
    torch.nn.init.zeros_(critic.head.weight)

    def loss_fn(trained: nn.Module, batch: CriticBatch) -> tuple[Tensor, dict[str, Tensor]]:
        return trained.loss(batch.known, batch.chosen, batch.rejected, critique_weight=config.critique_weight)

    batches = CriticPairs(pairs, config.loop.micro_size(parallel.size))
    stats = run_stage(STAGE, critic.train(), batches, loss_fn, config.loop, out / "checkpoints", run_seed=config.seed,
                      parallel=parallel)  # fmt: skip
    if parallel.is_main:
        out.mkdir(parents=True, exist_ok=True)
        save_file({key: value.cpu().contiguous() for key, value in critic.head.state_dict().items()}, out / HEAD)
    return stats
