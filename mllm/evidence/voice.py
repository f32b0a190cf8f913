"""What can be measured in a voice: pitch, loudness, rate, pitch range, tremor, breathiness, pauses and trends.

Plain signal processing, described with its error on real speech in docs/voice.md. Values are in natural units and rest
on this clip alone: nothing is normalised over a batch, and what stands outside a span never enters it except through
the clip's own noise floor.

Shapes: n samples, T frames of 10 ms, frame i centred at 10 * i + 5 ms.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import resample_poly

from cuewise.mllm.evidence.breath import noise_ratio_db
from cuewise.mllm.evidence.pitch import HOP_S, SAMPLE_RATE_HZ, track_pitch
from cuewise.mllm.evidence.types import Reading, Span
from cuewise.mllm.evidence.voice_activity import clean_voicing, frame_level_db, runs, speech_mask, syllable_times
from cuewise.mllm.report import Signal

MIN_VOICED_S = 0.3
"""Nothing is measured on less voice than this."""

REGISTER_EDGE_HZ = 165.0
"""Between the median pitch of most men and of most women in quiet speech."""

STILL_PCT = 25
"""Breathiness is read where the voice is stillest: a moving pitch blurs the harmonics of a window as breath does."""

SYLLABLE_REACH_S = 0.04
TREMOR_BAND_HZ = (3.0, 12.0)
MAX_SIGNAL_POINTS = 400
UNITS: dict[str, str] = {
    "pitch": "Hz", "loudness": "dB", "rate": "syllables/s", "pitch range": "semitones", "tremor": "semitones",
    "breathiness": "dB", "pauses": "share of time", "pitch trend": "semitones/s", "loudness trend": "dB/s",
}  # fmt: skip
"""Quantity -> unit of its value."""


def voice_register(f0_median_hz: float) -> Literal["low", "high"]:
    """The register whose population a voice is compared with, from its median pitch."""
    return "low" if f0_median_hz < REGISTER_EDGE_HZ else "high"


class VoiceMeasures:
    """The measurements of the voice in one clip; satisfies `ChannelMeasures`.

    Attributes: `duration_s`; per frame `times_s`, `speech_mask` (bool), `voiced_mask` (bool), `f0_hz` (NaN unvoiced),
    `loudness_db` (dB of full scale), `noise_ratio_db` (NaN unvoiced); and `syllable_times_s`.
    """

    def __init__(self, samples: np.ndarray, sample_rate: int = SAMPLE_RATE_HZ):
        """float [n] mono sound in [-1, 1]; values that are not finite count as silence."""
        samples = np.asarray(samples)
        if samples.ndim != 1:
            raise ValueError(f"voice samples must be one channel [n], got shape {samples.shape}; mix the channels")
        if sample_rate <= 0:
            raise ValueError(f"sample_rate must be > 0 Hz, got {sample_rate}")
        self.duration_s = len(samples) / sample_rate
        samples = np.nan_to_num(samples.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
        if sample_rate != SAMPLE_RATE_HZ and len(samples):
            samples = resample_poly(samples, SAMPLE_RATE_HZ, sample_rate).astype(np.float32)
        track = track_pitch(samples)
        self.loudness_db = frame_level_db(samples)
        self.times_s = (np.arange(len(self.loudness_db)) + 0.5) * HOP_S
        self.voiced_mask = clean_voicing(track.f0_hz, self.loudness_db)
        self.speech_mask = speech_mask(self.loudness_db, self.voiced_mask)
        self.voiced_mask &= self.speech_mask
        self.f0_hz = np.where(self.voiced_mask, track.f0_hz, np.nan)
        self.noise_ratio_db = noise_ratio_db(samples, self.f0_hz)
        self.syllable_times_s = syllable_times(track.syllable_level_db, self.speech_mask, self.voiced_mask)
        self._semitones = 12 * np.log2(self.f0_hz / 100.0)
        self._tremor = _modulation(self._semitones)
        spoken = np.flatnonzero(self.speech_mask)
        self._talk: Span = (spoken[0] * HOP_S, (spoken[-1] + 1) * HOP_S) if len(spoken) else (0.0, 0.0)
        self._readers: dict[str, Callable[[list[Span], np.ndarray], float]] = {
            "pitch": lambda spans, inside: float(np.nanmedian(self.f0_hz[inside])),
            "loudness": lambda spans, inside: _mean_level(self.loudness_db[inside & self.voiced_mask]),
            "rate": self._rate,
            "pitch range": lambda spans, inside: float(np.ptp(np.nanpercentile(self._semitones[inside], [10, 90]))),
            "tremor": self._read_tremor,
            "breathiness": lambda spans, inside: float(np.nanpercentile(self.noise_ratio_db[inside], STILL_PCT)),
            "pauses": self._pauses,
            "pitch trend": lambda spans, inside: _slope(self.times_s[self.voiced_mask], self._voiced(), spans),
            "loudness trend": lambda spans, inside: _slope(self.syllable_times_s, self._syllable_levels(), spans),
        }

    def read(self, quantity: str, spans: Sequence[Span] | None = None) -> Reading:
        """The value of a quantity of `UNITS` over `spans` (seconds), pooled; None is the whole clip.

        `amount` is the voiced seconds inside. With less than `MIN_VOICED_S` the value is None and `why` says so.
        """
        if quantity not in UNITS:
            raise ValueError(f"unknown voice quantity `{quantity}`; known: {', '.join(UNITS)}")
        spans = [(0.0, self.duration_s)] if spans is None else list(spans)
        inside = self._inside(spans)
        amount = round(int((inside & self.voiced_mask).sum()) * HOP_S, 4)
        if amount < MIN_VOICED_S:
            where = "in the clip" if not self.voiced_mask.any() else "there"
            seen = "no voice" if amount == 0 else f"only {amount:.2f} s of voice"
            return Reading(None, UNITS[quantity], amount, f"{seen} {where}; {MIN_VOICED_S} s are needed")
        value = self._readers[quantity](spans, inside)
        if not np.isfinite(value):
            return Reading(None, UNITS[quantity], amount, "the voice is too broken up for this measure")
        return Reading(float(value), UNITS[quantity], amount)

    def signals(self) -> dict[str, Signal]:
        """`pitch` (Hz, null without voice) and `loudness` (dB, null without speech) for display."""
        stride = -(-len(self.times_s) // MAX_SIGNAL_POINTS)
        times = [round(float(t), 3) for t in self.times_s[::stride]]
        level = np.where(self.speech_mask, self.loudness_db, np.nan)
        return {
            name: Signal(unit=UNITS[name], times=times, values=[
                None if np.isnan(v) else round(float(v), 2) for v in curve[::stride]])
            for name, curve in (("pitch", self.f0_hz), ("loudness", level))
        }  # fmt: skip

    def _inside(self, spans: list[Span]) -> np.ndarray:
        """bool [T]: frames whose centre lies in one of the spans."""
        inside = np.zeros(len(self.times_s), bool)
        for start, end in spans:
            inside |= (self.times_s >= start) & (self.times_s < end)
        return inside

    def _voiced(self) -> np.ndarray:
        return self._semitones[self.voiced_mask]

    def _syllable_levels(self) -> np.ndarray:
        """dB at the peak of each syllable: trends read from all frames would follow consonants more than effort."""
        around = round(SYLLABLE_REACH_S / HOP_S)
        peaks = (self.syllable_times_s / HOP_S).astype(int)
        return np.array([self.loudness_db[max(peak - around, 0) : peak + around + 1].max() for peak in peaks])

    def _rate(self, spans: list[Span], inside: np.ndarray) -> float:
        """Syllables a second of speaking, pauses left out. A syllable that a span cuts counts in part, so that short
        spans are not quantised."""
        spoken = np.concatenate([[0.0], np.cumsum(self.speech_mask) * HOP_S])
        edges = np.arange(len(spoken)) * HOP_S
        knots = np.interp(self.syllable_times_s, edges, spoken)
        count = len(knots)
        if count == 0:
            return float("nan")
        knots = np.concatenate([[0.0], knots, [spoken[-1]]])
        counted = np.concatenate([[0.0], np.arange(count) + 0.5, [float(count)]])
        begin, end = (np.interp([span[i] for span in spans], edges, spoken) for i in (0, 1))
        return float((np.interp(end, knots, counted) - np.interp(begin, knots, counted)).sum() / (end - begin).sum())

    def _pauses(self, spans: list[Span], inside: np.ndarray) -> float:
        """Share of the time between the clip's first and last speech that is silent inside the spans."""
        inside = inside & (self.times_s > self._talk[0]) & (self.times_s < self._talk[1])
        return float((inside & ~self.speech_mask).sum() / max(int(inside.sum()), 1))

    def _read_tremor(self, spans: list[Span], inside: np.ndarray) -> float:
        """Root mean square of the pitch modulation in `TREMOR_BAND_HZ`; single wild frames are clipped."""
        size = np.abs(self._tremor[inside & np.isfinite(self._tremor)])
        if len(size) * HOP_S < MIN_VOICED_S / 2:
            return float("nan")
        return float(np.sqrt(np.mean(np.minimum(size, 3 * np.median(size)) ** 2)))


