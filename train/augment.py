"""Random variations of encoder inputs that keep the emotion: all drawn from the generator that is handed in.

Voice: [T, bands] log-mel in decibel / 10, and the columns of the melody after it. Pictures: uint8 [T, S, S, C], or face
actions [T, A]. Nothing here changes which streams are present;
leaving streams out is the collator's `stream_dropout`.
"""

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional

from cuewise.data_recipes.action_words import OTHERS, OURS, in_words, tells_actions
from cuewise.data_recipes.schema import Row
from cuewise.mllm.encoders.features import PROSODY
from cuewise.mllm.evidence.face_actions import MIRRORED
from cuewise.mllm.tensors import ClipTensors, StreamTensors

LEVEL = PROSODY.index("level")


@dataclass(kw_only=True, slots=True)
class AugmentConfig:
    voice: bool = True
    """Stretch, mask, tilt and veil the log-mel frames."""

    pictures: bool = True
    """Vary light and contrast, mirror, shift and cover the pictures; drop frames. Face actions are mirrored, veiled."""

    max_frames: int = 0
    """Log-mel frames (10 ms) kept of a clip: a random window. 0 keeps all; what happens outside is not learnt."""

    frames: int = 0
    """Every voice is cut or repeated to exactly this many frames, so that a batch has no padding and trains several
    times faster. For stages that learn what a whole clip says; 0 keeps lengths."""

    gain: float = 0.3
    """Spread of the level, in decibel / 10."""

    mixup: float = 0.0
    """Chance that the voices of a batch of a `heads` stage and their labels are mixed in pairs (arXiv:1710.09412)."""

    masks: int = 2
    """Bands and time stretches hidden in the log-mel (SpecAugment, arXiv:1904.08779)."""

    stretch: float = 0.12
    """Spread of the logarithm of the speed. Frames keep their place in the clip, so that times of cues stay true."""

    warp: float = 0.06
    """Spread of the scale of the mel axis, as of a longer or shorter throat (VTLP, Jaitly and Hinton 2013)."""

    shift: float = 2.0
    """Spread of a shift of the mel axis, in bands."""

    context_share: float = 0.5
    """Chance that a row's context is shown."""

    action_noise: float = 0.25
    """Spread of the factor by which measured face actions in a context vary (its logarithm), and of what is added."""

    rewording: float = 0.3
    """Chance that measured face actions in a context are written as another program might write them."""


def augment(tensors: ClipTensors, config: AugmentConfig, generator: Generator) -> ClipTensors:
    """A varied copy of one clip."""
    streams = dict(tensors.streams)
    if config.voice and "voice" in streams and streams["voice"].values.ndim == 2:
        streams["voice"] = _voice(streams["voice"], config, generator)
    for name in ("face", "scene"):
        if config.pictures and name in streams:
            vary = _actions if streams[name].values.ndim == 2 else _pictures
            streams[name] = vary(streams[name], generator)
    return ClipTensors(streams)


def _voice(stream: StreamTensors, config: AugmentConfig, generator: Generator) -> StreamTensors:
    values, times = stream.values, stream.times_s
    length = len(values)
    if 0 < config.max_frames < length:
        start = _index(length - config.max_frames + 1, generator)
        values, times = values[start : start + config.max_frames], times[start : start + config.max_frames]
    values, times = _resampled(values, times, config, generator)
    length, bands = len(values), values.shape[1] // 8 * 8
    mel, melody = values[:, :bands].clone(), values[:, bands:]
    mel = mel + torch.linspace(-1, 1, bands) * 0.15 * _normal(generator)
    if _chance(0.3, generator):
        floor = mel.amax() - 2.0 - 3.0 * _uniform(generator)
        veil = floor + 0.2 * torch.randn(mel.shape, generator=generator)
        mel = torch.logaddexp(mel * 2.3026, veil * 2.3026) / 2.3026
    gain = config.gain * _normal(generator)
    mel = mel + gain
    mean = mel.mean()
    for _ in range(config.masks):
        width = _index(10, generator)
        begin = _index(bands - width, generator)
        mel[:, begin : begin + width] = mean
        width, begin = _index(min(25, length), generator), _index(length, generator)
        mel[begin : begin + width] = mean
    if melody.shape[1]:
        melody = melody + 0.03 * torch.randn(melody.shape, generator=generator)
        melody[:, LEVEL] += gain / 2
        if _chance(0.1, generator):
            melody = torch.zeros_like(melody)
    values = torch.cat([mel, melody], 1)
    if config.frames:
        values, times = _fitted(values, times, config.frames, generator)
    return StreamTensors(values.contiguous(), times)


