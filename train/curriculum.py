"""Curriculum: what a stage trains, on which tasks and data, in which order, and what it repeats of earlier stages.

Perception -> understanding -> reasoning -> interaction, as in Emotion-LLaMA v2 (arXiv:2601.16449: single-stream tasks
with all else absent), Nano-EmoX (trained parts by phase) and PRC-Emo (dialogues in buckets of rising difficulty).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Literal

import torch
from torch import Generator

from cuewise.data_recipes.difficulty import buckets, difficulties
from cuewise.data_recipes.statements import QUESTION
from cuewise.data_recipes.targets import target
from cuewise.mllm.adapters.lora import LoraScope
from cuewise.mllm.adapters.mose import MoseConfig
from cuewise.mllm.processing import CuewiseProcessor
from cuewise.mllm.prompts import build
from cuewise.mllm.report import render_cue
from cuewise.mllm.taxonomy import sentiment
from cuewise.mllm.tensors import ClipTensors
from cuewise.train.augment import augment
from cuewise.train.data import Mixture, MixtureConfig, TrainBatch, Written
from cuewise.train.examples import Example
from cuewise.train.loop import LoopConfig
from cuewise.train.objectives import OBJECTIVES

BUILT_IN = ("heads", "answers")
STAGE_OPTIONS: dict[str, Any] = {
    "tasks": {"emotions": 1.0}, "replay": 0.0, "head_weight": 0.0, "packed": False, "experts": None,
}  # fmt: skip
"""Options of a stage that not every objective follows -> what they are where they are left out."""

LEVELS = ("perception", "understanding", "reasoning", "interaction")
TASKS: dict[str, str] = {
    "emotions": "the whole answer, explained or direct, from whatever streams are shown",
    "cues_face": "the face cues, from the face alone",
    "cues_voice": "the voice cues, from the voice alone",
    "cues_words": "the telling words, from the words alone",
    "cues_scene": "the scene cues, from the scene alone",
    "transcribe": "what is said, from the voice alone",
    "sentiment": "positive, negative or neutral",
    "statement": "whether the row's statement is correct",
    "factual": "what happens, of the row's layers",
    "abstract": "what it means, of the row's layers",
    "intent": "what the person wants, of the row's layers",
    "reply": "the row's chosen text, as the answer to its instruction",
}
"""Task -> what is learnt. A row that lacks what its task needs is asked for the emotions instead, which is counted."""


@dataclass(kw_only=True, slots=True)
class DifficultyConfig:
    """Dialogues in buckets of rising difficulty; rows without a dialogue take part from the start."""

    buckets: int = 2
    opens_every: float = 0.25
    """Share of the stage's steps after which the next bucket opens."""

    labels: int = 7
    """Size of the corpus's label set, for the similarity of emotions on the circumplex."""

    def __post_init__(self) -> None:
        if self.buckets < 1 or not 0 < self.opens_every <= 1:
            raise ValueError(f"difficulty needs buckets >= 1 and opens_every in (0, 1], got {self.buckets} and "
                             f"{self.opens_every:g}")  # fmt: skip


