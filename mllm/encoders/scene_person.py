"""`scene_person`: whole frames and the person in them as two streams of tokens, mixed per frame; after UniEmoX.

One picture encoder reads both. A frame in which the person is not there is its scene alone: the person's share is then
exactly 0 and nothing of it is read. Pictures come as [T, S, S, 2 c + 1]: scene, person, and whether there is one.

Shapes: B clips, T frames, S side, c colours, C channels.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from cuewise.mllm.encoders.base import Encoder, EncoderStates, ImageEncoderConfig
from cuewise.mllm.registry import ENCODERS


@dataclass(kw_only=True, slots=True)
class ScenePersonConfig(ImageEncoderConfig):
    """The encoder that reads both pictures."""

    inner: dict[str, Any] = field(default_factory=lambda: {"family": "conv_scene"})
    """``{family: NAME, **options}`` of an encoder of pictures with one state each; its size and colours hold here."""

    image_size: int = 0
    """Taken from the inner encoder."""

    def __post_init__(self) -> None:
        inner = self.inner_config
        if inner.input_kind != "images" or inner.num_states(2) != 2:
            raise ValueError(f"scene_person.inner must read pictures and give one state each, got {self.inner}")
        self.image_size, self.colour = inner.image_size, inner.colour

    @property
    def inner_config(self) -> ImageEncoderConfig:
        """Config of the inner encoder."""
        return ENCODERS.config(self.inner, "inner")

    @property
    def with_person(self) -> bool:
        """The processor cuts out the person."""
        return True

    @property
    def in_channels(self) -> int:
        return 2 * (3 if self.colour else 1) + 1

    @property
    def d_out(self) -> int:
        return self.inner_config.d_out


@ENCODERS.register("scene_person", ScenePersonConfig)
class ScenePerson(Encoder):
    """One state per frame: a convex mixture of scene and person."""

    config: ScenePersonConfig

    def __init__(self, config: ScenePersonConfig):
        super().__init__(config)
        self.inner = ENCODERS.build(config.inner)
        self.kind = nn.Parameter(torch.zeros(2, config.d_out))
        self.score = nn.Linear(config.d_out, 1)
        nn.init.zeros_(self.score.weight)
        self.norm = nn.LayerNorm(config.d_out)

    def forward(self, values: Tensor, mask: Tensor, times_s: Tensor | None) -> EncoderStates:
        """pictures [B, T, S, S, 2 c + 1] -> states [B, T, C]."""
        scene, person, there = self.two(values, mask, times_s)
        both = torch.stack([scene, person], 2) + self.kind
        seen = torch.stack([mask, there], 2)
        score = self.score(both).squeeze(-1).float().masked_fill(~seen, torch.finfo(torch.float32).min)
        weight = (score.softmax(-1) * seen).to(both.dtype)
        states = self.norm(torch.einsum("btk,btkc->btc", weight, both))
        return EncoderStates(states * mask.unsqueeze(-1), mask, times_s)

    def two(self, values: Tensor, mask: Tensor, times_s: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """States of the scene and of the person [B, T, C], zeros where there is none, and bool [B, T] where one is."""
        wanted = (self.config.image_size, self.config.image_size, self.config.in_channels)
        if tuple(values.shape[2:]) != wanted:
            raise ValueError(f"pictures of shape {tuple(values.shape[2:])} arrived but scene_person was built for "
                             f"{wanted}; use the processor saved with this model")  # fmt: skip
        colours = self.config.in_channels // 2
        scene, person, flag = values.split((colours, colours, 1), -1)
        there = (flag.float().mean((2, 3, 4)) > 127) & mask
        states = self.inner(scene, mask, times_s).states
        people = torch.zeros_like(states)
        rows = there.any(1)
        if rows.any():
            at = None if times_s is None else times_s[rows]
            people[rows] = self.inner(person[rows], there[rows], at).states.to(people.dtype)
        return states, people * there.unsqueeze(-1), there

    def auxiliary(self) -> Tensor | None:
        return self.inner.auxiliary()

    def load_weights(self, name_or_path: str) -> None:
        """Weights of a checkpoint for the inner encoder."""
        self.inner.load_weights(name_or_path)