def _fitted(values: Tensor, times: Tensor, frames: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """A random window of `frames` frames; a shorter clip begins anywhere and is repeated."""
    length = len(values)
    start = _index(length - frames + 1 if length > frames else length, generator)
    place = (torch.arange(frames) + start) % length
    return values[place], times[place]


def mix_voices(streams: dict[str, Tensor], config: AugmentConfig, generator: Generator) -> tuple[Tensor, Tensor] | None:
    """Mix each voice of a batch with another one in place, where both have sound, with chance `config.mixup`.

    Returns partner [B] and own share [B], 0.5 to 1 and mostly near 1, or None. A clip without a voice stays as it is.
    """
    mask = streams.get("voice_mask")
    if mask is None or not _chance(config.mixup, generator):
        return None
    partner = torch.randperm(len(mask), generator=generator)
    share = 1 - torch.rand(len(mask), generator=generator) ** 3 / 2
    share = torch.where(mask.any(1) & mask[partner].any(1), share, torch.ones(()))
    both = (mask & mask[partner]).unsqueeze(-1)
    values, part = streams["voice_values"], share[:, None, None]
    streams["voice_values"] = torch.where(both, part * values + (1 - part) * values[partner], values)
    return partner, share


def _resampled(
    values: Tensor, times: Tensor, config: AugmentConfig, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Another speed and another throat: one bilinear resampling of the frames, whose times are resampled with them."""
    length, columns = values.shape
    bands = columns // 8 * 8
    count = max(8, round(length * math.exp(max(-0.3, min(0.3, config.stretch * _normal(generator))))))
    scale, shift = 1 + config.warp * _normal(generator), config.shift * _normal(generator)
    at = (torch.arange(count) + 0.5) * (2 / count) - 1
    middle = (torch.arange(bands) - bands / 2) * scale + bands / 2 + shift
    across = (middle + 0.5) * (2 / bands) - 1
    mel = _sample(values[:, :bands], at, across)
    rest = _sample(values[:, bands:], at, (torch.arange(columns - bands) + 0.5) * (2 / max(columns - bands, 1)) - 1)
    place = ((torch.arange(count) + 0.5) * (length / count) - 0.5).round().long().clamp(0, length - 1)
    return torch.cat([mel, rest], 1), times[place]


def _sample(values: Tensor, at: Tensor, across: Tensor) -> Tensor:
    """[T, F] at times [t] and columns [f], both -1 to 1 -> [t, f]."""
    if not values.shape[1]:
        return values.new_zeros(len(at), 0)
    grid = torch.stack([across.expand(len(at), -1), at[:, None].expand(-1, len(across))], -1)
    return functional.grid_sample(values[None, None], grid[None], padding_mode="border", align_corners=False)[0, 0]


def _actions(stream: StreamTensors, generator: Generator) -> StreamTensors:
    """Face actions [T, A]: the mirror image, another resting face, noise, lost frames."""
    values = stream.values
    if _chance(0.5, generator):
        values = values * MIRRORED
    values = values + 0.03 * torch.randn(values.shape[1], generator=generator)
    values = values + 0.02 * torch.randn(values.shape, generator=generator)
    return _some_frames(StreamTensors(values, stream.times_s, stream.mask), generator)


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
    return _some_frames(StreamTensors(values.clamp(0, 255).to(torch.uint8), stream.times_s, stream.mask), generator)


def _some_frames(stream: StreamTensors, generator: Generator) -> StreamTensors:
    """Now and then a fifth of the frames is lost."""
    keep = stream.mask.clone()
    if len(keep) > 4 and _chance(0.3, generator):
        keep &= torch.rand(len(keep), generator=generator) > 0.2
        keep = keep if keep.any() else stream.mask
    times = stream.times_s
    return StreamTensors(stream.values[keep], None if times is None else times[keep])


def varied_context(row: Row, config: AugmentConfig, generator: Generator) -> str | None:
    """The context to show with a row, or none; measured face actions in it vary as other measurements of it would."""
    if row.context is None or not _chance(config.context_share, generator):
        return None
    if not row.aus or not tells_actions(row.context):
        return row.context
    told = told_context(varied_actions(row.aus, config, generator), config, generator)
    return " ".join([told, *row.context.split(". ", 1)[1:]])  # what the row says beside them


def told_context(aus: dict[str, float], config: AugmentConfig, generator: Generator) -> str:
    """Face actions in our words or, with chance `config.rewording`, in those of others."""
    other = _chance(config.rewording, generator)
    return in_words(aus, [*OTHERS.values()][_index(len(OTHERS), generator)] if other else OURS)


def varied_actions(aus: dict[str, float], config: AugmentConfig, generator: Generator) -> dict[str, float]:
    """Intensities of action units (0-5) as another measurement would give them."""
    spread = config.action_noise
    return {
        unit: min(5.0, max(0.0, value * math.exp(spread * _normal(generator)) + 0.3 * spread * _normal(generator)))
        for unit, value in aus.items()
    }


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