@dataclass(kw_only=True, slots=True)
class StageConfig:
    objective: str = "answers"
    """`heads` trains what each stream says by itself and in all; `answers` trains what is written; `contrastive`,
    `masked`, `heatmap` and others are those of `cuewise.train.objectives`."""

    options: dict[str, Any] = field(default_factory=dict)
    """Options of the objective, for those of `cuewise.train.objectives`."""

    trains: list[str] = field(default_factory=list)
    """Scopes of the model that learn in full (llm, fusion, heads, voice, voice.encoder, ...); the rest is frozen."""

    adapters: dict[str, LoraScope] = field(default_factory=dict)
    """Scopes that learn through LoRA. A scope adapted by an earlier stage goes on with the same factors."""

    experts: MoseConfig | None = None
    """Modality experts in the language model instead of LoRA; for objectives that write answers."""

    loop: LoopConfig
    mixture: MixtureConfig
    level: Literal["", "perception", "understanding", "reasoning", "interaction"] = ""
    """Place in the curriculum; stages must not go back."""

    tasks: dict[str, float] = field(default_factory=lambda: {"emotions": 1.0})
    """Task -> share of the samples, for `answers` and `affect_words`."""

    replay: float = 0.0
    """Share of the samples that come from earlier stages of the same objective, with their mixtures and tasks; for
    `answers` and `affect_words`."""

    difficulty: DifficultyConfig | None = None
    head_weight: float = 0.0
    """Weight of the heads' loss beside the answers', so that they do not drift; for `answers` and `affect_words`."""

    packed: bool = False
    """The answers of a micro-batch stand in one row without padding; for `answers` and `conclude`."""

    validation: list[str] = field(default_factory=list)
    """Validation sources that `loop.evaluate_every` looks at; all by default."""

    def __post_init__(self) -> None:
        self._check_objective()
        unknown = sorted(set(self.tasks) - set(TASKS))
        if unknown:
            raise ValueError(f"unknown task `{unknown[0]}`; tasks are {', '.join(TASKS)}")
        if not self.tasks or min(self.tasks.values()) < 0 or not sum(self.tasks.values()):
            raise ValueError("tasks must name shares >= 0, at least one of them > 0")
        if self.head_weight < 0:
            raise ValueError(f"head_weight must be >= 0, got {self.head_weight:g}")
        if not 0 <= self.replay < 1:
            raise ValueError(f"replay is a share in [0, 1), got {self.replay:g}")
        if not self.trains and not self.adapters and self.experts is None:
            raise ValueError("a stage must train something: name scopes in `trains`, `adapters` or `experts`")
        if self.adapters and self.experts is not None:
            raise ValueError("a stage has either `adapters` or `experts`, not both")
        if self.packed and self.experts is not None:
            raise ValueError("experts choose by clip, but packed rows hold several; set packed to false")

    def _check_objective(self) -> None:
        if self.objective not in BUILT_IN:
            known = (*BUILT_IN, *OBJECTIVES.names())
            if self.objective not in known:
                near = get_close_matches(str(self.objective), known, n=1)
                hint = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(known)}"
                raise ValueError(f"unknown objective `{self.objective}`; {hint}")
            OBJECTIVES.config({"name": self.objective, **self.options}, "options")
        elif self.options:
            raise ValueError(f"objective `{self.objective}` has no options, got {', '.join(self.options)}")
        used = used_options(self.objective)
        for name, unset in STAGE_OPTIONS.items():
            if name not in used and getattr(self, name) != unset:
                users = [key for key in (*BUILT_IN, *OBJECTIVES.names()) if name in used_options(key)]
                raise ValueError(f"objective `{self.objective}` does not use `{name}`; leave it out of the stage "
                                 f"(it is for {', '.join(users)})")  # fmt: skip


def used_options(objective: str) -> set[str]:
    """Which of `STAGE_OPTIONS` an objective follows."""
    if objective in BUILT_IN:
        return set(STAGE_OPTIONS) if objective == "answers" else set()
    return set(OBJECTIVES[objective].module_class.uses)


def replays(stage: StageConfig, earlier: Sequence[StageConfig]) -> list[StageConfig]:
    """The earlier stages that a stage replays: those of its objective."""
    return [other for other in earlier if stage.replay and other.objective == stage.objective]


def check_order(stages: dict[str, StageConfig]) -> None:
    """Raise ValueError for a stage whose level comes before that of an earlier stage, or that has none to replay."""
    reached, by = -1, ""
    for number, (name, stage) in enumerate(stages.items()):
        if stage.replay and not replays(stage, [*stages.values()][:number]):
            raise ValueError(f"stage {name!r} has replay {stage.replay:g}, but no stage before it has the objective "
                             f"`{stage.objective}`, so there is nothing to repeat; leave `replay` out, or put such a "
                             "stage before it")  # fmt: skip
        place = LEVELS.index(stage.level) if stage.level else reached
        if place < reached:
            raise ValueError(f"stage {name!r} is {stage.level}, but {by!r} before it is {LEVELS[reached]} already; "
                             f"order stages as {', '.join(LEVELS)}")  # fmt: skip
        if place > reached:
            reached, by = place, name


