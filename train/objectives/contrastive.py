"""`contrastive`: streams of one clip near each other, or the clip near its description; no class is needed.

`against: streams` sums InfoNCE over the pairs of streams (modality-pairwise contrastive learning; fusion happens at
inference only). `against: text` aligns the clip with what its row says about it (VAEmo, arXiv:2505.02331; XEmoGPT's cue
bridges, arXiv:2602.05496): the text side is the language model, which does not learn here. Clips that are described in
the same words are not held against each other.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from cuewise.mllm.modeling import CuewiseForConditionalGeneration
from cuewise.mllm.processing import CuewiseProcessor
from cuewise.train.contrastive import TEMPERATURE, pairwise, retrieval_at_1, to_text
from cuewise.train.data import Mixture
from cuewise.train.objectives.base import (
    OBJECTIVES,
    Loss,
    Objective,
    ObjectiveBatch,
    chosen_streams,
    described,
    drawn,
    padded_ids,
    text_vectors,
)


@dataclass(kw_only=True, slots=True)
class ContrastiveConfig:
    against: Literal["streams", "text", "both"] = "streams"
    """What a clip's streams are compared with: each other, the row's description, or both."""

    streams: list[str] = field(default_factory=list)
    """Streams that take part; all of the model by default."""

    at: Literal["states", "rows"] = "states"
    """Compare the mean of the encoder's states, or of the rows that the language model sees, which trains compressor
    and projector as well."""

    width: int = 128
    """Channels of the common space."""

    temperature: float = TEMPERATURE
    """Where the learned temperature starts."""


@OBJECTIVES.register("contrastive", ContrastiveConfig)
class Contrastive(Objective):
    """One projection per stream, and one for the text."""

    config: ContrastiveConfig

    def __init__(self, config: ContrastiveConfig, model: CuewiseForConditionalGeneration, processor: CuewiseProcessor):
        super().__init__(config, model, processor)
        self.names = chosen_streams(config.streams, model, "options.streams")
        self.texts, self.pairs = config.against in ("text", "both"), config.against in ("streams", "both")
        if len(self.names) < 2 and self.pairs:
            raise ValueError(f"contrast between streams needs two of them, got {', '.join(self.names)}; name more "
                             "under options.streams, or set options.against to text")  # fmt: skip
        towers, d_model = model.media.towers, model.get_input_embeddings().embedding_dim
        widths = {name: towers[name].encoder.d_out if config.at == "states" else d_model for name in self.names}
        self.project = nn.ModuleDict({name: _projection(width, config.width) for name, width in widths.items()})
        self.text = _projection(d_model, config.width) if self.texts else None
        self.scale = nn.Parameter(torch.tensor(config.temperature).log())

    def batch(self, mixture: Mixture, count: int, generator: Generator) -> ObjectiveBatch:
        examples, streams = drawn(mixture, count, generator, distinct=True)
        more: dict[str, Any] = {}
        if self.texts:
            texts = [described(example.row) for example in examples]
            more["ids"], more["mask"] = padded_ids(self.processor, texts)
            more["groups"] = torch.tensor([texts.index(text) for text in texts])
        return ObjectiveBatch([example.row.id for example in examples], streams, more)

    def loss(self, model: CuewiseForConditionalGeneration, batch: ObjectiveBatch) -> Loss:
        rows, present = self.rows(model, batch)
        temperature = self.scale.exp().clamp(min=0.01)
        total, stats = self.scale * 0.0, {"temperature": temperature.detach()}
        if self.pairs:
            loss, found = pairwise(rows, present, temperature)
            if not found:
                raise ValueError("no two clips of this batch share two streams, so there is nothing to contrast; "
                                 f"samples {', '.join(batch.ids)}")  # fmt: skip
            total, stats = total + loss, stats | found
        if self.texts:
            known = torch.stack(list(present.values())).any(0)
            clips = clip_vectors(rows, present)[known]
            texts = self.text(text_vectors(model, batch.more["ids"], batch.more["mask"]))[known]
            groups = batch.more["groups"].to(known.device)[known]
            loss = to_text(clips, texts, temperature, groups)
            total = total + loss
            stats |= {"clip-text/contrast": loss.detach(),
                      "retrieval": retrieval_at_1(clips.detach(), texts.detach(), groups)}  # fmt: skip
        return total, stats

    def rows(
        self, model: CuewiseForConditionalGeneration, batch: ObjectiveBatch
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """{stream: [B, width]} in the common space, and which clips have it."""
        encoded, rows, present = model.encode_batch(batch.streams), {}, {}
        for name in self.names:
            item = encoded.streams.get(name)
            if item is None:
                continue
            mean = item.mean
            if self.config.at == "rows":
                weight = item.mask.unsqueeze(-1).to(item.tokens.dtype)
                mean = (item.tokens * weight).sum(1) / weight.sum(1).clamp(min=1)
            rows[name], present[name] = self.project[name](mean), item.present
        return rows, present


def clip_vectors(rows: dict[str, Tensor], present: dict[str, Tensor]) -> Tensor:
    """[B, width]: the mean direction of the streams that a clip has."""
    there = torch.stack([present[name] for name in rows], 1).unsqueeze(-1)
    directions = torch.stack([functional.normalize(row.float(), dim=1) for row in rows.values()], 1)
    return (directions * there).sum(1) / there.sum(1).clamp(min=1)


def _projection(d_in: int, d_out: int) -> nn.Module:
    return nn.Sequential(nn.LayerNorm(d_in), nn.Linear(d_in, d_out))
