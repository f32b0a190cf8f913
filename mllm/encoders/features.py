"""Log-mel features of speech: 16 kHz samples -> one row of bands every 10 ms.

The same samples always give the same rows. Nothing here looks at other clips; normalisation is the encoder's. With
`prosody`, six columns about the melody of the voice follow the bands: mel bands are too coarse to hear pitch in.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from cuewise.mllm.evidence.pitch import track_pitch

PROSODY = ("pitch", "relative pitch", "voiced", "periodicity", "level", "relative level")
"""Columns after the bands. Pitch in octaves above `REFERENCE_HZ` and above the clip's median, both 0 without voice;
voiced 0 or 1; periodicity 0 to 1; level of the syllable band in dB / 20, and below the clip's loudest frame in dB / 20,
at least -3."""

REFERENCE_HZ = 165.0


@dataclass(kw_only=True, slots=True)
class MelConfig:
    """Log-mel settings. One frame is centred on every multiple of the hop, the first on 0 s."""

    sample_rate: int = 16_000
    """Samples per second that the features are made from."""

    bands: int = 64
    """Mel bands between 20 Hz and half the sample rate."""

    window_ms: float = 25.0
    """Length of the Hann window."""

    hop_ms: float = 10.0
    """Distance between frames."""

    dynamic_range_db: float = 80.0
    """Power below the loudest point of the clip by more than this is cut, so that digital silence has a value."""

    trim_db: float = 30.0
    """Frames before and after the speech, quieter than the loudest frame by more than this, are left out; 0 keeps all.
    Times stay those of the clip. Silence around an utterance would otherwise decide its normalisation."""

    prosody: bool = False
    """Append the columns of `PROSODY` to the bands; needs 16 kHz and a hop of 10 ms."""

    def __post_init__(self) -> None:
        if self.prosody and (self.sample_rate != 16_000 or self.hop_ms != 10.0):
            raise ValueError(
                f"features.prosody needs sample_rate 16000 and hop_ms 10, got {self.sample_rate} and {self.hop_ms}"
            )
        if self.sample_rate <= 0 or self.bands < 1 or self.hop_ms <= 0 or self.window_ms < self.hop_ms:
            raise ValueError(f"features need sample_rate, bands, hop_ms > 0 and window_ms >= hop_ms, got {self}")

    @property
    def columns(self) -> int:
        """Values of a frame."""
        return self.bands + (len(PROSODY) if self.prosody else 0)

    @property
    def hop(self) -> int:
        """Samples between frames."""
        return round(self.sample_rate * self.hop_ms / 1000)

    def num_frames(self, num_samples: int) -> int:
        """Frames made from `num_samples` samples."""
        return num_samples // self.hop + 1

    def times_s(self, num_frames: int) -> Tensor:
        """float32 [num_frames] centre of each frame in seconds."""
        return torch.arange(num_frames, dtype=torch.float32) * (self.hop / self.sample_rate)


def voice_features(samples: np.ndarray | Tensor, config: MelConfig) -> tuple[Tensor, Tensor]:
    """Samples [n] -> float32 [T, columns] of the frames that hold the sound, and their times in seconds [T]."""
    bands = log_mel(samples, config)
    heard = speech_span(bands, config)
    values = torch.cat([bands, prosody(samples, len(bands))], 1) if config.prosody else bands
    return values[heard], config.times_s(len(bands))[heard]


def prosody(samples: np.ndarray | Tensor, frames: int) -> Tensor:
    """Samples [n] at 16 kHz -> float32 [frames, `PROSODY`]. The last measured frame stands for those after it."""
    track = track_pitch(np.asarray(samples, np.float32))
    voiced = np.isfinite(track.f0_hz)
    octaves = np.log2(np.where(voiced, track.f0_hz, REFERENCE_HZ) / REFERENCE_HZ)
    median = np.median(octaves[voiced]) if voiced.any() else 0.0
    level = track.syllable_level_db / 20
    columns = [octaves, (octaves - median) * voiced, voiced, track.periodicity, level,
               np.maximum(level - level.max(), -3.0)]  # fmt: skip
    values = torch.from_numpy(np.stack(columns, 1).astype(np.float32))
    return values[torch.arange(frames).clamp(max=len(values) - 1)]


def log_mel(samples: np.ndarray | Tensor, config: MelConfig) -> Tensor:
    """Samples [n] in [-1, 1] -> float32 [num_frames(n), bands], decibel / 10 relative to full scale."""
    wave = torch.as_tensor(samples, dtype=torch.float32)
    if wave.ndim != 1 or wave.numel() == 0:
        raise ValueError(f"log_mel needs mono samples [n] with n > 0, got shape {tuple(wave.shape)}")
    if not torch.isfinite(wave).all():
        raise ValueError("log_mel got samples that are not finite; repair them while decoding")
    window = round(config.sample_rate * config.window_ms / 1000)
    size = 2 ** math.ceil(math.log2(window))
    spectrum = torch.stft(
        wave, size, config.hop, window, torch.hann_window(window), center=True, pad_mode="constant", return_complex=True
    )
    power = spectrum.abs().square().T @ _mel_matrix(config.sample_rate, size, config.bands)
    level = power.clamp(min=1e-10).log10()
    return level.clamp(min=level.max() - config.dynamic_range_db / 10)


def speech_span(bands: Tensor, config: MelConfig) -> slice:
    """Frames [first, last) of log-mel [T, bands] that hold the sound, with a margin of 0.1 s."""
    if not config.trim_db:
        return slice(0, len(bands))
    level = torch.logsumexp(bands * math.log(10), 1) / math.log(10)
    loud = (level > level.max() - config.trim_db / 10).nonzero().squeeze(1)
    margin = round(100 / config.hop_ms)
    return slice(max(0, int(loud[0]) - margin), int(loud[-1]) + 1 + margin)


@lru_cache(maxsize=4)
def _mel_matrix(sample_rate: int, size: int, bands: int, low_hz: float = 20.0) -> Tensor:
    """float32 [size / 2 + 1, bands] triangles equally spaced in mel, m = 2595 log10(1 + f / 700)."""
    top = 2595 * math.log10(1 + sample_rate / 2 / 700)
    mels = torch.linspace(2595 * math.log10(1 + low_hz / 700), top, bands + 2, dtype=torch.float64)
    edges = 700 * (10 ** (mels / 2595) - 1)
    bins = torch.arange(size // 2 + 1, dtype=torch.float64)[:, None] * sample_rate / size
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return torch.minimum(rising, falling).clamp(min=0).float()
