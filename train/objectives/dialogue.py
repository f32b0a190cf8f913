"""`dialogue`: whole dialogues, whose labels form a chain with skips (EmotionIC); the model needs `heads.dialogue`."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator

from cuewise.data_recipes.corpora import COMMON_LABELS
from cuewise.mllm.dialogue import longest_stretch
from cuewise.mllm.modeling import CuewiseForConditionalGeneration
from cuewise.mllm.processing import CuewiseProcessor
from cuewise.train.data import Mixture
from cuewise.train.examples import Example
from cuewise.train.objectives.base import OBJECTIVES, Loss, Objective, ObjectiveBatch, varied

DialogueKey = tuple[str, str | int]
"""Source and name of a dialogue; a number for a clip of none."""


@dataclass(kw_only=True, slots=True)
class DialogueObjectiveConfig:
    turns: int = 24
    """Most turns of a dialogue in one batch; of a longer one a stretch is drawn. Fewer where so many people speak again
    and again that the chain could not hold all of them."""

    def __post_init__(self) -> None:
        if self.turns < 2:
            raise ValueError(f"options.turns must be >= 2, got {self.turns}")


@OBJECTIVES.register("dialogue", DialogueObjectiveConfig)
class DialogueObjective(Objective):
    """No weights of its own: the head is part of the model."""

    config: DialogueObjectiveConfig
    learns_labels = True

    def __init__(
        self, config: DialogueObjectiveConfig, model: CuewiseForConditionalGeneration, processor: CuewiseProcessor
    ):
        super().__init__(config, model, processor)
        if model.media.dialogue is None:
            raise ValueError("objective dialogue trains the dialogue head, which this model has not; give the model "
                             "heads: {dialogue: {}}")  # fmt: skip
        self.labels = model.media.dialogue.emit.out_features
        self.known: tuple[object, dict[DialogueKey, list[Example]]] | None = None

    def batch(self, mixture: Mixture, count: int, generator: Generator) -> ObjectiveBatch:
        """Whole dialogues until `count` turns are together, at least one dialogue; of a fixed mixture just its own."""
        chosen = self._whole(mixture.draw(count, generator)) if mixture.fixed else []
        while not mixture.fixed and sum(map(len, chosen)) < count:
            first = mixture.draw(1, generator)[0]
            chosen.append(self._stretch(self._around(mixture, first), generator))
        examples = [example for part in chosen for example in part]
        more = {"dialogues": [len(part) for part in chosen], "speakers": [_speaker(e) for e in examples],
                "labels": [_label(e) for e in examples]}  # fmt: skip
        streams = varied(mixture, examples, generator)
        return ObjectiveBatch([example.row.id for example in examples], streams, more)

    def parts(self, examples: Sequence[Example], size: int) -> list[list[Example]]:
        """Whole dialogues until `size` turns are together."""
        parts: list[list[Example]] = []
        for turns in _by_dialogue(examples).values():
            if parts and len(parts[-1]) < size:
                parts[-1] += turns
            else:
                parts.append(turns)
        return parts

    def _whole(self, examples: Sequence[Example]) -> list[list[Example]]:
        """Every turn of these dialogues once, in order; a long dialogue in stretches."""
        parts: list[list[Example]] = []
        for turns in _by_dialogue(examples).values():
            while turns:
                parts.append(self._fitting(turns))
                turns = turns[len(parts[-1]) :]
        return parts

    def _around(self, mixture: Mixture, example: Example) -> list[Example]:
        """The turns of an example's dialogue in order; the example alone when it belongs to none."""
        if self.known is None or self.known[0] is not mixture.sources:
            self.known = (mixture.sources, _by_dialogue([one for part in mixture.sources.values() for one in part]))
        dialogue = example.row.dialogue
        return [example] if dialogue is None else self.known[1][example.source, dialogue.id]

    def _stretch(self, turns: list[Example], generator: Generator) -> list[Example]:
        spare = len(turns) - self.config.turns
        begin = int(torch.randint(spare + 1, (), generator=generator)) if spare > 0 else 0
        return self._fitting(turns[begin:])

    def _fitting(self, turns: list[Example]) -> list[Example]:
        """The first turns, as many as the options allow and the chain can hold when many people speak."""
        turns = turns[: self.config.turns]
        return turns[: longest_stretch([_speaker(one) for one in turns], self.labels)]

    def loss(self, model: CuewiseForConditionalGeneration, batch: ObjectiveBatch) -> Loss:
        head = model.media.dialogue
        vectors = model.media.turns(model.encode_batch(batch.streams))
        total, right, known, at = vectors.sum() * 0.0, 0, 0, 0
        for count in batch.more["dialogues"]:
            part = slice(at, at + count)
            speakers, labels = batch.more["speakers"][part], batch.more["labels"][part]
            total = total + head.loss(vectors[part], speakers, labels)
            said = head(vectors[part], speakers)
            right += sum(a == b for a, b in zip(said, labels))
            known += sum(label is not None for label in labels)
            at += count
        stats = {"accuracy": right / max(known, 1), "labelled": known, "turns": at,
                 "dialogues": len(batch.more["dialogues"])}  # fmt: skip
        return total / max(known, 1), stats


def _by_dialogue(examples: Sequence[Example]) -> dict[DialogueKey, list[Example]]:
    """The turns of each dialogue in order; a clip of no dialogue is one by itself."""
    index: dict[DialogueKey, list[Example]] = {}
    for number, one in enumerate(examples):
        dialogue = one.row.dialogue
        index.setdefault((one.source, number if dialogue is None else dialogue.id), []).append(one)
    for turns in index.values():
        turns.sort(key=lambda one: 0 if one.row.dialogue is None else one.row.dialogue.turn)
    return index


def _speaker(example: Example) -> str:
    """Who speaks; a turn whose speaker nobody names is one of its own."""
    return example.row.speaker or f"unnamed {example.row.id}"


def _label(example: Example) -> int | None:
    shares = example.shares("all")
    return None if shares is None else int(shares[: len(COMMON_LABELS)].argmax())
