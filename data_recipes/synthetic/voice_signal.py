"""Sound of the synthetic voice: glottal pulses and breath through formants, friction noise, room noise.

Source: the derivative of a Rosenberg-type glottal flow pulse (Klatt and Klatt 1990, KLGLOTT88), with jitter and shimmer
a cycle, drawn at twice the sample rate so that its edges do not fold back. Filter: five formants in cascade (Klatt
1980), changed every 8 ms by overlap-add.

Shapes: n samples at 16 kHz, C control points at 400 Hz, M filter frames, F frequency bins.
"""

from dataclasses import dataclass

import numpy as np
from scipy import fft
from scipy.ndimage import gaussian_filter1d
from scipy.signal import butter, lfilter, resample_poly, sosfilt

from cuewise.data_recipes.synthetic.phones import Phone

SAMPLE_RATE_HZ = 16_000
CONTROL_HZ = 400
SILENT_DB = -90.0
BREATH_DB = -16.0
"""Aspiration noise of an ordinary voice against its voicing, before the speaker's own habit."""

BANDWIDTHS_HZ = (70.0, 90.0, 130.0, 200.0, 280.0)
UPPER_FORMANTS_HZ = (3500.0, 4500.0)
EVEN_VOWELS = 0.8
"""Share of the level differences between vowels, which formants bring along, that the speaker makes up for."""

UPPER_POLES_HZ = 2000.0
"""From here on the spectrum is lifted by 12 dB an octave, for the resonances above the fifth, which are left out."""

F0_LIMITS_HZ = (60.0, 560.0)
_WINDOW, _HOP, _FFT = 512, 128, 1024


@dataclass(frozen=True, slots=True)
class Speaker:
    """What makes one voice differ from another at the same pitch."""

    formant_scale: float
    open_quotient: float
    tilt_hz: float
    breath_db: float
    jitter: float
    shimmer_db: float
    tremor_hz: float
    accent_st: float

    @classmethod
    def from_seed(cls, seed: int, base_f0_hz: float) -> "Speaker":
        """A speaker; small vocal tracts (high formants) go with high voices, as in people."""
        rng = np.random.default_rng([seed, 1])
        size = 1.0 + 0.17 * np.clip(np.log2(base_f0_hz / 110.0), -0.4, 1.3) + rng.normal(0, 0.035)
        return cls(
            formant_scale=float(np.clip(size, 0.9, 1.3)), open_quotient=rng.uniform(0.5, 0.7),
            tilt_hz=rng.uniform(2500, 5500), breath_db=rng.uniform(-3, 4), jitter=rng.uniform(0.003, 0.008),
            shimmer_db=rng.uniform(0.2, 0.5), tremor_hz=rng.uniform(5.2, 7.5), accent_st=rng.uniform(3.5, 5.0),
        )  # fmt: skip


@dataclass(slots=True)
class Controls:
    """How the voice moves. `pieces` = (phone, start s, end s); the rest is [C]."""

    pieces: list[tuple[Phone, float, float]]
    semitones: np.ndarray
    gain_db: np.ndarray
    tremor: np.ndarray
    breath_db: np.ndarray


def render(controls: Controls, speaker: Speaker, num_samples: int, base_f0_hz: float, loudness_db: float,
           snr_db: float, seed: int) -> np.ndarray:  # fmt: skip
    """The controls as float32 [n] sound. `loudness_db` is the level of the voiced speech before its gain."""
    rng = np.random.default_rng([seed, 4])
    formants, voicing, hiss, hiss_hz, breath = _tracks(controls, speaker)
    at = np.arange(num_samples) / SAMPLE_RATE_HZ * CONTROL_HZ
    control = np.arange(len(voicing))
    pulses, opening = _glottis(controls, speaker, num_samples, base_f0_hz, rng)
    noise = sosfilt(butter(1, 700, "highpass", fs=SAMPLE_RATE_HZ, output="sos"), rng.standard_normal(num_samples))
    ease = 10 ** (np.interp(at, control, controls.breath_db) / 20)
    leak = 10 ** ((BREATH_DB + speaker.breath_db) / 20) * ease * (0.3 + 1.4 * opening)
    voice = np.interp(at, control, voicing)
    # A leaking glottis lets through more noise and drives the harmonics less, at much the same loudness.
    source = voice * (pulses + leak * noise) / np.sqrt(1 + leak**2) + np.interp(at, control, breath) * noise * 0.5
    sound = _filter(source, _formant_response(formants, num_samples))
    friction = np.interp(at, control, hiss) * rng.standard_normal(num_samples)
    sound += _filter(friction, _hiss_response(hiss_hz, num_samples))
    sound = _set_level(sound, controls.pieces, loudness_db)
    sound *= 10 ** (np.interp(at, control, controls.gain_db) / 20)
    sound += 10 ** ((loudness_db - snr_db) / 20) * _room(num_samples, rng)
    return (sound / max(1.0, np.abs(sound).max() / 0.98)).astype(np.float32)


