"""`dialogue`: whole dialogues, whose labels form a chain with skips (EmotionIC); the model needs `heads.dialogue`."""

from dataclasses import dataclass

import torch
from torch import Generator

from cuewise.data_recipes.corpora import COMMON_LABELS
from cuewise.mllm.modeling import CuewiseForConditionalGeneration
from cuewise.mllm.processing import CuewiseProcessor
from cuewise.train.data import Mixture
from cuewise.train.examples import Example
from cuewise.train.objectives.base import OBJECTIVES, Loss, Objective, ObjectiveBatch, varied


@dataclass(kw_only=True, slots=True)
class DialogueObjectiveConfig:
    turns: int = 24
    """Most turns of a dialogue in one batch; of a longer one a stretch is drawn."""

    def __post_init__(self) -> None:
        if self.turns < 2:
            raise ValueError(f"options.turns must be >= 2, got {self.turns}")


@OBJECTIVES.register("dialogue", DialogueObjectiveConfig)
class DialogueObjective(Objective):
    """No weights of its own: the head is part of the model."""

    config: DialogueObjectiveConfig

    def __init__(
        self, config: DialogueObjectiveConfig, model: CuewiseForConditionalGeneration, processor: CuewiseProcessor
    ):
        super().__init__(config, model, processor)
        if model.media.dialogue is None:
            raise ValueError("objective dialogue trains the dialogue head, which this model has not; give the model "
                             "heads: {dialogue: {}}")  # fmt: skip
        self.known: tuple[object, dict[tuple[str, str], list[Example]]] | None = None

    def batch(self, mixture: Mixture, count: int, generator: Generator) -> ObjectiveBatch:
        """Whole dialogues until `count` turns are together, at least one dialogue."""
        chosen: list[list[Example]] = []
        while sum(map(len, chosen)) < count:
            first = mixture.draw(1, generator)[0]
            chosen.append(self._stretch(self._around(mixture, first), generator))
        examples = [example for part in chosen for example in part]
        more = {"dialogues": [len(part) for part in chosen], "speakers": [_speaker(e) for e in examples],
                "labels": [_label(e) for e in examples]}  # fmt: skip
        streams = varied(mixture, examples, generator)
        return ObjectiveBatch([example.row.id for example in examples], streams, more)

    def _around(self, mixture: Mixture, example: Example) -> list[Example]:
        """The turns of an example's dialogue in order; the example alone when it belongs to none."""
        if self.known is None or self.known[0] is not mixture.sources:
            index: dict[tuple[str, str], list[Example]] = {}
            for part in mixture.sources.values():
                for one in part:
                    if one.row.dialogue is not None:
                        index.setdefault((one.source, one.row.dialogue.id), []).append(one)
            for turns in index.values():
                turns.sort(key=lambda one: one.row.dialogue.turn)
            self.known = (mixture.sources, index)
        dialogue = example.row.dialogue
        return [example] if dialogue is None else self.known[1][example.source, dialogue.id]

    def _stretch(self, turns: list[Example], generator: Generator) -> list[Example]:
        spare = len(turns) - self.config.turns
        begin = int(torch.randint(spare + 1, (), generator=generator)) if spare > 0 else 0
        return turns[begin : begin + self.config.turns]

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
        stats = {"accuracy": right / max(known, 1), "turns": at, "dialogues": len(batch.more["dialogues"])}
        return total / max(known, 1), stats


def _speaker(example: Example) -> str:
    """Who speaks; a turn whose speaker nobody names is one of its own."""
    return example.row.speaker or f"unnamed {example.row.id}"


def _label(example: Example) -> int | None:
    shares = example.shares("all")
    return None if shares is None else int(shares[: len(COMMON_LABELS)].argmax())
