"""Face crops with known actions: rendered faces with exact truth, and photographs of which only a smile is known.

Shapes: N crops, uint8 [N, 96, 96, 3] RGB, as the media stage cuts them (a detector's box with a margin, squared).
A target that is not known is NaN.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from cuewise.data_recipes.synthetic.background import Background
from cuewise.data_recipes.synthetic.face import ACTIONS, UNITS, FaceProgram, FaceRenderer, Lighting, Occluder
from cuewise.mllm.evidence.face import LOWER, UPPER
from cuewise.mllm.evidence.face_actions import CROP, KNOWN_POINTS, OUTPUTS
from cuewise.mllm.media.config import MediaConfig
from cuewise.mllm.media.faces import iou, make_detector
from cuewise.mllm.media.tracking import crop

SMILE_INTENSITY = 3.5
"""AU12 that a posed smile of a photograph stands for."""
_COLUMN = {name: place for place, name in enumerate(OUTPUTS)}
_HIDES = {"mouth": LOWER, "eyes": UPPER, "brows": ("AU1", "AU2", "AU4"), "cheek": ()}
_COMBINATIONS = (
    ("AU6", "AU12"), ("AU6", "AU12", "AU25"), ("AU1", "AU4", "AU15"), ("AU1", "AU15", "AU17"), ("AU4", "AU7", "AU24"),
    ("AU4", "AU5", "AU7"), ("AU1", "AU2", "AU5", "AU25"), ("AU1", "AU2", "AU5", "AU26"), ("AU1", "AU2", "AU25", "AU26"),
    ("AU9", "AU10"), ("AU9", "AU4"), ("AU10", "AU17"), ("AU15", "AU17"), ("AU25", "AU26"), ("AU1", "AU2"),
    ("AU4", "AU9", "AU7"),
)  # fmt: skip


@dataclass(slots=True)
class FaceSet:
    """Crops and what is known of them."""

    crops: np.ndarray
    """uint8 [N, 96, 96, 3]."""

    targets: np.ndarray
    """float32 [N, OUTPUTS] units 0-5, degrees, and 0 or 1; NaN where unknown."""

    points: np.ndarray
    """float32 [N, 27, 2] places of `LANDMARKS` in the crop, -1 to 1."""

    person: np.ndarray
    """int [N]."""

    @classmethod
    def of(cls, samples: list[tuple[np.ndarray, np.ndarray, np.ndarray, int]]) -> "FaceSet":
        """A set of (crop, target, points, person)."""
        return cls(*(np.stack(column) for column in zip(*samples)))


def rendered_faces(people: range, frames: int, seed: int, detected: float = 0.25) -> FaceSet:
    """`frames` random moments of each person in `people`, the share `detected` of them cut by the real detector."""
    samples = []
    for person in people:
        rng = np.random.default_rng([seed, person])
        samples += [(*moment, person) for moment in _moments(person, frames, rng, detected)]
    return FaceSet.of(samples)


def _moments(
    person: int, frames: int, rng: np.random.Generator, detected: float
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    cover = None
    if rng.uniform() < 0.12:
        kind, region = str(rng.choice(("hand", "bar"))), str(rng.choice(tuple(_HIDES)))
        cover = Occluder(kind=kind, region=region, start=0.5)
    program = FaceProgram(
        seed=person,
        lighting=Lighting(rng.uniform(-55, 55), rng.uniform(5, 55), rng.uniform(0.4, 0.75), rng.uniform(0.55, 1.15)),
        occluder=cover, head_size=rng.uniform(0.42, 0.72), centre=(rng.uniform(0.42, 0.58), rng.uniform(0.42, 0.52)),
        background=Background(int(rng.integers(1 << 30)), rng.uniform(0.2, 0.8), rng.uniform(0.05, 0.8)),
    )  # fmt: skip
    renderer = FaceRenderer(program, (256, 256))
    for _ in range(frames):
        actions = random_actions(rng)
        hidden = cover is not None and rng.uniform() < 0.5
        frame = compress(renderer.frame(actions, float(hidden)), rng)
        box = _detected(frame, renderer.face_box(actions)) if rng.uniform() < detected else None
        box = jittered(renderer.face_box(actions), rng) if box is None else box
        picture, points = _cut(frame, box), _in_crop(renderer.landmarks(actions), box)
        yield picture, _target(actions, cover if hidden else None), points


def _cut(frame: np.ndarray, box: np.ndarray) -> np.ndarray:
    return crop(frame, box, MediaConfig().face_margin, CROP)


def _in_crop(points: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Points in pixels of the frame -> -1 to 1 over the square that `crop` cuts."""
    half = max(box[2] - box[0], box[3] - box[1]) * (0.5 + MediaConfig().face_margin)
    centre = (box[:2] + box[2:4]) / 2
    low, high = np.floor(centre - half), np.ceil(centre + half)
    return (2 * (points - low) / (high - low) - 1).astype(np.float32)


