"""`distil`: a picture stream learns which texts fit which pictures from a model of pictures and texts (CLIP); UniEmoX.

The teacher says how near every picture of the batch is to every text. The student's projected stream, compared with the
teacher's texts, must give the same similarities. With `pair`, scene and person of one clip are also held together, for
the encoder `scene_person`. Hiding parts of the picture, UniEmoX's third term, is the objective `masked`.

Shapes: B clips, T frames, S side, d width of the teacher's common space.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional
from transformers import AutoModel, AutoTokenizer

from cuewise.mllm.encoders.hf import CLIP_MEAN, CLIP_STD
from cuewise.mllm.modeling import CuewiseForConditionalGeneration
from cuewise.mllm.processing import CuewiseProcessor
from cuewise.train.contrastive import info_nce, retrieval_at_1, similarity_distillation
from cuewise.train.data import Mixture
from cuewise.train.objectives.base import (
    OBJECTIVES,
    Loss,
    Objective,
    ObjectiveBatch,
    chosen_streams,
    described,
    drawn,
)


@dataclass(kw_only=True, slots=True)
class DistilConfig:
    teacher: str
    """Folder or hub name of a model with picture and text features (CLIP)."""

    stream: Literal["scene", "face"] = "scene"
    text: str = "{}"
    """What the teacher reads; `{}` stands for the row's description."""

    temperature: float = 0.07
    """Divides the similarities before they are compared."""

    pair: float = 0.0
    """Weight of the InfoNCE between scene and person, for `scene_person`."""

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError(f"options.temperature must be > 0, got {self.temperature}")
        if "{}" not in self.text:
            raise ValueError(f"options.text must hold {{}} for the description, got {self.text!r}")


class Teacher:
    """A frozen model of pictures and texts."""

    def __init__(self, name: str):
        try:
            self.model = AutoModel.from_pretrained(name).eval().requires_grad_(False)
            self.tokenizer = AutoTokenizer.from_pretrained(name)
        except (OSError, ValueError) as error:
            raise ValueError(f"options.teacher {name!r} cannot be loaded: {str(error).splitlines()[0]}") from error
        if not hasattr(self.model, "get_image_features") or not hasattr(self.model, "get_text_features"):
            raise ValueError(f"options.teacher {name!r} has no picture and text features; use a CLIP model")
        self.side = self.model.config.vision_config.image_size
        told = Path(name) / "preprocessor_config.json"
        told = json.loads(told.read_text(encoding="utf-8")) if told.is_file() else {}
        self.mean, self.std = (torch.tensor(told.get(key, value)).view(3, 1, 1)
                               for key, value in (("image_mean", CLIP_MEAN), ("image_std", CLIP_STD)))  # fmt: skip

    @torch.no_grad()
    def texts(self, texts: list[str], device: torch.device) -> Tensor:
        """[B, d], unit length."""
        inputs = self.tokenizer(texts, padding=True, truncation=True, return_tensors="pt").to(device)
        return _unit(self.model.to(device).get_text_features(**inputs))

    @torch.no_grad()
    def pictures(self, values: Tensor, mask: Tensor) -> Tensor:
        """uint8 [B, T, S, S, 3 or 1] with bool [B, T] -> [B, d], unit length: the mean over a clip's pictures."""
        rows = values[mask].permute(0, 3, 1, 2).float() / 255
        rows = rows.expand(-1, 3, -1, -1) if rows.shape[1] == 1 else rows
        rows = functional.interpolate(rows, (self.side, self.side), mode="bilinear", antialias=True)
        rows = (rows - self.mean.to(rows)) / self.std.to(rows)
        features = _unit(self.model.to(values.device).get_image_features(pixel_values=rows))
        spread = features.new_zeros(*mask.shape, features.shape[-1])
        spread[mask] = features
        return functional.normalize(spread.sum(1), dim=-1)


@OBJECTIVES.register("distil", DistilConfig)
class Distil(Objective):
    """A projection into the teacher's space; the teacher is no part of any checkpoint."""

    config: DistilConfig

    def __init__(self, config: DistilConfig, model: CuewiseForConditionalGeneration, processor: CuewiseProcessor):
        super().__init__(config, model, processor)
        chosen_streams([config.stream], model, "options.stream", ("scene", "face"))
        encoder = model.media.towers[config.stream].encoder
        if config.pair and not hasattr(encoder, "two"):
            raise ValueError(f"options.pair compares scene and person, but {config.stream} has no person; use the "
                             "encoder scene_person")  # fmt: skip
        self._teacher = [Teacher(config.teacher)]
        width = self.teacher.model.config.projection_dim
        self.project = nn.Sequential(nn.LayerNorm(encoder.d_out), nn.Linear(encoder.d_out, width))

    @property
    def teacher(self) -> Teacher:
        return self._teacher[0]

    def batch(self, mixture: Mixture, count: int, generator: Generator) -> ObjectiveBatch:
        examples, streams = drawn(mixture, count, generator, distinct=True)
        texts = [self.config.text.replace("{}", described(example.row)) for example in examples]
        return ObjectiveBatch([example.row.id for example in examples], streams, {"texts": texts})

    def loss(self, model: CuewiseForConditionalGeneration, batch: ObjectiveBatch) -> Loss:
        name = self.config.stream
        values, mask = batch.streams.get(f"{name}_values"), batch.streams.get(f"{name}_mask")
        if values is None or int(mask.any(1).sum()) < 2:
            raise ValueError(f"fewer than two clips of this batch have a {name}; samples {', '.join(batch.ids)}")
        rows = mask.any(1)
        times = batch.streams.get(f"{name}_times_s")
        given = values[rows], mask[rows], None if times is None else times[rows]
        encoder = model.media.towers[name].encoder
        states, valid, _ = encoder(*given)
        clips = functional.normalize(self.project(states.sum(1) / valid.sum(1, keepdim=True)).float(), dim=-1)
        texts = self.teacher.texts([text for text, there in zip(batch.more["texts"], rows) if there], values.device)
        colours = 3 if encoder.config.colour else 1
        told = self.teacher.pictures(given[0][..., :colours], given[1])
        loss = similarity_distillation(clips @ texts.mT, told @ texts.mT, self.config.temperature)
        stats: dict[str, Any] = {"distil/loss": loss.detach(), "distil/agreement": retrieval_at_1(clips.detach(), told)}
        if self.config.pair:
            worth = self._pair(encoder, *given)
            loss, stats = loss + self.config.pair * worth, stats | {"pair/loss": worth.detach()}
        return loss, stats

    def _pair(self, encoder: nn.Module, values: Tensor, mask: Tensor, times: Tensor | None) -> Tensor:
        """InfoNCE between mean scene and mean person, over the clips that show somebody; 0 with fewer than two."""
        scene, person, there = encoder.two(values, mask, times)
        both = there.any(1)
        if int(both.sum()) < 2:
            return scene.sum() * 0.0
        sides = [(side * there.unsqueeze(-1)).sum(1)[both] / there.sum(1, keepdim=True)[both]
                 for side in (scene, person)]  # fmt: skip
        return info_nce(*sides)


def _unit(features: Any) -> Tensor:
    """Features of the library, which versions give as a tensor or inside an output, at unit length."""
    return functional.normalize(getattr(features, "pooler_output", features), dim=-1)
