"""What the media stage returns: decoded, sampled, cropped, and still free of any model.

Shapes: T sampled frames, n audio samples. All times are seconds from the begin of the clip's span.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from cuewise.mllm.report import Problem, Word

SAMPLE_RATE_HZ = 16_000


@dataclass(slots=True)
class FaceTrack:
    """The chosen person's face over the sampled frames."""

    boxes: np.ndarray
    """float32 [T, 4] x0, y0, x1, y1 in pixels of the source frame; NaN rows where no face was found."""

    scores: np.ndarray
    """float32 [T] detector score; NaN where no face was found."""

    crops: np.ndarray
    """uint8 [T, S, S, 3] RGB square crops with margin; zeros where no face was found (see `found`)."""

    found: np.ndarray
    """bool [T]; False rows are never fed to a model."""

    person: int = 0
    """Number of the chosen person, counted from the left in the first frame that shows all."""

    people: int = 1
    """Number of different people tracked."""

    rule: str = "largest"
    """The rule that chose the person; `tight` when the clip itself is a face crop."""


@dataclass(slots=True)
class Media:
    """One clip after decoding. A stream that could not be had is None and `absent` says why."""

    duration_s: float
    """Length of the span that was read."""

    start_s: float = 0.0
    """Begin of the span in the source."""

    frame_size: tuple[int, int] | None = None
    """(width, height) of the source frames in pixels."""

    frames: np.ndarray | None = None
    """uint8 [T, h, w, 3] RGB sampled frames, scaled inside the decoder."""

    frame_times_s: np.ndarray | None = None
    """float32 [T] times of the sampled frames."""

    face: FaceTrack | None = None
    person_box: tuple[float, float, float, float] | None = None
    """Where the person is, in pixels of the source frame, when the caller said so; it may lie outside the picture."""

    samples: np.ndarray | None = None
    """float32 [n] mono sound at 16 kHz, finite, in [-1, 1]."""

    transcript: str | None = None
    words: list[Word] = field(default_factory=list)
    context: str | None = None
    language: str | None = None
    absent: dict[str, str] = field(default_factory=dict)
    """stream name (face, scene, voice, words) -> why it is not there."""

    problems: list[Problem] = field(default_factory=list)
    timing_ms: dict[str, float] = field(default_factory=dict)
    """`decode` (decoding and face tracking) in milliseconds of wall time."""

    def outline(self) -> "Media":
        """The same without pictures and sound: their arrays keep their length and hold nothing."""
        face = self.face and replace(self.face, crops=_emptied(self.face.crops))
        return replace(self, frames=_emptied(self.frames), face=face, samples=_emptied(self.samples))


def _emptied(array: np.ndarray | None) -> np.ndarray | None:
    return None if array is None else np.empty((len(array), 0), array.dtype)
