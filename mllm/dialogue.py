"""Emotions of a whole dialogue: who speaks decides who attends to whom, and labels form a chain with skips; EmotionIC.

    utterances [T, D] -> attention to own and to other turns -> recurrent unit -> label scores [T, C] -> skip-chain CRF

The chain links each turn with the one before it and with the last turn of the same speaker. Its sums are exact: what
has to be remembered is the last label of every speaker who will speak again.

Shapes: T turns, D channels, C labels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

MAX_STATES = 200_000
"""Most combinations of last labels that are held at once."""


@dataclass(kw_only=True, slots=True)
class DialogueConfig:
    hidden: int = 64
    """Channels of attention and recurrent unit."""

    heads: int = 4
    past_only: bool = False
    """A turn sees no later ones, as while a dialogue goes on."""

    def __post_init__(self) -> None:
        if self.hidden < 1 or self.hidden % self.heads:
            raise ValueError(f"heads.dialogue.hidden must be a multiple of its heads, got {self.hidden}, {self.heads}")


def longest_stretch(speakers: Sequence[str], labels: int) -> int:
    """How many turns from the first on the chain's sums can hold (`MAX_STATES`), with this many labels.

    >>> longest_stretch("abababab", 8), longest_stretch("abcdefgabcdefg", 8)
    (8, 10)
    """
    return next((most for most in range(len(speakers), 1, -1) if _fits(speakers[:most], labels)), len(speakers[:1]))


def _fits(speakers: Sequence[str], labels: int) -> bool:
    """Whether no turn needs more last labels at once than `SkipChainCRF._fold` holds."""
    held, final = [speakers[0]], {speaker: turn for turn, speaker in enumerate(speakers)}
    for turn, now in enumerate(speakers[1:], 1):
        if labels ** (len(held) + 1) > MAX_STATES:
            return False
        held = [name for name in held if name != now and final[name] > turn] + [now]
    return True


def speaker_mask(speakers: Sequence[str], own: bool, past_only: bool = False) -> Tensor:
    """bool [T, T], True where turn i may see turn j: those of its own speaker, or those of all others.

    >>> speaker_mask("aba", own=False).int().tolist()
    [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    """
    same = torch.tensor([[a == b for b in speakers] for a in speakers])
    mask = same if own else ~same
    return mask.tril() if past_only else mask


class SpeakerAttention(nn.Module):
    """Attention to the turns of the own speaker beside attention to those of the others."""

    def __init__(self, channels: int, heads: int):
        super().__init__()
        self.own, self.others = (nn.MultiheadAttention(channels, heads, batch_first=True) for _ in range(2))
        self.norm, self.mix = nn.LayerNorm(channels), nn.Linear(2 * channels, channels)

    def forward(self, turns: Tensor, speakers: Sequence[str], past_only: bool = False) -> Tensor:
        """[T, D] -> [T, D]; a turn without anybody to see gets nothing from that side."""
        x = self.norm(turns)[None]
        seen = [self._read(part, x, speaker_mask(speakers, own, past_only).to(turns.device))
                for part, own in ((self.own, True), (self.others, False))]  # fmt: skip
        return turns + self.mix(torch.cat(seen, -1))

    @staticmethod
    def _read(attention: nn.MultiheadAttention, x: Tensor, mask: Tensor) -> Tensor:
        alone = ~mask.any(1)
        out = attention(x, x, x, attn_mask=~(mask | alone[:, None]), need_weights=False)[0][0]
        return out.masked_fill(alone[:, None], 0.0)


class DialogueUnit(nn.Module):
    """A recurrent unit whose memory is that of the last turn and that of the speaker's own last turn."""

    def __init__(self, channels: int):
        super().__init__()
        self.cell, self.join = nn.GRUCell(channels, channels), nn.Linear(2 * channels, channels)

    def forward(self, turns: Tensor, speakers: Sequence[str]) -> Tensor:
        """[T, D] -> [T, D]."""
        last: dict[str, Tensor] = {}
        before = turns.new_zeros(turns.shape[1])
        states = []
        for turn, speaker in zip(turns, speakers):
            memory = self.join(torch.cat([before, last.get(speaker, torch.zeros_like(before))])).tanh()
            before = last[speaker] = self.cell(turn[None], memory[None])[0]
            states.append(before)
        return torch.stack(states)


class SkipChainCRF(nn.Module):
    """Scores of label sequences with links between neighbouring turns and between turns of one speaker."""

    def __init__(self, labels: int):
        super().__init__()
        self.near, self.skip = (nn.Parameter(torch.zeros(labels, labels)) for _ in range(2))

    def score(self, emission: Tensor, speakers: Sequence[str], labels: Sequence[int]) -> Tensor:
        """Score of one label sequence, from emission scores [T, C]."""
        total, last = emission[0, labels[0]], {speakers[0]: 0}
        for turn in range(1, len(labels)):
            total = total + emission[turn, labels[turn]] + self.near[labels[turn - 1], labels[turn]]
            own = last.get(speakers[turn])
            if own is not None and own != turn - 1:
                total = total + self.skip[labels[own], labels[turn]]
            last[speakers[turn]] = turn
        return total

    def log_partition(self, emission: Tensor, speakers: Sequence[str]) -> Tensor:
        """Log of the sum over all label sequences of exp(score)."""
        return self._fold(emission, speakers, torch.logsumexp)

    def best(self, emission: Tensor, speakers: Sequence[str]) -> list[int]:
        """The label sequence with the highest score: where the highest score has its gradient."""
        with torch.enable_grad():
            scores = emission.detach().float().requires_grad_()
            top = self._fold(scores, speakers, lambda x, dim: x.max(dim).values)
            return torch.autograd.grad(top, scores)[0].argmax(1).tolist()

    def loss(self, emission: Tensor, speakers: Sequence[str], labels: Sequence[int | None]) -> Tensor:
        """Negative log-likelihood; turns without a label are summed over."""
        fixed = emission
        for turn, label in enumerate(labels):
            if label is not None:
                keep = torch.zeros(emission.shape, dtype=torch.bool, device=emission.device)
                keep[turn] = torch.arange(emission.shape[1], device=emission.device) != label
                fixed = fixed.masked_fill(keep, -1e9)
        return self.log_partition(emission, speakers) - self.log_partition(fixed, speakers)

    def _fold(self, emission: Tensor, speakers: Sequence[str], reduce: Callable[..., Tensor]) -> Tensor:
        """Reduce over all label sequences; one dimension for the last label of each speaker that is needed later."""
        state, held = emission[0], [speakers[0]]
        final = {speaker: turn for turn, speaker in enumerate(speakers)}
        for turn in range(1, len(speakers)):
            now, before = speakers[turn], speakers[turn - 1]
            if state.numel() * emission.shape[1] > MAX_STATES:
                raise ValueError(f"{len(held)} people with {emission.shape[1]} labels give more than {MAX_STATES} "
                                 "combinations of last labels; cut the dialogue into parts")  # fmt: skip
            link = self.near + emission[turn]
            grown = state.unsqueeze(-1) + _along(link, held.index(before), state.ndim)
            if now in held:
                if now != before:
                    grown = grown + _along(self.skip, held.index(now), state.ndim)
                grown = reduce(grown, held.index(now))
                held = [name for name in held if name != now]
            state, held = grown, [*held, now]
            for name in [name for name in held if final[name] <= turn and name != now]:
                state = reduce(state, held.index(name))
                held = [other for other in held if other != name]
        while state.ndim:
            state = reduce(state, state.ndim - 1)
        return state


class DialogueHead(nn.Module):
    """Labels of the turns of a dialogue from one vector each."""

    def __init__(self, channels: int, labels: int, config: DialogueConfig):
        super().__init__()
        self.config = config
        self.enter = nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, config.hidden))
        self.attention, self.unit = SpeakerAttention(config.hidden, config.heads), DialogueUnit(config.hidden)
        self.emit, self.chain = nn.Linear(2 * config.hidden, labels), SkipChainCRF(labels)

    def emission(self, turns: Tensor, speakers: Sequence[str]) -> Tensor:
        """Turns [T, D] -> label scores [T, C]. Raises ValueError unless every turn has its speaker."""
        if len(turns) != len(speakers) or not len(turns):
            raise ValueError(f"a dialogue needs a speaker for every turn, got {len(turns)} and {len(speakers)}")
        attended = self.attention(self.enter(turns), speakers, self.config.past_only)
        return self.emit(torch.cat([attended, self.unit(attended, speakers)], -1)).float()

    def loss(self, turns: Tensor, speakers: Sequence[str], labels: Sequence[int | None]) -> Tensor:
        """Negative log-likelihood of the labels."""
        return self.chain.loss(self.emission(turns, speakers), speakers, labels)

    @torch.no_grad()
    def forward(self, turns: Tensor, speakers: Sequence[str]) -> list[int]:
        """The most likely labels."""
        return self.chain.best(self.emission(turns, speakers), speakers)


def read_dialogue(model: Any, batch: Mapping[str, Tensor], speakers: Sequence[str]) -> list[str]:
    """Labels of the turns of one dialogue, whose clips are a batch of the processor's `collate`, in order.

    Raises ValueError for a model without `heads.dialogue`.
    """
    if model.media.dialogue is None:
        raise ValueError("this model has no dialogue head; build it with heads.dialogue and train it with the "
                         "objective `dialogue`")  # fmt: skip
    turns = model.media.turns(model.encode_batch(batch))
    return [model.config.labels[index] for index in model.media.dialogue(turns, speakers)]


def _along(link: Tensor, dim: int, ndim: int) -> Tensor:
    """A link [C, C] from dimension `dim` of a state with `ndim` dimensions to a new last one."""
    shape = [1] * ndim + [link.shape[1]]
    shape[dim] = link.shape[0]
    return link.view(shape)
