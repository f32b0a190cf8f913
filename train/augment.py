"""Random variations of encoder inputs that keep the emotion: all drawn from the generator that is handed in.

Voice: [T, bands] log-mel in decibel / 10. Pictures: uint8 [T, S, S, C]. Nothing here changes which streams are present;
leaving streams out is the collator's `stream_dropout`.
"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from cuewise.mllm.tensors import ClipTensors, StreamTensors


@dataclass(kw_only=True, slots=True)
class AugmentConfig:
    voice: bool = True
    """Cut, mask, tilt, shift and veil the log-mel frames."""

    pictures: bool = True
    """Vary light and contrast, mirror, shift and cover the pictures; drop frames."""

    max_frames: int = 260
    """Log-mel frames (10 ms) kept of a clip: a random window, so that long clips do not dominate the cost."""

    masks: int = 2
    """Bands and time stretches hidden in the log-mel (SpecAugment, arXiv:1904.08779)."""


def augment(tensors: ClipTensors, config: AugmentConfig, generator: Generator) -> ClipTensors:
    """A varied copy of one clip."""
    streams = dict(tensors.streams)
    if config.voice and "voice" in streams and streams["voice"].values.ndim == 2:
        streams["voice"] = _voice(streams["voice"], config, generator)
    for name in ("face", "scene"):
        if config.pictures and name in streams:
            streams[name] = _pictures(streams[name], generator)
    return ClipTensors(streams)


def _voice(stream: StreamTensors, config: AugmentConfig, generator: Generator) -> StreamTensors:
    values, times = stream.values.clone(), stream.times_s
    length, bands = values.shape
    if length > config.max_frames:
        start = _index(length - config.max_frames + 1, generator)
        values, times = values[start : start + config.max_frames], times[start : start + config.max_frames]
        length = config.max_frames
    if _chance(0.4, generator):
        values = values.roll(_index(5, generator) - 2, dims=1)
    values = values + torch.linspace(-1, 1, bands) * 0.15 * _normal(generator)
    if _chance(0.3, generator):
        floor = values.amax() - 2.0 - 3.0 * _uniform(generator)
        veil = floor + 0.2 * torch.randn(values.shape, generator=generator)
        values = torch.logaddexp(values * 2.3026, veil * 2.3026) / 2.3026
    mean = values.mean()
    for _ in range(config.masks):
        width, begin = _index(8, generator), _index(bands - 8, generator)
        values[:, begin : begin + width] = mean
        width, begin = _index(min(25, length), generator), _index(length, generator)
        values[begin : begin + width] = mean
    return StreamTensors(values.contiguous(), None if times is None else times.clone())


def _pictures(stream: StreamTensors, generator: Generator) -> StreamTensors:
    values = stream.values.float()
    side = values.shape[2]
    if _chance(0.5, generator):
        values = values.flip(2)
    values = (values - 128) * (1 + 0.2 * _normal(generator)) + 128 + 20 * _normal(generator)
    if _chance(0.5, generator):
        rows, columns = _index(7, generator) - 3, _index(7, generator) - 3
        values = values.roll((rows * side // 64, columns * side // 64), dims=(1, 2))
    if _chance(0.15, generator):
        size = side // 4
        top, left = _index(side - size, generator), _index(side - size, generator)
        values[:, top : top + size, left : left + size] = 255 * _uniform(generator)
    values = values + 4 * torch.randn(values.shape, generator=generator)
    keep = stream.mask.clone()
    if len(keep) > 4 and _chance(0.3, generator):
        keep &= torch.rand(len(keep), generator=generator) > 0.2
        keep = keep if keep.any() else stream.mask
    times = stream.times_s
    return StreamTensors(values.clamp(0, 255).to(torch.uint8)[keep], None if times is None else times[keep])


def _uniform(generator: Generator) -> float:
    return float(torch.rand((), generator=generator))


def _normal(generator: Generator) -> float:
    return float(torch.randn((), generator=generator))


def _chance(share: float, generator: Generator) -> bool:
    return _uniform(generator) < share


def _index(count: int, generator: Generator) -> int:
    return int(torch.randint(max(count, 1), (), generator=generator))


def random_tensor_index(weights: Tensor, generator: Generator) -> int:
    """One index drawn by weight."""
    return int(torch.multinomial(weights, 1, generator=generator))
