"""What a step of supervised tuning is worth: the loss of the heads' readings, and that of the written answer."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cuewise.mllm.modeling import CuewiseForConditionalGeneration
from cuewise.train.data import Targets, TrainBatch, joined_targets
from cuewise.train.examples import HEADS
from cuewise.train.losses import masked_intensity_loss, next_token_loss, soft_cross_entropy, valence_arousal_loss
from cuewise.train.packing import pack_written, row_loss


def heads_loss(model: CuewiseForConditionalGeneration, batch: TrainBatch) -> tuple[Tensor, dict[str, Tensor | float]]:
    """Cross-entropy of each stream's reading and of all together, and valence/arousal of all together."""
    return readings_loss(model.encode_batch(batch.streams), batch.targets)


@dataclass(slots=True)
class Said:
    """What the heads said about B clips, and what they should have said."""

    streams: dict[str, tuple[Tensor | None, Tensor | None, Tensor]]
    """Stream -> class logits [B, L], valence and arousal [B, 2], bool [B] whether it is there. None for heads that the
    model does not have."""

    whole: tuple[Tensor | None, Tensor | None, Tensor]
    """The same of all streams together."""

    aus: tuple[Tensor, Tensor] | None
    """Action units [B, A], read and wanted; NaN where nothing is wanted."""

    targets: Targets


_COLLECTING: ContextVar[list[Said] | None] = ContextVar("collecting", default=None)


@contextmanager
def collecting() -> Iterator[list[Said]]:
    """Whatever `readings_loss` looks at inside the block, in order: validation joins it."""
    said: list[Said] = []
    token = _COLLECTING.set(said)
    try:
        yield said
    finally:
        _COLLECTING.reset(token)


def readings_loss(encoded: Any, targets: Targets) -> tuple[Tensor, dict[str, Tensor | float]]:
    """The heads' loss on an encoded batch."""
    streams = {name: (stream.reading.logits, stream.reading.va, stream.present)
               for name, stream in encoded.streams.items() if name in HEADS}  # fmt: skip
    face, aus = encoded.streams.get("face"), None
    if targets.aus is not None and face is not None and face.aus is not None:
        mean = (face.aus * face.state_mask.unsqueeze(-1)).sum(1) / face.state_mask.sum(1, keepdim=True).clamp(min=1)
        aus = (mean, targets.aus.masked_fill(~face.present.unsqueeze(-1), float("nan")))
    said = Said(streams, (encoded.logits, encoded.va, encoded.any_present), aus, targets)
    collected = _COLLECTING.get()
    if collected is not None:
        collected.append(said)
    return said_loss(said)


def said_loss(said: Said) -> tuple[Tensor, dict[str, Tensor | float]]:
    """The loss of what the heads said; each mean is over the clips that have such a label."""
    targets = said.targets
    total, stats = torch.zeros(()), {}
    for name in HEADS:
        if name not in said.streams:
            continue
        logits, va, present = said.streams[name]
        known = targets.known[name] & present
        if not known.any():
            continue
        if logits is not None:
            logits = logits + targets.prior.get(name, 0.0)
            loss, found = soft_cross_entropy(logits, targets.shares[name], known, smoothing=0.05)
            total = total + loss
            stats |= {f"{name}/loss": loss.detach(), f"{name}/accuracy": found["accuracy"]}
        if va is not None:
            va_loss, _ = valence_arousal_loss(va, targets.va, targets.va_known & known)
            total = total + 0.2 * va_loss
    logits, va, present = said.whole
    if logits is not None:
        known = targets.known["all"] & present
        loss, found = soft_cross_entropy(logits, targets.shares["all"], known, smoothing=0.05)
        stats |= {"all/loss": loss.detach(), "all/accuracy": found["accuracy"]}
        total = total + 0.5 * loss
    if va is not None:
        va_loss, va_found = valence_arousal_loss(va, targets.va, targets.va_known & present)
        stats |= {"va/loss": va_loss.detach()}
        stats |= {f"va/{key}": value for key, value in va_found.items() if key == "ccc"}
        total = total + 0.2 * va_loss
    if said.aus is not None:
        au_loss, found = masked_intensity_loss(*said.aus)
        if found["count"]:
            total = total + 0.1 * au_loss
            stats["au/loss"] = au_loss.detach()
    return total, stats


def joined(parts: Sequence[Said]) -> Said:
    """What the heads said about the clips of all parts, as if they had been one batch."""
    streams = {}
    for name in dict.fromkeys(name for part in parts for name in part.streams):
        filled = [part.streams.get(name) or tuple(None if value is None else torch.zeros_like(value)
                                                  for value in part.whole) for part in parts]  # fmt: skip
        streams[name] = _in_a_row(filled)
    whole = _in_a_row([part.whole for part in parts])
    aus = [part.aus for part in parts if part.aus is not None]
    return Said(streams, whole, tuple(map(torch.cat, zip(*aus))) if aus else None,
                joined_targets([part.targets for part in parts]))  # fmt: skip


def _in_a_row(parts: Sequence[tuple[Tensor | None, ...]]) -> tuple[Tensor | None, ...]:
    """Each place of all parts in a row; heads that are not there stay so."""
    return tuple(None if values[0] is None else torch.cat(values) for values in zip(*parts))


def with_experts(
    model: CuewiseForConditionalGeneration, loss: Tensor, stats: dict[str, Tensor | float]
) -> tuple[Tensor, dict[str, Tensor | float]]:
    """The loss of a pass with what its modality experts ask for themselves."""
    extra, found = model.adapter.loss()
    return loss + extra, stats | found


def answers_loss(
    model: CuewiseForConditionalGeneration, batch: TrainBatch, head_weight: float, *, packed: bool = False
) -> tuple[Tensor, dict[str, Tensor | float]]:
    """Cross-entropy of the answer; the media rows that reached the model are counted and must not be zero."""
    row = None
    if packed:
        texts = batch.written
        row = pack_written(batch.ids, [text.ids for text in texts], [text.labels for text in texts],
                           [text.weights for text in texts]).to(batch.input_ids.device)  # fmt: skip
        output = model(**row.inputs, **batch.streams)
    else:
        output = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False, **batch.streams)
    rows = sum(int(stream.mask.sum()) for stream in output.encoded.streams.values())
    if rows == 0:
        raise ValueError(f"no media reached the model in this batch; samples {', '.join(batch.ids)}")
    loss, stats = row_loss(output.logits, row) if packed else next_token_loss(
        output.logits, batch.labels, weights=batch.label_weights
    )  # fmt: skip
    stats |= {"answer_loss": loss.detach(), "media_rows": rows / len(batch.ids), **batch.stats}
    if head_weight:
        extra, _ = readings_loss(output.encoded, batch.targets)
        loss = loss + head_weight * extra
    return loss, stats


