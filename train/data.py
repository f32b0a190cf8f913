"""Batches from examples: mixture, stream dropout, augmentation, prompts and labels. Random only by the generator given.

Shapes: B samples, L prompt and answer tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from cuewise.data_recipes.corpora import COMMON_LABELS
from cuewise.data_recipes.targets import target
from cuewise.mllm.processing import CuewiseProcessor
from cuewise.mllm.prompts import Prompt, build, text_of
from cuewise.mllm.report import render
from cuewise.mllm.taxonomy import valence_arousal
from cuewise.mllm.tensors import ClipTensors
from cuewise.train.augment import AugmentConfig, augment, mix_voices, varied_context
from cuewise.train.examples import HEADS, Example, only_channel
from cuewise.train.losses import IGNORE
from cuewise.train.media_gate import check_streams


@dataclass(kw_only=True, slots=True)
class MixtureConfig:
    weights: dict[str, float] = field(default_factory=dict)
    """Source -> share of the samples; shares are normalised. Every source named here must exist."""

    streams: list[str] = field(default_factory=list)
    """Streams that a `heads` stage shows; the others are not even encoded. Empty shows all."""

    stream_dropout: float = 0.3
    """Chance that one or more streams of a sample are left out, so that every subset of streams is learnt."""

    explained_share: float = 0.65
    """Share of explained answers; the others are direct."""

    label_weight: float = 2.0
    """Weight of the conclusion, and of an emotion named before it, relative to the other tokens of the reasoning: a cue
    that names the wrong emotion decides the answer."""

    even_labels: bool = False
    """A `heads` stage adds the logarithm of each label's share in the mixture to the logits it learns with, so that the
    reading itself favours no frequent label (logit adjustment, arXiv:2007.07314)."""

    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def __post_init__(self) -> None:
        if not self.weights or any(weight < 0 for weight in self.weights.values()) or not sum(self.weights.values()):
            raise ValueError("mixture.weights must name sources with weights >= 0, at least one of them > 0")
        if not 0 <= self.stream_dropout <= 1 or not 0 <= self.explained_share <= 1:
            raise ValueError("mixture.stream_dropout and explained_share are shares in [0, 1]")
        if self.label_weight <= 0:
            raise ValueError(f"mixture.label_weight must be > 0, got {self.label_weight:g}; 1 weighs all tokens alike")


@dataclass(slots=True)
class Targets:
    """What the heads should say: shares [B, 8] and presence [B] per channel and for `all`; valence/arousal [B, 2]."""

    shares: dict[str, Tensor]
    known: dict[str, Tensor]
    va: Tensor
    va_known: Tensor
    aus: Tensor | None = None
    """float [B, A] action unit intensities (0-5), NaN where a row does not name the unit."""

    prior: dict[str, Tensor] = field(default_factory=dict)
    """channel -> [8] logarithm of each label's share, added to the logits in the loss."""

    def keep_whole(self, shown: Sequence[ClipTensors], examples: Sequence[Example]) -> None:
        """Forget what a clip says as a whole where not all of its streams are shown."""
        whole = torch.tensor([{*clip.streams} >= {*e.tensors.streams} for clip, e in zip(shown, examples)])
        self.known["all"], self.va_known = self.known["all"] & whole, self.va_known & whole

    def mix(self, channel: str, partner: Tensor, share: Tensor) -> None:
        """Labels of voices that were mixed: what else a mixed clip says is not known any more."""
        known = self.known[channel]
        part = torch.where(known & known[partner], share, torch.ones(()))[:, None]
        self.shares[channel] = part * self.shares[channel] + (1 - part) * self.shares[channel][partner]
        whole = share > 0.999
        self.known[channel] = known & (known[partner] | whole)
        self.known["all"], self.va_known = self.known["all"] & whole, self.va_known & whole


def joined_targets(parts: Sequence[Targets]) -> Targets:
    """The targets of all parts, as if their clips had been one batch."""
    first = parts[0]
    shares, known = ({name: torch.cat([values[name] for values in table]) for name in table[0]}
                     for table in ([part.shares for part in parts], [part.known for part in parts]))  # fmt: skip
    aus = None if first.aus is None else torch.cat([part.aus for part in parts])
    return Targets(shares, known, torch.cat([part.va for part in parts]), torch.cat([part.va_known for part in parts]),
                   aus, first.prior)  # fmt: skip


@dataclass(slots=True)
class TrainBatch:
    """One optimizer step's samples."""

    ids: list[str]
    streams: dict[str, Tensor]
    targets: Targets
    input_ids: Tensor | None = None
    """int [B, L], padded on the right."""

    attention_mask: Tensor | None = None
    labels: Tensor | None = None
    label_weights: Tensor | None = None
    written: "list[Written] | None" = None
    """Prompts and answers one by one, for packing and sample tables."""

    stats: dict[str, float] = field(default_factory=dict)
    """What is worth logging about how the batch was drawn."""

    prompts: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    """Prompt and answer of each sample as text, for people."""

    @property
    def weight(self) -> float:
        """How much this batch counts beside others of its step: weighted answer tokens, or samples."""
        return float(len(self.ids) if self.label_weights is None else self.label_weights[:, 1:].sum())

    def table(self) -> list[dict[str, str]]:
        """Rows for the sample tables."""
        return [{"id": key, "prompt": prompt, "answer": answer}
                for key, prompt, answer in zip(self.ids, self.prompts, self.answers)]  # fmt: skip


