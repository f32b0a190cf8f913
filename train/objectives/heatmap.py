"""`heatmap`: the face encoder learns its classes while what stands out in its maps follows the label's action units.

After guided interpretable expression recognition through action-unit cues: the units of a clip (those its row rates,
else the usual ones of its label) give a heat map, and one minus the correlation with the encoder's own map is added to
the heads' loss. Face crops are not landmarked here; the heat map stands on the places of a mean face within a crop.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from cuewise.data_recipes.schema import Row
from cuewise.mllm.modeling import CuewiseForConditionalGeneration
from cuewise.mllm.processing import CuewiseProcessor
from cuewise.mllm.taxonomy import nearest_common
from cuewise.train.data import Mixture, head_targets
from cuewise.train.heatmaps import CODEBOOK, LANDMARKS, correlation_loss, heat_map, map_iou, mean_face
from cuewise.train.objectives.base import OBJECTIVES, Loss, Objective, ObjectiveBatch, drawn
from cuewise.train.stage_losses import readings_loss


@dataclass(kw_only=True, slots=True)
class HeatmapConfig:
    weight: float = 1.0
    """Weight of one minus the correlation, beside the heads' loss."""

    rated: float = 1.0
    """Intensity (0-5) from which a rated action unit counts."""

    sigma: float = 0.08
    """Width of a bump, as a share of the crop."""

    margin: float = 0.25
    """Ground around the face in a crop, as `media.face_margin`."""

    region: float = 0.5
    """Height of the heat map above which a place belongs to the region that `iou` is measured with."""


@OBJECTIVES.register("heatmap", HeatmapConfig)
class Heatmap(Objective):
    """No weights of its own."""

    config: HeatmapConfig
    learns_labels = True

    def __init__(self, config: HeatmapConfig, model: CuewiseForConditionalGeneration, processor: CuewiseProcessor):
        super().__init__(config, model, processor)
        if "face" not in model.media.towers:
            raise ValueError("objective heatmap guides the face encoder, but this model has no face stream")
        encoder = model.media.towers["face"].encoder
        if not any(weight.requires_grad for weight in encoder.parameters()):
            raise ValueError("objective heatmap guides the face encoder, which is frozen here; name face.encoder under "
                             "`trains`")  # fmt: skip
        self.units = [unit for head in (model.media.towers["face"].units,) if head is not None for unit in head.units]
        self.maps: dict[tuple[str, ...], Tensor] = {}

    def batch(self, mixture: Mixture, count: int, generator: Generator) -> ObjectiveBatch:
        examples, streams = drawn(mixture, count, generator)
        units = [self.units_of(example.row) for example in examples]
        more: dict[str, Any] = {"units": units, "targets": head_targets(examples, self.units)}
        return ObjectiveBatch([example.row.id for example in examples], streams, more)

    def units_of(self, row: Row) -> tuple[str, ...]:
        """The action units that the face of a row should show: rated ones, else those of its label; often none."""
        rated = [unit for unit, value in row.aus.items() if value >= self.config.rated and unit in LANDMARKS]
        label = nearest_common(row.labels[0]) if row.labels and not row.aus else None
        return tuple(sorted(rated)) or CODEBOOK.get(label or "", ())

    def loss(self, model: CuewiseForConditionalGeneration, batch: ObjectiveBatch) -> Loss:
        loss, stats = readings_loss(model.encode_batch(batch.streams), batch.more["targets"])
        values, mask = batch.streams.get("face_values"), batch.streams.get("face_mask")
        told = torch.tensor([bool(units) for units in batch.more["units"]])
        if values is None or not (mask.any(1).cpu() & told).any():
            return loss, stats | {"heatmap/clips": 0.0}
        clips = (mask.any(1).cpu() & told).nonzero().squeeze(1).tolist()
        chosen = mask & torch.isin(torch.arange(len(mask)), torch.tensor(clips)).to(mask.device)[:, None]
        own = standing_out(model.media.towers["face"].encoder.picture_maps(values[chosen]))
        wanted = torch.stack([self._map(batch.more["units"][i], own.shape[1:]) for i in clips]).to(own)
        wanted = wanted.repeat_interleave(chosen.sum(1)[clips], 0)
        worth = correlation_loss(own, wanted)
        regions = wanted > self.config.region * wanted.amax((1, 2), keepdim=True)
        overlap = sum(map_iou(a, region) for a, region in zip(own.detach(), regions)) / len(own)
        stats |= {"heatmap/correlation": 1 - worth.detach(), "heatmap/iou": overlap, "heatmap/clips": len(clips)}
        return loss + self.config.weight * worth, stats

    def _map(self, units: tuple[str, ...], size: torch.Size) -> Tensor:
        key = (*units, *map(str, size))
        if key not in self.maps:
            self.maps[key] = heat_map(mean_face(self.config.margin), units, tuple(size), self.config.sigma)
        return self.maps[key]


def standing_out(maps: Tensor) -> Tensor:
    """Features [n, h, w, C] -> [n, h, w]: how far each place is from the mean of its picture."""
    centred = maps.float() - maps.float().mean((1, 2), keepdim=True)
    return (centred.square().sum(-1) + 1e-8).sqrt()

