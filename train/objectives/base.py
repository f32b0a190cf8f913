"""What every objective offers: a config, weights of its own for the time of the stage, a batch, a loss.

    stages:
      align:
        objective: contrastive
        options: {against: text}
        trains: [voice]

An objective's own weights (projections, decoders) train beside those that the stage names, stand in its checkpoints,
and are gone when the stage is done: the model that comes out has the parts it had.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Generator, Tensor, nn

from cuewise.data_recipes.schema import Row
from cuewise.mllm.modeling import CuewiseForConditionalGeneration
from cuewise.mllm.processing import CuewiseProcessor
from cuewise.mllm.registry import Registry
from cuewise.mllm.tensors import ClipTensors
from cuewise.train.augment import augment
from cuewise.train.data import Mixture
from cuewise.train.examples import Example

OBJECTIVES = Registry("objective")
TRIES = 10
"""How often more clips are drawn in place of copies."""

Loss = tuple[Tensor, dict[str, Tensor | float]]


@dataclass(slots=True)
class ObjectiveBatch:
    """The samples of one step."""

    ids: list[str]
    streams: dict[str, Tensor]
    more: dict[str, Any] = field(default_factory=dict)
    """What the objective itself needs."""

    stats: dict[str, float] = field(default_factory=dict)

    @property
    def weight(self) -> float:
        """How much this batch counts beside others of its step."""
        return float(len(self.ids))


class Objective(nn.Module):
    """Base of every objective, built as ``Objective(config, model, processor)``."""

    uses: tuple[str, ...] = ()
    """Options of a stage, of `STAGE_OPTIONS`, that this objective follows; a recipe with another one is refused."""

    learns_labels = False
    """Whether the model's class heads learn from the rows' labels."""

    draws_with_model = False
    """Whether `batch` runs the model, so that no other process can draw batches ahead."""

    packed, head_weight, experts = False, 0.0, False
    """The stage's options of these names; `experts` says whether there are any. For objectives that use them."""

    def __init__(self, config: Any, model: CuewiseForConditionalGeneration, processor: CuewiseProcessor):
        super().__init__()
        self.config = config
        # A list keeps the processor out of what the library walks through when a model is moved or saved.
        self._processor = [processor]

    @property
    def processor(self) -> CuewiseProcessor:
        return self._processor[0]

    def batch(self, mixture: Mixture, count: int, generator: Generator) -> Any:
        """`count` samples; everything random from the generator."""
        examples, streams = drawn(mixture, count, generator)
        return ObjectiveBatch([example.row.id for example in examples], streams)

    def parts(self, examples: Sequence[Example], size: int) -> list[list[Example]]:
        """Clips of validation in batches of `size`; a last one is not left alone, since some need others to compare."""
        cut = [list(examples[start : start + size]) for start in range(0, len(examples), size)]
        if size > 1 and len(cut) > 1 and len(cut[-1]) == 1:
            cut[-2:] = [cut[-2] + cut[-1]]
        return cut

    def loss(self, model: CuewiseForConditionalGeneration, batch: Any) -> Loss:
        """Loss and what a practitioner looks at first."""
        raise NotImplementedError


@contextmanager
def attached(model: nn.Module, objective: Objective | None) -> Iterator[None]:
    """The objective's weights are part of the model inside the block."""
    if objective is None:
        yield
        return
    model.objective = objective
    try:
        yield
    finally:
        del model.objective


def drawn(
    mixture: Mixture, count: int, generator: Generator, *, distinct: bool = False
) -> tuple[list[Example], dict[str, Tensor]]:
    """Examples of the mixture and their streams, varied and padded to one batch.

    `distinct` draws no clip twice, as far as there are enough: a copy would be the wrong answer to itself.
    """
    examples = mixture.draw(count, generator)
    for _ in range(TRIES if distinct else 0):
        unique = [*{(example.source, example.row.id): example for example in examples}.values()]
        if len(unique) == count:
            break
        examples = [*unique, *mixture.draw(count - len(unique), generator)]
    if distinct and len(unique) > 1:
        examples = unique
    return examples, varied(mixture, examples, generator)


def varied(mixture: Mixture, examples: Sequence[Example], generator: Generator) -> dict[str, Tensor]:
    """The streams that the stage is about of each example, varied, as one padded batch."""
    names = mixture.config.streams
    clips = []
    for example in examples:
        kept = {name: stream for name, stream in example.tensors.streams.items() if not names or name in names}
        clips.append(augment(ClipTensors(kept or example.tensors.streams), mixture.config.augment, generator))
    return mixture.processor.collate(clips)


def chosen_streams(
    wanted: Sequence[str], model: CuewiseForConditionalGeneration, option: str, only: Sequence[str] = ()
) -> list[str]:
    """The streams that an option names, all of the model where it names none. Raises ValueError naming the option."""
    there = [name for name in model.media.towers if not only or name in only]
    unknown = [name for name in wanted if name not in there]
    if unknown:
        raise ValueError(f"{option} names `{unknown[0]}`; here it can be {', '.join(there) or 'nothing'}")
    return list(wanted) or there


def described(row: Row) -> str:
    """What a row says about its clip in words: its reasoning, else its cues, else its labels; never nothing."""
    text = row.reasoning or "; ".join(cue.observation for cue in row.cues) or ", ".join(row.labels) or row.transcript
    if not text:
        raise ValueError(f"row {row.id!r} has no reasoning, cue, label or transcript that could describe its clip")
    return text


def padded_ids(processor: CuewiseProcessor, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Texts as ids [B, L] and bool mask [B, L], padded on the right."""
    rows = [processor.text_ids(text) for text in texts]
    ids = torch.full((len(rows), max(map(len, rows))), processor.plan.tokens.pad)
    mask = torch.zeros(ids.shape, dtype=torch.bool)
    for i, row in enumerate(rows):
        ids[i, : len(row)], mask[i, : len(row)] = torch.tensor(row), True
    return ids, mask


def text_vectors(
    model: CuewiseForConditionalGeneration, ids: Tensor, mask: Tensor, *, learns: bool = False
) -> Tensor:
    """Texts [B, L] -> [B, d]: mean of the language model's last states. Unless it `learns`, the text side stays."""
    adapter = model.adapter
    told = adapter.of(ids) if adapter is not None and adapter.kind == "mose" else nullcontext()
    with told, torch.set_grad_enabled(learns and torch.is_grad_enabled()):
        states = model.language_model.base_model(input_ids=ids, attention_mask=mask.long()).last_hidden_state
    weight = mask.unsqueeze(-1).to(states.dtype)
    return (states * weight).sum(1) / weight.sum(1).clamp(min=1)
