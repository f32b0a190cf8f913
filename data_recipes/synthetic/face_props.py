"""What surrounds a synthetic face: neck, shoulders, ears, long hair, and things held in front of it."""

import cv2
import numpy as np

from cuewise.data_recipes.synthetic.face_appearance import Appearance
from cuewise.data_recipes.synthetic.face_program import Occluder

_SUB = 4
_REGIONS = {"mouth": (0.0, 0.62), "eyes": (0.0, 0.0), "brows": (0.0, -0.3), "cheek": (0.42, 0.35)}


def _fill(canvas: np.ndarray, points: np.ndarray, colour: np.ndarray) -> None:
    corners = np.round(points * (1 << _SUB)).astype(np.int32)
    cv2.fillPoly(canvas, [corners], np.clip(colour, 0, 255).tolist(), cv2.LINE_AA, _SUB)


def draw_torso(canvas: np.ndarray, person: Appearance, centre: np.ndarray, scale: float, light: np.ndarray) -> None:
    """Neck and clothed shoulders on the doubled canvas [H, W, 3], softly shaded."""
    height, width = canvas.shape[:2]
    wide = person.shape.half_width
    bottom = (height - centre[1]) / scale + 0.3
    skin, cloth = np.array(person.skin), np.array(person.clothes)
    sleeve = np.linspace(0, np.pi / 2, 9)
    right = np.stack([0.85 + 0.85 * np.sin(sleeve), 1.34 + 0.5 * (1 - np.cos(sleeve))], 1)
    collar = np.array([(0.56, 1.18), (0.3, 1.38), (0.0, 1.46), (-0.3, 1.38), (-0.56, 1.18)])
    neck = np.array([(-0.62, 0.5), (0.62, 0.5), (0.62, 1.15), (0.78, 1.5), (-0.78, 1.5), (-0.62, 1.15)]) * (wide, 1)
    shadow = np.array([(-0.66, 0.5), (0.66, 0.5), (0.6, 1.02), (0.0, 1.2), (-0.6, 1.02)]) * (wide, 1)
    body = np.concatenate([collar, (right * (-1, 1)), [(-1.8, bottom), (1.8, bottom)], right[::-1]])
    layer, cover = canvas.copy(), np.zeros((height, width), np.uint8)
    for points, colour in (
        (neck, skin * 0.8), (shadow, skin * 0.6), (body, cloth),
        (np.concatenate([collar, collar[::-1] + np.array((0, 0.05))]), cloth * 0.7),
    ):  # fmt: skip
        _fill(layer, points * scale + centre, colour)
    for points in (neck, body):
        cv2.fillPoly(
            cover, [np.round((points * scale + centre) * (1 << _SUB)).astype(np.int32)], 255, cv2.LINE_AA, _SUB
        )
    layer = cv2.GaussianBlur(layer, (0, 0), 0.03 * scale)
    cover = cv2.GaussianBlur(cover.astype(np.float32) / 255, (0, 0), 0.008 * scale)[..., None]
    x = (np.arange(width) - centre[0]) / scale
    y = (np.arange(height)[:, None] - centre[1]) / scale
    creases = 0.04 * np.sin(5.0 * x + 3.0 * np.sin(2.3 * y + 0.9 * x)) * (y > 1.4)
    tone = np.clip(0.94 + 0.12 * light[0] * x - 0.08 * x * x + creases, 0.5, 1.15)[..., None]
    canvas[:] = np.clip(canvas + cover * (layer * tone - canvas), 0, 255).astype(np.uint8)


def draw_behind(
    canvas: np.ndarray, person: Appearance, centre: np.ndarray, scale: float, pose: tuple[float, float, float],
    brightness: float,
) -> None:  # fmt: skip
    """Ears and the hair behind the head, turned with it."""
    yaw, pitch, roll = pose
    turn = np.array([(np.cos(roll), np.sin(roll)), (-np.sin(roll), np.cos(roll))])
    if person.hair_style in ("long", "curly", "tied"):
        _back_hair(canvas, person, centre - (0.22 * np.sin(yaw) * scale, 0.0), scale, turn)
    if person.hair_style not in ("long", "curly"):
        _ears(canvas, person, centre, scale, yaw, pitch, turn)


