"""Scene measurements are exact on pictures whose answer is known."""

import numpy as np
import pytest

from cuewise.mllm.evidence.scene import SceneMeasures, brightness, colourfulness
from cuewise.mllm.media.types import FaceTrack, Media


def clip(frames: np.ndarray, face: FaceTrack | None = None) -> Media:
    return Media(
        duration_s=float(len(frames)), frame_size=(frames.shape[2] * 2, frames.shape[1] * 2), frames=frames,
        frame_times_s=np.arange(len(frames), dtype=np.float32) + 0.5, face=face,
    )  # fmt: skip


def flat(*levels: int) -> np.ndarray:
    return np.stack([np.full((20, 30, 3), level, np.uint8) for level in levels])


def track(box: tuple[float, float, float, float], count: int, people: int = 1) -> FaceTrack:
    return FaceTrack(
        boxes=np.tile(np.array(box, np.float32), (count, 1)), scores=np.ones(count, np.float32),
        crops=np.zeros((count, 96, 96, 3), np.uint8), found=np.ones(count, bool), people=people,
    )  # fmt: skip


def test_flat_grey_has_its_brightness_no_colour_and_no_motion():
    measures = SceneMeasures(clip(flat(51, 51, 51)))
    assert measures.read("brightness").value == pytest.approx(0.2)
    assert measures.read("colourfulness").value == pytest.approx(0)
    assert measures.read("motion").value == 0


def test_flat_colour_follows_the_formula():
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 200
    assert brightness(red) == pytest.approx(0.299 * 200 / 255)
    assert colourfulness(red) == pytest.approx(0.3 * np.hypot(200, 100), rel=1e-5)
    half = red.copy()
    half[:2] = 100, 100, 100
    spread, mean = np.hypot(100, 50), 0.3 * np.hypot(100, 50)
    assert colourfulness(half) == pytest.approx(spread + mean, rel=1e-5)


def test_spans_choose_and_pool_their_frames():
    measures = SceneMeasures(clip(flat(0, 51, 102, 255)))
    reading = measures.read("brightness", [(1.0, 2.0), (3.2, 4.0)])
    assert reading.value == pytest.approx((0.2 + 1.0) / 2) and reading.amount == 2
    nothing = measures.read("brightness", [(9.0, 9.5)])
    assert nothing.value is None and "no frame" in nothing.why


def test_motion_is_the_change_outside_of_the_face():
    measures = SceneMeasures(clip(flat(0, 51, 51)))
    assert measures.read("motion").value == pytest.approx(0.1)
    assert measures.read("motion", [(0.0, 1.0)]).value is None, "the change of the first frame is unknown"
    frames = flat(0, 0)
    frames[1, 5:15, 10:20] = 255
    assert SceneMeasures(clip(frames, track((20, 10, 40, 30), 2))).read("motion").value == 0
    assert SceneMeasures(clip(frames)).read("motion").value == pytest.approx(100 / 600)


def test_people_are_those_the_tracker_found():
    frames = flat(9, 9)
    assert SceneMeasures(clip(frames, track((0, 0, 9, 9), 2, people=3))).read("people").value == 3
    unknown = SceneMeasures(clip(frames)).read("people")
    assert unknown.value is None and unknown.why


def test_unknown_quantities_and_missing_frames_are_named():
    with pytest.raises(ValueError, match="known: brightness"):
        SceneMeasures(clip(flat(1))).read("smell")
    with pytest.raises(ValueError, match="needs media with frames"):
        SceneMeasures(Media(duration_s=1.0))


def test_signals_have_one_value_per_frame():
    curves = SceneMeasures(clip(flat(0, 51, 51))).signals()
    assert curves["brightness"].values == [0, 0.2, 0.2] and curves["motion"].values == [0.2, 0.0]
