"""Fundamental frequency of a voice, frame by frame, and how periodic it is.

Normalised autocorrelation with several candidates a frame and a best path through them (Boersma 1993, "Accurate
short-term analysis of the fundamental frequency and the harmonics-to-noise ratio of a sampled sound"). The path is
what keeps octave errors away: a jump of an octave costs more than a slightly weaker candidate.

Shapes: n samples, T frames of 10 ms, K candidates a frame. Frame i is centred at 10 * i + 5 ms.
"""

from dataclasses import dataclass

import numpy as np
from scipy import fft

SAMPLE_RATE_HZ = 16_000
HOP_S = 0.01
HOP = int(SAMPLE_RATE_HZ * HOP_S)
MIN_F0_HZ = 55.0
MAX_F0_HZ = 600.0
WINDOW_S = 0.05
"""Length of the analysed window: almost three periods of the lowest voice."""

PITCH_BAND_HZ = (50.0, 1200.0)
"""Band in which periodicity is looked for; above it speech carries more noise than pitch."""

SYLLABLE_BAND_HZ = (250.0, 3000.0)
"""Band of the intensity that finds syllables: vowels are in it, hissing consonants mostly above it."""

CANDIDATES = 6
VOICING_THRESHOLD = 0.45
SILENCE_THRESHOLD = 0.03
OCTAVE_COST = 0.02
OCTAVE_JUMP_COST = 0.5
VOICING_CHANGE_COST = 0.2
SPEAKER_RANGE = np.array([0.55, 2.2])
"""The second pass looks from the first pass' first quartile times the one to its third quartile times the other: what
lies outside is creak, or a hiss that happens to look periodic (De Looze and Hirst 2008 use two passes likewise)."""

HISS_SHARE = 0.15
"""Where the pitch band holds less than this share of the power, friction drowns the voice, if there is one."""

HISS_COST = 0.6

TONE_SHARE = 0.998
"""A frame with more than this share of its power within one spectral line is a whistle or a beep, not a voice."""

_FFT_SIZE = 2048
_CHUNK_FRAMES = 1024


@dataclass(frozen=True, slots=True)
class PitchTrack:
    """What one pass over the windows of a clip gives; every array has T entries."""

    f0_hz: np.ndarray
    """float32 fundamental frequency, NaN where there is no voice."""

    periodicity: np.ndarray
    """float32 in [0, 1]: autocorrelation at the period, in `PITCH_BAND_HZ`; 0 where there is no voice."""

    syllable_level_db: np.ndarray
    """float32 dB: power in `SYLLABLE_BAND_HZ`."""