class Shown(NamedTuple):
    """What the model gets to see of one sample, and how it is asked."""

    clip: ClipTensors
    form: str
    context: str | None


class Written(NamedTuple):
    """Prompt and answer of one sample."""

    ids: list[int]
    labels: list[int]
    """-100 over the prompt."""

    weights: list[float]
    prompt: str = ""
    answer: str = ""
    """Both as text, for people."""


class Mixture:
    """Draws samples from sources by weight."""

    fixed = False
    """Whether `draw` gives samples that somebody chose, each to be looked at once and as it is, as in validation."""

    def __init__(
        self, sources: dict[str, list[Example]], config: MixtureConfig, processor: CuewiseProcessor,
        units: Sequence[str] = (),
    ):  # fmt: skip
        unknown = sorted(set(config.weights) - set(sources))
        if unknown:
            raise ValueError(f"mixture.weights names `{unknown[0]}`, but the sources are {', '.join(sorted(sources))}")
        check_streams("mixture.streams", config.streams, processor.plan)
        self.names = [name for name, weight in config.weights.items() if weight > 0]
        self.weights = torch.tensor([config.weights[name] for name in self.names])
        self.sources, self.config, self.processor, self.units = sources, config, processor, list(units)
        words = [processor.text_ids(f" {label}") for label in COMMON_LABELS]
        self.label_tokens = {ids[0] for ids in words if len(ids) == 1}
        self.prior = {name: self._prior(name) for name in HEADS} if config.even_labels else {}

    def draw(self, count: int, generator: Generator) -> list[Example]:
        """`count` samples, source by weight, then evenly within the source."""
        picks = torch.multinomial(self.weights, count, replacement=True, generator=generator).tolist()
        examples = []
        for pick in picks:
            source = self.sources[self.names[pick]]
            examples.append(source[int(torch.randint(len(source), (), generator=generator))])
        return examples

    def heads_batch(self, count: int, generator: Generator) -> TrainBatch:
        """Samples for the heads: all streams, augmented, no text to write."""
        examples = self.draw(count, generator)
        shown = [self._shown(example.tensors) for example in examples]
        varied = [augment(clip, self.config.augment, generator) for clip in shown]
        if self.reads("context"):
            varied = [self.processor.with_context(clip, varied_context(example.row, self.config.augment, generator))
                      for clip, example in zip(varied, examples)]  # fmt: skip
        streams = self.processor.collate(varied)
        targets = head_targets(examples, self.units)
        targets.prior = self.prior
        targets.keep_whole(shown, examples)
        mixed = mix_voices(streams, self.config.augment, generator)
        if mixed is not None:
            targets.mix("voice", *mixed)
        return TrainBatch([e.row.id for e in examples], streams, targets)

    def _prior(self, channel: str) -> Tensor:
        """[8] logarithm of the share of each label among the samples that are labelled for a channel; a label that no
        sample has counts as one in a thousand."""
        total = torch.zeros(len(COMMON_LABELS))
        for name, weight in zip(self.names, self.weights.tolist()):
            votes = [votes for example in self.sources[name] if (votes := example.shares(channel)) is not None]
            if votes:
                total += weight * torch.stack(votes).sum(0) / len(self.sources[name])
        return (total / total.sum()).clamp(min=1e-3).log() if total.sum() else total

    def reads(self, stream: str) -> bool:
        """Whether the stage is about this stream, and the model has it."""
        return stream in self.processor.plan.streams and (not self.config.streams or stream in self.config.streams)

    def _shown(self, tensors: ClipTensors) -> ClipTensors:
        """The streams that the stage is about, where the clip has one of them."""
        kept = {name: stream for name, stream in tensors.streams.items() if name in self.config.streams}
        return ClipTensors(kept) if kept or "context" in self.config.streams else tensors

    def answer_batch(self, count: int, generator: Generator) -> TrainBatch:
        """Samples for the language model: some streams left out, prompts, answers."""
        examples = self.draw(count, generator)
        made = [self.sample(example, generator) for example in examples]
        return self.with_text(examples, [clip for clip, _ in made], [written for _, written in made])

    def sample(self, example: Example, generator: Generator) -> tuple[ClipTensors, Written]:
        """What is shown of one example, and what is written about it."""
        shown = self.shown(example, generator)
        return shown.clip, self.ids_and_labels(example, *shown)

    def shown(self, example: Example, generator: Generator) -> "Shown":
        """A clip with some of its streams left out, varied, and the form of the answer."""
        kept = drop_streams(example.tensors, self.config.stream_dropout, generator, always=only_channel(example.row))
        explained = float(torch.rand((), generator=generator)) < self.config.explained_share
        clip = augment(kept, self.config.augment, generator)
        context = varied_context(example.row, self.config.augment, generator)
        if not clip.streams.keys() - {"context"}:
            context = example.row.context  # there is nothing else
        clip = self.processor.with_context(clip, context)
        return Shown(clip, "explained" if explained else "direct", context)

    def ids_and_labels(self, example: Example, kept: ClipTensors, form: str, context: str | None = None) -> Written:
        """What the language model sees and writes for one sample; without any cue the direct answer is asked for."""
        row = example.row
        said = "words" in kept.streams
        answer = target(row, form, [*kept.streams])
        parts = build(
            kept.streams, answer.form, transcript=row.transcript if said else None, words=row.words if said else (),
            context=context, duration_s=example.duration_s or None,
        )  # fmt: skip
        head, tag, tail = render(answer).rpartition("<answer>")
        return self.written(parts, kept, head, tag + tail)

    def written(self, parts: Prompt, kept: ClipTensors, reasoning: str, conclusion: str) -> Written:
        """Ids of a prompt and its answer, whose conclusion may weigh more."""
        prompt = self.processor.prompt_ids(parts, self.processor.plan.num_tokens(kept.lengths))
        before, after = self.processor.text_ids(reasoning), self.processor.answer_ids(conclusion)
        labels = [IGNORE] * len(prompt) + before + after
        heavy = self.config.label_weight
        weights = [0.0] * len(prompt) + [heavy if token in self.label_tokens else 1.0 for token in before]
        weights += [heavy] * len(after)
        return Written(prompt + before + after, labels, weights, text_of(parts), reasoning + conclusion)

    def with_text(self, examples: Sequence[Example], clips: list[ClipTensors], texts: list[Written]) -> TrainBatch:
        """One padded batch."""
        longest = max(len(text.ids) for text in texts)
        pad = self.processor.plan.tokens.pad
        input_ids = torch.full((len(texts), longest), pad)
        labels = torch.full((len(texts), longest), IGNORE)
        weights, mask = torch.zeros(len(texts), longest), torch.zeros(len(texts), longest, dtype=torch.long)
        for i, text in enumerate(texts):
            size = len(text.ids)
            input_ids[i, :size], labels[i, :size] = torch.tensor(text.ids), torch.tensor(text.labels)
            weights[i, :size], mask[i, :size] = torch.tensor(text.weights), 1
        targets = head_targets(examples, self.units)
        targets.keep_whole(clips, examples)
        return TrainBatch(
            [e.row.id for e in examples], self.processor.collate(clips), targets, input_ids, mask, labels, weights,
            texts, {}, [text.prompt for text in texts], [text.answer for text in texts],
        )  # fmt: skip


