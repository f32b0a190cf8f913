"""`told_actions`: the context's encoder learns to read measured face actions, number by number, and what they mean.

From labels alone a small network hardly learns that 2.31 is more than 0.40: 900 clips say it too seldom. Here a linear
head must give the root of every intensity that the text tells, of clips and of invented faces, whose actions come from
several clips. What the labels have to say about seventeen numbers a regression learns best (`action_meaning`); it tells
the network what every face means, invented ones too, beside the clips' own labels.

Shapes: B clips, U action units, L labels.
"""

from dataclasses import dataclass

import torch
from torch import Generator, nn
from torch.nn import functional

from cuewise.data_recipes.action_words import AU_WORDS
from cuewise.mllm.modeling import CuewiseForConditionalGeneration
from cuewise.mllm.processing import CuewiseProcessor
from cuewise.mllm.tensors import ClipTensors
from cuewise.train.action_meaning import ActionMeaning, fit_meaning
from cuewise.train.augment import told_context, varied_actions
from cuewise.train.data import Mixture, Targets, head_targets
from cuewise.train.examples import Example
from cuewise.train.losses import soft_cross_entropy
from cuewise.train.objectives.base import OBJECTIVES, Loss, Objective, ObjectiveBatch

UNITS = (*AU_WORDS,)


@dataclass(kw_only=True, slots=True)
class ToldActionsConfig:
    weight: float = 2.0
    """Weight of the intensities' loss beside that of what they mean."""

    invented: float = 0.4
    """Share of the samples whose intensities come from several clips; they have no label, and validation none of
    them."""

    taught: float = 0.7
    """Share of what a face means that the regression says, the rest is its label; 0 does without the regression."""

    decay: float = 0.005
    """Weight decay of the regression."""

    def __post_init__(self) -> None:
        if self.weight < 0 or not 0 <= self.invented < 1 or not 0 <= self.taught <= 1 or self.decay <= 0:
            raise ValueError(
                f"told_actions needs weight >= 0, invented in [0, 1), taught in [0, 1] and decay > 0, got "
                f"{self.weight:g}, {self.invented:g}, {self.taught:g} and {self.decay:g}"
            )


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
        self.meaning: ActionMeaning | None = None

    def batch(self, mixture: Mixture, count: int, generator: Generator) -> ObjectiveBatch:
        examples = mixture.draw(count, generator)
        invented = torch.rand(len(examples), generator=generator) < (0.0 if mixture.fixed else self.config.invented)
        told = []
        for example, mixed in zip(examples, invented.tolist()):
            aus = self._invented(mixture, generator) if mixed else _actions(example)
            told.append(varied_actions(aus, mixture.config.augment, generator))
        texts = [told_context(aus, mixture.config.augment, generator) for aus in told]
        clips = [self.processor.with_context(ClipTensors({}), text) for text in texts]
        targets = head_targets(examples)
        targets.known["context"] &= ~invented
        targets.prior = mixture.prior
        more = {"aus": torch.tensor([[aus.get(unit, 0.0) for unit in UNITS] for aus in told]), "targets": targets}
        if self.config.taught and not mixture.fixed:
            if self.meaning is None:
                self.meaning = meaning_of(mixture, self.config.decay)
            more["meaning"] = self.meaning(more["aus"]).exp()
        return ObjectiveBatch([example.row.id for example in examples], self.processor.collate(clips), more)

    def _invented(self, mixture: Mixture, generator: Generator) -> dict[str, float]:
        """A face of which every action comes from one of two to five clips."""
        faces = mixture.draw(int(torch.randint(2, 6, (), generator=generator)), generator)
        chosen = torch.randint(len(faces), (len(UNITS),), generator=generator).tolist()
        return {unit: _actions(faces[place]).get(unit, 0.0) for unit, place in zip(UNITS, chosen)}

    def loss(self, model: CuewiseForConditionalGeneration, batch: ObjectiveBatch) -> Loss:
        reading = model.encode_batch(batch.streams).streams["context"].reading
        roots = batch.more["aus"].sqrt()
        worth = functional.mse_loss(self.intensities(reading.pooled).float(), roots)
        loss = self.config.weight * worth
        stats = {"actions/loss": worth.detach(), "actions/spread": roots.var(0).mean()}
        taught = self.config.taught if "meaning" in batch.more else 0.0
        if taught:
            every = torch.ones(len(batch.ids), dtype=torch.bool, device=roots.device)
            told, found = soft_cross_entropy(reading.logits, batch.more["meaning"], every)
            loss = loss + taught * told
            stats |= {"meaning/loss": told.detach(), "meaning/agreement": found["accuracy"]}
        targets: Targets = batch.more["targets"]
        known = targets.known["context"]
        if known.any():
            logits = reading.logits + targets.prior.get("context", 0.0)
            own, found = soft_cross_entropy(logits, targets.shares["context"], known, smoothing=0.05)
            loss = loss + (1 - taught) * own
            stats |= {"context/loss": own.detach(), "context/accuracy": found["accuracy"],
                      "context/labelled": found["count"]}  # fmt: skip
        return loss, stats


def meaning_of(mixture: Mixture, decay: float) -> ActionMeaning:
    """The regression of all labelled clips of a mixture, each source weighing its share."""
    actions, shares, weights = [], [], []
    for name, weight in zip(mixture.names, mixture.weights.tolist()):
        source = mixture.sources[name]
        for example in source:
            votes = example.shares("context")
            if votes is not None:
                aus = _actions(example)
                actions.append([aus.get(unit, 0.0) for unit in UNITS])
                shares.append(votes)
                weights.append(weight / len(source))
    if not shares:
        raise ValueError(f"told_actions: no row of {', '.join(mixture.names)} has a label for its context to mean; "
                         "set options.taught to 0 to learn the numbers alone")  # fmt: skip
    labels = torch.stack(shares)
    prior = mixture.prior.get("context", torch.zeros(labels.shape[1]))
    return fit_meaning(torch.tensor(actions), labels, torch.tensor(weights), prior, decay=decay)


def _actions(example: Example) -> dict[str, float]:
    if not example.row.aus:
        raise ValueError(f"told_actions learns from measured face actions, but row {example.row.id!r} of source "
                         f"{example.source!r} has none; leave the source out of the stage's mixture, or set its "
                         "`actions: true`")  # fmt: skip
    return example.row.aus