def _detected(frame: np.ndarray, expected: tuple[float, float, float, float]) -> np.ndarray | None:
    """The box that the media stage's detector finds where the face is, or None."""
    boxes = make_detector(MediaConfig()).detect(frame)
    fits = [box[:4] for box in boxes if iou(box, np.array(expected)) > 0.4]
    return fits[0] if fits else None


def jittered(box: tuple[float, float, float, float], rng: np.random.Generator) -> np.ndarray:
    """The box moved and scaled about as much as a cascade does."""
    low, high = np.array(box[:2]), np.array(box[2:])
    size = (high - low).max()
    middle = (low + high) / 2 + rng.normal(0, 0.026, 2) * size
    half = size * rng.uniform(0.86, 1.2) / 2
    return np.concatenate([middle - half, middle + half]).astype(np.float32)


def _target(actions: np.ndarray, cover: Occluder | None) -> np.ndarray:
    target = np.zeros(len(OUTPUTS), np.float32)
    target[: len(ACTIONS)] = actions
    closed = actions[_COLUMN["AU43"]]
    if closed > 3.5:
        target[[_COLUMN["gaze yaw"], _COLUMN["gaze pitch"], _COLUMN["AU5"], _COLUMN["AU7"]]] = np.nan
    if cover:
        target[[_COLUMN[name] for name in _HIDES[cover.region]]] = np.nan
        target[_COLUMN["upper covered"]] = cover.region in ("eyes", "brows")
        target[_COLUMN["lower covered"]] = cover.region == "mouth"
    return target


def random_actions(rng: np.random.Generator) -> np.ndarray:
    """One random vector of `ACTIONS`: rest, one unit, a known combination or any mixture, on a turned head."""
    actions = np.zeros(len(ACTIONS), np.float32)
    kind = rng.uniform()
    if kind < 0.25:
        chosen = [str(rng.choice(UNITS))]
    elif kind < 0.5:
        chosen = [*_COMBINATIONS[rng.integers(len(_COMBINATIONS))], str(rng.choice(UNITS))]
    elif kind < 0.9:
        chosen = [str(name) for name in rng.choice(UNITS, rng.integers(2, 8), replace=False)]
    else:
        chosen = []
    if "AU43" in chosen and rng.uniform() < 0.6:  # closed eyes hide what the other eye units do
        chosen.remove("AU43")
    for name in chosen:
        actions[_COLUMN[name]] = rng.uniform(0.3, 5)
    if rng.uniform() < 0.3:  # speech
        actions[_COLUMN["AU25"]] = max(actions[_COLUMN["AU25"]], rng.uniform(0, 2.2))
        actions[_COLUMN["AU26"]] = max(actions[_COLUMN["AU26"]], rng.uniform(0, 1.5))
    if rng.uniform() < 0.06:
        actions[_COLUMN["AU43"]] = rng.uniform(1, 5)
    wide = rng.uniform() < 0.4
    for name, small, large in (("head yaw", 4, 16), ("head pitch", 3, 10), ("head roll", 3, 9), ("gaze yaw", 3, 13),
                               ("gaze pitch", 3, 11)):  # fmt: skip
        actions[_COLUMN[name]] = np.clip(rng.normal(0, large if wide else small), -2.2 * large, 2.2 * large)
    return actions


def compress(frame: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What cameras and codecs do to a frame: a little blur and coarse quantisation."""
    if rng.uniform() < 0.3:
        frame = cv2.GaussianBlur(frame, (0, 0), rng.uniform(0.4, 1.2))
    quality = int(rng.uniform(35, 95))
    _, packed = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.cvtColor(cv2.imdecode(packed, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def photographs(folder: str | Path, split: str, copies: int, seed: int) -> FaceSet:
    """Neutral and smiling portraits of `split` in a London face set folder, each cut `copies` times."""
    folder = Path(folder)
    with (folder / "images.csv").open(encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines) if row["split"] == split]
    detector = make_detector(MediaConfig())
    rng = np.random.default_rng([seed, 0x10D])
    samples, nowhere = [], np.full((KNOWN_POINTS, 2), np.nan, np.float32)
    for row in rows:
        image = cv2.cvtColor(cv2.imread(str(folder / row["file"])), cv2.COLOR_BGR2RGB)
        found = detector.detect(image)
        if not len(found):
            continue
        for number in range(copies):
            box = found[0, :4] if number == 0 else jittered(found[0, :4], rng)
            target = np.full(len(OUTPUTS), np.nan, np.float32)
            target[_COLUMN["AU12"]] = SMILE_INTENSITY if row["expression"] == "smiling" else 0.0
            target[_COLUMN["photograph"]] = 1
            picture = _cut(image if number == 0 else compress(image, rng), box)
            samples.append((picture, target, nowhere, int(row["face_id"])))
    return FaceSet.of(samples)
