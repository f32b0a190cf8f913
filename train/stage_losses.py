"""What a step of supervised tuning is worth: the loss of the heads' readings, and that of the written answer."""

from typing import Any

import torch
from torch import Tensor

from cuewise.mllm.modeling import CuewiseForConditionalGeneration
from cuewise.train.data import Targets, TrainBatch
from cuewise.train.examples import HEADS
from cuewise.train.losses import masked_intensity_loss, next_token_loss, soft_cross_entropy, valence_arousal_loss
from cuewise.train.packing import pack_written, row_loss


def heads_loss(model: CuewiseForConditionalGeneration, batch: TrainBatch) -> tuple[Tensor, dict[str, Tensor | float]]:
    """Cross-entropy of each stream's reading and of all together, and valence/arousal of all together."""
    return readings_loss(model.encode_batch(batch.streams), batch.targets)


def readings_loss(encoded: Any, targets: Targets) -> tuple[Tensor, dict[str, Tensor | float]]:
    """The heads' loss on an encoded batch."""
    total, stats = torch.zeros(()), {}
    for name in HEADS:
        stream = encoded.streams.get(name)
        if stream is None:
            continue
        known = targets.known[name] & stream.present
        if not known.any():
            continue
        logits = stream.reading.logits + targets.prior.get(name, 0.0)
        loss, found = soft_cross_entropy(logits, targets.shares[name], known, smoothing=0.05)
        total = total + loss
        stats |= {f"{name}/loss": loss.detach(), f"{name}/accuracy": found["accuracy"]}
        va_loss, _ = valence_arousal_loss(stream.reading.va, targets.va, targets.va_known & known)
        total = total + 0.2 * va_loss
    known = targets.known["all"] & encoded.any_present
    loss, found = soft_cross_entropy(encoded.logits, targets.shares["all"], known, smoothing=0.05)
    va_loss, va_found = valence_arousal_loss(encoded.va, targets.va, targets.va_known & encoded.any_present)
    stats |= {"all/loss": loss.detach(), "all/accuracy": found["accuracy"], "va/loss": va_loss.detach()}
    stats |= {f"va/{key}": value for key, value in va_found.items() if key == "ccc"}
    total = total + 0.5 * loss + 0.2 * va_loss
    face = encoded.streams.get("face")
    if targets.aus is not None and face is not None and face.aus is not None:
        mean = (face.aus * face.state_mask.unsqueeze(-1)).sum(1) / face.state_mask.sum(1, keepdim=True).clamp(min=1)
        wanted = targets.aus.masked_fill(~face.present.unsqueeze(-1), float("nan"))
        au_loss, found = masked_intensity_loss(mean, wanted)
        if found["count"]:
            total = total + 0.1 * au_loss
            stats["au/loss"] = au_loss.detach()
    return total, stats


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