def _mean_level(level_db: np.ndarray) -> float:
    """dB of the mean power. A mean of decibels would hang on the faintest frames that still count as voiced."""
    return float(10 * np.log10(np.mean(10 ** (level_db / 10))))


def _slope(times_s: np.ndarray, values: np.ndarray, spans: list[Span]) -> float:
    """Least-squares slope a second of the points inside the spans, which share one slope; NaN below three points."""
    above = below = 0.0
    for start, end in spans:
        inside = (times_s >= start) & (times_s < end)
        if inside.sum() < 3:
            continue
        times = times_s[inside] - times_s[inside].mean()
        above += float(times @ (values[inside] - values[inside].mean()))
        below += float(times @ times)
    return above / below if below > 0 else float("nan")


def _modulation(semitones: np.ndarray) -> np.ndarray:
    """Pitch contour [T] (NaN unvoiced) -> its part in `TREMOR_BAND_HZ`, NaN where too little voice is around.

    Band = weak smoothing minus strong smoothing, both weighted by voicing, so that a gap neither rings nor needs to be
    filled. A Gaussian of deviation s seconds falls to half power at 0.1325 / s Hz.
    """
    valid = np.isfinite(semitones)
    if not valid.any():
        return np.full(len(semitones), np.nan)
    weight = valid.astype(np.float64)
    centred = np.where(valid, semitones - np.median(semitones[valid]), 0.0)
    smooth = []
    for edge_hz in TREMOR_BAND_HZ:
        deviation = 0.1325 / edge_hz / HOP_S
        support = gaussian_filter1d(weight, deviation, mode="constant")
        smooth.append(gaussian_filter1d(centred * weight, deviation, mode="constant") / np.maximum(support, 1e-3))
    band = np.where(valid, smooth[1] - smooth[0], np.nan)
    for first, last in runs(valid):
        band[first : min(first + 2, last)] = np.nan
        band[max(last - 2, first) : last] = np.nan
    return band
