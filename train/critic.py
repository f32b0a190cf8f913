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
from safetensors.torch import load_file, save_file
from torch import Generator, Tensor, nn

from cuewise.data_recipes.preferences import KINDS
from cuewise.data_recipes.schema import Row
from cuewise.data_recipes.targets import row_cues
from cuewise.mllm.adapters.lora import LoraScope
from cuewise.mllm.media import MediaConfig
from cuewise.train.critique import PAIR_TEMPLATE, Critic, CritiqueModel
from cuewise.train.examples import Example, SourceConfig
from cuewise.train.grpo import load, run_recipe
from cuewise.train.loop import LoopConfig, run_stage
from cuewise.train.parallel import HardwareConfig, Parallel
from cuewise.train.preference_pairs import PRAISE, Pair, fault, make_pairs

STAGE = "critic"
HEAD = "critic.safetensors"
CRITIQUE_TOKENS = 48


@dataclass(kw_only=True, slots=True)
class CriticConfig:
    kind: str = "critic"
    name: str
    """Name of the run; `readers.critic` is its folder (`out`/`name`)."""

    init: str
    """Shipped model or model folder whose language model becomes the critic."""

    out: str = "runs"
    data_root: str = "data"
    cache: str = "runs/cache"
    seed: int = 0
    workers: int = 2
    hardware: HardwareConfig = field(default_factory=HardwareConfig)
    media: MediaConfig = field(default_factory=MediaConfig)
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


def known_facts(row: Row) -> str:
    """What is known about a clip, in words: what is said, which cues it shows, what is felt."""
    parts = [f'Said: "{row.transcript}"'] if row.transcript else []
    cues = [f"[{cue.channel}] {cue.observation}" for cue in row_cues(row)]
    parts += [f"Cues: {'; '.join(cues)}"] if cues else []
    return "\n".join([*parts, f"Felt: {', '.join(row.labels)}"] if row.labels else parts) or "Nothing is known."


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


def critic_of(model: Any, processor: Any) -> CritiqueModel:
    """The language model of one of our models with a new score."""
    hidden = model.get_input_embeddings().weight.shape[1]
    return CritiqueModel(model.language_model, processor.text_ids, hidden).to(model.device)


def load_critic(folder: str | Path, device: torch.device | str = "cpu", critiques: int = 1) -> Critic:
    """The critic of a run. Raises ValueError when the folder is not one.

    Args:
        critiques: critiques written about each answer, over which scores are averaged; one is written greedily.
    """
    folder = Path(folder)
    if not (folder / HEAD).is_file():
        raise ValueError(f"{folder} is no critic: it has no {HEAD}; make one with a recipe of kind: critic")
    model, processor = load(str(folder / "model"))
    critic = critic_of(model.to(device).eval(), processor)
    critic.head.load_state_dict(load_file(folder / HEAD))
    return Critic(critic.eval(), lambda known, answer: write(critic, processor, known, answer, critiques),
                  prompt_of=lambda sample: known_facts(sample.row))  # fmt: skip


@torch.inference_mode()
def write(critic: CritiqueModel, processor: Any, known: str, answer: str, count: int = 1, seed: int = 0) -> list[str]:
    """Critiques of one answer, of one sentence each: the likeliest, or `count` that are drawn with a seed."""
    ids = torch.tensor([critic.encode(PAIR_TEMPLATE.format(prompt=known, answer=answer, critique=""))],
                       device=critic.head.weight.device)  # fmt: skip
    draw = {"do_sample": True, "num_return_sequences": count} if count > 1 else {"do_sample": False}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        found = critic.language_model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=CRITIQUE_TOKENS,
            pad_token_id=processor.plan.tokens.end, **draw,
        )  # fmt: skip
    texts = [processor.tokenizer.decode(row[ids.shape[1] :], skip_special_tokens=True) for row in found]
    return [text.partition(".")[0].strip() + "." for text in texts]