def drop_streams(
    tensors: ClipTensors, share: float, generator: Generator, always: str | None = None
) -> ClipTensors:
    """With chance `share`, keep a random proper subset of the streams, and not the context alone, which is not a
    stream that anything could be read from.

    `always` stays: without the only stream that was labelled, the label could not be known.
    """
    names = [*tensors.streams]
    if len(names) < 2 or float(torch.rand((), generator=generator)) >= share:
        return tensors
    keep = 1 + int(torch.randint(len(names) - 1, (), generator=generator))
    order = [names[i] for i in torch.randperm(len(names), generator=generator).tolist()]
    chosen = {*order[:keep], always}
    if not chosen & {*names} - {"context"}:
        chosen.add(next(name for name in order if name != "context"))
    return ClipTensors({name: stream for name, stream in tensors.streams.items() if name in chosen})


def head_targets(examples: Sequence[Example], units: Sequence[str] = ()) -> Targets:
    """Vote shares per channel and in all, ties and minorities kept; valence/arousal from the row, else from its label's
    place in the taxonomy; intensities of the action units `units` that a row names."""
    shares = {name: torch.zeros(len(examples), len(COMMON_LABELS)) for name in (*HEADS, "all")}
    known = {name: torch.zeros(len(examples), dtype=torch.bool) for name in shares}
    va, va_known = torch.zeros(len(examples), 2), torch.zeros(len(examples), dtype=torch.bool)
    for i, example in enumerate(examples):
        for name in shares:
            votes = example.shares(name)
            if votes is not None:
                shares[name][i], known[name][i] = votes, True
        row = example.row
        pair = (row.valence, row.arousal) if row.valence is not None and row.arousal is not None else None
        pair = pair or (valence_arousal(row.labels[0]) if row.labels else None)
        if pair is not None:
            va[i], va_known[i] = torch.tensor(pair), True
    aus = torch.tensor([[example.row.aus.get(unit, float("nan")) for unit in units] for example in examples])
    return Targets(shares, known, va, va_known, aus if units else None)
