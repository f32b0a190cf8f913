"""Preference pairs: a chosen answer, rejected ones by kind, and the clip whose streams stand in the rejected input.

Pairs come from examples by planned corruption (`data_recipes.preferences`), or from rows that carry `chosen` and
`rejected` already.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Generator, Tensor

from cuewise.data_recipes.preferences import TASK, Source, preferences
from cuewise.data_recipes.schema import Row
from cuewise.data_recipes.synthetic.config import SynthConfig
from cuewise.data_recipes.synthetic.plan import plan_clip
from cuewise.data_recipes.targets import shown_part
from cuewise.mllm.processing import CuewiseProcessor
from cuewise.mllm.prompts import build
from cuewise.mllm.report import parse
from cuewise.mllm.tensors import ClipTensors, StreamTensors
from cuewise.train.examples import Example
from cuewise.train.media_gate import check_streams, expected_rows
from cuewise.train.packing import Prompted

RowText = tuple[str | None, list[Any]]
PRAISE = "Every cue is in the clip and speaks for the answer."
FAULTS = {
    "spurious": "'{cue}' does not speak for the answer.",
    "hallucinated": "'{cue}' is not in the clip.",
    "flipped": "'{cue}' is the opposite of what the clip shows.",
    "swapped": "'{cue}' belongs to another clip.",
}
"""Kind of corruption -> what a judgment says of it; of any other kind it says that the answer is wrong."""


@dataclass(slots=True)
class Pair:
    """One clip with a better answer and worse ones."""

    id: str
    example: Example
    chosen: str
    rejected: dict[str, str]
    """Kind of corruption -> answer."""

    replaced: dict[str, Example] = field(default_factory=dict)
    """Stream that the wrong answers are about -> example whose stream stands there in the rejected input."""

    lost: list[str] = field(default_factory=list)
    """Rows that rejected inputs name but no source has."""

    margin: float = 0.0
    """How much better the chosen answer is rated than the rejected ones, for the dynamic beta."""


def make_pairs(
    examples: Sequence[Example], kinds: Sequence[str], *, seed: int = 0, per_row: int = 2
) -> list[Pair]:
    """Pairs of all examples for which a corruption is certain to be wrong; answers speak of the streams there are."""
    examples = named_apart(examples)
    # A file of preference rows has no row under its own id: `c0` is there only as `c0:flipped:voice` and the like.
    known = {clip_id(example.row): example for example in examples if example.row.task == TASK}
    known |= {example.row.id: example for example in examples}
    given = [example for example in examples if example.row.chosen and example.row.rejected]
    plain = [example for example in examples if not (example.row.chosen and example.row.rejected)]
    sources = {example.row.id: example.source for example in given}
    made = preferences([_source(shown_part(example.row, example.tensors.streams)) for example in plain],
                       kinds=tuple(kinds), seed=seed, per_row=per_row)  # fmt: skip
    pairs: dict[str, Pair] = {}
    for row in [*(example.row for example in given), *made]:
        parent = row.id if row.id in known else stem_of(row)
        pair = pairs.setdefault(parent, Pair(parent, known[parent], row.chosen, {}))
        if pair.chosen == row.chosen:
            pair.rejected[row.rejected_kind or "rejected"] = row.rejected
            for channel, other in row.rejected_inputs.items():
                found = known.get(f"{sources.get(row.id, '')}/{other}") or known.get(other)
                if found is None:
                    pair.lost.append(other)
                else:
                    pair.replaced[channel] = found
    return list(pairs.values())


def named_apart(examples: Sequence[Example]) -> list[Example]:
    """The same examples; clips that share an id, of two sources or at two speeds, get ids of their own.

    The source goes before the id, the number of the turn behind it: `b/clip7`, `clip7#2`.
    """
    sources, turns = defaultdict(set), Counter()
    for example in examples:
        sources[clip_id(example.row)].add(example.source)
    named = []
    for example in examples:
        clip, turn = clip_id(example.row), (example.source, example.row.id)
        turns[turn] += 1
        name = f"{example.source}/{clip}" if len(sources[clip]) > 1 else clip
        name = f"{name}#{turns[turn]}" if turns[turn] > 1 else name
        if name != clip:
            row = example.row.model_copy(update={"id": name + example.row.id.removeprefix(clip)})
            example = replace(example, row=row)
        named.append(example)
    return named


def clip_id(row: Row) -> str:
    """Id of the clip that a row is about."""
    return stem_of(row) if row.task == TASK else row.id


def stem_of(row: Row) -> str:
    """Id of the row that a preference row was made of."""
    return row.id.rsplit(":", 2)[0]


def _source(row: Row) -> Source:
    """A row with what its clip shows that means nothing; for made clips the plan knows it."""
    number = row.id.rsplit("_", 1)[-1]
    if row.corpus != "synthetic" or not number.isdigit():
        return Source(row)
    plan = plan_clip(int(number), SynthConfig())
    return Source(row, irrelevant=(plan.spurious.cue(),) if plan.spurious else ())


def fault(pair: Pair, kind: str) -> str:
    """What a judgment says of a rejected answer, by the first cue that the chosen one does not have."""
    known = {cue.observation for cue in parse(pair.chosen).cues}
    wrong = [cue.observation for cue in parse(pair.rejected[kind]).cues if cue.observation not in known]
    return FAULTS.get(kind, "'{cue}' is wrong.").format(cue=wrong[0]) if wrong else "The answer is wrong."


@dataclass(slots=True)
class Shown:
    """A prompt with the streams that stand in it."""

    clip: ClipTensors
    prompt: Prompted


class Prompter:
    """Writes the prompts of a pair; each kind of prompt has the answers that are scored behind it."""

    def __init__(self, processor: CuewiseProcessor, requires: Sequence[str] = ()):
        check_streams("requires", requires, processor.plan)
        self.processor, self.requires = processor, tuple(requires)
        tokens = processor.plan.tokens
        self._media = {tokens.media_end, *tokens.placeholders.values(), *tokens.begins.values()}

    def own(self, pair: Pair, kinds: Sequence[str]) -> Shown:
        """The pair's own clip, with the chosen and all rejected answers."""
        row = pair.example.row
        return self._shown(pair, pair.example.tensors, (row.transcript, list(row.words)),
                           [pair.chosen, *(pair.rejected[kind] for kind in kinds)])  # fmt: skip

    def elsewhere(self, pair: Pair, noise: Generator | None = None) -> Shown | None:
        """The chosen answer for the clip with only the asked-about streams replaced; None where there is no other.

        Args:
            noise: replace by random values instead of another clip.
        """
        own, row = pair.example.tensors, pair.example.row
        said: RowText = (row.transcript, list(row.words))
        streams = dict(own.streams)
        for name, other in pair.replaced.items():
            if name not in streams:
                continue
            if name == "words":
                said = (other.row.transcript, list(other.row.words))
            stream = other.tensors.streams.get(name)
            if noise is not None and name != "words":
                stream = _noise(own.streams[name], noise)
            if stream is not None:
                streams[name] = stream
        if all(streams[name] is own.streams[name] for name in streams):
            return None
        return self._shown(pair, ClipTensors(streams), said, [pair.chosen])

    def blind(self, own: Shown) -> Shown:
        """The same prompt and answers without any media."""
        prompt = [token for token in own.prompt.prompt if token not in self._media]
        return Shown(ClipTensors(), replace(own.prompt, prompt=prompt, media=None, expected={}))

    def judged(self, pair: Pair, kind: str) -> Shown:
        """One rejected answer behind the prompt that a judgment of it closes."""
        row = pair.example.row
        return self._shown(pair, pair.example.tensors, (row.transcript, list(row.words)), [pair.rejected[kind]],
                           addition=f"Judgment: {fault(pair, kind)}")  # fmt: skip

    def _shown(
        self, pair: Pair, clip: ClipTensors, said: RowText, answers: Sequence[str], addition: str | None = None
    ) -> Shown:
        row, has_words = pair.example.row, "words" in clip.streams
        clip = self.processor.with_context(clip, row.context)
        form = "explained" if "<think>" in pair.chosen else "direct"
        parts = build(
            clip.streams, form, transcript=said[0] if has_words else None, words=said[1] if has_words else (),
            context=row.context, duration_s=pair.example.duration_s or None,
            question=row.instruction if row.task not in (None, TASK) else None, addition=addition,
        )  # fmt: skip
        ids = self.processor.prompt_ids(parts, self.processor.plan.num_tokens(clip.lengths))
        expected = expected_rows(self.processor.plan, clip, self.requires, pair.id)
        return Shown(clip, Prompted(pair.id, ids, [self.processor.answer_ids(text) for text in answers],
                                    expected=expected))  # fmt: skip


def _noise(stream: StreamTensors, generator: Generator) -> StreamTensors:
    """Random values of the same shape and range."""
    values = stream.values
    if values.is_floating_point():
        made = torch.randn(values.shape, generator=generator) * values.std() + values.mean()
    else:
        made = torch.randint(0, int(values.max()) + 1, values.shape, generator=generator).to(values.dtype)
    return StreamTensors(made, stream.times_s, stream.mask)


def shares(pairs: Sequence[Pair], kinds: Sequence[str], weights: Mapping[str, float]) -> Tensor:
    """[K, P] weight of each rejected kind in each pair, summing to 1 over the kinds that the pair has."""
    table = torch.tensor([[weights.get(kind, 1.0) * (kind in pair.rejected) for pair in pairs] for kind in kinds])
    return table / table.sum(0).clamp(min=1e-8)
