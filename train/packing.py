"""Packed rows: many samples, or a prompt and its answers, in one row without padding and without leaks.

``[prompt | answer 1 | ... | answer G]`` holds the prompt once; each answer sees the prompt and itself. Logits are
computed only where something is to be predicted.

Shapes: L tokens of a row, N predicted tokens, V vocabulary, B answers, T tokens of the longest answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from cuewise.mllm.media_tokens import MediaTokens
from cuewise.mllm.shared_prefix import PackedGroup, PackedLayout
from cuewise.train.losses import IGNORE


@dataclass(slots=True)
class Prompted:
    """A prompt with its media and the answers to it, as token ids."""

    id: str
    prompt: list[int]
    """Ids with placeholders, up to where the answer begins."""

    answers: list[list[int]] = field(default_factory=list)
    """Each up to and including its end token."""

    media: MediaTokens | None = None
    expected: dict[str, int] = field(default_factory=dict)
    """slot -> rows that the clip's media becomes; see `cuewise.train.media_gate`."""


@dataclass(slots=True)
class PackedRow:
    """One row of the language model."""

    ids: list[str]
    """One per group."""

    input_ids: Tensor
    """int [1, L]."""

    layout: PackedLayout
    places: Tensor
    """int [N]: where each predicted token is predicted."""

    targets: Tensor
    """int [N]: the predicted tokens."""

    weights: Tensor
    """float [N]: how much each counts."""

    lengths: list[int]
    """Predicted tokens of each answer, in row order."""

    @property
    def inputs(self) -> dict[str, Any]:
        """Arguments of the model's `forward`; media comes beside them."""
        return {"input_ids": self.input_ids, "packed": self.layout, "logits_to_keep": self.places}

    def to(self, device: torch.device | str) -> "PackedRow":
        """A copy on `device`."""
        moved = (x.to(device) for x in (self.input_ids, self.places, self.targets, self.weights))
        ids, places, targets, weights = moved
        return PackedRow(self.ids, ids, self.layout, places, targets, weights, self.lengths)

    def by_answer(self, values: Tensor) -> Tensor:
        """Values [N] of the predicted tokens -> [B, T], zeros behind the end of an answer."""
        return nn.utils.rnn.pad_sequence(values.split(self.lengths), batch_first=True)

    def mask(self) -> Tensor:
        """bool [B, T], True where an answer has a token."""
        lengths = torch.tensor(self.lengths, device=self.targets.device)
        return torch.arange(int(lengths.max()), device=lengths.device) < lengths.unsqueeze(1)


def pack_answers(prompts: Sequence[Prompted]) -> PackedRow:
    """One row of prompts, each followed by its answers."""
    lost = [prompt.id for prompt in prompts if not prompt.answers or not all(prompt.answers)]
    if lost or not prompts:
        raise ValueError(f"every prompt needs at least one answer of at least one token; without: {', '.join(lost)}")
    groups = tuple(PackedGroup(len(p.prompt), tuple(map(len, p.answers))) for p in prompts)
    layout = PackedLayout(groups)
    ids = [token for p in prompts for part in (p.prompt, *p.answers) for token in part]
    answers = [answer for p in prompts for answer in p.answers]
    targets = torch.tensor([token for answer in answers for token in answer])
    return PackedRow(
        [p.id for p in prompts], torch.tensor([ids]), layout, torch.tensor(layout.predicting()), targets,
        torch.ones(len(targets)), [len(answer) for answer in answers],
    )  # fmt: skip


def pack_written(
    names: Sequence[str], ids: Sequence[Sequence[int]], labels: Sequence[Sequence[int]],
    weights: Sequence[Sequence[float]] | None = None,
) -> PackedRow:  # fmt: skip
    """One row of samples with one answer each: ids and labels of equal length, -100 where nothing is learnt."""
    weights = [[1.0] * len(sample) for sample in ids] if weights is None else weights
    places, targets, chosen, lengths, begin = [], [], [], [], 0
    for name, sample, wanted, weight in zip(names, ids, labels, weights, strict=True):
        if not len(sample) == len(wanted) == len(weight):
            raise ValueError(f"sample {name!r} has {len(sample)} ids, {len(wanted)} labels and {len(weight)} weights")
        known = [i for i in range(1, len(sample)) if wanted[i] != IGNORE]
        places += [begin + i - 1 for i in known]
        targets += [wanted[i] for i in known]
        chosen += [weight[i] for i in known]
        lengths.append(len(known))
        begin += len(sample)
    layout = PackedLayout(tuple(PackedGroup(len(sample)) for sample in ids))
    row = torch.tensor([[token for sample in ids for token in sample]])
    return PackedRow(
        list(names), row, layout, torch.tensor(places, dtype=torch.long), torch.tensor(targets, dtype=torch.long),
        torch.tensor(chosen), lengths,
    )  # fmt: skip


def fill_rows(lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
    """Indices of samples for each row of at most `max_tokens`: longest first, each into the first row with room.

    A sample longer than a row is an error, never cut: its media would lose rows.
    """
    rows: list[list[int]] = []
    room: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if lengths[index] > max_tokens:
            raise ValueError(f"sample {index} has {lengths[index]} tokens, but a packed row holds {max_tokens}; "
                             "raise max_tokens")  # fmt: skip
        fits = next((i for i, free in enumerate(room) if free >= lengths[index]), None)
        if fits is None:
            rows.append([])
            room.append(max_tokens)
            fits = len(rows) - 1
        rows[fits].append(index)
        room[fits] -= lengths[index]
    return [sorted(row) for row in rows]


def row_loss(
    logits: Tensor, row: PackedRow, normalizer: float | Tensor | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """Weighted cross-entropy of a packed row's answers; equals `losses.next_token_loss` of the padded batch.

    Args:
        logits: [1, N, V] from `model(**row.inputs)`.
        normalizer: divisor; by default the sum of the weights of this row.
    """
    losses = cross_entropy(logits[0].float(), row.targets, reduction="none")
    total = row.weights.sum().clamp(min=1e-8) if normalizer is None else normalizer
    stats = {"token_accuracy": (logits[0].argmax(-1) == row.targets).float().mean(), "tokens": len(row.targets)}
    return (losses * row.weights).sum() / total, stats
