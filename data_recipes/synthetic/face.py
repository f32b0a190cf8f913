"""Synthetic face clips: a shaded 2.5-D face driven by action units, with exact ground truth for every frame.

    frames = render(FaceProgram(seed=7, events=(FaceEvent("AU12", 4, 0.8, 2.0),)), duration_s=4, fps=25)

The face is painted flat into a skin texture, wrapped on a turned head, lit, and drawn at twice the size (h, w below
are output pixels, H, W the doubled ones). The same program always gives the same pixels.
"""

import math

import cv2
import numpy as np

from cuewise.data_recipes.synthetic.background import paint_background
from cuewise.data_recipes.synthetic.face_appearance import Appearance
from cuewise.data_recipes.synthetic.face_geometry import (
    ACTIONS,
    ANGLES,
    INDEX,
    SIDE,
    TOP,
    UNITS,
    HeadSurface,
    face_lines,
    landmarks,
)  # fmt: skip
from cuewise.data_recipes.synthetic.face_paint import Painter
from cuewise.data_recipes.synthetic.face_program import (
    FaceEvent,
    FaceProgram,
    Lighting,
    Occluder,
    SceneEvent,
    action_curves,
    scene_curves,
)  # fmt: skip
from cuewise.data_recipes.synthetic.face_props import draw_behind, draw_occluder, draw_torso
from cuewise.data_recipes.synthetic.face_shading import FOLD_UNITS, make_skin

__all__ = [
    "ACTIONS", "ANGLES", "UNITS", "Appearance", "FaceEvent", "FaceProgram", "FaceRenderer", "Lighting", "Occluder",
    "SceneEvent", "action_curves", "render",
]  # fmt: skip

_DRAW = 2
"""Drawn pixels per output pixel."""
_GRID = 4
"""Geometry and light are computed on every fourth drawn pixel and interpolated."""
_FOLDS = [INDEX[unit] for unit in FOLD_UNITS]


def render(program: FaceProgram, duration_s: float, fps: float, size: tuple[int, int] = (256, 256)) -> np.ndarray:
    """Frames uint8 [T, h, w, 3] RGB of `program`; T = round(duration_s * fps), size = (w, h)."""
    if duration_s <= 0 or fps <= 0:
        raise ValueError(f"a clip needs duration_s > 0 and fps > 0, got {duration_s} s at {fps} fps")
    return FaceRenderer(program, size).clip(duration_s, fps)


