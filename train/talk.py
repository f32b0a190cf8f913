"""Talk: `cuewise train RECIPE` with a recipe of `kind: talk`: GRPO over whole dialogues with a simulated user (RLVER).

A step draws scenarios, lets the policy talk to the user of each in a group of dialogues, and rewards a dialogue with
the user's last emotion; every reply of a dialogue learns from how it compares with its group.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Generator

from cuewise.mllm.adapters.lora import LoraScope
from cuewise.mllm.config_tools import from_dict, load_yaml
from cuewise.mllm.prompts import MAX_CONTEXT_CHARS, build, text_of
from cuewise.mllm.question import OPENING
from cuewise.mllm.shared_prefix import VARLEN, use_kernel
from cuewise.mllm.tensors import ClipTensors
from cuewise.train.advantages import advantages, has_spread
from cuewise.train.examples import SourceConfig
from cuewise.train.grpo import rollout_engine, run_recipe, watched_loss
from cuewise.train.grpo_config import AlarmConfig, PolicyConfig, RolloutConfig
from cuewise.train.grpo_groups import Alarms, Asked, GroupBatch, Groups
from cuewise.train.loop import LoopConfig, run_stage
from cuewise.train.packing import Prompted
from cuewise.train.parallel import Parallel
from cuewise.train.recipe_config import RecipeConfig
from cuewise.train.reference import Reference
from cuewise.train.rollout import RolloutEngine, answer_tokens, roll_out
from cuewise.train.simulated_user import START_TRAINING, Analyse, Conversation, Scenario, benchmark
from cuewise.train.user_minds import UNREADABLE, SystemMind, user_mind

STAGE = "talk"
SHIPPED = Path(__file__).with_name("scenarios.yaml")
QUESTION = "Reply to the person."


@dataclass(kw_only=True, slots=True)
class TalkRollout(RolloutConfig):
    """`group` counts dialogues of one scenario, `max_tokens` those of one reply."""

    group: int = 4
    max_tokens: int = 128


@dataclass(kw_only=True, slots=True)
class TalkPolicy(PolicyConfig):
    advantage: Literal["none", "group", "batch", "rloo", "gdpo"] = "group"


@dataclass(kw_only=True, slots=True)
class TalkConfig(RecipeConfig):
    kind: str = "talk"
    sources: dict[str, SourceConfig] = field(default_factory=dict)
    """Must stay empty: a talk has no clips."""

    scenarios: str | None = None
    """YAML file of scenarios; by default those that come with the package."""

    user: str = "words"
    """Who plays the user: `words`, by the words of a reply, offline; or a system that writes what it is asked to, e.g.
    `openai:MODEL@URL`."""

    start: float = START_TRAINING
    turns: int = 8
    """Longest dialogue."""

    think: bool = True
    """The policy thinks before it speaks; the user never hears the thought."""

    trains: list[str] = field(default_factory=list)
    adapters: dict[str, LoraScope] = field(default_factory=dict)
    rollout: TalkRollout = field(default_factory=TalkRollout)
    policy: TalkPolicy = field(default_factory=TalkPolicy)
    alarms: AlarmConfig = field(default_factory=AlarmConfig)
    loop: LoopConfig
    """`batch_size` counts scenarios."""

    def __post_init__(self) -> None:
        if not self.trains and not self.adapters:
            raise ValueError("a talk recipe must train something: name scopes in `trains` or `adapters`")
        if self.sources:
            raise ValueError("a talk recipe has scenarios instead of sources; leave `sources` out")
        if self.rollout.no_spread == "resample" or self.policy.advantage == "gdpo":
            raise ValueError("a talk recipe has one reward and draws no scenario anew: set rollout.no_spread to skip "
                             "or keep, and policy.advantage to none, group, batch or rloo")  # fmt: skip
        for name, value, unset, instead in (
            ("rollout.form", self.rollout.form, "explained", "`think` says whether a reply begins with a thought"),
            ("rollout.stream_dropout", self.rollout.stream_dropout, 0.0, "a talk has no streams"),
            ("policy.cue_credit", self.policy.cue_credit, 0.0, "a reply has no known cues"),
            ("policy.overlong_weight", self.policy.overlong_weight, 0.0, "the user alone rewards a reply"),
        ):
            if value != unset:
                raise ValueError(f"{name} does nothing in a talk recipe; leave it out: {instead}")


def scenarios(path: str | Path | None = None) -> list[Scenario]:
    """Scenarios of a YAML file (``scenarios: [{persona, background, goal, hidden_intention, opening}]``)."""
    path = Path(path or SHIPPED)
    listed = load_yaml(path).get("scenarios")
    if not isinstance(listed, list) or not listed:
        raise ValueError(f"{path}: no `scenarios` are listed")
    try:
        return [from_dict(Scenario, values, f"scenarios.{i}.") for i, values in enumerate(listed)]
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from None


class TalkGroups(Groups):
    """Gives the loop its batches: a group is a set of dialogues about one scenario."""

    def __init__(
        self, model: Any, processor: Any, listed: Sequence[Scenario], user: Analyse, engine: RolloutEngine,
        config: TalkConfig, *, reference: Reference | None = None, parts: int = 1, size: int = 1,
        autocast: Callable[[], AbstractContextManager] = nullcontext,
    ):  # fmt: skip
        self.model, self.processor, self.engine, self.config = model, processor, engine, config
        self.listed, self.user, self.reference, self.parts, self.size = list(listed), user, reference, parts, size
        self.alarms, self.end, self.media_trains = Alarms(config.alarms), processor.plan.tokens.end, False
        self.opening = OPENING["explained"] if config.think else ""
        self._step, self._ready, self._given, self.autocast = -1, [], 0, autocast

    def sample(self, step: int, generator: Generator) -> list[GroupBatch]:
        """The batches of one step."""
        config, count = self.config, self.parts * self.size
        picks = torch.randint(len(self.listed), (count,), generator=generator).tolist()
        seeds = torch.randint(2**31 - 2**12, (count * config.rollout.group,), generator=generator).tolist()
        talks = [Conversation(self.listed[picks[i // config.rollout.group]], self.user, seed=seed, start=config.start,
                              max_turns=config.turns) for i, seed in enumerate(seeds)]  # fmt: skip
        asked = self.talked(talks, seeds)
        earned = torch.tensor([talk.done.reward for talk in talks], dtype=torch.float64).view(1, count, -1)
        worth = advantages(earned, torch.ones(1, dtype=torch.float64), config.policy.advantage).flatten().tolist()
        for mine, value in zip(asked, worth, strict=True):
            for one in mine:
                one.advantage = [value]
        spread = has_spread(earned)
        used = spread | (config.rollout.no_spread == "keep")
        groups = [[one for mine in asked[g * config.rollout.group : (g + 1) * config.rollout.group] for one in mine]
                  for g in range(count)]  # fmt: skip
        groups = [group if used[i] else [] for i, group in enumerate(groups)]
        stats = self._talk_stats(talks, asked) | {
            "groups/no_spread": float((~spread).double().mean()), "groups/used": float(used.sum())}  # fmt: skip
        ids = [one.prompt.id for mine in asked for one in mine[:1]]
        self.alarms.check("groups/no_spread", stats["groups/no_spread"], 0.0, config.alarms.no_spread_above, ids)
        self.alarms.check("answers/truncated", stats["answers/truncated"], 0.0, config.alarms.truncated_above, ids)
        rows = [{"id": name, "reward/user": talk.done.reward, "ending": talk.done.ending, "answer": _script(talk)}
                for name, talk in zip(ids, talks)]  # fmt: skip
        cut = [[one for group in groups[i * self.size : (i + 1) * self.size] for one in group]
               for i in range(self.parts)]  # fmt: skip
        return self._batches(cut, ids, stats, rows)

    def talked(self, talks: Sequence[Conversation], seeds: Sequence[int]) -> list[list[Asked]]:
        """Let all dialogues run to their ends, turn by turn together; what was asked in each."""
        asked: list[list[Asked]] = [[] for _ in talks]
        for turn in range(self.config.turns):
            going = [i for i, talk in enumerate(talks) if talk.words is not None]
            if not going:
                break
            now = [self.ask_turn(i, talks[i]) for i in going]
            found = roll_out(self.model, self.engine, [one.prompt for one in now], 1, self.config.rollout.sampling,
                             [(seeds[i] + turn) % 2**31 for i in going])  # fmt: skip
            for i, one, completions in zip(going, now, found, strict=True):
                one.completions = completions
                one.prompt.answers = [answer_tokens(completion, self.end) for completion in completions]
                talks[i].reply(self.opening + completions[0].text)
                asked[i].append(one)
        return asked

    def ask_turn(self, number: int, talk: Conversation) -> Asked:
        """The prompt of the next reply: what was said before, and what the user says now."""
        turns = [f"Person: {turn.user} You: {turn.reply}" for turn in talk.done.turns[-3:]]
        while len(turns) > 1 and len(" ".join(turns)) > MAX_CONTEXT_CHARS:
            del turns[0]
        before = " ".join(turns)[-MAX_CONTEXT_CHARS:]
        parts = build((), transcript=talk.words, context=before, question=QUESTION)
        ids = [*self.processor.prompt_ids(parts, {}), *self.processor.text_ids(self.opening)]
        return Asked(None, ClipTensors(), Prompted(f"talk{number}.{len(talk.done.turns)}", ids), text_of(parts))

    def _talk_stats(self, talks: Sequence[Conversation], asked: Sequence[Sequence[Asked]]) -> dict[str, float]:
        found = benchmark([talk.done for talk in talks])
        replies = [one.completions[0] for mine in asked for one in mine]
        return {
            "reward/user": found["score"] / 100, "talk/best": found["best"] / len(talks),
            "talk/failed": found["failed"] / len(talks), "talk/turns": len(replies) / len(talks),
            "talk/unreadable": sum(talk.done.reasons.count(UNREADABLE) for talk in talks) / len(replies),
            "answers/tokens": sum(len(reply.token_ids) for reply in replies) / len(replies),
            "answers/truncated": sum(reply.finish_reason == "length" for reply in replies) / len(replies),
        }  # fmt: skip


def train(config: TalkConfig) -> Path:
    """Run a recipe; returns the folder of the finished model."""
    return run_recipe(config, run, "a talk is sampled from the whole model")


def run(
    model: Any, processor: Any, sources: dict[str, Any], config: TalkConfig, out: Path, parallel: Parallel | None = None
) -> dict[str, float]:
    """Train a model whose trained parts are chosen; returns the last logged numbers."""
    parallel = parallel or Parallel(config.hardware)
    use_kernel(model.language_model, VARLEN)
    listed = scenarios(Path(config.data_root) / config.scenarios if config.scenarios else None)
    mind = user_mind(config.user)
    try:
        groups = TalkGroups(
            model, processor, listed, mind, rollout_engine(model, processor, config), config,
            reference=Reference(model) if config.policy.kl_weight else None,
            parts=config.loop.parts(parallel.size) // parallel.size, size=config.loop.micro_size(parallel.size),
            autocast=parallel.autocast,
        )  # fmt: skip
        model.train()
        return run_stage(STAGE, model, groups, watched_loss(groups.alarms, config), config.loop, out / "checkpoints",
                         run_seed=config.seed, parallel=parallel)  # fmt: skip
    finally:
        if isinstance(mind, SystemMind):
            mind.close()


def _script(talk: Conversation) -> str:
    return "\n".join(f"Person: {turn.user}\nThought: {turn.thought}\nReply: {turn.reply}" for turn in talk.done.turns)
