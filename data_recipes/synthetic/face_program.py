"""What a synthetic face does over time: events with onset, apex and offset, blinks, sway, speech; and the true curves.

Times are seconds from the begin of the clip. Intensities are 0-5 for action units and degrees for angles.
"""

from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal

import numpy as np

from cuewise.data_recipes.synthetic.background import Background
from cuewise.data_recipes.synthetic.face_geometry import ACTIONS, INDEX, UNITS

MOVEMENTS = ("head shake", "head nod")
"""Repeated turning left-right or up-down; the intensity is the amplitude in degrees."""
SCENE_ATTRIBUTES = ("brightness", "colourfulness", "motion")
MOVEMENT_HZ = 1.7
RAMP_S = 0.22
"""Longest onset and offset."""
BLINK_S = 0.18


@dataclass(frozen=True, slots=True)
class FaceEvent:
    """One action from `start` to `end`; onset and offset lie inside."""

    action: str
    intensity: float
    start: float
    end: float

    def __post_init__(self) -> None:
        if self.action not in ACTIONS + MOVEMENTS:
            near = get_close_matches(self.action, ACTIONS + MOVEMENTS, n=1)
            raise ValueError(f"unknown face action {self.action!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        if self.action in UNITS and not 0 <= self.intensity <= 5:
            raise ValueError(f"{self.action} intensity must lie in [0, 5], got {self.intensity}")
        if not 0 <= self.start < self.end:
            raise ValueError(f"{self.action} must have 0 <= start < end, got {self.start} to {self.end} s")


@dataclass(frozen=True, slots=True)
class SceneEvent:
    """A change of the scene: brightness and colourfulness are factors, motion is camera shake in % of the width."""

    attribute: Literal["brightness", "colourfulness", "motion"]
    amount: float
    start: float
    end: float

    def __post_init__(self) -> None:
        if self.attribute not in SCENE_ATTRIBUTES:
            raise ValueError(f"unknown scene attribute {self.attribute!r}; known: {', '.join(SCENE_ATTRIBUTES)}")


@dataclass(frozen=True, slots=True)
class Lighting:
    """Main light; azimuth positive from the image right, elevation positive from above, in degrees."""

    azimuth: float = 20.0
    elevation: float = 35.0
    ambient: float = 0.55
    """Share of light that comes from everywhere."""
    brightness: float = 1.0


@dataclass(frozen=True, slots=True)
class Occluder:
    """Something in front of a part of the face from `start` to `end` (None: the whole clip)."""

    kind: Literal["hand", "bar"] = "hand"
    region: Literal["mouth", "eyes", "brows", "cheek"] = "mouth"
    start: float = 0.0
    end: float | None = None


@dataclass(frozen=True, slots=True)
class FaceProgram:
    """Everything that is needed to render one clip of one person. `seed` is the person."""

    seed: int
    events: tuple[FaceEvent, ...] = ()
    blink_times: tuple[float, ...] | None = None
    """Begins of the blinks; None draws natural ones."""
    lighting: Lighting = field(default_factory=Lighting)
    occluder: Occluder | None = None
    background: Background = field(default_factory=Background)
    scene_events: tuple[SceneEvent, ...] = ()
    speech_envelope: np.ndarray | None = None
    """float [n] loudness in [0, 1], spread evenly over the clip; opens the jaw."""
    rest: dict[str, float] = field(default_factory=dict)
    """Levels this person keeps all the time, by action."""
    sway_deg: float = 1.2
    """Size of the natural head movement."""
    head_size: float = 0.64
    """Height of the head as a share of the shorter side of the frame."""
    centre: tuple[float, float] = (0.5, 0.46)
    """Middle of the head as a share of width and height."""
    take: int = 0
    """Different takes of one program differ in sway, blinks and sensor noise."""


def action_curves(program: FaceProgram, times_s: np.ndarray, duration_s: float) -> np.ndarray:
    """True actions [T, len(ACTIONS)] at `times_s`, blinks, sway and speech included."""
    times = np.asarray(times_s, np.float64)
    curves = np.zeros((len(times), len(ACTIONS)))
    for action, level in program.rest.items():
        curves[:, INDEX[action]] += level
    _sway(program, times, curves)
    if program.speech_envelope is not None and len(program.speech_envelope):
        _speech(program.speech_envelope, times, duration_s, curves)
    for event in program.events:
        shape = event.intensity * envelope(times, event.start, event.end)
        if event.action in MOVEMENTS:
            column = INDEX["head yaw" if event.action == "head shake" else "head pitch"]
            curves[:, column] += shape * np.sin(2 * np.pi * MOVEMENT_HZ * (times - event.start))
        elif event.action in ("AU25", "AU26"):
            column = INDEX[event.action]
            curves[:, column] = np.maximum(curves[:, column], shape)
        else:
            curves[:, INDEX[event.action]] += shape
    for begin in blink_times(program, duration_s):
        phase = (times - begin) / BLINK_S
        lid = np.where((phase > 0) & (phase < 1), np.sin(np.pi * np.clip(phase, 0, 1)) ** 0.6, 0)
        curves[:, INDEX["AU43"]] = np.maximum(curves[:, INDEX["AU43"]], 5 * lid)
    curves[:, : len(UNITS)] = np.clip(curves[:, : len(UNITS)], 0, 5)
    return curves.astype(np.float32)


def envelope(times: np.ndarray, start: float, end: float) -> np.ndarray:
    """Smooth rise to 1 inside [start, end]: onset, apex, offset."""
    ramp = min(RAMP_S, 0.25 * (end - start))
    rise = np.clip(np.minimum(times - start, end - times) / ramp, 0, 1)
    return rise * rise * (3 - 2 * rise)


def blink_times(program: FaceProgram, duration_s: float) -> tuple[float, ...]:
    """Begins of the blinks: as given, or every 2 to 6 s."""
    if program.blink_times is not None:
        return program.blink_times
    rng = np.random.default_rng([program.seed, program.take, 0xB11])
    begins, now = [], float(rng.uniform(0.2, 4.0))
    while now < duration_s:
        begins.append(now)
        now += float(rng.uniform(2.0, 6.0))
    return tuple(begins)


def scene_curves(program: FaceProgram, times_s: np.ndarray) -> dict[str, np.ndarray]:
    """Factors of brightness and colourfulness and amount of camera shake at `times_s`."""
    times = np.asarray(times_s, np.float64)
    curves = {"brightness": np.ones(len(times)), "colourfulness": np.ones(len(times)), "motion": np.zeros(len(times))}
    for event in program.scene_events:
        shape = envelope(times, event.start, event.end)
        rest = 0.0 if event.attribute == "motion" else 1.0
        curves[event.attribute] += (event.amount - rest) * shape
    return curves


def _sway(program: FaceProgram, times: np.ndarray, curves: np.ndarray) -> None:
    rng = np.random.default_rng([program.seed, program.take, 0x5A4])
    for action, size in (
        ("head yaw", 1.0),
        ("head pitch", 0.8),
        ("head roll", 0.7),
        ("gaze yaw", 1.5),
        ("gaze pitch", 1.0),
    ):
        speed, phase = rng.uniform(0.15, 0.6, 3), rng.uniform(0, 2 * np.pi, 3)
        wave = np.sin(2 * np.pi * np.outer(times, speed) + phase).sum(1) / 2
        curves[:, INDEX[action]] += program.sway_deg * size * wave


def _speech(loudness: np.ndarray, times: np.ndarray, duration_s: float, curves: np.ndarray) -> None:
    at = np.linspace(0, duration_s, len(loudness))
    level = np.interp(times, at, np.clip(loudness, 0, 1))
    curves[:, INDEX["AU25"]] = np.maximum(curves[:, INDEX["AU25"]], 2.2 * np.sqrt(level))
    curves[:, INDEX["AU26"]] = np.maximum(curves[:, INDEX["AU26"]], 1.5 * level)
