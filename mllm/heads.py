"""Heads: what each stream alone says, and what the present streams say together.

Shapes: B clips, N states, C channels, L labels, M streams. A stream that is absent has weight exactly 0, and the
weights of the present ones sum to 1.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from cuewise.mllm.dialogue import DialogueConfig
from cuewise.mllm.taxonomy import LABELS, circumplex_similarity


@dataclass(kw_only=True, slots=True)
class HeadsConfig:
    """What the heads read out."""

    labels: list[str] = field(default_factory=lambda: list(LABELS))
    """Classes, in the order of the logits. An empty list means no class head."""

    va: bool = True
    """Valence and arousal in [-1, 1]."""

    aus: list[str] = field(default_factory=list)
    """Facial action units whose intensity (0-5) is read from every state of the face stream."""

    spoken: bool = False
    """The language model is told what the heads read: the class distribution of a stream is added to its summary row,
    that of all streams to the fused row."""

    width: int = 96
    """Hidden size of each stream's head."""

    dropout: float = 0.2
    """Share of the pooled channels dropped while training."""

    graph: bool = False
    """Classes share weights along a graph of neighbouring emotions, so that rare ones learn from their neighbours."""

    dialogue: DialogueConfig | None = None
    """Labels for the turns of a whole dialogue, each in the light of the others; none by default."""

    def __post_init__(self) -> None:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError(f"heads.labels names a label twice: {', '.join(self.labels)}")
        if self.dialogue is not None and not self.labels:
            raise ValueError("heads.dialogue chains class labels, but heads.labels is empty")


class Reading(NamedTuple):
    """What one stream, or all of them, says about each clip."""

    logits: Tensor | None
    """[B, L] class logits; None without class head."""

    va: Tensor | None
    """[B, 2] valence, arousal in [-1, 1]; None without head."""

    pooled: Tensor
    """[B, width] the vector that both were read from."""


class StatePool(nn.Module):
    """Attentive mean and deviation over valid states: [B, N, C], mask [B, N] -> [B, 2 C] (arXiv:1803.10963)."""

    def __init__(self, channels: int, hidden: int = 32):
        super().__init__()
        self.score = nn.Sequential(nn.Linear(channels, hidden), nn.Tanh(), nn.Linear(hidden, 1))
        nn.init.zeros_(self.score[2].weight)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        score = self.score(states).squeeze(-1).float().masked_fill(~mask, float("-inf"))
        weight = score.softmax(1).unsqueeze(-1)
        values = states.float()
        mean = (values * weight).sum(1)
        variance = ((values - mean.unsqueeze(1)).square() * weight).sum(1)
        return torch.cat([mean, (variance + 1e-5).sqrt()], -1).to(states.dtype)


class LabelGraph(nn.Module):
    """Class logits whose weights are made by two steps of graph convolution over the labels.

    Labels are linked by their similarity on the circumplex, each with itself by 1; rows of links sum to 1.
    """

    def __init__(self, width: int, labels: list[str]):
        super().__init__()
        links = [[1.0 if a == b else circumplex_similarity(a, b, len(labels)) or 0.0 for b in labels] for a in labels]
        self.links = [[value / sum(row) for value in row] for row in links]
        self.nodes = nn.Embedding(len(labels), width)
        self.inner, self.outer = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        self.bias = nn.Parameter(torch.zeros(len(labels)))

    def weights(self) -> Tensor:
        """[L, width] weights of the classes."""
        links = self.nodes.weight.new_tensor(self.links)
        return links @ self.outer(functional.gelu(links @ self.inner(self.nodes.weight)))

    def forward(self, pooled: Tensor) -> Tensor:
        """[B, width] -> [B, L]."""
        return pooled @ self.weights().T + self.bias


class StreamHead(nn.Module):
    """Class logits and valence/arousal from the states of one stream."""

    def __init__(self, channels: int, config: HeadsConfig):
        super().__init__()
        self.pool = StatePool(channels)
        self.hidden = nn.Sequential(
            nn.LayerNorm(2 * channels), nn.Dropout(config.dropout), nn.Linear(2 * channels, config.width), nn.GELU(),
            nn.Dropout(config.dropout),
        )  # fmt: skip
        classes = LabelGraph if config.graph else lambda width, labels: nn.Linear(width, len(labels))
        self.classes = classes(config.width, config.labels) if config.labels else None
        self.va = nn.Linear(config.width, 2) if config.va else None

    def forward(self, states: Tensor, mask: Tensor) -> Reading:
        """states [B, N, C], mask [B, N] -> reading of B clips."""
        pooled = self.hidden(self.pool(states, mask))
        logits = self.classes(pooled) if self.classes is not None else None
        return Reading(logits, self.va(pooled).tanh() if self.va is not None else None, pooled)


