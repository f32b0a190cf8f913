"""What can be measured of a face over time: action units, head pose and gaze, only where that was validated.

The estimator knows rendered faces well and photographs hardly; on a photograph a quantity that was not validated there
is not measurable, and says so. Axes: yaw positive to the image right, pitch positive up, roll positive clockwise in
the image; units 0-5; angles in degrees, motion in degrees per second.
Importing this loads no model; the estimator is loaded at the first reading.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cuewise.mllm.evidence.claims import direction
from cuewise.mllm.evidence.face_names import ANGLES, UNITS
from cuewise.mllm.evidence.types import Reading, Span
from cuewise.mllm.media.types import Media
from cuewise.mllm.report import Claim, Signal

if TYPE_CHECKING:
    from cuewise.mllm.evidence.face_actions import FaceActionEstimator, FaceActions

PHOTOGRAPH_ABOVE = 0.01
"""Mean probability above which a face counts as photographed. Rendered test faces stay below 0.004, and the least
photographic of 19 real clips has 0.014; what was not validated on photographs must not slip through as rendered."""

MOTIONS = ("head yaw motion", "head pitch motion")
QUANTITIES = UNITS + ANGLES + MOTIONS
UPPER = ("AU1", "AU2", "AU4", "AU5", "AU6", "AU7", "AU43", "gaze yaw", "gaze pitch")
"""Read from brows and eyes."""
LOWER = ("AU10", "AU12", "AU15", "AU17", "AU24", "AU25", "AU26")
"""Read from the mouth and below."""
CURVES = {
    "lip corners up": ("AU12",), "brows lowered": ("AU4",), "brows raised": ("AU1", "AU2"), "head yaw": ("head yaw",),
}  # fmt: skip
MIN_MOTION_FRAMES = 4
SWING_DEG = 2.5
"""A turn must be at least this large to count as a swing of a shaking or nodding head."""
NOT_VALIDATED = "this face action was not validated on photographs"


class FaceMeasures:
    """Measurements of the chosen face of one clip; the estimator runs once, when first asked."""

    def __init__(self, media: Media, weights: str | Path | None = None):
        if media.face is None or media.frame_times_s is None:
            raise ValueError("FaceMeasures needs media with a face track; ask media.absent['face'] why there is none")
        self._weights = weights
        self._crops = media.face.crops[media.face.found]
        self.times_s = np.asarray(media.frame_times_s, np.float64)[media.face.found]
        self.step_s = float(np.median(np.diff(media.frame_times_s))) if len(media.frame_times_s) > 1 else 0.04

    def read(self, quantity: str, spans: list[Span] | None = None) -> Reading:
        """Value of one of `QUANTITIES`: the mean over tracked, uncovered frames inside the spans.

        Closed eyes (AU43) are the median, so that a blink is not closed eyes. Motion is the mean speed of a head that
        goes back and forth, in one span after another; a single turn is no motion.
        """
        if quantity not in QUANTITIES:
            raise ValueError(f"unknown face quantity {quantity!r}; known: {', '.join(QUANTITIES)}")
        unit = "deg/s" if quantity in MOTIONS else "deg" if quantity in ANGLES else "intensity 0-5"
        why = self._why_not(quantity)
        if why:
            return Reading(None, unit, float(self._inside(spans).sum()), why)
        if quantity in MOTIONS:
            return self._motion(quantity.removesuffix(" motion"), spans)
        chosen = self._inside(spans) & ~self._covered(quantity)
        amount = float(chosen.sum())
        if not amount:
            covered = bool(self._inside(spans).any())
            return Reading(None, unit, 0.0, "this part of the face is covered" if covered else "no face in the span")
        pool = np.median if quantity == "AU43" else np.mean
        return Reading(float(pool(self.actions.values[quantity][chosen])), unit, amount)

    def signals(self) -> dict[str, Signal]:
        """Curves of what is measurable: smile, brows and head turn."""
        curves = {name: self._curve(quantities) for name, quantities in CURVES.items()}
        return {name: curve for name, curve in curves.items() if curve is not None}

    def curves_of(self, claims: Iterable[Claim]) -> dict[str, Signal]:
        """Curves of what these claims are about, as far as it is measurable; ``upper lip raised``, ``head pitch``."""
        curves: dict[str, Signal | None] = {}
        for claim in claims:
            for quantity in (quantities := direction("face", claim).quantities):
                if quantity in ANGLES:
                    curves[quantity] = self._curve((quantity,))
            if all(quantity in UNITS for quantity in quantities):
                curves[f"{claim.attribute} {claim.direction}"] = self._curve(quantities)
        return {name: curve for name, curve in curves.items() if curve is not None}

    def _curve(self, quantities: Sequence[str]) -> Signal | None:
        if any(self._why_not(quantity) for quantity in quantities):
            return None
        values = np.max([self.actions.values[quantity] for quantity in quantities], axis=0)
        return Signal(
            unit="deg" if quantities[0] in ANGLES else "intensity 0-5",
            times=[round(float(time), 3) for time in self.times_s], values=[round(float(value), 2) for value in values],
        )  # fmt: skip

    def settle(self) -> None:
        """Estimate now, so that the crops need not be kept."""
        _ = self.actions
        self._crops = self._crops[:0]

    @cached_property
    def is_photograph(self) -> bool:
        """Whether the face is a photographed rather than a rendered one; in doubt it is."""
        return bool(np.mean(self.actions.photograph) > PHOTOGRAPH_ABOVE)

    @cached_property
    def actions(self) -> "FaceActions":
        """Raw estimates for every tracked frame, validated or not."""
        return self._estimator.estimate(self._crops)

    @property
    def _estimator(self) -> "FaceActionEstimator":
        return _estimator_of(self._weights)

    def _why_not(self, quantity: str) -> str:
        kind = "photograph" if self.is_photograph else "rendered"
        validated = self._estimator.facts.get("validated", {}).get(kind, [])
        if quantity.removesuffix(" motion") in validated:
            return ""
        return NOT_VALIDATED if self.is_photograph else "this face action was not validated on rendered faces"

    def _inside(self, spans: list[Span] | None) -> np.ndarray:
        """bool [tracked frames]."""
        if spans is None:
            return np.ones(len(self.times_s), bool)
        inside = np.zeros(len(self.times_s), bool)
        for start, end in spans:
            inside |= (self.times_s >= start) & (self.times_s <= end)
        return inside

    def _covered(self, quantity: str) -> np.ndarray:
        upper, lower = self.actions.upper_covered > 0.5, self.actions.lower_covered > 0.5
        covered = np.zeros(len(self.times_s), bool)
        if self.is_photograph:
            return covered
        if quantity in UPPER:
            covered |= upper
        if quantity in LOWER:
            covered |= lower
        return covered

    def _motion(self, angle: str, spans: list[Span] | None) -> Reading:
        path, seconds, frames = 0.0, 0.0, 0
        for span in spans or [(-np.inf, np.inf)]:
            inside = self._inside([span])
            if inside.sum() < MIN_MOTION_FRAMES:
                continue
            times, values = self.times_s[inside], self.actions.values[angle][inside]
            path += back_and_forth(values)
            seconds += float(times[-1] - times[0])
            frames += int(inside.sum())
        if seconds <= 0:
            return Reading(None, "deg/s", float(frames), f"motion needs {MIN_MOTION_FRAMES} tracked frames in a row")
        return Reading(path / seconds, "deg/s", float(frames))


@lru_cache(maxsize=2)
def _estimator_of(weights: str | Path | None) -> "FaceActionEstimator":
    """One estimator for all clips: loading it takes as long as using it."""
    from cuewise.mllm.evidence.face_actions import FaceActionEstimator

    return FaceActionEstimator.load(weights)


def back_and_forth(values: np.ndarray) -> float:
    """Degrees travelled in swings of a head that turns at least three times; otherwise only what exceeds one turn there
    and back.

    values: float [n] angle in time order.
    """
    travelled = float(np.abs(np.diff(values)).sum())
    extremes = [float(values[0])]
    direction = 0
    for value in values[1:]:
        step = value - extremes[-1]
        if direction and np.sign(step) in (0, direction):
            extremes[-1] = float(value)
        elif abs(step) >= SWING_DEG:
            extremes.append(float(value))
            direction = int(np.sign(step))
    swings = len(extremes) - 1
    return travelled if swings >= 3 else max(0.0, travelled - 2 * float(np.ptp(values)))
