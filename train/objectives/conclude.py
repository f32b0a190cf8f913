"""`conclude`: the answer names what all streams together read, also where the label says something else.

Heads are surer, and more often right, on the people they learnt from than on others. A language model that is taught
on the same people learns from labels which the readings always meet, and falls behind its own heads on new people
(RAVDESS: 0.64 written, 0.68 read). Here clips are varied until their readings waver; where the strongest reading is
not the label, the reading is what has to be written. Cues of a real clip stay and speak for it; a clip whose cues speak
for several emotions gets the direct answer.

Readings must reach the language model as they are, so `trains` leaves `fusion` and the `spoken` parts alone: while
they train they get noise.
"""

from dataclasses import dataclass, field, replace

import torch
from torch import Generator, Tensor

from cuewise.data_recipes.corpora import COMMON_LABELS, common_label
from cuewise.data_recipes.schema import Row
from cuewise.data_recipes.targets import target
from cuewise.mllm.modeling import CuewiseForConditionalGeneration
from cuewise.mllm.processing import CuewiseProcessor
from cuewise.mllm.tensors import ClipTensors
from cuewise.train.data import Mixture, TrainBatch
from cuewise.train.examples import Example
from cuewise.train.objectives.base import OBJECTIVES, Loss, Objective
from cuewise.train.stage_losses import answers_loss, with_experts


@dataclass(kw_only=True, slots=True)
class ConcludeConfig:
    sources: list[str] = field(default_factory=list)
    """Sources whose readings are followed; others keep their labels, those of validation too unless they have one of
    these names. All by default."""


@OBJECTIVES.register("conclude", ConcludeConfig)
class Conclude(Objective):
    """No weights of its own."""

    config: ConcludeConfig
    uses = ("packed", "experts")
    draws_with_model = True

    def __init__(self, config: ConcludeConfig, model: CuewiseForConditionalGeneration, processor: CuewiseProcessor):
        super().__init__(config, model, processor)
        if not model.config.heads_config.labels:
            raise ValueError("conclude follows the readings of the heads, but this model has no class head")
        self._labels = model.config.heads_config.labels
        # A list keeps the model from being a part of its own part.
        self._model = [model]

    def batch(self, mixture: Mixture, count: int, generator: Generator) -> TrainBatch:
        unknown = sorted({*self.config.sources} - {*mixture.names})
        if unknown and not mixture.fixed:
            raise ValueError(f"options.sources names `{unknown[0]}`, but the mixture has {', '.join(mixture.names)}")
        examples = mixture.draw(count, generator)
        shown = [mixture.shown(example, generator) for example in examples]
        readings = self.readings([one.clip for one in shown])
        texts, changed = [], 0
        for example, one, reading in zip(examples, shown, readings):
            if self._follows(example, one.clip, reading):
                example, changed = replace(example, row=concluding(example.row, reading)), changed + 1
            texts.append(mixture.ids_and_labels(example, *one))
        batch = mixture.with_text(examples, [one.clip for one in shown], texts)
        batch.stats = {"readings/followed": changed / count}
        return batch

    def readings(self, clips: list) -> list[str]:
        """What all streams of each clip together read most strongly: without dropout, and without moving running
        statistics, so that drawing neither needs nor leaves a trace in a model that learns."""
        (model,) = self._model
        streams = {key: value.to(model.device) for key, value in self.processor.collate(clips).items()}
        training = model.training
        model.eval()
        try:
            with torch.no_grad():
                logits: Tensor = model.encode_batch(streams).logits
        finally:
            model.train(training)
        return [self._labels[index] for index in logits.argmax(-1).tolist()]

    def _follows(self, example: Example, clip: ClipTensors, reading: str) -> bool:
        """Whether the reading replaces what the shown streams should say: another one of the common labels, of a
        source that is followed."""
        if self.config.sources and example.source not in self.config.sources:
            return False
        label = common_label(target(example.row, "direct", [*clip.streams]).labels[0])
        return label is not None and reading in COMMON_LABELS and reading != label

    def loss(self, model: CuewiseForConditionalGeneration, batch: TrainBatch) -> Loss:
        loss, stats = answers_loss(model, batch, 0.0, packed=self.packed)
        return with_experts(model, loss, stats) if self.experts else (loss, stats)


def concluding(row: Row, reading: str) -> Row:
    """The row as one that is about `reading`; without its cues where these speak for more than one emotion."""
    spoken = {label for cue in row.cues for label in cue.supports}
    cues = [cue.model_copy(update={"supports": [reading] if cue.supports else []}) for cue in row.cues]
    return row.model_copy(update={
        "labels": [reading], "votes": {}, "reasoning": None, "cues": cues if len(spoken) < 2 else [], "aus": {},
    })  # fmt: skip
