"""From raw tensors to rows: one tower per stream, the heads, the pre-fusion. The language model is not involved.

Shapes: B clips, T input items, N states, K rows, C channels, d language-model width, L labels. A tower sees only the
clips in which its stream is present; its results are scattered back to B clips, with a mask.
"""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from cuewise.mllm.compressors import Projector
from cuewise.mllm.dialogue import DialogueHead
from cuewise.mllm.fusion import StreamStates
from cuewise.mllm.heads import ActionUnitHead, CommitteeHead, FusedHead, HeadsConfig, Reading, SpokenReading, StreamHead
from cuewise.mllm.media_tokens import MediaTokens, StreamReading
from cuewise.mllm.registry import COMPRESSORS, ENCODERS, FUSIONS
from cuewise.mllm.streams import FUSED, STREAMS, StreamConfig, StreamPlan


@dataclass(slots=True)
class EncodedStream:
    """One stream of a batch; rows of clips without it are zeros and masked."""

    tokens: Tensor
    """[B, K, d] rows for the language model."""

    mask: Tensor
    """bool [B, K], True for rows that exist."""

    times_s: Tensor
    """float32 [B, K] centre of each row in seconds."""

    present: Tensor
    """bool [B]."""

    reading: Reading | None = None
    """What the stream alone says about each clip; meaningless where `present` is False. None for the fused row."""

    mean: Tensor | None = None
    """[B, C] mean of the valid encoder states."""

    aus: Tensor | None = None
    """[B, N, A] action unit intensities per state."""

    state_mask: Tensor | None = None
    """bool [B, N], True for valid states."""

    states: Tensor | None = None
    """[B, N, C] encoder states, kept where the pre-fusion reads them."""


@dataclass(slots=True)
class EncodedBatch:
    """A batch after the encoders: rows per slot, readings, and what all present streams say together."""

    size: int
    streams: dict[str, EncodedStream] = field(default_factory=dict)
    logits: Tensor | None = None
    """[B, L] fused class logits (log of the normalised product of experts, up to a constant)."""

    va: Tensor | None = None
    """[B, 2] fused valence and arousal."""

    weights: Tensor | None = None
    """[B, M] weight of each stream in the fused head, in model order; 0 where absent, otherwise summing to 1."""

    fusion_weights: Tensor | None = None
    """[B, M] weight of each stream in the fused row."""

    @property
    def any_present(self) -> Tensor:
        """bool [B], True for clips with at least one stream."""
        return torch.stack([item.present for item in self.streams.values()]).any(0)

    def split(self) -> list[MediaTokens]:
        """One `MediaTokens` per clip, with what is present only."""
        return [self._clip(index) for index in range(self.size)]

    def _clip(self, index: int) -> MediaTokens:
        clip = MediaTokens()
        for name, item in self.streams.items():
            if not item.present[index]:
                continue
            keep = item.mask[index]
            clip.tokens[name], clip.times_s[name] = item.tokens[index][keep], item.times_s[index][keep]
            if item.reading is not None:
                logits, va = item.reading.logits, item.reading.va
                clip.readings[name] = StreamReading(
                    None if logits is None else logits[index], None if va is None else va[index]
                )
            if item.aus is not None:
                clip.aus[name] = item.aus[index][item.state_mask[index]]
        if clip.readings:
            clip.logits = None if self.logits is None else self.logits[index]
            clip.va = None if self.va is None else self.va[index]
        return clip


class StreamTower(nn.Module):
    """Encoder, compressor, projector and head of one stream."""

    def __init__(self, config: StreamConfig, heads: HeadsConfig, d_model: int, units: list[str]):
        super().__init__()
        self.encoder = ENCODERS.build(config.encoder)
        self.compressor = COMPRESSORS.build(config.compressor, self.encoder.d_out)
        summary = self.compressor.config.summary
        self.projector = Projector(config.projector, self.compressor.d_out, d_model, summary)
        parts = getattr(self.encoder.config, "parts", None)
        self.head = CommitteeHead(parts, heads) if parts else StreamHead(self.encoder.d_out, heads)
        self.units = ActionUnitHead(self.encoder.d_out, units) if units else None
        self.spoken = SpokenReading(len(heads.labels), d_model) if heads.spoken and heads.labels and summary else None

    def forward(self, values: Tensor, mask: Tensor, times_s: Tensor | None) -> EncodedStream:
        """Raw tensors of B clips, each of which has the stream."""
        trains = any(weight.requires_grad for weight in self.encoder.parameters())
        with nullcontext() if trains else torch.no_grad():
            states, valid, times = self.encoder(values, mask, times_s)
        return self.read(states, valid, times)

    def read(self, states: Tensor, valid: Tensor, times: Tensor | None) -> EncodedStream:
        """From the states [B, N, C] of the encoder, computed now or before, with bool `valid` [B, N]."""
        pooled = self.compressor(states, valid, times)
        mean = (states * valid.unsqueeze(-1)).sum(1) / valid.sum(1, keepdim=True)
        tokens, reading = self.projector(pooled), self.head(states, valid)
        if self.spoken is not None:
            tokens = tokens + self.spoken(reading.logits)[:, None] * pooled.is_summary[:, None]
        return EncodedStream(
            tokens=tokens, mask=pooled.mask, times_s=pooled.times_s, present=valid.any(1), reading=reading, mean=mean,
            aus=self.units(states) if self.units is not None else None, state_mask=valid, states=states,
        )  # fmt: skip


