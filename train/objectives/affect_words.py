"""`affect_words`: answers, with a head that places every word, and explanations held against those of others; SEVLM.

Three terms beside each other: the answer's next-token loss; a linear head on the language model's states that says the
valence, arousal and dominance of the word it writes next, masked to words that the user's lexicon knows; and a score of
(clip, emotion, explanation) triples, where the own explanation must beat that of another emotion (of the same clip
where a row has one) and that of another clip. Without a lexicon file the head is not there.

Shapes: B clips, L tokens, d language-model width.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from cuewise.data_recipes.schema import Row
from cuewise.mllm.modeling import CuewiseForConditionalGeneration
from cuewise.mllm.processing import CuewiseProcessor
from cuewise.mllm.taxonomy.lexicon import lexicon_at
from cuewise.train.contrastive import triple
from cuewise.train.data import Mixture, TrainBatch
from cuewise.train.examples import Example
from cuewise.train.losses import IGNORE, next_token_loss, word_place_loss
from cuewise.train.objectives.base import OBJECTIVES, Loss, Objective, described, padded_ids, text_vectors
from cuewise.train.stage_losses import readings_loss, with_experts

NEGATIVES = 2
DRAWS = 64


@dataclass(kw_only=True, slots=True)
class AffectWordsConfig:
    lexicon: str | None = None
    """File with a word and its valence, arousal and dominance on each line; without it there is no head."""

    vad: float = 1.0
    """Weight of the head's loss."""

    contrast: float = 1.0
    """Weight of the triples' loss."""

    width: int = 128
    """Channels in which clips and explanations are compared."""


@dataclass(slots=True)
class AffectBatch(TrainBatch):
    """An answer batch with places and explanations."""

    places: Tensor | None = None
    """float [B, L, 3] of each token, NaN where nothing is known; None without a lexicon."""

    explanations: tuple[Tensor, Tensor] | None = None
    """Ids and mask of B own explanations, then of `NEGATIVES` others for each of them; None where there is no other."""


class Explanations:
    """The rows of all sources, to draw wrong explanations from."""

    def __init__(self, sources: dict[str, list[Example]]):
        self.sources = sources
        self.rows = {example.row.id: example.row for part in sources.values() for example in part}
        self.listed, self.by_clip = [*self.rows.values()], {}
        for row in self.listed:
            self.by_clip.setdefault(_clip_key(row), []).append(row)

    def of_another_emotion(self, row: Row, generator: Generator) -> Row | None:
        """A row of the same clip with another label and another explanation where there is one, else of any clip."""

        def fits(other: Row) -> bool:
            return other.labels[:1] != row.labels[:1] and described(other) != described(row)

        here = [other for other in self.by_clip[_clip_key(row)] if fits(other)]
        return _pick(here or self.listed, generator, fits)

    def of_another_clip(self, row: Row, generator: Generator) -> Row | None:
        """A row of another clip with another explanation: an equal one would be as right as the own."""
        return _pick(self.listed, generator,
                     lambda other: _clip_key(other) != _clip_key(row) and described(other) != described(row))


def _clip_key(row: Row) -> tuple:
    return tuple(sorted(row.media.items())) or (row.id,)


def _pick(rows: list[Row], generator: Generator, fits: Callable[[Row], bool]) -> Row | None:
    """A row that fits, drawn by chance; None when `DRAWS` draws found none."""
    for index in torch.randint(len(rows), (DRAWS,), generator=generator).tolist():
        if fits(rows[index]):
            return rows[index]
    return None