def _tracks(controls: Controls, speaker: Speaker) -> tuple[np.ndarray, ...]:
    """Phones -> formants [C, 5] Hz; amplitudes voicing [C], hiss [C]; hiss centre and width [C, 2]; breath [C]."""
    count = len(controls.semitones)
    formants = np.full((count, 5), np.nan)
    levels = np.zeros((3, count))
    hiss_hz = np.full((count, 2), (5000.0, 2500.0))
    for phone, start, end in controls.pieces:
        here = slice(round(start * CONTROL_HZ), max(round(end * CONTROL_HZ), round(start * CONTROL_HZ) + 1))
        formants[here, :3] = phone.formants_hz
        hiss_hz[here] = phone.hiss_hz
        for row, level in enumerate((phone.voicing_db, phone.hiss_db, phone.breath_db)):
            levels[row, here] = 0.0 if level is None else 10 ** (level / 20)
    formants[:, 3:] = UPPER_FORMANTS_HZ
    known = np.flatnonzero(np.isfinite(formants[:, 0]))
    for column in range(3):
        fill = formants[known, column] if len(known) else np.array([500.0 * (2 * column + 1)])
        formants[:, column] = np.interp(np.arange(count), known if len(known) else [0], fill)
    formants = gaussian_filter1d(formants, 0.018 * CONTROL_HZ, axis=0) * speaker.formant_scale
    edges_s = (0.007, 0.004, 0.008)
    voicing, hiss, breath = (gaussian_filter1d(row, edge * CONTROL_HZ) for row, edge in zip(levels, edges_s))
    return formants, voicing, hiss, hiss_hz, breath


