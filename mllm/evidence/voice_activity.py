"""Where somebody speaks: frame levels, an adaptive noise floor, periodicity, and the syllables and pauses in between.

Shapes: n samples, T frames of 10 ms. Levels are dB of full scale: a signal whose RMS is 1 has 0 dB.
"""

import numpy as np
from scipy.ndimage import gaussian_filter1d, label, maximum_filter1d, percentile_filter
from scipy.signal import butter, find_peaks, sosfilt

from cuewise.mllm.evidence.pitch import HOP, HOP_S, SAMPLE_RATE_HZ, frame_count

MIN_PAUSE_S = 0.15
"""Shorter silences are part of speaking: the closure of a p, t or k."""

MIN_SPEECH_S = 0.06
UNVOICED_REACH_S = 0.25
"""How far from the nearest voiced frame a sound still counts as a consonant of the same word."""

FLOOR_WINDOW_S = 2.0
MIN_RISE_DB = 6.0
"""Speech without voicing must stand at least this far above the noise floor."""

MAX_DEPTH_DB = 40.0
"""Sound further than this below the loud parts of the clip is not counted as speech."""

SILENCE_DB = -75.0
SYLLABLE_DIP_DB = 2.0
"""Two intensity peaks are two syllables if the level between them falls by this (de Jong and Wempe 2009)."""

SYLLABLE_DEPTH_DB = 25.0
"""Peaks further than this below the loudest syllables are not syllables (de Jong and Wempe 2009)."""

MIN_SYLLABLE_S = 0.08


def frame_level_db(samples: np.ndarray) -> np.ndarray:
    """float [n] at 16 kHz -> float32 [T] level of 30-ms windows in dB of full scale, rumble below 60 Hz removed."""
    total, half = frame_count(len(samples)), int(0.015 * SAMPLE_RATE_HZ)
    if len(samples) == 0:
        return np.full(total, -100.0, np.float32)
    sound = sosfilt(butter(2, 60, "highpass", fs=SAMPLE_RATE_HZ, output="sos"), samples)
    energy = np.concatenate([[0.0], np.cumsum(sound.astype(np.float64) ** 2)])
    centre = np.arange(total) * HOP + HOP // 2
    begin, end = np.clip(centre - half, 0, len(sound)), np.clip(centre + half, 0, len(sound))
    mean = np.maximum(energy[end] - energy[begin], 0) / np.maximum(end - begin, 1)
    return (10 * np.log10(mean + 1e-10)).astype(np.float32)


def clean_voicing(f0_hz: np.ndarray, level_db: np.ndarray, min_s: float = 0.03) -> np.ndarray:
    """bool [T]: frames with a pitch, without runs shorter than `min_s` and without frames nobody could hear."""
    loud = float(np.percentile(level_db, 98)) if len(level_db) else 0.0
    voiced = np.isfinite(f0_hz) & (level_db > max(SILENCE_DB, loud - MAX_DEPTH_DB))
    return _drop_short(voiced, round(min_s / HOP_S))


def speech_mask(level_db: np.ndarray, voiced: np.ndarray) -> np.ndarray:
    """bool [T], True where somebody speaks: voiced frames, and sound above the noise floor near them.

    The floor is the level's 10th percentile over `FLOOR_WINDOW_S`, so it follows a noise that comes or goes. Sound
    that is nowhere periodic (wind, rain, hiss) is never speech. Gaps shorter than `MIN_PAUSE_S` are closed.
    """
    if not voiced.any():
        return np.zeros(len(level_db), bool)
    size = min(len(level_db), round(FLOOR_WINDOW_S / HOP_S)) | 1
    floor = percentile_filter(level_db, 10, size, mode="nearest")
    top = percentile_filter(level_db, 95, size, mode="nearest")
    rise = np.maximum(MIN_RISE_DB, 0.3 * (top - floor))
    sounding = (level_db > floor + rise) & (level_db > np.maximum(SILENCE_DB, top - MAX_DEPTH_DB))
    reach = round(UNVOICED_REACH_S / HOP_S)
    near_voice = maximum_filter1d(voiced.astype(np.int8), 2 * reach + 1, mode="constant") > 0
    speech = voiced | (sounding & near_voice)
    speech = ~_drop_short(~speech, round(MIN_PAUSE_S / HOP_S), keep_edges=True)
    return _drop_short(speech, round(MIN_SPEECH_S / HOP_S))


def syllable_times(syllable_level_db: np.ndarray, speech: np.ndarray, voiced: np.ndarray) -> np.ndarray:
    """float [S] seconds of the syllable nuclei: voiced intensity peaks with a dip of 2 dB between neighbours."""
    if not voiced.any():
        return np.zeros(0)
    level = gaussian_filter1d(syllable_level_db.astype(np.float64), 1.5)
    loud = float(np.percentile(level[voiced], 99))
    level = np.where(speech, level, np.minimum(level, loud - SYLLABLE_DEPTH_DB))
    padded = np.concatenate([[-150.0], np.maximum(level, loud - 2 * SYLLABLE_DEPTH_DB), [-150.0]])
    peaks, _ = find_peaks(padded, height=loud - SYLLABLE_DEPTH_DB, prominence=SYLLABLE_DIP_DB,
                          distance=max(1, round(MIN_SYLLABLE_S / HOP_S)))  # fmt: skip
    peaks = peaks - 1
    near = maximum_filter1d(voiced.astype(np.int8), 3, mode="constant") > 0
    return (peaks[near[peaks]] + 0.5) * HOP_S


def runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """(first, one past last) of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist()))


def _drop_short(mask: np.ndarray, min_frames: int, keep_edges: bool = False) -> np.ndarray:
    """The mask without runs of True shorter than `min_frames`; `keep_edges` spares runs at the ends of the clip."""
    labels, count = label(mask)
    if count == 0:
        return mask.copy()
    sizes = np.bincount(labels, minlength=count + 1)
    keep = sizes >= min_frames
    keep[0] = False
    if keep_edges:
        keep[[edge for edge in (labels[0], labels[-1]) if edge]] = True
    return keep[labels]
