"""What every encoder offers: a config that declares sizes, and ``forward(values, mask, times_s) -> EncoderStates``.

Shapes: B clips, T input items (mel frames, samples, pictures, token ids), N states, C channels.
Invariants: ``num_states`` is a pure function of the config; every row that enters has at least one valid item (an
absent stream never enters); padding and batch neighbours do not change the states of a row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

from torch import Tensor, nn

InputKind = Literal["log_mel", "samples", "images", "token_ids"]


class EncoderStates(NamedTuple):
    """What an encoder returns."""

    states: Tensor
    """float [B, N, C]; zeros where `mask` is False."""

    mask: Tensor
    """bool [B, N]; True for states that rest on valid input, at least one per row."""

    times_s: Tensor | None
    """float [B, N] centre of each state in seconds from the begin of the clip; None for input without times."""


@dataclass(kw_only=True, slots=True)
class EncoderConfig:
    """Base of every encoder config."""

    input_kind: ClassVar[InputKind]

    @property
    def d_out(self) -> int:
        """Channels C of the states."""
        raise NotImplementedError

    def num_states(self, length: int) -> int:
        """States N produced from `length` valid input items."""
        return length


@dataclass(kw_only=True, slots=True)
class ImageEncoderConfig(EncoderConfig):
    """Base of encoders that read pictures: one state per picture. The processor reads these three values."""

    input_kind: ClassVar[InputKind] = "images"

    image_size: int = 64
    """Height and width, in pixels, to which the processor scales each picture."""

    colour: bool = True
    """RGB; otherwise luminance alone."""

    @property
    def in_channels(self) -> int:
        """Channels of the picture tensor."""
        return 3 if self.colour else 1


class Encoder(nn.Module):
    """Base of every encoder module; `config` declares the sizes."""

    depths: list[Tensor] | None = None
    """Where this is a list, a pass fills it with the mean of each clip at every depth, [B, C of that depth]; on request
    only, for objectives that compare depths."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.config = config

    @property
    def depth_widths(self) -> list[int]:
        """Channels of each depth, the deepest last."""
        return [self.d_out]

    def keep_depths(self, means: Sequence[Tensor]) -> None:
        """Hand out the means of a pass where they were asked for."""
        if self.depths is not None:
            self.depths[:] = means

    def picture_maps(self, pictures: Tensor) -> Tensor:
        """Pictures [n, S, S, channels] -> features [n, h, w, C] place by place. Raises ValueError without such maps."""
        raise ValueError(f"{type(self).__name__} has no map of a picture; use conv_face, conv_scene or hf_vision")

    def auxiliary(self) -> Tensor | None:
        """A weighted term of the last training pass that belongs to the mechanism itself, given once; None without."""
        return None

    @property
    def d_out(self) -> int:
        """Channels C of the states."""
        return self.config.d_out

    def forward(self, values: Tensor, mask: Tensor, times_s: Tensor | None) -> EncoderStates:
        """values [B, T, ...], bool mask [B, T], times_s [B, T] seconds or None -> states."""
        raise NotImplementedError


def clip_means(rows: Tensor, mask: Tensor) -> Tensor:
    """Features [n, C] of all valid pictures in order, and bool mask [B, T] -> mean of each clip [B, C]."""
    spread = rows.new_zeros(*mask.shape, rows.shape[-1])
    spread[mask] = rows
    return spread.sum(1) / mask.sum(1, keepdim=True)