@OBJECTIVES.register("affect_words", AffectWordsConfig)
class AffectWords(Objective):
    """The head and the two projections of the triples."""

    config: AffectWordsConfig
    uses = ("tasks", "replay", "head_weight", "experts")

    def __init__(self, config: AffectWordsConfig, model: CuewiseForConditionalGeneration, processor: CuewiseProcessor):
        super().__init__(config, model, processor)
        width = model.get_input_embeddings().embedding_dim
        self.lexicon = lexicon_at(config.lexicon)
        self.head = nn.Linear(width, 3) if self.lexicon is not None else None
        # Two layers: whether emotion and explanation fit each other is no sum of what each says.
        self.clip, self.said = (
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, config.width), nn.GELU(),
                          nn.Linear(config.width, config.width)) for _ in range(2)
        )  # fmt: skip
        self.scale = nn.Parameter(torch.tensor(math.log(10.0)))
        self.known: Explanations | None = None

    def batch(self, mixture: Mixture, count: int, generator: Generator) -> AffectBatch:
        batch = mixture.answer_batch(count, generator)
        made = AffectBatch(**{field.name: getattr(batch, field.name) for field in fields(batch)})
        if self.lexicon is not None:
            made.places = self._places(batch)
        if self.known is None or self.known.sources is not mixture.sources:
            self.known = Explanations(mixture.sources)
        texts = self._explanations(self.known, batch.ids, generator)
        made.explanations = padded_ids(self.processor, texts) if texts else None
        return made

    def _places(self, batch: TrainBatch) -> Tensor:
        """Places of the answers' tokens; prompts have none."""
        places = torch.full((*batch.labels.shape, 3), math.nan)
        for i, answer in enumerate(batch.answers):
            reasoning, tag, conclusion = answer.rpartition("<answer>")
            parts = [reasoning, tag + conclusion] if tag else [answer]
            found = [place for part in parts if part for place in self.processor.text_places(part, self.lexicon)]
            begin = int((batch.labels[i] != IGNORE).int().argmax())
            places[i, begin : begin + len(found)] = torch.tensor(found)
        return places

    def _explanations(self, known: "Explanations", ids: list[str], generator: Generator) -> list[str]:
        """Own explanations, then for each clip one of another emotion and one of another clip; nothing without."""
        own = [known.rows[key] for key in ids]
        others = [[known.of_another_emotion(row, generator), known.of_another_clip(row, generator)] for row in own]
        if any(other is None for pair in others for other in pair):
            return []
        wrong = [triple_text(row, other) for row, pair in zip(own, others) for other in pair]
        return [triple_text(row, row) for row in own] + wrong

    def loss(self, model: CuewiseForConditionalGeneration, batch: AffectBatch) -> Loss:
        output = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, output_hidden_states=True,
                       **batch.streams)  # fmt: skip
        loss, stats = next_token_loss(output.logits, batch.labels, weights=batch.label_weights)
        seen = output.encoded.streams
        stats |= {"answer_loss": loss.detach(), **batch.stats,
                  "media_rows": sum(int(stream.mask.sum()) for stream in seen.values()) / len(batch.ids)}  # fmt: skip
        if self.head_weight:
            loss = loss + self.head_weight * readings_loss(output.encoded, batch.targets)[0]
        if self.experts:
            loss, stats = with_experts(model, loss, stats)
        total = loss + sum(weight.sum() * 0.0 for weight in self.parameters())
        if self.head is not None:
            said = self.head(output.hidden_states[-1][:, :-1].float())
            worth, found = word_place_loss(said, batch.places[:, 1:], batch.labels[:, 1:] != IGNORE)
            total = total + self.config.vad * worth
            stats |= {"vad/loss": worth.detach(), "vad/words": found["count"]}
        if batch.explanations is not None:
            score = self.scores(model, seen, batch.explanations)
            worth = triple(score[:, 0], score[:, 1:])
            total = total + self.config.contrast * worth
            stats |= {"triple/loss": worth.detach(), "triple/right": (score.argmax(1) == 0).float().mean()}
        return total, stats

    def scores(
        self, model: CuewiseForConditionalGeneration, seen: dict[str, Any], explanations: tuple[Tensor, Tensor]
    ) -> Tensor:
        """[B, 1 + NEGATIVES]: how well each explanation fits its clip, the own one first."""
        rows = torch.cat([stream.tokens for stream in seen.values()], 1)
        there = torch.cat([stream.mask for stream in seen.values()], 1).unsqueeze(-1)
        clips = self.clip((rows * there).sum(1) / there.sum(1).clamp(min=1))
        said = self.said(text_vectors(model, *explanations, learns=True))
        own, others = said[: len(clips)], said[len(clips) :].unflatten(0, (len(clips), NEGATIVES))
        fit = functional.cosine_similarity(clips[:, None], torch.cat([own[:, None], others], 1), dim=-1)
        return self.scale.exp() * fit


def triple_text(row: Row, explanation: Row) -> str:
    """The emotion of a row with the explanation of that row or of another, as one text."""
    return f"{', '.join(row.labels)}: {described(explanation)}"