class MediaEncoder(nn.Module):
    """All towers, the fused head and the pre-fusion."""

    def __init__(self, plan: StreamPlan, heads: HeadsConfig, d_model: int):
        super().__init__()
        self.fusion_plan = plan.fusion
        self.towers = nn.ModuleDict({
            name: StreamTower(stream, heads, d_model, heads.aus if name == "face" else [])
            for name, stream in plan.streams.items()
        })  # fmt: skip
        self.fused_head = FusedHead(list(plan.streams), heads)
        widths = {name: tower.encoder.d_out for name, tower in self.towers.items()}
        self.fusion = FUSIONS.build(plan.prefusion, widths, d_model)
        self.fusion.spoken = SpokenReading(len(heads.labels), d_model) if heads.spoken and heads.labels else None
        chained = heads.dialogue is not None
        self.dialogue = DialogueHead(heads.width, len(heads.labels), heads.dialogue) if chained else None

    def forward(self, batch: Mapping[str, Tensor], size: int) -> EncodedBatch:
        """A batch made by `cuewise.mllm.tensors.collate` -> rows and readings of `size` clips."""
        self._check(batch)
        encoded = EncodedBatch(size)
        for name in self.towers:
            if f"{name}_values" in batch or f"{name}_states" in batch:
                item = self._encode(name, batch)
                if item is not None:
                    encoded.streams[name] = item
        if not encoded.streams:
            return encoded
        readings = {name: item.reading for name, item in encoded.streams.items()}
        present = {name: item.present for name, item in encoded.streams.items()}
        encoded.weights = self.fused_head.weights(readings, present)
        encoded.logits, encoded.va = self.fused_head(readings, present)
        fused = self._fuse(encoded, present)
        if fused is not None and self.fusion.spoken is not None:
            fused.tokens = fused.tokens + self.fusion.spoken(encoded.logits)[:, None] * fused.mask.unsqueeze(-1)
        if fused is not None:
            encoded.streams[FUSED] = fused
        return encoded

    def turns(self, encoded: EncodedBatch) -> Tensor:
        """One vector per clip [B, width]: what its streams' heads read from, by their weights in the fused head."""
        names = [name for name in self.towers if name in encoded.streams]
        columns = [list(self.towers).index(name) for name in names]
        pooled = torch.stack([encoded.streams[name].reading.pooled for name in names], 1)
        return (pooled * encoded.weights[:, columns].unsqueeze(-1).to(pooled.dtype)).sum(1)

    def auxiliary(self) -> dict[str, Tensor]:
        """Terms of the last training pass that mechanisms ask for themselves (even use of experts and the like), by the
        scope they stand in; of parts that learn only."""
        found = {}
        for name, tower in self.towers.items():
            for part in ("encoder", "compressor"):
                module = getattr(tower, part)
                term = module.auxiliary()
                if term is not None and term.requires_grad:
                    found[f"{name}.{part}"] = term
        return found

    def _check(self, batch: Mapping[str, Tensor]) -> None:
        for name in STREAMS:
            if (f"{name}_values" in batch or f"{name}_states" in batch) and name not in self.towers:
                raise ValueError(
                    f"{name} tensors arrived but this model has no {name} stream; it has {', '.join(self.towers)}"
                )

    def _encode(self, name: str, batch: Mapping[str, Tensor]) -> EncodedStream | None:
        """Run one tower on the clips that have the stream; None when no clip has it."""
        states = batch.get(f"{name}_states")
        values = batch[f"{name}_values"] if states is None else states
        mask, times = batch[f"{name}_mask"], batch.get(f"{name}_times_s")
        rows = mask.any(1).nonzero().squeeze(1)
        if not len(rows):
            return None
        hidden = ~mask[rows].view(len(rows), -1, *[1] * (values.ndim - 2))
        tower = self.towers[name]
        item = (tower if states is None else tower.read)(
            values[rows].masked_fill(hidden, 0), mask[rows], None if times is None else times[rows]
        )
        size = len(mask)

        def scatter(part: Tensor | None) -> Tensor | None:
            return None if part is None else part.new_zeros(size, *part.shape[1:]).index_copy(0, rows, part)

        return EncodedStream(
            tokens=scatter(item.tokens), mask=scatter(item.mask), times_s=scatter(item.times_s),
            present=scatter(item.present), reading=Reading(*(scatter(part) for part in item.reading)),
            mean=scatter(item.mean), aus=scatter(item.aus), state_mask=scatter(item.state_mask),
            states=scatter(item.states) if self.fusion.needs_states else None,
        )  # fmt: skip

    def _fuse(self, encoded: EncodedBatch, present: dict[str, Tensor]) -> EncodedStream | None:
        members = [name for name in encoded.streams if name in self.fusion_plan.streams]
        if not members or not self.fusion_plan.num_tokens(members):
            return None
        means = {name: encoded.streams[name].mean for name in members}
        states = None
        if self.fusion.needs_states:
            states = {name: StreamStates(encoded.streams[name].states, encoded.streams[name].state_mask)
                      for name in members}  # fmt: skip
        tokens, encoded.fusion_weights = self.fusion(means, present, states)
        there = torch.stack([present[name] for name in members]).any(0)
        mask = there.unsqueeze(1).expand(-1, tokens.shape[1])
        times = torch.zeros(mask.shape, device=mask.device)
        return EncodedStream(tokens * mask.unsqueeze(-1), mask, times, there)