def frame_count(num_samples: int) -> int:
    """Frames of a clip of `num_samples` at 16 kHz; at least one."""
    return max(1, num_samples // HOP)


def track_pitch(samples: np.ndarray) -> PitchTrack:
    """float [n] mono sound at 16 kHz -> the pitch of its T frames. The result does not depend on the loudness."""
    samples = np.asarray(samples, np.float32)
    total = frame_count(len(samples))
    parts = [_analyse(samples, first, min(first + _CHUNK_FRAMES, total)) for first in range(0, total, _CHUNK_FRAMES)]
    lags, strengths, peaks, is_tone, levels, shares = (np.concatenate([part[i] for part in parts]) for i in range(6))
    loudest = float(peaks.max())
    if loudest <= 1e-5:
        return PitchTrack(np.full(total, np.nan, np.float32), np.zeros(total, np.float32), levels)
    relative = peaks / loudest
    silence = np.maximum(0.0, 2.0 - relative * (1 + VOICING_THRESHOLD) / SILENCE_THRESHOLD)
    hiss = HISS_COST * np.maximum(0.0, 1.0 - shares / HISS_SHARE)
    unvoiced = VOICING_THRESHOLD + silence + hiss + 10.0 * is_tone
    f0, periodicity = _best_path(lags, strengths, unvoiced)
    if np.isfinite(f0).any():
        lower, upper = np.nanpercentile(f0, [25, 75]) * SPEAKER_RANGE
        heard = SAMPLE_RATE_HZ / lags
        f0, periodicity = _best_path(lags, np.where((heard > lower) & (heard < upper), strengths, -1.0), unvoiced)
    return PitchTrack(f0, periodicity, levels)


def _windows(samples: np.ndarray, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
    """Windowed frames [last - first, W] with their mean removed, and the window [W]."""
    width = int(WINDOW_S * SAMPLE_RATE_HZ)
    window = np.hanning(width + 2)[1:-1].astype(np.float32)
    begin = first * HOP + HOP // 2 - width // 2
    end = (last - 1) * HOP + HOP // 2 - width // 2 + width
    piece = samples[max(begin, 0) : max(min(end, len(samples)), 0)]
    piece = np.pad(piece, (max(-begin, 0), end - max(begin, 0) - len(piece)))
    frames = np.lib.stride_tricks.sliding_window_view(piece, width)[::HOP]
    return (frames - frames.mean(1, keepdims=True)) * window, window


def _analyse(samples: np.ndarray, first: int, last: int) -> tuple[np.ndarray, ...]:
    """Of frames first to last: lags [T, K], strengths [T, K], peaks [T], is_tone [T], syllable levels [T], share of the
    power in the pitch band [T]."""
    frames, window = _windows(samples, first, last)
    power = np.abs(fft.rfft(frames, _FFT_SIZE, axis=1)) ** 2
    max_lag = int(SAMPLE_RATE_HZ / MIN_F0_HZ) + 2
    norm = fft.irfft(np.abs(fft.rfft(window, _FFT_SIZE)) ** 2)[:max_lag]
    lags, strengths = _candidates(_autocorrelation(power, PITCH_BAND_HZ, norm))
    levels = 10 * np.log10(_band(power, SYLLABLE_BAND_HZ).sum(1) / (window**2).sum() / _FFT_SIZE + 1e-10)
    low = _band(power, PITCH_BAND_HZ).sum(1)
    peaks = np.sqrt(2 * low / (window**2).sum() / _FFT_SIZE)
    shares = low / np.maximum(power.sum(1), 1e-12)
    return lags, strengths, peaks, _is_tone(power), levels.astype(np.float32), shares


def _band(power: np.ndarray, band_hz: tuple[float, float]) -> np.ndarray:
    low, high = (round(edge * _FFT_SIZE / SAMPLE_RATE_HZ) for edge in band_hz)
    return power[:, low : high + 1]


def _autocorrelation(power: np.ndarray, band_hz: tuple[float, float], norm: np.ndarray) -> np.ndarray:
    """Power spectra [T, F] -> autocorrelation [T, L] of the band, 1 at lag 0, freed of the window's own."""
    low = round(band_hz[0] * _FFT_SIZE / SAMPLE_RATE_HZ)
    inside = np.zeros_like(power)
    inside[:, low : low + _band(power, band_hz).shape[1]] = _band(power, band_hz)
    correlation = fft.irfft(inside, axis=1)[:, : len(norm)]
    zero = np.maximum(correlation[:, :1], 1e-12)
    return correlation / zero * (norm[0] / norm)


def _is_tone(power: np.ndarray) -> np.ndarray:
    """bool [T]: almost all power lies in one spectral line (half width 3 bins on either side of the Hann lobe)."""
    reach = round(2.5 / WINDOW_S * _FFT_SIZE / SAMPLE_RATE_HZ)
    total = np.cumsum(np.pad(power, ((0, 0), (1, 0))), axis=1, dtype=np.float64)
    top = power.argmax(1)
    rows = np.arange(len(power))
    line = total[rows, np.minimum(top + reach + 1, power.shape[1])] - total[rows, np.maximum(top - reach, 0)]
    return line > TONE_SHARE * np.maximum(total[:, -1], 1e-12)


def _candidates(correlation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The K strongest maxima of each row: lags in samples (refined by a parabola) and heights; missing ones are -1."""
    min_lag = int(SAMPLE_RATE_HZ / MAX_F0_HZ)
    middle = correlation[:, min_lag:-1]
    is_peak = (middle > correlation[:, min_lag - 1 : -2]) & (middle >= correlation[:, min_lag + 1 :]) & (middle > 0.2)
    preference = OCTAVE_COST * np.log2(np.arange(min_lag, correlation.shape[1] - 1) * MIN_F0_HZ / SAMPLE_RATE_HZ)
    score = np.where(is_peak, middle - preference, -1.0)
    chosen = np.argpartition(-score, CANDIDATES, axis=1)[:, :CANDIDATES]
    rows = np.arange(len(correlation))[:, None]
    left, top, right = (correlation[rows, chosen + min_lag + step] for step in (-1, 0, 1))
    curve = np.minimum(left - 2 * top + right, -1e-9)
    shift = np.clip(0.5 * (left - right) / curve, -0.5, 0.5)
    height = np.minimum(top - 0.25 * (left - right) * shift, 1.0)
    real = score[rows, chosen] > 0
    return np.where(real, chosen + min_lag + shift, 1.0), np.where(real, height, -1.0)


def _best_path(lags: np.ndarray, strengths: np.ndarray, unvoiced: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Candidates [T, K] and the strength of "no voice" [T] -> f0 in Hz [T] (NaN unvoiced) and periodicity [T]."""
    total, count = lags.shape
    octave = np.log2(SAMPLE_RATE_HZ / lags)
    local = strengths - OCTAVE_COST * np.log2(np.maximum(lags, 1) * MIN_F0_HZ / SAMPLE_RATE_HZ)
    local = np.where(strengths < 0, -1e3, local)
    local = np.concatenate([local, unvoiced[:, None]], axis=1)
    jump = np.full((count + 1, count + 1), VOICING_CHANGE_COST)
    jump[count, count] = 0.0
    best, came_from = local[0], np.zeros((total, count + 1), np.int64)
    for frame in range(1, total):
        jump[:count, :count] = OCTAVE_JUMP_COST * np.abs(octave[frame - 1][:, None] - octave[frame])
        routes = best[:, None] - jump
        came_from[frame] = routes.argmax(0)
        best = routes.max(0) + local[frame]
    state = int(best.argmax())
    path = np.empty(total, np.int64)
    for frame in range(total - 1, -1, -1):
        path[frame] = state
        state = came_from[frame, state]
    voiced, rows, column = path < count, np.arange(total), np.minimum(path, count - 1)
    f0 = np.where(voiced, SAMPLE_RATE_HZ / lags[rows, column], np.nan)
    return f0.astype(np.float32), np.where(voiced, strengths[rows, column], 0.0).astype(np.float32)