def _glottis(controls: Controls, speaker: Speaker, num_samples: int, base_f0_hz: float,
             rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Glottal pulses [n] of RMS about 1, and how open the glottis is [n] in [0, 1]."""
    rate, count = 2 * SAMPLE_RATE_HZ, 2 * num_samples
    times = np.arange(len(controls.semitones)) / CONTROL_HZ
    shake = controls.tremor * np.sin(2 * np.pi * (speaker.tremor_hz * times + rng.random()))
    drift = gaussian_filter1d(rng.standard_normal(len(times)), 0.12 * CONTROL_HZ, mode="nearest") * 1.2
    f0 = np.clip(base_f0_hz * 2 ** ((controls.semitones + shake + drift) / 12), *F0_LIMITS_HZ)
    step = np.interp(np.arange(count) / rate * CONTROL_HZ, np.arange(len(f0)), f0) / rate
    cycle = np.floor(np.cumsum(step)).astype(int)
    period_noise = rng.normal(0, speaker.jitter, cycle[-1] + 2)
    phase = np.cumsum(step * (1 + period_noise[cycle])) + rng.random()
    cycle, x = np.floor(phase).astype(int), (phase % 1.0) / speaker.open_quotient
    loud = 10 ** (rng.normal(0, speaker.shimmer_db, cycle[-1] + 2) / 20)
    # Trembling shakes the breath pressure as well as the vocal folds, hence a few per cent of level.
    flutter = 1 + 0.06 * np.interp(np.arange(count) / rate * CONTROL_HZ, np.arange(len(f0)), shake)
    pulse = np.where(x < 1, 2 * x - 3 * x**2, 0.0) * loud[cycle] * flutter
    keep = np.exp(-2 * np.pi * speaker.tilt_hz / rate)
    pulse = resample_poly(lfilter([1 - keep], [1, -keep], pulse), 1, 2)
    opening = np.where(x < 1, 6.75 * (x**2 - x**3), 0.0)[::2]
    return pulse * 3.0, opening


def _frame_index(num_samples: int) -> np.ndarray:
    """[M] control points at the middle of the overlap-add frames."""
    frames = num_samples // _HOP + _WINDOW // _HOP + 1
    middle = (np.arange(frames) * _HOP + _WINDOW // 2 - _WINDOW) / SAMPLE_RATE_HZ
    return np.clip(np.round(middle * CONTROL_HZ), 0, num_samples / SAMPLE_RATE_HZ * CONTROL_HZ).astype(int)


def _formant_response(formants: np.ndarray, num_samples: int) -> np.ndarray:
    """Formants [C, 5] -> complex response [M, F] of resonators in cascade, each with gain 1 at 0 Hz."""
    targets = formants[np.minimum(_frame_index(num_samples), len(formants) - 1)].astype(np.float32)
    hertz = fft.rfftfreq(_FFT, 1 / SAMPLE_RATE_HZ).astype(np.float32)
    response = np.ones((len(targets), len(hertz)), np.complex64)
    for column, bandwidth in enumerate(BANDWIDTHS_HZ):
        centre = targets[:, column : column + 1]
        response *= centre**2 / (centre**2 - hertz**2 + 1j * hertz * np.float32(bandwidth))
    response *= 1 + (hertz / UPPER_POLES_HZ) ** 2
    # Speakers give close vowels more effort; without that "ee" would be 10 dB below "ah".
    power = (np.abs(response) ** 2 / (1 + (hertz / 400) ** 2)).mean(1, keepdims=True)
    return response * (power / power.mean()) ** (-0.5 * EVEN_VOWELS)


def _hiss_response(hiss_hz: np.ndarray, num_samples: int) -> np.ndarray:
    """Friction centre and width [C, 2] -> real response [M, F]."""
    targets = hiss_hz[np.minimum(_frame_index(num_samples), len(hiss_hz) - 1)]
    hertz = fft.rfftfreq(_FFT, 1 / SAMPLE_RATE_HZ)
    return np.exp(-0.5 * ((hertz - targets[:, :1]) / targets[:, 1:]) ** 2).astype(np.float32)


def _filter(signal: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Time-varying filter by overlap-add of Hann windows: signal [n], response [M, F] -> [n]."""
    count, frames = len(signal), len(response)
    padded = np.pad(signal.astype(np.float32), (_WINDOW, frames * _HOP + _WINDOW - count))
    window = np.hanning(_WINDOW + 1)[:-1].astype(np.float32) / (_WINDOW / _HOP / 2)
    pieces = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[: frames * _HOP : _HOP] * window
    filtered = fft.irfft(fft.rfft(pieces, _FFT, axis=1) * response, axis=1)
    out = np.zeros((frames + _FFT // _HOP, _HOP), np.float32)
    for part in range(_FFT // _HOP):
        out[part : part + frames] += filtered[:, part * _HOP : (part + 1) * _HOP]
    return out.ravel()[_WINDOW : _WINDOW + count].astype(np.float64)


def _set_level(sound: np.ndarray, pieces: list[tuple[Phone, float, float]], loudness_db: float) -> np.ndarray:
    """The sound scaled so that the mean power of its voiced 10-ms stretches is `loudness_db`."""
    stretches = len(sound) // 160
    power = (sound[: stretches * 160].reshape(stretches, 160) ** 2).mean(1)
    voiced = np.zeros(stretches, bool)
    for phone, start, end in pieces:
        voiced[int(start * 100) : int(end * 100)] = phone.voicing_db is not None
    if not power[voiced].any():
        return sound
    return sound * np.sqrt(10 ** (loudness_db / 10) / power[voiced].mean())


def _room(num_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Room noise [n] of RMS 1: falling with frequency, like ventilation and traffic."""
    noise = lfilter([1.0], [1, -0.85], rng.standard_normal(num_samples + 64))[64:]
    return noise / max(np.sqrt(np.mean(noise**2)), 1e-9)
