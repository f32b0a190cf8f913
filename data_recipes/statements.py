"""Statements about a clip that are right or wrong, in pairs that differ only in the planned way (MVEI, ICLR 2026).

    for row in statements(rows, seed=0):
        row.statement.text, row.statement.correct, row.task      # task is the dimension

Four dimensions: sentiment ``polarity`` (flipped), ``emotion`` (another core emotion), ``scene`` (what is seen and
heard: the opposite claim, or a sentence that is not said), ``subjectivity`` (what most people chose, reversed).
Every pair holds one right and one wrong statement, so a model that always says yes is right in half of them.
"""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from cuewise.data_recipes.corpora.labels import nearest
from cuewise.data_recipes.schema import Row, Statement
from cuewise.mllm.evidence.claims import opposite, phrase, read_claim
from cuewise.mllm.evidence.words import occurrences, quoted
from cuewise.mllm.report import Cue
from cuewise.mllm.taxonomy import LABELS, same_core, sentiment

Dimension = Literal["polarity", "emotion", "scene", "subjectivity"]
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)
QUESTION = "Judge the statement. Answer Correct or Incorrect."

POLARITY = ("The person's feeling is {}.", "What the person feels is {} on the whole.")
EMOTION = ("The person in the clip is {}.", "The person comes across as {}.")
SEEN = {
    "face": "In the face, {}.", "voice": "In the voice, {}.", "scene": "In the scene, {}.",
    "words": "One hears the words {}.",
}  # fmt: skip
READING = ("More people read the clip as {} than as {}.", "Viewers would rather say {} than {}.")
ELSEWHERE = ("see you at the station tomorrow", "the parcel came on Tuesday", "turn left at the second bridge")
"""Sentences that are in no clip unless its transcript has them; that is checked."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A right and a wrong statement: `template` with one filling or the other."""

    dimension: Dimension
    template: str
    right: tuple[str, ...]
    wrong: tuple[str, ...]

    @property
    def texts(self) -> tuple[str, str]:
        return self.template.format(*self.right), self.template.format(*self.wrong)


def statements(rows: Iterable[Row], *, dimensions: Sequence[Dimension] = DIMENSIONS, seed: int = 0) -> Iterator[Row]:
    """Two rows, right then wrong, for each dimension in which a row says enough."""
    for dimension in dimensions:
        if dimension not in DIMENSIONS:
            raise ValueError(f"unknown dimension `{dimension}`; {nearest(dimension, DIMENSIONS)}")
    for row in rows:
        for dimension in dimensions:
            rng = np.random.default_rng([seed, zlib.crc32(f"{row.id} {dimension}".encode())])
            pair = pair_of(row, dimension, rng)
            for correct, text in zip((True, False), pair.texts if pair else ()):
                yield row.model_copy(update={
                    "id": f"{row.id}:{dimension}:{'right' if correct else 'wrong'}", "task": dimension,
                    "instruction": QUESTION, "statement": Statement(text=text, correct=correct),
                })  # fmt: skip


def pair_of(row: Row, dimension: Dimension, rng: np.random.Generator) -> Pair | None:
    """The pair of one dimension; None when the row does not say enough for a certain one."""
    make = {"polarity": _polarity, "emotion": _emotion, "scene": _scene, "subjectivity": _subjectivity}[dimension]
    return make(row, rng)


def _polarity(row: Row, rng: np.random.Generator) -> Pair | None:
    found = {side for label in row.labels if (side := sentiment(label))}
    if row.sentiment is not None and row.sentiment != 0:
        found = {"positive" if row.sentiment > 0 else "negative"}
    if len(found) != 1 or "neutral" in found:
        return None
    right = found.pop()
    wrong = "negative" if right == "positive" else "positive"
    return Pair("polarity", _one(POLARITY, rng), (right,), (wrong,))


def _emotion(row: Row, rng: np.random.Generator) -> Pair | None:
    if not row.labels:
        return None
    right = row.labels[rng.integers(len(row.labels))]
    told = [*row.labels, *(label for votes in row.votes.values() for label in votes)]
    others = [label for label in LABELS if not any(same_core(label, one) for one in told)]
    return Pair("emotion", _one(EMOTION, rng), (right,), (_one(others, rng),)) if others else None


def _scene(row: Row, rng: np.random.Generator) -> Pair | None:
    """A known cue against its opposite; a quotation against a sentence that is not said."""
    known = {_key(cue) for cue in row.cues}
    for index in rng.permutation(len(row.cues)):
        cue = row.cues[index]
        claim = cue.claim or read_claim(cue.channel, cue.observation)
        if claim is None:
            continue
        if cue.channel == "words":
            wrong = _unsaid(row, rng)
            if wrong is not None:
                return Pair("scene", SEEN["words"], (f'"{quoted(cue.observation)}"',), (f'"{wrong}"',))
            continue
        other = opposite(cue.channel, claim)
        if other is not None and (cue.channel, other.attribute, other.direction) not in known:
            texts = phrase(cue.channel, claim), phrase(cue.channel, other)
            return Pair("scene", SEEN[cue.channel], texts[:1], texts[1:])
    return None


def _subjectivity(row: Row, rng: np.random.Generator) -> Pair | None:
    """Which of two readings most people chose; needs votes that differ."""
    ranked = sorted(row.votes.get("all", {}).items(), key=lambda item: (-item[1], item[0]))
    pairs = [(a, b) for i, (a, n) in enumerate(ranked) for b, m in ranked[i + 1 :] if n > m]
    if not pairs:
        return None
    more, fewer = pairs[rng.integers(len(pairs))]
    return Pair("subjectivity", _one(READING, rng), (more, fewer), (fewer, more))


def _unsaid(row: Row, rng: np.random.Generator) -> str | None:
    free = [text for text in ELSEWHERE if not occurrences(text, row.transcript, row.words)]
    return _one(free, rng) if free else None


def _key(cue: Cue) -> tuple[str, str, str] | None:
    claim = cue.claim or read_claim(cue.channel, cue.observation)
    return None if claim is None else (cue.channel, claim.attribute, claim.direction)


def _one(options: Sequence[str], rng: np.random.Generator) -> str:
    return options[rng.integers(len(options))]
