"""Painting the moving parts of a synthetic face into its texture: brows, eyes, nostrils, mouth, glasses.

Every stroke touches a small window of the texture. Polygons are drawn with sub-pixel corners, so that an action of
half a pixel is still seen.
"""

import cv2
import numpy as np

from cuewise.data_recipes.synthetic.face_appearance import Appearance
from cuewise.data_recipes.synthetic.face_geometry import EyeLines, FaceLines, HeadSurface
from cuewise.data_recipes.synthetic.face_shading import Skin

_SUB = 4
"""Fractional bits of polygon corners."""


class Painter:
    """Paints the lines of one frame into a texture of one person."""

    def __init__(self, person: Appearance, surface: HeadSurface, skin: Skin, scale: float):
        self.person, self.surface, self.skin, self.scale = person, surface, skin, scale
        tone = np.array(person.skin, np.float32)
        self.lash = np.array((34, 26, 24), np.float32) * (1 - 0.3 * person.tone)
        self.lid = tone * (0.80, 0.74, 0.72)
        self.brow = np.array(person.hair_colour, np.float32) * 0.55 + 0.14 * tone
        self.lip = np.array(person.lip_colour, np.float32)

    def paint(self, texture: np.ndarray, lines: FaceLines) -> None:
        """Paint eyes, brows, nose and mouth over the uint8 texture [R, C, 3], in place."""
        for eye in lines.eyes:
            self._eye(texture, eye, lines.jaw)
        for brow in lines.brows:
            self._fill(texture, self._pixels(brow, lines.jaw), self.brow, 0.9, soften=0.012, grain=0.45)
        self._nostrils(texture, lines)
        self._mouth(texture, lines)
        if self.person.glasses:
            self._glasses(texture, lines.jaw)

    def _pixels(self, points: np.ndarray, jaw: float) -> np.ndarray:
        return self.surface.to_texture(points, jaw, self.scale).astype(np.float32)

    def _fill(
        self, texture: np.ndarray, pixels: np.ndarray, colour: np.ndarray, opacity: float, soften: float = 0.0,
        grain: float = 0.0,
    ) -> None:  # fmt: skip
        """Blend `colour` into the polygon; `soften` blurs its edge (face units), `grain` lets hair pattern through."""
        window, corner = _window(texture, pixels, 3 + round(2 * soften * self.scale))
        if window.size == 0:
            return
        mask = _mask(window.shape[:2], pixels - corner)
        if soften:
            mask = cv2.GaussianBlur(mask, (0, 0), max(soften * self.scale, 0.4))
        weight = mask * opacity
        if grain:
            row, column = int(corner[1]), int(corner[0])
            pattern = self.skin.brow_grain[row : row + window.shape[0], column : column + window.shape[1]]
            weight = weight * (1 - grain * pattern)
        _blend(window, colour, weight)

    def _line(
        self, texture: np.ndarray, pixels: np.ndarray, colour: np.ndarray, opacity: float, width: float, soften: float
    ) -> None:
        window, corner = _window(texture, pixels, 4 + round((width + 2 * soften) * self.scale))
        if window.size == 0:
            return
        ink = np.zeros(window.shape[:2], np.uint8)
        points = np.round((pixels - corner) * (1 << _SUB)).astype(np.int32)
        cv2.polylines(ink, [points], False, 255, max(1, round(width * self.scale)), cv2.LINE_AA, _SUB)
        mask = ink.astype(np.float32) / 255
        if soften:
            mask = cv2.GaussianBlur(mask, (0, 0), max(soften * self.scale, 0.4))
        _blend(window, colour, mask * opacity)

    def _eye(self, texture: np.ndarray, eye: EyeLines, jaw: float) -> None:
        upper, lower = self._pixels(eye.upper, jaw), self._pixels(eye.lower, jaw)
        outline = np.concatenate([upper, lower[::-1]])
        self._line(texture, self._pixels(eye.fold, jaw), self.lid * 0.72, 0.5, 0.012, 0.012)
        if eye.openness > 0.008:
            window, corner = _window(texture, outline, 4)
            if window.size:
                ball = self._eyeball(window.shape[:2], eye, corner, upper, jaw)
                _blend(window, ball, _mask(window.shape[:2], outline - corner))
        self._line(texture, lower, self.lash * 0.6 + self.lid * 0.4, 0.55, 0.010, 0.004)
        self._line(texture, upper, self.lash, 0.92, 0.024, 0.004)

    def _eyeball(
        self, shape: tuple[int, int], eye: EyeLines, corner: np.ndarray, upper: np.ndarray, jaw: float
    ) -> np.ndarray:
        """float32 [h, w, 3] eyeball behind the lids."""
        ball = np.empty((*shape, 3), np.uint8)
        ball[:] = np.array((226, 220, 214), np.float32) * (1 - 0.08 * self.person.tone)
        middle = self._pixels(np.array([eye.iris]), jaw)[0] - corner
        radius = eye.radius * self.scale
        spot = tuple(int(v) for v in np.round(middle * (1 << _SUB)))
        colour = np.array(self.person.eye_colour, np.float32)
        for size, shade in ((1.0, colour * 0.45), (0.86, colour), (0.62, colour * 1.18), (0.42, colour * 0.08)):
            cv2.circle(ball, spot, int(size * radius * (1 << _SUB)), shade.tolist(), -1, cv2.LINE_AA, _SUB)
        glint = tuple(int(v) for v in np.round((middle + radius * np.array((0.32, -0.36))) * (1 << _SUB)))
        cv2.circle(ball, glint, int(0.2 * radius * (1 << _SUB)), (245, 245, 245), -1, cv2.LINE_AA, _SUB)
        shadow = np.zeros(shape, np.uint8)
        points = np.round((upper - corner) * (1 << _SUB)).astype(np.int32)
        cv2.polylines(shadow, [points], False, 255, max(1, round(0.04 * self.scale)), cv2.LINE_AA, _SUB)
        shade = cv2.GaussianBlur(shadow, (0, 0), 0.02 * self.scale).astype(np.float32)
        return ball * (1 - 0.42 / 255 * shade)[..., None]

    def _nostrils(self, texture: np.ndarray, lines: FaceLines) -> None:
        shape = self.person.shape
        tip, half = shape.nose_length - 0.6 * lines.nostril_lift, shape.nose_half_width
        angle = np.linspace(0, 2 * np.pi, 12)
        dark = np.array(self.person.skin, np.float32) * (0.30, 0.22, 0.20)
        for side in (-1, 1):
            hole = np.stack([side * (0.46 * half + 0.034 * np.cos(angle)), tip + 0.012 + 0.017 * np.sin(angle)], 1)
            self._fill(texture, self._pixels(hole, lines.jaw), dark, 0.8, soften=0.009)
            wing = np.array([(0.78, -0.05), (1.02, -0.02), (1.0, 0.012), (0.82, 0.026), (0.62, 0.02)]) * (half, 1)
            wing = (wing + np.array((0.25 * lines.nostril_lift, tip - 0.006 - lines.nostril_lift))) * (side, 1)
            self._line(texture, self._pixels(wing, lines.jaw), dark, 0.34, 0.012, 0.009)

    def _mouth(self, texture: np.ndarray, lines: FaceLines) -> None:
        upper, lower = self._pixels(lines.upper_lip, lines.jaw), self._pixels(lines.lower_lip, lines.jaw)
        opening, seam = self._pixels(lines.opening, lines.jaw), self._pixels(lines.seam, lines.jaw)
        self._fill(texture, np.concatenate([upper, lower]), self.lip * 0.95, 0.35, soften=0.02)
        self._fill(texture, upper, self.lip * 0.84, 0.92, soften=0.007)
        self._fill(texture, lower, self.lip * 1.02, 0.92, soften=0.007)
        light = lower[len(lower) // 2 :].mean(0) * 0.45 + lower[: len(lower) // 2].mean(0) * 0.55
        reach = 0.32 * np.ptp(lower[:, 0])
        shine = light + np.stack([np.linspace(-reach, reach, 7), np.zeros(7)], 1).astype(np.float32)
        self._line(texture, shine, np.minimum(self.lip * 1.35 + 18, 255), 0.4, 0.016, 0.018)
        if lines.gap > 0.006:
            self._inside(texture, opening, lines)
        self._line(texture, seam, self.lip * 0.28, 0.8, 0.014, 0.005)

    def _inside(self, texture: np.ndarray, opening: np.ndarray, lines: FaceLines) -> None:
        """Dark mouth with the upper teeth and, when wide, the tongue."""
        window, corner = _window(texture, opening, 4)
        if window.size == 0:
            return
        cave = np.empty((*window.shape[:2], 3), np.float32)
        cave[:] = (46, 18, 20)
        edge = lines.seam[3:-3]
        depth = min(0.075, 0.85 * lines.gap)
        teeth = np.concatenate([edge - (0, 0.02), (edge + np.array((0, depth)))[::-1]])
        fade = _mask(window.shape[:2], self._pixels(teeth, lines.jaw) - corner)
        _blend(cave, np.array((226, 220, 206), np.float32), cv2.GaussianBlur(fade, (0, 0), 0.8) * 0.93)
        if lines.gap > 0.1:
            low = lines.opening[len(lines.opening) // 2 :]
            tongue = np.concatenate([low[5:-5], (low[5:-5] - (0, 0.4 * lines.gap))[::-1] * (0.8, 1)])
            fill = _mask(window.shape[:2], self._pixels(tongue, lines.jaw) - corner)
            _blend(cave, np.array((150, 74, 76), np.float32), cv2.GaussianBlur(fill, (0, 0), 1.5) * 0.7)
        _blend(window, cave, _mask(window.shape[:2], opening - corner))

    def _glasses(self, texture: np.ndarray, jaw: float) -> None:
        shape = self.person.shape
        angle = np.linspace(0, 2 * np.pi, 28)
        power = 0.5 if self.person.glasses == "square" else 1.0
        rim_x = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** power
        rim_y = np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** power
        frame = np.array((38, 32, 30), np.float32)
        for side in (-1, 1):
            lens = np.stack([side * (shape.eye_x + 0.008) + 0.2 * rim_x, 0.01 + 0.155 * rim_y], 1)
            pixels = self._pixels(lens, jaw)
            self._fill(texture, pixels, np.array((236, 240, 244), np.float32), 0.05)
            self._line(texture, pixels, frame, 0.85, 0.018, 0.0)
            arm = np.array([(side * (shape.eye_x + 0.2), -0.03), (side * self.person.shape.half_width * 0.99, -0.05)])
            self._line(texture, self._pixels(arm, jaw), frame, 0.8, 0.018, 0.0)
        bridge = np.array([(-(shape.eye_x - 0.19), -0.02), (0.0, -0.045), (shape.eye_x - 0.19, -0.02)])
        self._line(texture, self._pixels(bridge, jaw), frame, 0.85, 0.018, 0.0)


def _window(texture: np.ndarray, pixels: np.ndarray, margin: int) -> tuple[np.ndarray, np.ndarray]:
    """View of the texture around the points, and its corner (x, y)."""
    low = np.maximum(np.floor(pixels.min(0)).astype(int) - margin, 0)
    high = np.ceil(pixels.max(0)).astype(int) + margin
    return texture[low[1] : high[1], low[0] : high[0]], low.astype(np.float32)


def _mask(shape: tuple[int, int], pixels: np.ndarray) -> np.ndarray:
    """float32 coverage of a polygon in [0, 1]."""
    ink = np.zeros(shape, np.uint8)
    cv2.fillPoly(ink, [np.round(pixels * (1 << _SUB)).astype(np.int32)], 255, cv2.LINE_AA, _SUB)
    return ink.astype(np.float32) * (1 / 255)


def _blend(window: np.ndarray, colour: np.ndarray, weight: np.ndarray) -> None:
    """window += weight * (colour - window), in place; colour is one RGB or an image."""
    mixed = window + weight[..., None] * (colour - window.astype(np.float32))
    window[:] = np.clip(mixed, 0, 255) if window.dtype == np.uint8 else mixed
