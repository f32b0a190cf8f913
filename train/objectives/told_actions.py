"""`told_actions`: the context's encoder learns to read measured face actions, number by number, and what they mean.

From labels alone a small network hardly learns that 2.31 is more than 0.40: 900 clips say it too seldom. Here a linear
head must give the root of every intensity that the text tells, of clips and of invented faces, whose actions come from
several clips. What the labels have to say about seventeen numbers a regression learns best (`action_meaning`); it tells
the network what every face means, invented ones too, beside the clips' own labels.

Rows without measured actions lend their words, or where nothing was said those of another row, as a context that tells
no face: it must mean nothing, every label alike, or whatever a caller writes into the context would outvote the voice.

Shapes: B clips, U action units, L labels.
"""

from dataclasses import dataclass

import torch
from torch import Generator, nn

from cuewise.data_recipes.action_words import AU_WORDS
from cuewise.mllm.modeling import CuewiseForConditionalGeneration
from cuewise.mllm.processing import CuewiseProcessor
from cuewise.mllm.prompts import spoken
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
        self.said: dict[bool, list[str]] = {}
        """What was said in the rows of training, and in those of validation."""


    def batch(self, mixture: Mixture, count: int, generator: Generator) -> ObjectiveBatch:
        examples = mixture.draw(count, generator)
        tells = torch.tensor([bool(example.row.aus) for example in examples])
        invented = torch.rand(len(examples), generator=generator) < (0.0 if mixture.fixed else self.config.invented)
        invented &= tells
        told, texts = [], []
        for example, mixed in zip(examples, invented.tolist()):
            aus = self._invented(mixture, generator) if mixed else example.row.aus
            told.append(varied_actions(aus, mixture.config.augment, generator))
            texts.append(told_context(told[-1], mixture.config.augment, generator) if aus
                         else self._other_words(mixture, example, generator))
        clips = [self.processor.with_context(ClipTensors({}), text) for text in texts]
        targets = head_targets(examples)
        targets.known["context"] &= tells & ~invented
        targets.prior = mixture.prior
        more = {"aus": torch.tensor([[aus.get(unit, 0.0) for unit in UNITS] for aus in told]), "targets": targets,
                "tells": tells}
        if self.config.taught and not mixture.fixed:
            if self.meaning is None:
                self.meaning = meaning_of(mixture, self.config.decay)
            meaning = self.meaning(more["aus"]).exp()
            more["meaning"] = torch.where(tells[:, None], meaning, torch.full_like(meaning, 1 / meaning.shape[1]))
        return ObjectiveBatch([example.row.id for example in examples], self.processor.collate(clips), more)

    def _invented(self, mixture: Mixture, generator: Generator) -> dict[str, float]:
        """A face of which every action comes from one of two to five clips."""
        faces: list[dict[str, float]] = []
        wanted = int(torch.randint(2, 6, (), generator=generator))
        while len(faces) < wanted:
            faces += [example.row.aus for example in mixture.draw(wanted, generator) if example.row.aus]
        chosen = torch.randint(wanted, (len(UNITS),), generator=generator).tolist()
        return {unit: faces[place].get(unit, 0.0) for unit, place in zip(UNITS, chosen)}

    def _other_words(self, mixture: Mixture, example: Example, generator: Generator) -> str:
        """A row's words, or those of any row where it has none, as a context that tells no face."""
        text = spoken(example.row.transcript, example.row.words)
        if not text:
            if mixture.fixed not in self.said:
                rows = (other for name in mixture.names for other in mixture.sources[name])
                self.said[mixture.fixed] = [
                    text for other in rows if (text := spoken(other.row.transcript, other.row.words))
                ]
            said = self.said[mixture.fixed]
            if not said:
                raise ValueError(f"told_actions learns from measured face actions, but row {example.row.id!r} of "
                                 f"source {example.source!r} has none, and no row has words to stand for another "
                                 "context; leave the source out of the stage's mixture, or set its `actions: true`")
            text = said[int(torch.randint(len(said), (), generator=generator))]
        return numbered(text, generator)

    def loss(self, model: CuewiseForConditionalGeneration, batch: ObjectiveBatch) -> Loss:
        reading = model.encode_batch(batch.streams).streams["context"].reading
        tells, roots = batch.more["tells"], batch.more["aus"].sqrt()
        misread = (self.intensities(reading.pooled).float() - roots).square().mean(1)
        worth = (misread * tells).sum() / tells.sum().clamp(min=1)
        loss = self.config.weight * worth
        stats = {"actions/loss": worth.detach(), "actions/labelled": tells.sum()}
        if tells.any():
            stats["actions/spread"] = roots[tells].var(0, correction=0).mean()
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
    """The regression of all labelled clips with measured actions of a mixture, each source weighing its share."""
    actions, shares, weights = [], [], []
    for name, weight in zip(mixture.names, mixture.weights.tolist()):
        source = mixture.sources[name]
        for example in source:
            votes = example.shares("context")
            if votes is not None and example.row.aus:
                actions.append([example.row.aus.get(unit, 0.0) for unit in UNITS])
                shares.append(votes)
                weights.append(weight / len(source))
    if not shares:
        raise ValueError(f"told_actions: no row of {', '.join(mixture.names)} has measured face actions and a label "
                         "for them to mean; set `actions: true` of a source, or options.taught to 0 to learn the "
                         "numbers alone")  # fmt: skip
    labels = torch.stack(shares)
    prior = mixture.prior.get("context", torch.zeros(labels.shape[1]))
    return fit_meaning(torch.tensor(actions), labels, torch.tensor(weights), prior, decay=decay)


NUMBERED = 0.4
"""Chance that words which tell no face get a number: not every number is a face action."""


def numbered(text: str, generator: Generator) -> str:
    """Words that tell no face, with chance `NUMBERED` with a number among them."""
    words = text.split()
    chance, place, size = torch.rand(3, generator=generator).tolist()
    if chance < NUMBERED:
        number = 10 ** (4 * size - 1)
        words.insert(int(place * (len(words) + 1)), f"{number:.0f}" if number > 5 else f"{number:.2f}")
    return " ".join(words)
