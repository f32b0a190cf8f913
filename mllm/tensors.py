"""What the encoders eat: tensors of one clip, and of a batch of clips.

Shapes: B clips, T items of a stream. A batch is a flat dict of ``{stream}_values [B, T, ...]``,
``{stream}_mask [B, T]`` and, for streams with times, ``{stream}_times_s [B, T]``. A stream that no clip has is not in
it; a clip without the stream has a mask of False throughout, and its values never enter an encoder. Streams that a
frozen encoder has read already (`cuewise.mllm.cache`) come as ``{stream}_states [B, N, C]`` instead of values, with
mask and times of the states.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from cuewise.mllm.streams import STREAMS

FIELDS = ("values", "states", "mask", "times_s")
BATCH_KEYS = tuple(f"{stream}_{name}" for stream in STREAMS for name in FIELDS)


@dataclass(slots=True)
class StreamTensors:
    """One stream of one clip."""

    values: Tensor
    """[T, ...] mel frames, samples, uint8 pictures or token ids; T >= 1."""

    times_s: Tensor | None = None
    """float32 [T] seconds from the begin of the clip; None for a stream without times."""

    mask: Tensor | None = None
    """bool [T], True for valid items; None when all are."""

    items: int | None = None
    """Where `values` are encoder states [N, C]: the valid items that they were made of. None for what encoders eat."""

    def __post_init__(self) -> None:
        if self.mask is None:
            self.mask = torch.ones(len(self.values), dtype=torch.bool)
        if not self.mask.any():
            raise ValueError("a present stream needs at least one valid item; leave an absent stream out")

    @property
    def length(self) -> int:
        """Valid items, of the input of the encoder."""
        return int(self.mask.sum()) if self.items is None else self.items


@dataclass(slots=True)
class ClipTensors:
    """All present streams of one clip."""

    streams: dict[str, StreamTensors] = field(default_factory=dict)

    @property
    def lengths(self) -> dict[str, int]:
        """{present stream: valid items}."""
        return {name: tensors.length for name, tensors in self.streams.items()}

    def outline(self) -> "ClipTensors":
        """The same without the values, which only encoders read; they keep their length and hold nothing."""
        return ClipTensors({
            name: replace(given, values=given.values.new_empty(len(given.values), 0))
            for name, given in self.streams.items()
        })  # fmt: skip


def collate(clips: Sequence[ClipTensors], device: str | torch.device | None = None) -> dict[str, Tensor]:
    """Pad clips to one batch. Padding is masked; its value is 0 and is never read."""
    if not clips:
        raise ValueError("collate needs at least one clip")
    batch: dict[str, Tensor] = {}
    for name in STREAMS:
        given = {index: clip.streams[name] for index, clip in enumerate(clips) if name in clip.streams}
        if not given:
            continue
        longest = max(len(item.values) for item in given.values())
        sample = next(iter(given.values()))
        encoded = sample.items is not None
        if any((item.items is not None) != encoded for item in given.values()):
            raise ValueError(f"some clips of the batch bring encoder states for {name} and others raw values; "
                             "encode all of them or none")  # fmt: skip
        values = sample.values.new_zeros(len(clips), longest, *sample.values.shape[1:])
        mask = torch.zeros(len(clips), longest, dtype=torch.bool)
        times = None if sample.times_s is None else torch.zeros(len(clips), longest)
        for index, item in given.items():
            values[index, : len(item.values)] = item.values
            mask[index, : len(item.values)] = item.mask
            if times is not None:
                times[index, : len(item.values)] = item.times_s
        batch |= {f"{name}_{'states' if encoded else 'values'}": values, f"{name}_mask": mask}
        if times is not None:
            batch[f"{name}_times_s"] = times
    return {key: value.to(device) if device is not None else value for key, value in batch.items()}


def lengths_of(batch: Mapping[str, Tensor], index: int) -> dict[str, int]:
    """{present stream: valid items} of clip `index` of a batch."""
    counts = {name: int(batch[f"{name}_mask"][index].sum()) for name in STREAMS if f"{name}_mask" in batch}
    return {name: count for name, count in counts.items() if count}