def _back_hair(canvas: np.ndarray, person: Appearance, centre: np.ndarray, scale: float, turn: np.ndarray) -> None:
    """Hair behind the head, darker with depth, in strands."""
    hair = np.array(person.hair_colour, np.float32)
    low = {"long": 1.28, "curly": 0.62, "tied": 0.2}[person.hair_style]
    edge = 1.07 * person.shape.half_width + person.hair_volume
    t = np.linspace(-0.12 * np.pi, 1.12 * np.pi, 40)
    rng = np.random.default_rng([person.seed, 0xB0B])
    ripple = rng.normal(0, 0.022, 40) * (person.hair_style == "curly") + rng.normal(0, 0.004, 40)
    crown = np.stack([(edge + ripple) * np.cos(t), 0.0 - (0.96 + 0.8 * person.hair_volume + ripple) * np.sin(t)], 1)
    if person.hair_style == "long":
        inner = 0.6 * person.shape.half_width
        ends = np.linspace(0, 1, 9)
        tip = np.stack([0.92 * edge + (inner - 0.92 * edge) * ends, low - 0.25 * (1 - ends) ** 2], 1)
        tip[:, 1] += rng.normal(0, 0.015, 9)
        tips = np.concatenate([tip * (-1, 1), [(-inner, 0.6), (inner, 0.6)], tip[::-1]])
    else:
        ends = np.linspace(-0.85, 0.85, 9)
        tips = np.stack([edge * ends, low - 0.15 * ends**2 + rng.normal(0, 0.02, 9)], 1)
    _fill(canvas, np.concatenate([crown, tips]) @ turn * scale + centre, hair * 0.6)
    if person.hair_style != "long":
        return
    for side in (-1, 1):
        for x in np.linspace(0.7, 0.97, 8):
            strand = np.array(
                [(side * edge * x, 0.1), (side * edge * x, 0.45), (side * edge * x * 0.92, low - 0.3 * x**3)]
            )
            pixels = np.round((strand @ turn * scale + centre) * (1 << _SUB)).astype(np.int32)
            shade = hair * (0.5 + 0.3 * rng.uniform())
            cv2.polylines(canvas, [pixels], False, shade.tolist(), max(1, round(0.02 * scale)), cv2.LINE_AA, _SUB)


def _ears(
    canvas: np.ndarray, person: Appearance, centre: np.ndarray, scale: float, yaw: float, pitch: float, turn: np.ndarray
) -> None:
    t = np.linspace(0, 2 * np.pi, 22)
    skin = np.array(person.skin)
    for side in (-1, 1):
        x = side * person.shape.half_width * 1.02 * np.cos(yaw) - 0.02 * np.sin(yaw)
        for size, colour in ((1.0, skin * 0.78), (0.6, skin * (0.62, 0.56, 0.55))):
            ear = np.stack([x + size * 0.085 * np.cos(t), 0.13 + 0.05 * np.sin(pitch) + size * 0.19 * np.sin(t)], 1)
            _fill(canvas, ear @ turn * scale + centre, colour)


def draw_occluder(canvas: np.ndarray, cover: Occluder, person: Appearance, centre: np.ndarray, scale: float) -> None:
    """A hand or a bar over one region of the face."""
    x, y = _REGIONS[cover.region]
    if cover.kind == "bar":
        bar = np.array([(-1.6, -0.13), (1.6, -0.2), (1.6, 0.08), (-1.6, 0.15)]) + np.array((x, y))
        _fill(canvas, bar * scale + centre, np.array((52, 50, 54)))
        return
    skin = np.array(person.skin)
    t = np.linspace(0, 2 * np.pi, 26)
    palm = np.stack([x + 0.55 + 0.33 * np.cos(t), y + 0.28 + 0.3 * np.sin(t)], 1)
    arm = np.array([(x + 0.45, y + 0.3), (x + 0.85, y + 0.25), (x + 1.35, y + 1.6), (x + 0.8, y + 1.7)])
    _fill(canvas, arm * scale + centre, np.array(person.clothes) * 0.9)
    _fill(canvas, palm * scale + centre, skin * 0.9)
    for number in range(4):
        tip = np.array((x - 0.28 + 0.03 * number, y - 0.17 + 0.115 * number))
        root = np.array((x + 0.45, y + 0.08 + 0.13 * number))
        for width, shade in ((0.125, 0.62), (0.108, 0.92)):
            ends = [tuple(int(v) for v in np.round((p * scale + centre) * (1 << _SUB))) for p in (root, tip)]
            cv2.line(canvas, *ends, (skin * shade).tolist(), max(2, round(width * scale)), cv2.LINE_AA, _SUB)
