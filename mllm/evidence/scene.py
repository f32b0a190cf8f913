"""What can be measured of the scene: brightness, colourfulness, people, motion. Plain arithmetic on the sampled frames.

Brightness is the mean luma in [0, 1]; colourfulness follows Hasler and Suesstrunk (2003), 0 grey to about 100 vivid;
motion is the mean absolute change of luma between neighbouring frames in [0, 1], the face left out.
"""

from functools import cached_property

import numpy as np

from cuewise.mllm.evidence.types import Reading, Span
from cuewise.mllm.media.types import Media
from cuewise.mllm.report import Signal

UNITS = {"brightness": "share 0-1", "colourfulness": "Hasler-Suesstrunk", "people": "people", "motion": "share 0-1"}
_LUMA = np.array((0.299, 0.587, 0.114), np.float32)


def brightness(frame: np.ndarray) -> float:
    """Mean luma of a uint8 [h, w, 3] frame in [0, 1]."""
    return float((frame.reshape(-1, 3).mean(0) @ _LUMA) / 255)


def colourfulness(frame: np.ndarray) -> float:
    """Hasler and Suesstrunk (2003), equation 8, of a uint8 [h, w, 3] RGB frame."""
    red, green, blue = (frame[..., channel].astype(np.float32) for channel in range(3))
    red_green, yellow_blue = red - green, 0.5 * (red + green) - blue
    spread = np.hypot(red_green.std(), yellow_blue.std())
    return float(spread + 0.3 * np.hypot(red_green.mean(), yellow_blue.mean()))


class SceneMeasures:
    """Measurements of the sampled frames of one clip."""

    def __init__(self, media: Media):
        if media.frames is None or media.frame_times_s is None or not len(media.frames):
            raise ValueError("SceneMeasures needs media with frames; ask media.absent['scene'] why there are none")
        self._media = media
        self.times_s = np.asarray(media.frame_times_s, np.float64)

    def read(self, quantity: str, spans: list[Span] | None = None) -> Reading:
        """Mean of a quantity over the frames inside the spans; `people` counts tracked people in the whole clip."""
        if quantity not in UNITS:
            raise ValueError(f"unknown scene quantity {quantity!r}; known: {', '.join(UNITS)}")
        inside = self._inside(spans)
        if quantity == "people":
            return self._people(float(inside.sum()))
        if quantity == "motion":
            inside[0] = False  # the change of the first frame is unknown
        values = self._curves[quantity][inside]
        if not len(values):
            return Reading(None, UNITS[quantity], 0.0, "no frame in the span")
        return Reading(float(values.mean()), UNITS[quantity], float(len(values)))

    def signals(self) -> dict[str, Signal]:
        """Curves of brightness and motion."""
        curves = {}
        for name in ("brightness", "motion"):
            first = 1 if name == "motion" else 0
            if len(self.times_s) > first:
                times = [round(float(time), 3) for time in self.times_s[first:]]
                values = [round(float(value), 4) for value in self._curves[name][first:]]
                curves[name] = Signal(unit=UNITS[name], times=times, values=values)
        return curves

    def settle(self) -> None:
        """Work the curves out now, so that the frames need not be kept."""
        _ = self._curves
        self._media = self._media.outline()

    def _people(self, frames: float) -> Reading:
        if self._media.face is not None:
            return Reading(float(self._media.face.people), UNITS["people"], frames)
        return Reading(None, UNITS["people"], frames, self._media.absent.get("face") or "faces were not looked for")

    def _inside(self, spans: list[Span] | None) -> np.ndarray:
        if spans is None:
            return np.ones(len(self.times_s), bool)
        inside = np.zeros(len(self.times_s), bool)
        for start, end in spans:
            inside |= (self.times_s >= start) & (self.times_s <= end)
        return inside

    @cached_property
    def _curves(self) -> dict[str, np.ndarray]:
        frames = self._media.frames
        return {
            "brightness": np.array([brightness(frame) for frame in frames]),
            "colourfulness": np.array([colourfulness(frame) for frame in frames]),
            "motion": self._motion(),
        }

    def _motion(self) -> np.ndarray:
        """[T] change against the frame before, 0 for the first; the chosen face in either frame is left out."""
        luma = self._media.frames.astype(np.float32) @ _LUMA / 255
        outside = np.stack([self._outside_face(number) for number in range(len(luma))])
        change = np.zeros(len(luma))
        for number in range(1, len(luma)):
            seen = outside[number] & outside[number - 1]
            if seen.any():
                change[number] = np.abs(luma[number] - luma[number - 1])[seen].mean()
        return change

    def _outside_face(self, number: int) -> np.ndarray:
        """bool [h, w], False on the head: the face box, grown by half of its size."""
        height, width = self._media.frames.shape[1:3]
        outside = np.ones((height, width), bool)
        face = self._media.face
        if face is None or not face.found[number] or self._media.frame_size is None:
            return outside
        scale = np.array((width, height, width, height)) / np.array(self._media.frame_size * 2)
        x0, y0, x1, y1 = face.boxes[number] * scale
        grow_x, grow_y = 0.5 * (x1 - x0), 0.5 * (y1 - y0)
        left, top = max(0, int(x0 - grow_x)), max(0, int(y0 - grow_y))
        outside[top : max(0, int(y1 + grow_y)) + 1, left : max(0, int(x1 + grow_x)) + 1] = False
        return outside
