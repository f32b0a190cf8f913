"""Skin of a synthetic face: the resting texture, the folds each action unit adds, and the relief that catches light.

Everything here is computed once for a person and a scale; frames only weigh and add what is in `Skin`.
Textures have R rows and C columns (see `HeadSurface.texture_size`); relief maps are half as large.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from cuewise.data_recipes.synthetic.face_appearance import Appearance
from cuewise.data_recipes.synthetic.face_geometry import SIDE, TOP, HeadSurface

FOLD_UNITS = ("AU1", "AU2", "AU4", "AU6", "AU7", "AU9", "AU10", "AU12", "AU15", "AU17", "AU24")
"""Action units that fold the skin."""


@dataclass(frozen=True, slots=True)
class Skin:
    """Maps of one person."""

    base: np.ndarray
    """uint8 [R, C, 3] resting skin with hair, nose and lines, without eyes, brows and mouth."""

    folds: np.ndarray
    """float32 [units, R, C] share of light each of `FOLD_UNITS` takes at full intensity (negative: adds)."""

    height: np.ndarray
    """float32 [R/2, C/2] relief above the head surface in face units: nose, sockets, lips."""

    relief: np.ndarray
    """float32 [R/2, C/2, 2] slope of the resting relief along x and y."""

    unit_relief: np.ndarray
    """float32 [units, R/2, C/2, 2] slope added by each of `FOLD_UNITS` at full intensity."""

    brow_grain: np.ndarray
    """float32 [R, C] hair pattern of brows and beard in [0, 1]."""


def make_skin(person: Appearance, surface: HeadSurface, scale: float) -> Skin:
    """Paint the resting skin of a person at `scale` texture pixels per face unit."""
    canvas = _Canvas(surface, scale)
    rng = np.random.default_rng([person.seed, 0x5EED])
    base = _complexion(person, canvas, rng)
    _nose(person, canvas, base)
    _lines_of_age(person, canvas, base)
    grain = _grain(canvas.shape, rng)
    _beard(person, canvas, base, grain)
    _hair(person, canvas, base, rng)
    folds = np.stack([_fold(unit, person, canvas) for unit in FOLD_UNITS])
    height = _resting_height(person, canvas)
    bulge = np.stack([_bulge(unit, person, canvas) for unit in FOLD_UNITS])
    small = (canvas.shape[1] // 2, canvas.shape[0] // 2)
    heights = [cv2.resize(m, small, interpolation=cv2.INTER_AREA) for m in (height, *bulge)]
    slopes = [_slope(m, scale / 2) for m in heights]
    return Skin(
        base=np.clip(base, 0, 255).astype(np.uint8), folds=folds, height=heights[0], relief=slopes[0],
        unit_relief=np.stack(slopes[1:]), brow_grain=grain,
    )  # fmt: skip


class _Canvas:
    """Face-unit coordinates of every texture pixel, and soft shapes on them."""

    def __init__(self, surface: HeadSurface, scale: float):
        self.surface, self.scale = surface, scale
        columns, rows = surface.texture_size(scale)
        self.shape = rows, columns
        angle = (np.arange(columns, dtype=np.float32) + 0.5) / (surface.width * scale) - SIDE
        height = (np.arange(rows, dtype=np.float32) + 0.5) / scale + TOP
        self.angle, self.y = np.meshgrid(angle, height)
        half = np.interp(height, surface.rows, surface.half_width).clip(0.05)[:, None]
        self.x = (half * np.sin(np.clip(self.angle, -np.pi / 2, np.pi / 2))).astype(np.float32)

    def blob(self, x: float, y: float, rx: float, ry: float, both: bool = False) -> np.ndarray:
        """Gaussian spot at (x, y); `both` mirrors it."""
        drop = ((self.y - y) / ry) ** 2
        spot = np.exp(-0.5 * (((self.x - x) / rx) ** 2 + drop))
        return spot + np.exp(-0.5 * (((self.x + x) / rx) ** 2 + drop)) if both else spot

    def strokes(
        self, lines: list[list[tuple[float, float]]], width: float, blur: float, both: bool = True
    ) -> np.ndarray:
        """Soft curved lines through face-unit points, 1 at the core; `both` mirrors them."""
        ink = np.zeros(self.shape, np.uint8)
        for line in lines:
            points = _smooth(np.array(line, np.float32))
            for side in (1, -1) if both else (1,):
                pixels = self.surface.to_texture(points * (side, 1), 0.0, self.scale)
                cv2.polylines(ink, [np.round(pixels * 16).astype(np.int32)], False, 255,
                              max(1, round(width * self.scale)), cv2.LINE_AA, 4)  # fmt: skip
        soft = cv2.GaussianBlur(ink.astype(np.float32), (0, 0), max(blur * self.scale, 0.4))
        return soft / max(float(soft.max()), 1e-6)

    def fold(self, lines: list[list[tuple[float, float]]], both: bool = True, width: float = 0.012) -> np.ndarray:
        """A skin fold: a soft valley with a dark core and a light ridge below it."""
        core = self.strokes(lines, width, 0.010, both)
        valley = self.strokes(lines, 2.2 * width, 0.026, both)
        ridge = self.strokes([[(x, y + 0.034) for x, y in line] for line in lines], width, 0.02, both)
        return 0.5 * core + 0.55 * valley - 0.4 * ridge


def _smooth(points: np.ndarray, count: int = 24) -> np.ndarray:
    """Quadratic curve through three points, or the points themselves."""
    if len(points) != 3:
        return points
    t = np.linspace(0, 1, count)[:, None]
    middle = 2 * points[1] - 0.5 * (points[0] + points[2])
    return (1 - t) ** 2 * points[0] + 2 * t * (1 - t) * middle + t**2 * points[2]


def _slope(height: np.ndarray, scale: float) -> np.ndarray:
    soft = cv2.GaussianBlur(height, (0, 0), 1.0)
    return np.stack([np.gradient(soft, axis=1) * scale, np.gradient(soft, axis=0) * scale], -1).astype(np.float32)


def _grain(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    noise = cv2.GaussianBlur(rng.standard_normal(shape).astype(np.float32), (0, 0), 0.9)
    return np.clip(0.5 + 1.1 * noise, 0, 1)


def _complexion(person: Appearance, c: _Canvas, rng: np.random.Generator) -> np.ndarray:
    shape = person.shape
    base = np.broadcast_to(np.array(person.skin, np.float32), (*c.shape, 3)).copy()
    light = (
        1 + 0.05 * c.blob(0, -0.45, 0.3, 0.16) + 0.05 * c.blob(shape.eye_x + 0.03, 0.25, 0.12, 0.09, both=True)
        - 0.16 * c.blob(shape.eye_x - 0.06, -0.05, 0.13, 0.06, both=True)
        - 0.08 * c.blob(shape.eye_x, 0.10, 0.11, 0.035, both=True)
        - 0.10 * c.blob(0.0, shape.mouth_y + 0.155, 0.15, 0.03)
        + 0.04 * c.blob(0.0, shape.mouth_y + 0.27, 0.12, 0.06) - 0.06 * (c.y > 0.9)
    )  # fmt: skip
    coarse = cv2.resize(rng.standard_normal((9, 11)).astype(np.float32), c.shape[::-1], interpolation=cv2.INTER_CUBIC)
    fine = cv2.GaussianBlur(rng.standard_normal(c.shape).astype(np.float32), (0, 0), 0.8)
    light = light * (1 + 0.012 * coarse + 0.022 * fine)
    blush = (
        0.5 * c.blob(shape.eye_x + 0.1, 0.32, 0.15, 0.12, both=True) + 0.4 * c.blob(0, 0.34, 0.1, 0.09)
        + 0.2 * c.blob(0, 0.85, 0.2, 0.1)
    ) * (1 - 0.6 * person.tone)  # fmt: skip
    base *= light[..., None]
    base *= 1 - blush[..., None] * np.array((0.0, 0.14, 0.12), np.float32)
    if person.freckles > 0.05:
        spots = (rng.random(c.shape) < 0.02 * person.freckles).astype(np.float32)
        spots = cv2.GaussianBlur(spots, (0, 0), 0.9) * c.blob(0, 0.25, 0.4, 0.2)
        base *= 1 - np.clip(3.0 * spots, 0, 0.35)[..., None] * np.array((0.6, 0.9, 1.0), np.float32)
    return base


def _nose(person: Appearance, c: _Canvas, base: np.ndarray) -> None:
    shape = person.shape
    tip, half = shape.nose_length, shape.nose_half_width
    bridge = 0.55 * half
    side = c.strokes([[(bridge * 0.75, -0.1), (bridge * 0.62, 0.12), (half * 0.8, tip - 0.07)]], 0.05, 0.035)
    under = c.blob(0, tip + 0.045, 0.09, 0.018)
    wing = c.strokes(
        [[(half * 0.72, tip - 0.085), (half * 1.06, tip - 0.03), (half * 0.72, tip + 0.018)]], 0.016, 0.012
    )
    philtrum = c.strokes([[(0.034, tip + 0.05), (0.038, shape.mouth_y - 0.07)]], 0.014, 0.016)
    shine = c.blob(0, 0.1, 0.022, 0.16) + 1.2 * c.blob(0.01, tip - 0.055, 0.035, 0.03)
    base *= (1 - 0.17 * side - 0.22 * under - 0.24 * wing - 0.06 * philtrum)[..., None]
    base += (13 + 8 * person.tone) * shine[..., None]


def _lines_of_age(person: Appearance, c: _Canvas, base: np.ndarray) -> None:
    shape, age = person.shape, float(np.clip((person.age - 22) / 50, 0, 1))
    nasolabial = c.fold([_nasolabial(person, 0.0)])
    bags = c.fold([[(shape.eye_x - 0.11, 0.085), (shape.eye_x, 0.125), (shape.eye_x + 0.11, 0.085)]])
    forehead = c.fold([[(-0.3, y), (0.0, y - 0.02), (0.3, y)] for y in (-0.38, -0.46)], both=False)
    marionette = c.fold([[(shape.mouth_half_width + 0.02, shape.mouth_y + 0.03), (shape.mouth_half_width + 0.045,
                          shape.mouth_y + 0.1), (shape.mouth_half_width + 0.03, shape.mouth_y + 0.17)]])  # fmt: skip
    lines = (
        (0.05 + 0.12 * age) * nasolabial + (0.05 + 0.1 * age) * bags + 0.09 * age * forehead + 0.1 * age * marionette
    )
    base *= (1 - lines)[..., None]


def _nasolabial(person: Appearance, smile: float) -> list[tuple[float, float]]:
    """Fold from the wing of the nose to beside the mouth."""
    shape = person.shape
    start = (shape.nose_half_width + 0.02, shape.nose_length - 0.06)
    end = (shape.mouth_half_width + 0.055 + 0.06 * smile, shape.mouth_y - 0.005 - 0.03 * smile)
    bow = (0.5 * (start[0] + end[0]) + 0.03 + 0.045 * smile, 0.5 * (start[1] + end[1]) - 0.02 - 0.02 * smile)
    return [start, bow, end]


def _beard(person: Appearance, c: _Canvas, base: np.ndarray, grain: np.ndarray) -> None:
    if person.beard == "none":
        return
    shape = person.shape
    low = 1 / (1 + np.exp(-(c.y - (0.52 + 0.25 * np.exp(-((c.x / 0.42) ** 4)))) / 0.03))
    side = 1 / (1 + np.exp(-(np.abs(c.angle) - 0.95) / 0.07)) * (c.y > 0.1)
    mouth = np.exp(-(((c.x / (shape.mouth_half_width + 0.03)) ** 2 + ((c.y - shape.mouth_y) / 0.075) ** 2) ** 2))
    moustache = c.blob(0.09, shape.mouth_y - 0.1, 0.11, 0.032, both=True)
    chin = c.blob(0, shape.mouth_y + 0.27, 0.15, 0.13) + c.blob(
        shape.mouth_half_width, shape.mouth_y + 0.12, 0.05, 0.12, True
    )
    area = {
        "stubble": 0.35 * np.maximum(low + 0.6 * side, moustache), "moustache": moustache, "goatee": chin + moustache,
        "full": low + side + moustache,
    }[person.beard]  # fmt: skip
    area = np.clip(area, 0, 1) * (1 - np.clip(mouth, 0, 1)) * (0.62 + 0.38 * grain)
    base += area[..., None] * 0.92 * (np.array(person.hair_colour, np.float32) - base)


def hairline(person: Appearance, angle: np.ndarray) -> np.ndarray:
    """Height of the edge of the hair at each angle around the head."""
    side = np.clip((np.abs(angle) - 0.75) / 0.45, 0, 1)
    front = -0.60 + 0.05 * np.cos(angle * 2.2)
    if person.hair_style == "fringe":
        front = -0.30 + 0.03 * np.sin(angle * 23)
    elif person.hair_style == "parted":
        front = front + 0.10 * np.clip((angle - 0.2) / 0.8, 0, 1)
    elif person.hair_style == "bald":
        return np.full_like(angle, -2.0)
    down = {"long": 0.9, "curly": 0.45, "tied": 0.12, "fringe": 0.5}.get(person.hair_style, 0.22)
    return front + side**1.5 * (down - front)


def _hair(person: Appearance, c: _Canvas, base: np.ndarray, rng: np.random.Generator) -> None:
    rows, columns = c.shape
    edge = hairline(person, c.angle) + 0.012 * np.interp(c.angle, np.linspace(-SIDE, SIDE, 90), rng.standard_normal(90))
    softness = 0.03 if person.hair_style in ("buzz", "bald") else 0.014
    cover = 1 / (1 + np.exp((c.y - edge) / softness))
    strand = rng.standard_normal((rows // 10 + 2, columns)).astype(np.float32)
    if person.hair_style == "curly":
        strand = cv2.GaussianBlur(rng.standard_normal((rows // 4, columns // 4)).astype(np.float32), (0, 0), 0.9) * 2
    strand = cv2.GaussianBlur(cv2.resize(strand, (columns, rows), interpolation=cv2.INTER_CUBIC), (0, 0), 0.7)
    gloss = 0.25 * np.exp(-(((c.y + 0.78) / 0.07) ** 2)) * (person.hair_style != "curly")
    colour = np.array(person.hair_colour, np.float32) * (1 + 0.2 * strand + gloss)[..., None] + 6 * gloss[..., None]
    opacity = 0.72 if person.hair_style == "buzz" else 0.97
    shadow = 0.2 * np.exp(-(((c.y - edge - 0.03) / 0.035).clip(0) ** 2)) * (1 - cover) * (person.hair_style != "bald")
    base *= (1 - shadow)[..., None]
    base += (cover * opacity)[..., None] * (colour - base)


def _resting_height(person: Appearance, c: _Canvas) -> np.ndarray:
    shape = person.shape
    tip, half = shape.nose_length, shape.nose_half_width
    along = np.clip((c.y + 0.16) / (tip + 0.10), 0, 1)
    ridge = 0.15 * along**1.3 * np.exp(-0.5 * (c.x / (0.045 + 0.035 * along)) ** 2)
    ridge *= 1 / (1 + np.exp((c.y - tip) / 0.018))
    wings = 0.055 * c.blob(half * 0.72, tip - 0.035, 0.036, 0.04, both=True)
    sockets = -0.055 * c.blob(shape.eye_x - 0.02, -0.04, 0.14, 0.075, both=True)
    brow = 0.035 * c.blob(shape.eye_x, shape.brow_y - 0.02, 0.2, 0.05, both=True)
    cheek = 0.035 * c.blob(shape.eye_x + 0.08, 0.24, 0.15, 0.11, both=True)
    lips = 0.04 * c.blob(0, shape.mouth_y, shape.mouth_half_width * 0.7, 0.08)
    chin = 0.05 * c.blob(0, 0.87, 0.13, 0.075) - 0.02 * c.blob(0, shape.mouth_y + 0.14, 0.14, 0.03)
    return (ridge + wings + sockets + brow + cheek + lips + chin).astype(np.float32)


def _bulge(unit: str, person: Appearance, c: _Canvas) -> np.ndarray:
    """Relief the unit adds at full intensity, in face units."""
    shape = person.shape
    if unit == "AU12":
        relief = 0.055 * c.blob(shape.eye_x + 0.09, 0.33, 0.11, 0.075, both=True)
    elif unit == "AU6":
        relief = 0.045 * c.blob(shape.eye_x + 0.06, 0.2, 0.12, 0.06, both=True)
    elif unit == "AU4":
        relief = 0.03 * c.blob(0.11, shape.brow_y + 0.04, 0.06, 0.045, both=True)
    elif unit == "AU17":
        relief = 0.045 * c.blob(0, shape.mouth_y + 0.23, 0.1, 0.06)
    elif unit == "AU10":
        relief = 0.03 * c.blob(shape.nose_half_width + 0.04, shape.nose_length + 0.03, 0.06, 0.05, both=True)
    else:
        relief = np.zeros(c.shape, np.float32)
    return relief.astype(np.float32)


def _fold(unit: str, person: Appearance, c: _Canvas) -> np.ndarray:
    """Share of light the unit's folds take at full intensity."""
    shape = person.shape
    ex, by, mw, my = shape.eye_x, shape.brow_y, shape.mouth_half_width, shape.mouth_y
    tip = shape.nose_length
    strength = 0.75 + 0.5 * float(np.clip((person.age - 20) / 50, 0, 1))
    if unit == "AU1":
        fold = 0.30 * c.fold(
            [[(-0.2, y + 0.02), (0.0, y - 0.012), (0.2, y + 0.02)] for y in (-0.33, -0.40, -0.47)], False
        )
    elif unit == "AU2":
        fold = 0.30 * c.fold([[(0.2, y), (ex + 0.06, y - 0.05), (ex + 0.22, y + 0.03)] for y in (-0.35, -0.43)])
    elif unit == "AU4":
        fold = 0.42 * c.fold([[(0.05, by - 0.06), (0.042, by + 0.02), (0.058, by + 0.07)]], width=0.018)
        fold += 0.16 * c.blob(0, by + 0.06, 0.07, 0.03) + 0.14 * c.blob(ex - 0.06, by + 0.1, 0.09, 0.025, both=True)
    elif unit == "AU6":
        x = ex + shape.eye_half_width
        fold = 0.32 * c.fold([[(x + 0.035, y), (x + 0.09, y + d), (x + 0.15, y + 2.4 * d)] for y, d in
                              ((-0.03, -0.012), (0.005, 0.0), (0.035, 0.014))])  # fmt: skip
        fold += 0.26 * c.fold([[(ex - 0.12, 0.085), (ex, 0.115), (ex + 0.13, 0.075)]])
    elif unit == "AU7":
        fold = 0.34 * c.fold([[(ex - 0.1, 0.055), (ex, 0.078), (ex + 0.1, 0.05)]])
    elif unit == "AU9":
        fold = 0.46 * c.fold([[(-0.075, y + 0.02), (0.0, y), (0.075, y + 0.02)] for y in (-0.06, -0.005, 0.05)], False)
        fold += 0.4 * c.fold([[(0.05, 0.12), (0.1, 0.16), (0.16, 0.2)]])
    elif unit == "AU10":
        upper = [(0.5 * (a + b), d) for (a, d), b in zip(_nasolabial(person, 0.3), (0.12, 0.2, 0.24))]
        fold = 0.42 * c.fold([upper], width=0.02) + 0.08 * c.blob(0.16, tip + 0.02, 0.05, 0.04, both=True)
    elif unit == "AU12":
        fold = 0.46 * c.fold([_nasolabial(person, 1.0)], width=0.02)
        fold += 0.22 * c.blob(mw + 0.105, my - 0.1, 0.022, 0.035, both=True)
    elif unit == "AU15":
        fold = 0.36 * c.fold([[(mw + 0.01, my + 0.07), (mw + 0.05, my + 0.12), (mw + 0.03, my + 0.2)]], width=0.018)
        fold += 0.12 * c.blob(mw * 0.8, my + 0.13, 0.05, 0.03, both=True)
    elif unit == "AU17":
        fold = 0.46 * c.fold([[(-0.12, my + 0.135), (0.0, my + 0.105), (0.12, my + 0.135)]], both=False, width=0.02)
        spots = ((0.0, 0.24), (0.05, 0.21), (-0.05, 0.22), (0.03, 0.28), (-0.035, 0.275), (0.08, 0.26), (-0.08, 0.265))
        dimples = sum(c.blob(x, my + y, 0.014, 0.012) for x, y in spots)
        fold += 0.3 * dimples
    else:
        fold = 0.3 * c.strokes(
            [[(-mw * 0.8, my - 0.075), (0.0, my - 0.07), (mw * 0.8, my - 0.075)]], 0.012, 0.014, False
        )
        fold += 0.26 * c.blob(0, my + 0.075, mw * 0.7, 0.018) + 0.24 * c.blob(mw + 0.02, my, 0.02, 0.035, both=True)
    return (strength * fold).astype(np.float32)
