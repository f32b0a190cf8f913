"""Indoor-like scenes behind a synthetic person: wall, window, pictures, shelf, lamp and plant, drawn from a seed.

Brightness and colourfulness are set points, not promises: what a clip really shows is measured by
`cuewise.mllm.evidence.scene`.
"""

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True, slots=True)
class Background:
    """One scene."""

    seed: int = 0
    brightness: float = 0.55
    """Mean lightness of the scene in [0, 1]."""
    colourfulness: float = 0.35
    """0 grey to 1 vivid."""
    second_person: float = 0.0
    """Head size of a second person relative to the main one; 0 means nobody else."""

    def __post_init__(self) -> None:
        for name in ("brightness", "colourfulness", "second_person"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"background.{name} must lie in [0, 1], got {value}")


def paint_background(scene: Background, size: tuple[int, int]) -> np.ndarray:
    """uint8 [h, w, 3] RGB picture of the scene; the same scene at every size looks the same."""
    width, height = size
    rng = np.random.default_rng([scene.seed, 0xBAC])
    palette = _palette(rng)
    picture = _wall(rng, palette, width, height)
    for draw, chance in ((_window, 0.5), (_pictures, 0.6), (_shelf, 0.45), (_lamp, 0.4), (_plant, 0.5)):
        if rng.uniform() < chance:
            draw(picture, rng, palette)
        else:
            rng.uniform(size=8)
    soft = cv2.GaussianBlur(picture, (0, 0), max(0.006 * height, 0.5))
    return _tone(soft, scene.brightness, scene.colourfulness)


def _palette(rng: np.random.Generator) -> np.ndarray:
    """float32 [6, 3] RGB colours that go together: neighbours in hue with one opposite."""
    hue = rng.uniform(0, 180)
    hues = (hue + np.array((0, 12, -15, 90, 80, 25)) + rng.uniform(-8, 8, 6)) % 180
    hsv = np.stack([hues, rng.uniform(70, 190, 6), rng.uniform(70, 220, 6)], 1)
    hsv[0] = hues[0], rng.uniform(20, 80), rng.uniform(130, 215)
    return cv2.cvtColor(hsv[None].astype(np.uint8), cv2.COLOR_HSV2RGB)[0].astype(np.float32)


def _wall(rng: np.random.Generator, palette: np.ndarray, width: int, height: int) -> np.ndarray:
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    angle = rng.uniform(0, 2 * np.pi)
    light = 1 + 0.22 * (x * np.cos(angle) + y * np.sin(angle)) - 0.12 * (x**2 + y**2)
    wall = palette[0] * light[..., None]
    if rng.uniform() < 0.5:
        corner = int(rng.uniform(0.05, 0.95) * width)
        wall[:, corner:] *= rng.uniform(0.78, 0.93)
    floor = int(rng.uniform(0.74, 0.92) * height)
    wall[floor:] = 0.6 * palette[1] * light[floor:, :, None]
    return np.clip(wall, 0, 255).astype(np.uint8)


def _box(picture: np.ndarray, x: float, y: float, w: float, h: float, colour: np.ndarray) -> None:
    height, width = picture.shape[:2]
    cv2.rectangle(picture, (int(x * width), int(y * height)), (int((x + w) * width), int((y + h) * height)),
                  np.clip(colour, 0, 255).tolist(), -1, cv2.LINE_AA)  # fmt: skip


def _window(picture: np.ndarray, rng: np.random.Generator, palette: np.ndarray) -> None:
    x, y, w, h = rng.choice((-0.05, 0.62)) + rng.uniform(0, 0.1), rng.uniform(0.04, 0.2), 0.3, rng.uniform(0.35, 0.5)
    _box(picture, x - 0.015, y - 0.015, w + 0.03, h + 0.03, palette[2] * 0.4 + 110)
    _box(picture, x, y, w, h, np.array((200, 220, 240)) * rng.uniform(0.75, 1.05))
    _box(picture, x, y + h * 0.62, w, h * 0.38, palette[4] * 0.35 + 90)
    _box(picture, x + w / 2 - 0.008, y, 0.016, h, palette[2] * 0.4 + 110)


def _pictures(picture: np.ndarray, rng: np.random.Generator, palette: np.ndarray) -> None:
    for _ in range(rng.integers(1, 4)):
        x, y, w, h = rng.uniform(0, 0.85), rng.uniform(0.04, 0.35), rng.uniform(0.08, 0.18), rng.uniform(0.1, 0.2)
        _box(picture, x, y, w, h, palette[5] * 0.4)
        _box(picture, x + 0.012, y + 0.012, w - 0.024, h - 0.024, palette[rng.integers(1, 6)])


def _shelf(picture: np.ndarray, rng: np.random.Generator, palette: np.ndarray) -> None:
    left, y = rng.choice((0.0, 0.66)) + rng.uniform(0, 0.06), rng.uniform(0.3, 0.55)
    _box(picture, left - 0.02, y, 0.34, 0.018, palette[2] * 0.5)
    x = left
    while x < left + 0.26:
        w, h = rng.uniform(0.015, 0.035), rng.uniform(0.09, 0.16)
        _box(picture, x, y - h, w, h, palette[rng.integers(1, 6)] * rng.uniform(0.6, 1.1))
        x += w + 0.003


def _lamp(picture: np.ndarray, rng: np.random.Generator, palette: np.ndarray) -> None:
    height, width = picture.shape[:2]
    x, y, size = rng.choice((0.1, 0.9)) * width, rng.uniform(0.25, 0.5) * height, 0.09 * width
    cv2.line(picture, (int(x), int(y)), (int(x), height), (palette[2] * 0.4).tolist(), max(2, int(0.012 * width)))
    shade = np.array([(x - 0.6 * size, y - size), (x + 0.6 * size, y - size), (x + size, y), (x - size, y)], np.int32)
    cv2.fillPoly(picture, [shade], (250, 232, 190), cv2.LINE_AA)
    glow = np.exp(-((np.arange(width) - x)[None] ** 2 + (np.arange(height) - y)[:, None] ** 2) / (0.18 * width) ** 2)
    picture[:] = np.clip(picture + 60 * glow[..., None] * (1.0, 0.9, 0.65), 0, 255)


def _plant(picture: np.ndarray, rng: np.random.Generator, palette: np.ndarray) -> None:
    height, width = picture.shape[:2]
    x, y = rng.choice((0.08, 0.92)) * width, rng.uniform(0.72, 0.85) * height
    for _ in range(14):
        angle, length = rng.uniform(-2.6, -0.5), rng.uniform(0.1, 0.24) * height
        tip = x + length * np.cos(angle), y + length * np.sin(angle)
        middle = (int((x + tip[0]) / 2), int((y + tip[1]) / 2))
        green = np.array((40, 105, 48)) * rng.uniform(0.6, 1.4)
        cv2.ellipse(picture, middle, (int(length / 2), int(0.12 * length)), np.degrees(angle), 0, 360,
                    np.clip(green, 0, 255).tolist(), -1, cv2.LINE_AA)  # fmt: skip
    _box(picture, x / width - 0.05, y / height, 0.1, 0.15, palette[3] * 0.8)


def _tone(picture: np.ndarray, brightness: float, colourfulness: float) -> np.ndarray:
    """Scale saturation and lightness to their set points."""
    values = picture.astype(np.float32)
    grey = values @ np.array((0.299, 0.587, 0.114), np.float32)
    values = grey[..., None] + (values - grey[..., None]) * (2.2 * colourfulness)
    values *= 255 * brightness / max(float(grey.mean()), 1.0)
    return np.clip(values, 0, 255).astype(np.uint8)
