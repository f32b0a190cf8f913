"""Where everything on a synthetic face lies: action units move landmarks, a head surface turns them in space.

Actions are a float32 vector ordered as `ACTIONS`: action units 0-5, angles in degrees (yaw and gaze yaw positive to
the image right, pitch positive up, roll positive clockwise in the image).
Face units and axes as in `face_appearance`. The head is a stack of ellipses, half-width ``a(y)`` and half-depth
``b(y)``; its skin is unrolled to a texture whose x is the angle around the vertical axis.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

from cuewise.data_recipes.synthetic.face_appearance import Appearance
from cuewise.mllm.evidence.face_names import ANGLES, UNITS

ACTIONS = UNITS + ANGLES
INDEX = {name: position for position, name in enumerate(ACTIONS)}

TOP, BOTTOM = -1.2, 1.06
"""Texture rows run from TOP to BOTTOM in face units."""
SIDE = 1.9
"""Texture columns run over angles -SIDE to SIDE in radians."""
_LEAST_WIDTH = 0.34
JAW_HINGE = 0.645
"""Skin above this height does not move with the jaw."""


LANDMARKS = (
    *(f"brow {at} {side}" for side in ("left", "right") for at in ("inner", "middle", "outer")),
    *(f"eye {at} {side}" for side in ("left", "right") for at in ("inner", "outer", "upper", "lower", "iris")),
    *(f"mouth {at}" for at in ("left", "right", "top", "seam", "low", "bottom", "top left", "top right")),
    "nostril left", "nostril right", "chin",
)  # fmt: skip
"""Points of `landmarks`; left and right are those of the image."""


@dataclass(frozen=True, slots=True)
class EyeLines:
    """One eye: lid curves [n, 2], the line of the fold above, eyeball centre and iris radius."""

    upper: np.ndarray
    lower: np.ndarray
    fold: np.ndarray
    centre: tuple[float, float]
    iris: tuple[float, float]
    radius: float
    openness: float


@dataclass(frozen=True, slots=True)
class FaceLines:
    """All moving lines of one frame, in displayed face units; brows are closed polygons."""

    brows: tuple[np.ndarray, np.ndarray]
    eyes: tuple[EyeLines, EyeLines]
    upper_lip: np.ndarray
    lower_lip: np.ndarray
    opening: np.ndarray
    seam: np.ndarray
    gap: float
    nostril_lift: float
    jaw: float


def face_lines(person: Appearance, actions: np.ndarray) -> FaceLines:
    """Lines of the face for one vector of `ACTIONS`."""
    au = dict(zip(UNITS, np.asarray(actions[: len(UNITS)]) / 5.0))
    gaze = float(actions[INDEX["gaze yaw"]]), float(actions[INDEX["gaze pitch"]])
    jaw = 0.21 * au["AU26"]
    upper, lower, opening, seam, gap = _mouth(person, au, jaw)
    return FaceLines(
        brows=(_brow(person, au, -1), _brow(person, au, 1)),
        eyes=(_eye(person, au, gaze, -1), _eye(person, au, gaze, 1)),
        upper_lip=upper, lower_lip=lower, opening=opening, seam=seam, gap=gap,
        nostril_lift=0.05 * au["AU9"] + 0.03 * au["AU10"], jaw=jaw,
    )  # fmt: skip


def _gain(person: Appearance, side: int) -> float:
    return 1 + side * person.shape.asymmetry


_BROW_T = np.linspace(0, 1, 10)


def _brow(person: Appearance, au: dict[str, float], side: int) -> np.ndarray:
    shape, t, gain = person.shape, _BROW_T, _gain(person, side)
    inner, outer = shape.eye_x - shape.eye_half_width * 1.12, shape.eye_x + shape.eye_half_width * 1.5
    x = inner + (outer - inner) * t - 0.055 * au["AU4"] * (1 - t) ** 1.2
    rest = shape.brow_y - shape.brow_arch * np.sin(np.pi * np.minimum(t * 0.85, 1)) + 0.045 * t**3
    lift = 0.125 * au["AU1"] * (1 - t) ** 1.3 + 0.125 * au["AU2"] * t**0.8 * (1 - 0.25 * t)
    drop = 0.11 * au["AU4"] * (1 - 0.6 * t) + 0.035 * au["AU9"] * (1 - t)
    y = rest - gain * lift + gain * drop
    half = 0.5 * shape.brow_thickness * (0.75 + 0.7 * t - 1.25 * t**2.5) + 0.004
    edge = np.concatenate([np.stack([x, y - half], 1), np.stack([x, y + half], 1)[::-1]])
    return edge * (side, 1)


_LID_T = np.linspace(-1, 1, 15)
_LID_UP = (1 - np.abs(_LID_T) ** 2.2) ** 0.85
_LID_LOW = (1 - np.abs(_LID_T) ** 2.4) ** 0.9


def _eye(person: Appearance, au: dict[str, float], gaze: tuple[float, float], side: int) -> EyeLines:
    """`t` runs from the inner to the outer corner."""
    shape, t, gain = person.shape, _LID_T, _gain(person, side)
    x = shape.eye_x + shape.eye_half_width * t
    corners = -shape.eye_tilt * t
    squeeze = min(1.0, 0.75 * au["AU7"] + 0.5 * au["AU6"] + 0.35 * au["AU9"])
    up = 0.58 * shape.eye_open + 0.06 * au["AU5"] * gain - 0.03 * au["AU7"] * gain - 0.0012 * max(-gaze[1], 0)
    low = 0.42 * shape.eye_open + 0.014 * au["AU5"] - 0.046 * squeeze * gain
    up, low = max(up, 0.012), max(low, -0.016)
    closed = min(1.0, au["AU43"])
    meet = 0.30 * shape.eye_open - 0.03 * squeeze
    upper = corners - up * (1 - closed) * _LID_UP + meet * closed * _LID_LOW
    lower = corners + (low * (1 - closed) + meet * closed) * _LID_LOW
    upper = np.minimum(upper, lower)
    fold = corners - (up * (1 - 0.45 * closed) + 0.034 - 0.012 * au["AU4"]) * (0.35 + 0.65 * _LID_UP)
    centre = shape.eye_x, 0.004
    iris = side * centre[0] + 0.0036 * gaze[0], centre[1] - 0.0032 * gaze[1]
    return EyeLines(
        upper=np.stack([side * x, upper], 1), lower=np.stack([side * x, lower], 1), fold=np.stack([side * x, fold], 1),
        centre=(side * centre[0], centre[1]), iris=iris, radius=0.064, openness=float((lower - upper).max()),
    )  # fmt: skip


_LIP_T = np.linspace(-1, 1, 21)
_LIP_SIDE = np.abs(_LIP_T)
_BOW = (1 - _LIP_SIDE**1.7) * (1 - 0.24 * np.exp(-((_LIP_T / 0.13) ** 2)))
_SWELL = (1 - _LIP_SIDE**2.3) ** 0.85
_ROUND = (1 - _LIP_SIDE**2.2) ** 0.8


def _mouth(
    person: Appearance, au: dict[str, float], jaw: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, float]:
    shape, t, side = person.shape, _LIP_T, _LIP_SIDE
    gain = 1 + np.sign(t) * shape.asymmetry
    smile, press, part = au["AU12"], au["AU24"], au["AU25"]
    half = shape.mouth_half_width * (1 - 0.13 * press - 0.10 * au["AU26"]) + 0.075 * smile - 0.012 * au["AU17"]
    x = half * t * (1 + 0.25 * shape.asymmetry * smile * side * np.sign(t))
    bend = shape.corner_rest - 0.125 * smile * gain + 0.10 * au["AU15"] * gain
    middle = shape.mouth_y + 0.018 * smile - 0.05 * au["AU17"] - 0.016 * au["AU10"]
    middle = middle + bend * side**1.7 + 0.006 * np.cos(3 * np.pi * t) * (1 - side)
    gap_up = 0.018 * part + 0.045 * au["AU10"] * (0.3 + 0.7 * part) + 0.01 * smile * part
    gap_low = 0.052 * part + 0.86 * jaw * (0.35 + 0.65 * min(1.0, part + 0.6))
    thin = (1 - 0.62 * press) * (1 - 0.22 * smile)
    lift = 0.055 * au["AU10"] * (0.55 + 0.45 * np.exp(-(((side - 0.4) / 0.3) ** 2)))
    inner_up = middle - (gap_up + 0.0) * _ROUND - 0.5 * lift * _ROUND * (gap_up > 0.004)
    inner_low = middle + gap_low * _ROUND
    inner_low = np.maximum(inner_low, inner_up)
    outer_up = inner_up - (shape.upper_lip * thin + lift * 0.5) * _BOW
    outer_low = inner_low + (shape.lower_lip * thin + 0.014 * au["AU17"]) * _SWELL
    line = [np.stack([x, y], 1) for y in (outer_up, inner_up, inner_low, outer_low)]
    upper_lip = np.concatenate([line[0], line[1][::-1]])
    lower_lip = np.concatenate([line[2], line[3][::-1]])
    opening = np.concatenate([line[1], line[2][::-1]])
    return upper_lip, lower_lip, opening, line[1], float((inner_low - inner_up).max())


def landmarks(person: Appearance, lines: FaceLines) -> np.ndarray:
    """float [27, 2] displayed frontal points that mark the moving parts: see `LANDMARKS`."""
    count = len(lines.brows[0]) // 2
    points = [0.5 * (brow[at] + brow[2 * count - 1 - at]) for brow in lines.brows for at in (0, count // 2, count - 1)]
    for eye in lines.eyes:
        middle = len(eye.upper) // 2
        points += [eye.upper[0], eye.upper[-1], eye.upper[middle], eye.lower[middle], np.array(eye.iris)]
    count = len(lines.seam)
    outer_up, inner_low = lines.upper_lip[:count], lines.lower_lip[:count]
    outer_low = lines.lower_lip[count:][::-1]
    points += [lines.seam[0], lines.seam[-1], outer_up[count // 2], lines.seam[count // 2], inner_low[count // 2],
               outer_low[count // 2], outer_up[count // 4], outer_up[-1 - count // 4]]  # fmt: skip
    half, tip = person.shape.nose_half_width, person.shape.nose_length - 0.6 * lines.nostril_lift
    points += [np.array((-half, tip)), np.array((half, tip)), np.array((0.0, 0.97 + lines.jaw))]
    return np.stack(points)


class HeadSurface:
    """The head of one person as a stack of ellipses."""

    def __init__(self, person: Appearance):
        shape = person.shape
        volume = person.hair_volume
        top = -1.0 - 0.8 * volume
        rows = [top, top * 0.985, top * 0.94, -0.82, -0.6, -0.3, 0.0, 0.32, 0.56, 0.74, 0.87, 0.95, 0.99, 1.0]
        wide = shape.half_width * np.array(
            [0.0, 0.24, 0.44, 0.71, 0.92, 1.0, 1.0, 0.965, shape.jaw, 0.5 * (shape.jaw + shape.chin) + 0.03,
             shape.chin, 0.62 * shape.chin, 0.3 * shape.chin, 0.0])  # fmt: skip
        wide[1:5] *= 1 + np.array([1.0, 1.0, 1.0, 0.7]) * volume
        self.rows = np.linspace(TOP, BOTTOM, 2000).astype(np.float32)
        inside = np.clip(self.rows, rows[0], 1.0)
        width = PchipInterpolator(rows, wide)(inside)
        outside = np.maximum(self.rows - 1.0, 0) + np.maximum(rows[0] - self.rows, 0)
        self.half_width = (width - 2.2 * outside).astype(np.float32)
        depth = 0.86 * (1 - 0.65 * np.abs(self.rows / 1.1) ** 3)
        self.half_depth = depth.astype(np.float32)
        self.slope = np.gradient(self.half_width, self.rows).clip(-1.2, 1.2).astype(np.float32)
        self.width = float(shape.half_width)

    def to_texture(self, points: np.ndarray, jaw: float, scale: float) -> np.ndarray:
        """Displayed frontal points [n, 2] -> texture pixels [n, 2] at `scale` pixels per face unit."""
        y = skin_height(points[:, 1], jaw)
        half = np.maximum(np.interp(y, self.rows, self.half_width), 0.05)
        angle = np.arcsin(np.clip(points[:, 0] / half, -0.999, 0.999))
        return np.stack([(angle + SIDE) * self.width * scale, (y - TOP) * scale], 1)

    def texture_size(self, scale: float) -> tuple[int, int]:
        """(width, height) in pixels."""
        return int(np.ceil(2 * SIDE * self.width * scale)), int(np.ceil((BOTTOM - TOP) * scale))

    def project(self, points: np.ndarray, rise: np.ndarray, pose: tuple[float, float], jaw: float) -> np.ndarray:
        """Displayed frontal points [n, 2] with relief `rise` [n] -> where a head turned by (yaw, pitch) shows them."""
        yaw, pitch = pose
        skin = skin_height(points[:, 1], jaw)
        half, deep = (np.maximum(np.interp(skin, self.rows, m), 0.05) for m in (self.half_width, self.half_depth))
        angle = np.arcsin(np.clip(points[:, 0] / half, -0.999, 0.999))
        angle = angle + rise * math.sin(yaw) / (self.width * np.maximum(np.cos(angle + yaw), 0.35))
        u = half * np.sin(angle) * math.cos(yaw) + deep * np.cos(angle) * math.sin(yaw)
        wide = np.maximum(half, _LEAST_WIDTH)
        around = np.arcsin(np.clip(points[:, 0] / wide, -0.999, 0.999))
        depth = deep * np.cos(around) * math.cos(yaw) - wide * np.sin(around) * math.sin(yaw) - 0.35 + rise
        return np.stack([u, points[:, 1] * math.cos(pitch) - depth * math.sin(pitch)], 1)

    def look(self, u: np.ndarray, v: np.ndarray, pose: tuple[float, float], jaw: float) -> tuple[np.ndarray, ...]:
        """What is seen at displayed points of an upright, turned head.

        u, v: float32 [r, c] face units; pose: (yaw, pitch) in radians. Returns angle [r, c], skin height y [r, c],
        distance inside the outline [r, c] (negative outside) and slope of the outline [r, c].
        """
        yaw, pitch = pose
        cos_y, sin_y, cos_p, sin_p = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
        step = (len(self.rows) - 1) / (BOTTOM - TOP)
        shown = v / cos_p
        y = shown
        for _ in range(2):
            row = np.clip((y - TOP) * step, 0, len(self.rows) - 1).astype(np.int32)
            a, b = self.half_width[row], self.half_depth[row]
            # Never narrow here: with the true width at the poles the search would jump between front and outside.
            wide = np.maximum(a, _LEAST_WIDTH)
            around = np.arcsin(np.clip(u / np.hypot(wide * cos_y, b * sin_y), -1, 1)) - np.arctan2(
                b * sin_y, wide * cos_y
            )
            depth = b * np.cos(around) * cos_y - wide * np.sin(around) * sin_y
            y = skin_height(shown + (depth - 0.35) * (sin_p / cos_p), jaw)
        row = np.clip((y - TOP) * step, 0, len(self.rows) - 1).astype(np.int32)
        a, b = self.half_width[row], self.half_depth[row]
        wide = np.maximum(a, 1e-3)
        reach = np.hypot(wide * cos_y, b * sin_y)
        angle = np.arcsin(np.clip(u / reach, -1, 1)) - np.arctan2(b * sin_y, wide * cos_y)
        inside = np.where(a > 0, reach, a) - np.abs(u)
        return angle, y, inside, self.slope[row]


def skin_height(y: np.ndarray, jaw: float) -> np.ndarray:
    """Displayed height -> height on the resting skin: the jaw stretches what lies below its hinge."""
    below = np.maximum(y - JAW_HINGE, 0)
    return y - below * (jaw / (jaw + 1.0 - JAW_HINGE))