class Curriculum(Mixture):
    """Samples of one stage: its own mixture and tasks, replayed ones of earlier stages, buckets of difficulty.

    Args:
        sources: name -> examples.
        stage: the stage.
        earlier: the stages before it.
        units: action units that the model's head reads.
    """

    def __init__(
        self, sources: dict[str, list[Example]], stage: StageConfig, processor: CuewiseProcessor,
        earlier: Sequence[StageConfig] = (), units: Sequence[str] = (),
    ):  # fmt: skip
        super().__init__(sources, stage.mixture, processor, units)
        self.stage, self.step = stage, 0
        """Set `step` before drawing: buckets open as the stage goes on."""

        self.replayed = [Curriculum(sources, other, processor, (), units) for other in replays(stage, earlier)]
        self.tasks = [name for name, share in stage.tasks.items() if share > 0]
        self.task_shares = torch.tensor([stage.tasks[name] for name in self.tasks])
        self.levels = {name: self._levels(sources[name]) for name in self.names} if stage.difficulty else {}
        self.counts: Counter[str] = Counter()

    def answer_batch(self, count: int, generator: Generator) -> TrainBatch:
        self.counts.clear()
        from_earlier = self._replays(count, generator)
        if not from_earlier:
            batch = super().answer_batch(count, generator)
        else:
            own = count - len(from_earlier)
            examples = self.draw(own, generator) if own else []
            made = [self.sample(example, generator) for example in examples]
            for other in from_earlier:
                other.step = other.stage.loop.steps
                examples += other.draw(1, generator)
                made.append(other.sample(examples[-1], generator))
                self.counts.update(other.counts)
                other.counts.clear()
            batch = self.with_text(examples, [clip for clip, _ in made], [written for _, written in made])
        if self.tasks != ["emotions"] or from_earlier:
            batch.stats = {f"task/{name}": self.counts[name] / count for name in (*self.tasks, "fallback")}
            batch.stats["task/replay"] = len(from_earlier) / count
        return batch

    def draw(self, count: int, generator: Generator) -> list[Example]:
        if not self.levels:
            return super().draw(count, generator)
        config = self.stage.difficulty
        open_now = 1 + int(self.step / max(1.0, config.opens_every * self.stage.loop.steps))
        picks = torch.multinomial(self.weights, count, replacement=True, generator=generator).tolist()
        examples = []
        for pick in picks:
            levels = self.levels[self.names[pick]][: max(open_now, 1)]
            pool = [example for level in levels for example in level] or self.sources[self.names[pick]]
            examples.append(pool[int(torch.randint(len(pool), (), generator=generator))])
        return examples

    def sample(self, example: Example, generator: Generator) -> tuple[ClipTensors, Written]:
        """As asked by a task drawn by its share; emotions where the row lacks what the task needs."""
        task = self.tasks[0]
        if len(self.tasks) > 1:
            task = self.tasks[int(torch.multinomial(self.task_shares, 1, generator=generator))]
        self.counts[task] += 1
        made = None if task == "emotions" else self._asked(task, example, generator)
        if made is None:
            self.counts["fallback"] += task != "emotions"
            made = super().sample(example, generator)
        return made

    def _asked(self, task: str, example: Example, generator: Generator) -> tuple[ClipTensors, Written] | None:
        """Prompt and answer of a task; None where the row cannot be asked it."""
        row = example.row
        only = "voice" if task == "transcribe" else task.removeprefix("cues_") if task.startswith("cues_") else None
        if only is not None and (only not in example.tensors.streams):
            return None
        said = task_answer(task, example)
        if said is None:
            return None
        shown = example.tensors.streams if only is None else {only: example.tensors.streams[only]}
        clip = augment(ClipTensors(dict(shown)), self.config.augment, generator)
        context = row.context if only is None else None
        clip = self.processor.with_context(clip, context)
        hears = "words" in clip.streams and task != "transcribe"
        question = {"statement": QUESTION, "reply": row.instruction}.get(task)
        parts = build(
            clip.streams, transcript=row.transcript if hears else None, words=row.words if hears else (),
            task="emotions" if task == "reply" else task, duration_s=example.duration_s or None,
            statement=row.statement.text if task == "statement" else None, question=question,
            context=context,
        )  # fmt: skip
        return clip, self.written(parts, clip, said, "")

    def _replays(self, count: int, generator: Generator) -> list["Curriculum"]:
        """One earlier stage for every sample of this batch that is replayed; all of its samples may be."""
        if not self.replayed:
            return []
        chance = torch.rand(count, generator=generator) < self.stage.replay
        return [self.replayed[int(torch.randint(len(self.replayed), (), generator=generator))]
                for hit in chance.tolist() if hit]  # fmt: skip

    def _levels(self, examples: list[Example]) -> list[list[Example]]:
        """Examples by bucket; those without a dialogue are in the first."""
        config = self.stage.difficulty
        known = difficulties((example.row for example in examples), config.labels)
        parts = buckets(known.items(), min(config.buckets, max(1, len(known)))) if known else [[]]
        place = {name: index for index, part in enumerate(parts) for name in part}
        levels: list[list[Example]] = [[] for _ in parts]
        for example in examples:
            dialogue = example.row.dialogue
            levels[0 if dialogue is None else place.get(dialogue.id, 0)].append(example)
        return levels


def task_answer(task: str, example: Example) -> str | None:
    """What is to be written for a task, or None where the row does not say."""
    row = example.row
    if task.startswith("cues_"):
        channel = task.removeprefix("cues_")
        cues = [cue for cue in target(row, "explained", [channel]).cues if cue.channel == channel]
        return "\n".join(render_cue(cue) for cue in cues) or None
    if task == "transcribe":
        return row.transcript
    if task == "sentiment":
        if row.sentiment is not None:
            return "positive" if row.sentiment > 0 else "negative" if row.sentiment < 0 else "neutral"
        return sentiment(row.labels[0]) if row.labels else None
    if task in ("factual", "abstract", "intent"):
        return row.layers.get(task)
    if task == "statement":
        return None if row.statement is None else "Correct" if row.statement.correct else "Incorrect"
    return row.chosen if row.instruction and row.chosen else None