class FaceRenderer:
    """One program at one size; keeps the person's skin and the scene between frames."""

    def __init__(self, program: FaceProgram, size: tuple[int, int] = (256, 256)):
        self.program, self.size = program, size
        width, height = size
        self.person = Appearance.from_seed(program.seed)
        self.surface = HeadSurface(self.person)
        self.scale = float(round(program.head_size * min(size) * _DRAW / 2))
        self.skin = make_skin(self.person, self.surface, self.scale)
        self.painter = Painter(self.person, self.surface, self.skin, self.scale)
        self.window = _fold_window(self.surface, self.scale)
        self.folds = self.skin.folds[(slice(None), *self.window)].reshape(len(FOLD_UNITS), -1)
        self.light = _direction(program.lighting).astype(np.float32)
        self.still = self._still(width, height)
        noise = np.random.default_rng([program.seed, program.take, 0x0153])
        self.noise = noise.normal(0, 1.6, (height + 64, width + 64, 1)).astype(np.float32)

    def clip(self, duration_s: float, fps: float) -> np.ndarray:
        """uint8 [T, h, w, 3]."""
        times = (np.arange(max(1, round(duration_s * fps))) + 0.5) / fps
        curves = action_curves(self.program, times, duration_s)
        scene = scene_curves(self.program, times)
        frames = np.empty((len(times), self.size[1], self.size[0], 3), np.uint8)
        for number, (now, actions) in enumerate(zip(times, curves)):
            look = {name: float(values[number]) for name, values in scene.items()}
            frames[number] = self.frame(actions, float(now), look, duration_s)
        return frames

    def frame(
        self, actions: np.ndarray, now_s: float = 0.0, scene: dict[str, float] | None = None, duration_s: float = 1.0
    ) -> np.ndarray:
        """One frame uint8 [h, w, 3] for one vector of `ACTIONS`."""
        scene = scene or {"brightness": 1.0, "colourfulness": 1.0, "motion": 0.0}
        canvas, centre = self._scene(scene, now_s)
        yaw, pitch, roll = (math.radians(actions[INDEX[name]]) for name in ANGLES[:3])
        centre = centre + self.scale * np.array((0.9 * np.sin(roll), 0.0))
        lines = face_lines(self.person, actions)
        draw_behind(canvas, self.person, centre, self.scale, (yaw, pitch, roll), self.program.lighting.brightness)
        self._head(canvas, centre, (yaw, pitch, roll), lines, actions)
        cover = self.program.occluder
        if cover and cover.start <= now_s < (duration_s if cover.end is None else cover.end):
            draw_occluder(canvas, cover, self.person, centre, self.scale)
        small = cv2.resize(canvas, self.size, interpolation=cv2.INTER_AREA)
        return self._develop(small, scene["brightness"], now_s)

    def landmarks(self, actions: np.ndarray) -> np.ndarray:
        """float [27, 2] places of `face_geometry.LANDMARKS` in output pixels."""
        yaw, pitch, roll = (math.radians(actions[INDEX[name]]) for name in ANGLES[:3])
        lines = face_lines(self.person, actions)
        points = landmarks(self.person, lines)
        at = self.surface.to_texture(points, lines.jaw, 0.5 * self.scale)
        at = np.clip(np.round(at).astype(int), 0, np.array(self.skin.height.shape[::-1]) - 1)
        u, v = self.surface.project(points, self.skin.height[at[:, 1], at[:, 0]], (yaw, pitch), lines.jaw).T
        x, y = u * math.cos(roll) - v * math.sin(roll), v * math.cos(roll) + u * math.sin(roll)
        unit = self.scale / _DRAW
        centre = np.array(self.program.centre) * self.size + unit * np.array((0.9 * math.sin(roll), 0.0))
        return np.stack([x, y], 1) * unit + centre

    def face_box(self, actions: np.ndarray) -> tuple[float, float, float, float]:
        """Box x0, y0, x1, y1 in output pixels a frontal face detector would draw: forehead to mouth, cheek to cheek."""
        yaw, roll = (np.radians(float(actions[INDEX[name]])) for name in ("head yaw", "head roll"))
        pitch = np.radians(float(actions[INDEX["head pitch"]]))
        unit = self.scale / _DRAW
        x = self.program.centre[0] * self.size[0] + unit * (0.9 * np.sin(roll) + 0.69 * np.sin(yaw))
        y = self.program.centre[1] * self.size[1] + unit * (0.12 - 0.45 * np.sin(pitch))
        half = 0.75 * unit
        return x - half, y - half, x + half, y + half

    def _still(self, width: int, height: int) -> np.ndarray:
        """Background and body, doubled size, with a border so that the camera can shake."""
        border = _border(width)
        full = (width * _DRAW + 2 * border, height * _DRAW + 2 * border)
        scene = paint_background(self.program.background, (full[0] // _DRAW, full[1] // _DRAW))
        still = cv2.resize(scene, full, interpolation=cv2.INTER_LINEAR)
        other = self.program.background.second_person
        if other > 0:
            self._second_person(still, other)
        middle = np.array(self.program.centre) * (width * _DRAW, height * _DRAW) + border
        draw_torso(still, self.person, middle, self.scale, self.light)
        return still

    def _second_person(self, still: np.ndarray, ratio: float) -> None:
        """Another, smaller person at the side, facing the camera."""
        left = self.program.seed % 2 == 0
        small = FaceProgram(
            seed=self.program.seed + 7919, lighting=self.program.lighting, head_size=0.999,
        )  # fmt: skip
        unit = self.scale * ratio
        other = FaceRenderer(small, (int(unit) + 8, int(unit) + 8))
        middle = np.array((0.14 if left else 0.86, 0.36)) * (still.shape[1], still.shape[0])
        draw_torso(still, other.person, middle, other.scale, other.light)
        rest = np.zeros(len(ACTIONS), np.float32)
        draw_behind(still, other.person, middle, other.scale, (0.0, 0.0, 0.0), 1.0)
        other._head(still, middle, (0.0, 0.0, 0.0), face_lines(other.person, rest), rest)

    def _scene(self, scene: dict[str, float], now_s: float) -> tuple[np.ndarray, np.ndarray]:
        width, height = self.size[0] * _DRAW, self.size[1] * _DRAW
        border = _border(self.size[0])
        shake = scene["motion"] * 0.01 * width
        shift = np.round(shake * np.array((np.sin(19.0 * now_s), np.sin(23.0 * now_s + 1)))).astype(int)
        x, y = np.clip(border + shift, 0, 2 * border)
        canvas = self.still[y : y + height, x : x + width].copy()
        if scene["colourfulness"] != 1.0:
            grey = cv2.cvtColor(cv2.cvtColor(canvas, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
            canvas = cv2.addWeighted(canvas, scene["colourfulness"], grey, 1 - scene["colourfulness"], 0)
        sway = border - np.array((x, y), np.float64)
        return canvas, np.array(self.program.centre) * (width, height) + sway

    def _head(
        self, canvas: np.ndarray, centre: np.ndarray, pose: tuple[float, float, float], lines, actions: np.ndarray
    ) -> None:
        weights = np.asarray(actions, np.float32)[_FOLDS] / 5
        texture = self._texture(lines, weights)
        reach = self.scale * np.array((1.22 * (self.surface.width + self.person.hair_volume), 1.24))
        low = np.maximum(np.floor(centre - reach - (0, 0.1 * self.scale)), 0).astype(int)
        high = np.minimum(np.ceil(centre + reach), canvas.shape[1::-1]).astype(int)
        cells = np.maximum((high - low) // _GRID, 1)
        window = canvas[low[1] : low[1] + cells[1] * _GRID, low[0] : low[0] + cells[0] * _GRID]
        maps = self._geometry(low, cells, centre, pose, lines.jaw, weights)
        size = (int(cells[0]) * _GRID, int(cells[1]) * _GRID)
        map_x, map_y, light, inside = (cv2.resize(m, size, interpolation=cv2.INTER_LINEAR) for m in maps)
        face = cv2.remap(texture, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        shade = cv2.cvtColor(cv2.convertScaleAbs(light, alpha=128), cv2.COLOR_GRAY2RGB)
        face = cv2.multiply(face, shade, scale=1 / 128)
        cover = np.clip(inside * (0.7 * self.scale) + 0.5, 0, 1)
        window[:] = cv2.blendLinear(face, np.ascontiguousarray(window), cover, 1 - cover)

    def _texture(self, lines, weights: np.ndarray) -> np.ndarray:
        texture = self.skin.base.copy()
        active = np.flatnonzero(weights > 0.01)
        if len(active):
            rows, columns = self.window
            part = np.ascontiguousarray(texture[rows, columns])
            taken = 128 - 128 * (weights[active] @ self.folds[active]).reshape(part.shape[:2])
            shade = cv2.cvtColor(np.clip(taken, 20, 255).astype(np.uint8), cv2.COLOR_GRAY2RGB)
            texture[rows, columns] = cv2.multiply(part, shade, scale=1 / 128)
        self.painter.paint(texture, lines)
        return texture

    def _geometry(
        self, low: np.ndarray, cells: np.ndarray, centre: np.ndarray, pose: tuple[float, float, float], jaw: float,
        weights: np.ndarray,
    ) -> list[np.ndarray]:  # fmt: skip
        """Texture x and y, light and distance inside the outline on the coarse grid, each float32 [rows, columns]."""
        yaw, pitch, roll = pose
        x = (low[0] + np.arange(cells[0]) * _GRID + 0.5 * (_GRID - 1) - centre[0]) / self.scale
        y = (low[1] + np.arange(cells[1]) * _GRID + 0.5 * (_GRID - 1) - centre[1]) / self.scale
        x, y = np.meshgrid(x.astype(np.float32), y.astype(np.float32))
        u, v = x * math.cos(roll) + y * math.sin(roll), y * math.cos(roll) - x * math.sin(roll)
        angle, skin_y, inside, slope = self.surface.look(u, v, (yaw, pitch), jaw)
        at = self._half_pixels(angle, skin_y)
        rise = cv2.remap(self.skin.height, *at, cv2.INTER_LINEAR)
        front = np.maximum(np.cos(angle + yaw), 0.35)
        angle = angle - rise * math.sin(yaw) / (self.surface.width * front)
        skin_y = skin_y + rise * math.tan(pitch)
        at = self._half_pixels(angle, skin_y)
        relief = self.skin.relief
        if weights.any():
            relief = relief + np.tensordot(weights, self.skin.unit_relief, 1)
        light = self._shade(angle, slope, cv2.remap(relief, *at, cv2.INTER_LINEAR), pose)
        return [2 * at[0], 2 * at[1], light, inside.astype(np.float32)]

    def _half_pixels(self, angle: np.ndarray, skin_y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Places on the skin -> pixels of the relief maps, which are half as large as the texture."""
        x = (angle + SIDE) * (0.5 * self.scale * self.surface.width)
        return x.astype(np.float32), ((skin_y - TOP) * (0.5 * self.scale)).astype(np.float32)

    def _shade(
        self, angle: np.ndarray, slope: np.ndarray, relief: np.ndarray, pose: tuple[float, float, float]
    ) -> np.ndarray:
        """Diffuse and glossy light of the turned relief."""
        cos_y, sin_y, cos_p, sin_p = math.cos(pose[0]), math.sin(pose[0]), math.cos(pose[1]), math.sin(pose[1])
        sin_a, cos_a = np.sin(angle), np.cos(angle)
        across, down = relief[..., 0], relief[..., 1]
        n_x = sin_a - across * cos_a
        n_z = cos_a * 0.9 + across * sin_a
        n_y = -0.8 * slope - down
        n_x, n_z = n_x * cos_y + n_z * sin_y, n_z * cos_y - n_x * sin_y
        n_y, n_z = n_y * cos_p - n_z * sin_p, n_z * cos_p + n_y * sin_p
        length = np.sqrt(n_x * n_x + n_y * n_y + n_z * n_z)
        towards = (n_x * self.light[0] + n_y * self.light[1] + n_z * self.light[2]) / length
        lighting = self.program.lighting
        lit = np.maximum(towards, 0)
        diffuse = lighting.ambient * (0.82 + 0.22 * n_z / length) + (1 - lighting.ambient) * 1.2 * lit
        gloss = 0.10 * lit**14
        return np.maximum(diffuse + gloss, 0.06).astype(np.float32)

    def _develop(self, frame: np.ndarray, brightness: float, now_s: float) -> np.ndarray:
        """Exposure and sensor noise."""
        gain = brightness * self.program.lighting.brightness
        row, column = int(now_s * 7919) % 64, int(now_s * 104729) % 64
        noise = self.noise[row : row + frame.shape[0], column : column + frame.shape[1]]
        return np.clip(frame * np.float32(gain) + noise, 0, 255).astype(np.uint8)


def _border(width: int) -> int:
    return 2 * max(4, round(0.05 * width))


def _direction(lighting: Lighting) -> np.ndarray:
    azimuth, elevation = np.radians(lighting.azimuth), np.radians(lighting.elevation)
    return np.array((np.sin(azimuth) * np.cos(elevation), -np.sin(elevation), np.cos(azimuth) * np.cos(elevation)))


def _fold_window(surface: HeadSurface, scale: float) -> tuple[slice, slice]:
    """Rows and columns of the texture that folds can touch."""
    columns, rows = surface.texture_size(scale)
    half = int(1.15 * surface.width * scale)
    bottom = min(int((1.0 - TOP) * scale), rows)
    return slice(int((-0.62 - TOP) * scale), bottom), slice(columns // 2 - half, columns // 2 + half)
