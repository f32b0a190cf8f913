"""`masked`: hide most of what a stream shows and read it from the rest.

`at: inputs` hides steps of a voice and patches of pictures (the same in every frame, as tubes) before the encoder,
which then says what was there (HiCMAE: 80 % of the voice, 90 % of the face), with an InfoNCE between voice and picture
at every depth of the encoders (`contrast`). `at: states` hides states of a frozen encoder before a bridge, which reads
them from their neighbours, and tells true from shuffled order (`order`): how XEmoGPT's bridges are pre-trained
(arXiv:2602.05496).

Shapes: B clips, T input items, N states, C channels, G patches on a side.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations
from typing import Literal

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from cuewise.mllm.compressors.base import valid_first
from cuewise.mllm.encoders.base import Encoder
from cuewise.mllm.modeling import CuewiseForConditionalGeneration
from cuewise.mllm.processing import CuewiseProcessor
from cuewise.train.contrastive import layerwise
from cuewise.train.data import Mixture
from cuewise.train.masking import masked_mse, random_mask, random_places, shuffled_frames
from cuewise.train.objectives.base import OBJECTIVES, Loss, Objective, ObjectiveBatch, chosen_streams, drawn

RATIOS = {"voice": 0.8, "face": 0.9, "scene": 0.9}
STATE_RATIO = 0.5


@dataclass(kw_only=True, slots=True)
class MaskedConfig:
    at: Literal["inputs", "states"] = "inputs"
    """Hide what the encoder eats, or the states that a bridge eats."""

    streams: list[str] = field(default_factory=list)
    """Streams that are hidden in part; face, scene and voice by default."""

    ratio: dict[str, float] = field(default_factory=dict)
    """Stream -> share that is hidden; by default 0.8 of a voice, 0.9 of pictures, half of the states."""

    grid: int = 8
    """Patches on a side of a picture."""

    contrast: float = 0.0
    """Weight of the InfoNCE between streams at every depth of their encoders, for `inputs`; HiCMAE has 0.0025."""

    width: int = 64
    """Channels of the common space of a depth."""

    order: float = 0.0
    """Weight of telling clips from the same clips in shuffled order, for `states`."""

    def __post_init__(self) -> None:
        wrong = sorted(set(self.ratio) - set(RATIOS))
        if wrong or any(not 0 < share < 1 for share in self.ratio.values()):
            raise ValueError(f"options.ratio gives shares between 0 and 1 for {', '.join(RATIOS)}, got {self.ratio}")
        if self.contrast and self.at != "inputs":
            raise ValueError("options.contrast compares depths of encoders, so it needs options.at: inputs")
        if self.order and self.at != "states":
            raise ValueError("options.order shuffles states, so it needs options.at: states")
        if self.grid < 2:
            raise ValueError(f"options.grid must be >= 2, got {self.grid}")


@OBJECTIVES.register("masked", MaskedConfig)
class Masked(Objective):
    """One linear decoder per stream, one projection per stream and depth."""

    config: MaskedConfig

    def __init__(self, config: MaskedConfig, model: CuewiseForConditionalGeneration, processor: CuewiseProcessor):
        super().__init__(config, model, processor)
        self.names = chosen_streams(config.streams, model, "options.streams", tuple(RATIOS))
        towers = {name: model.media.towers[name] for name in self.names}
        for name, tower in towers.items():
            (_check_inputs if config.at == "inputs" else _check_bridge)(name, tower, config)
        sizes = {name: _target_size(tower.encoder, config) for name, tower in towers.items()}
        self.decode = nn.ModuleDict({name: nn.Linear(tower.encoder.d_out, sizes[name])
                                     for name, tower in towers.items()})  # fmt: skip
        self.ordered = nn.ModuleDict({
            name: nn.Sequential(nn.Linear(tower.encoder.d_out, config.width), nn.GELU(), nn.Linear(config.width, 1))
            for name, tower in towers.items() if config.order
        })  # fmt: skip
        depths = {name: tower.encoder.depth_widths for name, tower in towers.items()} if config.contrast else {}
        self.depth = min(map(len, depths.values()), default=0)
        self.project = nn.ModuleDict({
            name: nn.ModuleList([nn.Linear(width, config.width) for width in widths[-self.depth :]])
            for name, widths in depths.items()
        })  # fmt: skip

    def batch(self, mixture: Mixture, count: int, generator: Generator) -> ObjectiveBatch:
        """Streams as they are, and a seed for what is hidden of them: how many states there are, the encoder says."""
        examples, streams = drawn(mixture, count, generator)
        seed = int(torch.randint(2**31, (), generator=generator))
        return ObjectiveBatch([example.row.id for example in examples], streams, {"seed": seed})

    def loss(self, model: CuewiseForConditionalGeneration, batch: ObjectiveBatch) -> Loss:
        generator = torch.Generator().manual_seed(batch.more["seed"])
        total, stats, depths = self._zero(), {}, {}
        for name in self.names:
            if f"{name}_mask" not in batch.streams:
                continue
            rows = batch.streams[f"{name}_mask"].any(1).nonzero().squeeze(1)
            given = {key: value[rows] for key, value in batch.streams.items() if key.startswith(f"{name}_")}
            tower = model.media.towers[name]
            tower.encoder.depths = [] if self.config.contrast else None
            read = self._inputs if self.config.at == "inputs" else self._states
            loss, found = read(name, tower, given, generator)
            found_depths, tower.encoder.depths = tower.encoder.depths or [], None
            total, stats = total + loss, stats | {f"{name}/{key}": value for key, value in found.items()}
            depths[name] = (rows, found_depths)
        if not stats:
            raise ValueError(f"no clip of this batch has {' or '.join(self.names)}; samples {', '.join(batch.ids)}")
        if self.config.contrast:
            loss = self._contrast(depths, len(batch.ids))
            total, stats = total + loss, stats | {"depths/contrast": loss.detach()}
        return total, stats

    def _zero(self) -> Tensor:
        return sum(weight.sum() * 0.0 for weight in self.parameters())

    def _share(self, name: str) -> float:
        default = RATIOS[name] if self.config.at == "inputs" else STATE_RATIO
        return self.config.ratio.get(name, default)

    # Inputs

    def _inputs(self, name: str, tower: nn.Module, given: dict[str, Tensor], generator: Generator) -> Loss:
        """Hidden steps or patches read from the states of what is left."""
        values, mask, times = (given.get(f"{name}_{part}") for part in ("values", "mask", "times_s"))
        if values is None:
            raise ValueError(f"{name}: states of a frozen encoder arrived where inputs are to be hidden; run without "
                             "states_cache, or set options.at to states")  # fmt: skip
        hide = self._pictures if tower.encoder.config.input_kind == "images" else self._steps
        shown, target, hidden = hide(tower.encoder, values, mask, self._share(name), generator)
        states, valid, _ = tower.encoder(shown, mask, times)
        if self.config.contrast and not tower.encoder.depths:
            tower.encoder.depths = [states.sum(1) / valid.sum(1, keepdim=True)]
        said = self.decode[name](states)
        if target.ndim == 4:  # patches: [B, T, G * G, channels]
            said, there = said.view(target.shape).flatten(1, 2), valid.repeat_interleave(target.shape[2], 1)
            return self._scored(said, target.flatten(1, 2), hidden.flatten(1) & there, there)
        return self._scored(said, target, hidden & valid, valid)

    def _pictures(
        self, encoder: nn.Module, values: Tensor, mask: Tensor, share: float, generator: Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Pictures with grey patches, mean of every patch [B, T, G * G, channels], hidden patches [B, T, G * G]."""
        grid, (size, frames, side) = self.config.grid, values.shape[:3]
        hidden = random_mask((size, grid * grid), share, generator).to(values.device)
        whole = hidden.view(size, 1, grid, 1, grid, 1, 1)
        patches = values.float().view(size, frames, grid, side // grid, grid, side // grid, -1)
        shown = patches.masked_fill(whole, 127.5).view(values.shape)
        means = patches.mean((3, 5)).flatten(2, 3)
        return shown.to(values.dtype), _standard(means, mask[..., None]), hidden[:, None].expand(-1, frames, -1)

    def _steps(
        self, encoder: nn.Module, values: Tensor, mask: Tensor, share: float, generator: Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """A voice whose hidden steps hold the mean of the shown ones, mean input of every state [B, N, bands], hidden
        states [B, N]."""
        length = values.shape[1]
        states = encoder.config.num_states(length)
        owner = (torch.arange(length, device=values.device) * states // length)[None].expand(len(values), -1)
        there = torch.zeros(len(values), states, device=values.device).scatter_add_(1, owner, mask.float())
        hidden = random_places(there > 0, share, generator)
        covered = hidden.gather(1, owner) & mask
        seen = (mask & ~covered).unsqueeze(-1)
        mean = (values * seen).sum(1, keepdim=True) / seen.sum(1, keepdim=True).clamp(min=1)
        bands = values[..., : encoder.config.bands] * mask.unsqueeze(-1)
        sums = bands.new_zeros(len(values), states, bands.shape[-1])
        sums.scatter_add_(1, owner.unsqueeze(-1).expand_as(bands), bands)
        target = _standard(sums / there.clamp(min=1).unsqueeze(-1), there > 0)
        return torch.where(covered.unsqueeze(-1), mean, values), target, hidden

    def _scored(self, said: Tensor, target: Tensor, hidden: Tensor, valid: Tensor) -> Loss:
        """Squared error over the hidden places, and their share of the valid ones."""
        if not hidden.any():  # every clip is a single state long
            return said.sum() * 0.0, {"hidden": 0.0}
        loss = masked_mse(said.float(), target, hidden)
        return loss, {"mse": loss.detach(), "hidden": hidden.sum() / valid.sum()}

    def _contrast(self, depths: dict[str, tuple[Tensor, list[Tensor]]], size: int) -> Tensor:
        """InfoNCE between each two streams over the clips that have both, at every depth."""
        total = self._zero()
        for a, b in combinations(depths, 2):
            both = [row for row in range(size) if all((depths[name][0] == row).any() for name in (a, b))]
            if len(both) < 2:
                continue
            sides = []
            for name in (a, b):
                rows, means = depths[name]
                at = [int((rows == row).nonzero()) for row in both]
                sides.append([project(mean[at]) for project, mean in zip(self.project[name], means[-self.depth :])])
            total = total + layerwise(*sides, weight=self.config.contrast)
        return total

    # States

    def _states(self, name: str, tower: nn.Module, given: dict[str, Tensor], generator: Generator) -> Loss:
        """Hidden states read by the bridge from their neighbours, and true order told from shuffled order."""
        states, valid = given.get(f"{name}_states"), given[f"{name}_mask"]
        if states is None:
            with torch.no_grad():
                states, valid, _ = tower.encoder(given[f"{name}_values"], valid, given.get(f"{name}_times_s"))
        states, valid, _ = valid_first(states.detach(), valid, None)
        hidden = random_places(valid, self._share(name), generator)
        bridge = tower.compressor.states
        loss, stats = self._scored(
            self.decode[name](bridge(states.masked_fill(hidden.unsqueeze(-1), 0), valid)), states, hidden, valid
        )
        if self.config.order:
            worth, right = self._order(self.ordered[name], bridge, states, valid, generator)
            loss, stats = loss + self.config.order * worth, stats | {"order": right}
        return loss, stats

    def _order(
        self, head: nn.Module, bridge: Callable[[Tensor, Tensor], Tensor], states: Tensor, valid: Tensor,
        generator: Generator,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Cross-entropy of true against shuffled order over clips of two states and more, and its accuracy."""
        rows = [(clip[there], there.sum()) for clip, there in zip(states, valid) if there.sum() > 1]
        if not rows:
            return states.sum() * 0.0, states.new_zeros(())
        mixed = [shuffled_frames(clip[None], generator)[0] for clip, _ in rows]
        both = nn.utils.rnn.pad_sequence([*(clip for clip, _ in rows), *mixed], batch_first=True)
        counts = torch.stack([count for _, count in rows]).repeat(2)
        there = torch.arange(both.shape[1], device=both.device) < counts[:, None]
        pooled = bridge(both, there).sum(1) / counts[:, None]
        logits = head(pooled).squeeze(1)
        truth = (torch.arange(len(both), device=both.device) < len(rows)).to(logits.dtype)
        right = ((logits > 0) == truth.bool()).float().mean()
        return functional.binary_cross_entropy_with_logits(logits, truth), right


def _standard(values: Tensor, there: Tensor) -> Tensor:
    """[B, ..., K] as deviations within each clip, by the mean and spread of its valid items."""
    weight = there.unsqueeze(-1).to(values.dtype).expand_as(values)
    axes = tuple(range(1, values.ndim))
    count = weight.sum(axes, keepdim=True).clamp(min=1)
    mean = (values * weight).sum(axes, keepdim=True) / count
    spread = (((values - mean) * weight).square().sum(axes, keepdim=True) / count + 1e-6).sqrt()
    return (values - mean) / spread


def _target_size(encoder: nn.Module, config: MaskedConfig) -> int:
    if config.at == "states":
        return encoder.d_out
    kind = encoder.config
    return config.grid**2 * kind.in_channels if kind.input_kind == "images" else kind.bands


def _check_inputs(name: str, tower: nn.Module, config: MaskedConfig) -> None:
    kind = tower.encoder.config
    if not any(weight.requires_grad for weight in tower.encoder.parameters()):
        raise ValueError(f"{name}: hidden inputs teach the encoder, which is frozen here; name {name}.encoder under "
                         "`trains`, or leave the stream out of options.streams")  # fmt: skip
    if kind.input_kind == "samples":
        raise ValueError(f"{name}: the encoder reads samples, whose mean over a state says nothing; hide its states "
                         "instead with options.at: states")  # fmt: skip
    if kind.input_kind == "images" and type(tower.encoder).picture_maps is Encoder.picture_maps:
        raise ValueError(f"{name}: {type(tower.encoder).__name__} does not look at pictures place by place; use "
                         "conv_face, conv_scene or hf_vision, or leave the stream out")  # fmt: skip
    if kind.input_kind == "images" and (kind.image_size % config.grid or kind.num_states(2) != 2):
        raise ValueError(f"{name}: pictures of {kind.image_size} pixels, each with one state, are hidden in a "
                         f"grid that divides them, got options.grid {config.grid}")  # fmt: skip


def _check_bridge(name: str, tower: nn.Module, config: MaskedConfig) -> None:
    if not hasattr(tower.compressor, "states"):
        raise ValueError(f"{name}: hidden states are read by a bridge, but the compressor is "
                         f"{type(tower.compressor).__name__}; use bridge_transformer")  # fmt: skip