class CommitteeHead(nn.Module):
    """One `StreamHead` for each member of a committee: states [B, N, sum of parts] -> the mean of what they read.

    While training each clip is read by one member, drawn at random, so that every member learns for itself.
    """

    def __init__(self, parts: list[int], config: HeadsConfig):
        super().__init__()
        self.parts = list(parts)
        self.members = nn.ModuleList(StreamHead(channels, config) for channels in parts)

    def forward(self, states: Tensor, mask: Tensor) -> Reading:
        """states [B, N, C], mask [B, N] -> reading of B clips; logits are log-probabilities."""
        found = [head(part, mask) for head, part in zip(self.members, states.split(self.parts, -1))]
        chosen = None
        if self.training:
            chosen = torch.randint(len(found), (len(states),), device=states.device)

        def joined(values: list[Tensor]) -> Tensor:
            every = torch.stack(values)
            return every.mean(0) if chosen is None else every[chosen, torch.arange(len(states), device=states.device)]

        logits = None if found[0].logits is None else joined([one.logits.float().log_softmax(-1) for one in found])
        va = None if found[0].va is None else joined([one.va for one in found])
        return Reading(logits, va, joined([one.pooled for one in found]))


class ActionUnitHead(nn.Module):
    """Intensity of facial action units, 0 to 5, in every state: [B, N, C] -> [B, N, A]."""

    def __init__(self, channels: int, units: list[str]):
        super().__init__()
        self.units = list(units)
        self.net = nn.Linear(channels, len(units))

    def forward(self, states: Tensor) -> Tensor:
        return 5 * (self.net(states) - 2).sigmoid()


class SpokenReading(nn.Module):
    """A class distribution as a vector the language model can read: [B, L] logits -> [B, d_model].

    The reading is detached: writing answers does not teach the heads.
    """

    FLOOR = -6.0
    """Lowest log-probability that is told apart."""

    NOISE = 1.0
    """Spread of what is added to the logits while training: heads are surer of clips they learnt from than of new ones,
    and the language model should learn how far to trust them."""

    def __init__(self, labels: int, d_model: int):
        super().__init__()
        self.net = nn.Linear(2 * labels, d_model)

    def forward(self, logits: Tensor) -> Tensor:
        logits = logits.detach().float()
        if self.training:
            logits = logits + self.NOISE * torch.randn_like(logits)
        logp = logits.log_softmax(-1).clamp(min=self.FLOOR)
        return self.net(torch.cat([logp.exp(), 1 + logp / 3], -1).to(self.net.weight.dtype))


class FusedHead(nn.Module):
    """Product of experts: logits = sum over present streams of weight x log-probability at that stream's temperature.

    The weight of a stream is softplus(its bias + a linear function of its pooled vector), divided by the sum over the
    present streams; valence/arousal is the mean with the same weights.
    """

    def __init__(self, streams: list[str], config: HeadsConfig):
        super().__init__()
        self.streams = list(streams)
        self.temperature = nn.Parameter(torch.full((len(streams),), 0.5413))  # softplus(0.5413) = 1
        self.gate_bias = nn.Parameter(torch.full((len(streams),), 0.5413))
        self.gates = nn.ModuleDict({name: nn.Linear(config.width, 1, bias=False) for name in streams})
        for gate in self.gates.values():
            nn.init.zeros_(gate.weight)

    def weights(self, readings: dict[str, Reading], present: dict[str, Tensor]) -> Tensor:
        """[B, M] weights in the order of `streams`; exactly 0 where absent, otherwise summing to 1."""
        columns = []
        for index, name in enumerate(self.streams):
            if name not in readings:
                columns.append(None)
                continue
            gate = functional.softplus(self.gates[name](readings[name].pooled).squeeze(-1) + self.gate_bias[index])
            columns.append(gate.float() * present[name])
        size = next(column for column in columns if column is not None)
        raw = torch.stack([torch.zeros_like(size) if column is None else column for column in columns], 1)
        return raw / raw.sum(1, keepdim=True).clamp(min=1e-12)

    def forward(self, readings: dict[str, Reading], present: dict[str, Tensor]) -> tuple[Tensor | None, Tensor | None]:
        """Readings and bool [B] presence per stream -> logits [B, L] and va [B, 2]; None without such a head."""
        weight = self.weights(readings, present)
        logits, va = None, None
        for index, name in enumerate(self.streams):
            if name not in readings:
                continue
            share, reading = weight[:, index, None], readings[name]
            if reading.logits is not None:
                temperature = functional.softplus(self.temperature[index]).clamp(min=0.05)
                part = share * (reading.logits.float() / temperature).log_softmax(-1)
                logits = part if logits is None else logits + part
            if reading.va is not None:
                part = share * reading.va.float()
                va = part if va is None else va + part
        return logits, va
