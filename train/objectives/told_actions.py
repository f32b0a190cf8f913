"""`told_actions`: the context's encoder learns to read measured face actions, number by number, and what they mean.

From labels alone a small network hardly learns that 2.31 is more than 0.40: 900 clips say it too seldom. Here a linear
head must give the root of every intensity that the text tells, of clips and of invented faces whose actions come from
many clips; the labels are learnt beside it, on the clips alone.

Shapes: B clips, U action units.
"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from cuewise.data_recipes.corpora.ravdess_au import AU_WORDS, in_words
from cuewise.mllm.modeling import CuewiseForConditionalGeneration
from cuewise.mllm.processing import CuewiseProcessor
from cuewise.mllm.tensors import ClipTensors
from cuewise.train.augment import varied_actions
from cuewise.train.data import Mixture, Targets, head_targets
from cuewise.train.examples import Example
from cuewise.train.losses import soft_cross_entropy
from cuewise.train.objectives.base import OBJECTIVES, Loss, Objective, ObjectiveBatch

UNITS = (*AU_WORDS,)


@dataclass(kw_only=True, slots=True)
class ToldActionsConfig:
    weight: float = 2.0
    """Weight of the intensities' loss beside the labels'."""

    invented: float = 0.4
    """Share of the samples whose intensities come each from another clip; they have no label, and validation none of
    them."""

    def __post_init__(self) -> None:
        if self.weight < 0 or not 0 <= self.invented < 1:
            raise ValueError(f"told_actions needs weight >= 0 and invented in [0, 1), got {self.weight:g} and "
                             f"{self.invented:g}")  # fmt: skip


@OBJECTIVES.register("told_actions", ToldActionsConfig)
class ToldActions(Objective):
    """A linear head that gives the told intensities."""

    config: ToldActionsConfig
    learns_labels = True

    def __init__(self, config: ToldActionsConfig, model: CuewiseForConditionalGeneration, processor: CuewiseProcessor):
        super().__init__(config, model, processor)
        if "context" not in model.media.towers:
            raise ValueError(f"told_actions trains the context stream, but this model has "
                             f"{', '.join(model.media.towers)}")  # fmt: skip
        self.intensities = nn.Linear(model.config.heads_config.width, len(UNITS))

    def batch(self, mixture: Mixture, count: int, generator: Generator) -> ObjectiveBatch:
        examples = mixture.draw(count, generator)
        invented = torch.rand(len(examples), generator=generator) < (0.0 if mixture.fixed else self.config.invented)
        told = []
        for example, mixed in zip(examples, invented.tolist()):
            faces = mixture.draw(len(UNITS), generator) if mixed else [example] * len(UNITS)
            aus = {unit: _actions(face).get(unit, 0.0) for unit, face in zip(UNITS, faces)}
            told.append(varied_actions(aus, mixture.config.augment, generator))
        clips = [self.processor.with_context(ClipTensors({}), in_words(aus)) for aus in told]
        targets = head_targets(examples)
        targets.known["context"] &= ~invented
        targets.prior = mixture.prior
        more = {"aus": torch.tensor([[aus[unit] for unit in UNITS] for aus in told]), "targets": targets}
        return ObjectiveBatch([example.row.id for example in examples], self.processor.collate(clips), more)

    def loss(self, model: CuewiseForConditionalGeneration, batch: ObjectiveBatch) -> Loss:
        reading = model.encode_batch(batch.streams).streams["context"].reading
        aus: Tensor = batch.more["aus"]
        roots = aus.sqrt()
        worth = functional.mse_loss(self.intensities(reading.pooled).float(), roots)
        stats = {"actions/loss": worth.detach(), "actions/spread": roots.var(0).mean()}
        targets: Targets = batch.more["targets"]
        known = targets.known["context"]
        if not known.any():
            return self.config.weight * worth, stats
        logits = reading.logits + targets.prior.get("context", 0.0)
        loss, found = soft_cross_entropy(logits, targets.shares["context"], known, smoothing=0.05)
        stats |= {"context/loss": loss.detach(), "context/accuracy": found["accuracy"],
                  "context/labelled": found["count"]}  # fmt: skip
        return loss + self.config.weight * worth, stats


def _actions(example: Example) -> dict[str, float]:
    if not example.row.aus:
        raise ValueError(f"told_actions learns from measured face actions, but row {example.row.id!r} of source "
                         f"{example.source!r} has none; leave the source out of the stage's mixture, or set its "
                         "`actions: true`")  # fmt: skip
    return example.row.aus
