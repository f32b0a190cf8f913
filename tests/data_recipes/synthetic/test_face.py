"""Synthetic faces: the same seed draws the same pixels, actions move what they should, detectors find the face."""

import cv2
import numpy as np
import pytest

from cuewise.data_recipes.synthetic.background import Background, paint_background
from cuewise.data_recipes.synthetic.face import (
    ACTIONS,
    UNITS,
    Appearance,
    FaceEvent,
    FaceProgram,
    FaceRenderer,
    Lighting,
    Occluder,
    SceneEvent,
    action_curves,
    render,
)
from cuewise.data_recipes.synthetic.face_appearance import SKIN_TONES

REST = np.zeros(len(ACTIONS), np.float32)
ROWS = {
    "AU1": (-0.62, 0.0), "AU2": (-0.62, 0.0), "AU4": (-0.4, 0.1), "AU5": (-0.2, 0.15), "AU6": (-0.15, 0.4),
    "AU7": (-0.2, 0.2), "AU9": (-0.25, 0.5), "AU10": (0.1, 0.75), "AU12": (0.1, 0.8), "AU15": (0.45, 0.95),
    "AU17": (0.45, 1.02), "AU24": (0.45, 0.8), "AU25": (0.45, 0.85), "AU26": (0.45, 1.3), "AU43": (-0.2, 0.2),
}  # fmt: skip
"""Height of the face that each action unit may change, in face units."""


def moved(action: str, amount: float) -> np.ndarray:
    actions = REST.copy()
    actions[ACTIONS.index(action)] = amount
    return actions


def test_the_same_program_gives_the_same_pixels_and_another_seed_another_person():
    program = FaceProgram(seed=11, events=(FaceEvent("AU12", 4, 0.1, 0.5),))
    first, second = (render(program, 0.5, 8, (128, 128)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first.shape == (4, 128, 128, 3) and first.dtype == np.uint8
    other = render(FaceProgram(seed=12), 0.5, 8, (128, 128))
    assert np.abs(first.astype(int) - other).mean() > 5


@pytest.mark.parametrize("unit", UNITS)
def test_an_action_unit_changes_its_region_and_leaves_the_rest_alone(unit):
    renderer = FaceRenderer(FaceProgram(seed=21))
    change = np.abs(renderer.frame(moved(unit, 5)).astype(float) - renderer.frame(REST)).mean(-1)
    scale, middle = renderer.scale / 2, 0.46 * 256
    low, high = (int(middle + edge * scale) for edge in ROWS[unit])
    inside = change[max(0, low) : high, 70:186]
    outside = np.concatenate([change[: max(0, low)], change[high:]])
    assert inside.max() > 25, "the action can be seen"
    assert inside.mean() > 15 * outside.mean()


@pytest.mark.parametrize("unit", UNITS)
def test_more_intensity_changes_more(unit):
    renderer = FaceRenderer(FaceProgram(seed=22))
    rest = renderer.frame(REST).astype(float)
    change = [np.abs(renderer.frame(moved(unit, level)) - rest).sum() for level in (1, 3, 5)]
    assert 0 < change[0] < change[1] < change[2]


def test_turning_the_head_moves_the_nose_to_that_side():
    renderer = FaceRenderer(FaceProgram(seed=23))
    boxes = [renderer.face_box(moved("head yaw", angle)) for angle in (-20, 0, 20)]
    assert boxes[0][0] < boxes[1][0] < boxes[2][0]
    assert boxes[0][3] - boxes[0][1] == boxes[2][3] - boxes[2][1]
    face = FaceRenderer(FaceProgram(seed=23, lighting=Lighting(azimuth=0)))
    left, right = (face.frame(moved("head yaw", angle)).astype(float)[50:165, 70:186] for angle in (-20, 20))
    assert np.abs(left - right).mean() > 1.5 * np.abs(left - right[:, ::-1]).mean(), "mirrored turns are mirror images"


@pytest.mark.slow  # renders 120 frames and runs two cascades on each
def test_a_cascade_finds_the_face_of_forty_people_turned_up_to_twenty_degrees():
    files = (f"{cv2.data.haarcascades}haarcascade_frontalface_{name}.xml" for name in ("default", "alt2"))
    cascades = [cv2.CascadeClassifier(file) for file in files]
    hits = np.zeros((2, 0), bool)
    for seed in range(1000, 1040):
        rng = np.random.default_rng(seed)
        light = Lighting(rng.uniform(-45, 45), rng.uniform(10, 50), brightness=rng.uniform(0.75, 1.1))
        renderer = FaceRenderer(FaceProgram(seed=seed, lighting=light, background=Background(seed)))
        for yaw in (-20, 0, 20):
            actions = moved("head yaw", yaw)
            actions[rng.choice(len(UNITS), 2)] = rng.uniform(0, 5, 2)
            grey = cv2.cvtColor(renderer.frame(actions), cv2.COLOR_RGB2GRAY)
            x0, y0, x1, y1 = renderer.face_box(actions)
            found = [
                any(abs(x + w / 2 - (x0 + x1) / 2) < 25 and abs(y + h / 2 - (y0 + y1) / 2) < 30 for x, y, w, h in
                    cascade.detectMultiScale(grey, 1.1, 3, minSize=(60, 60)))
                for cascade in cascades
            ]  # fmt: skip
            hits = np.concatenate([hits, np.array(found)[:, None]], 1)
    assert hits.mean(1).min() >= 0.95


def test_people_cover_the_range_of_skin_and_looks():
    people = [Appearance.from_seed(seed) for seed in range(300)]
    light = [np.mean(person.skin) for person in people]
    assert min(light) < SKIN_TONES[-1].mean() + 15 and max(light) > SKIN_TONES[0].mean() - 15
    assert len({person.hair_style for person in people}) == 8 and len({person.beard for person in people}) == 5
    assert 0.08 < np.mean([person.glasses is not None for person in people]) < 0.3


def test_curves_have_onset_apex_and_offset_inside_the_event_and_blinks_are_short():
    program = FaceProgram(seed=5, events=(FaceEvent("AU4", 3, 1.0, 2.0),), blink_times=(3.0,), sway_deg=0)
    times = np.linspace(0, 4, 401)
    curves = action_curves(program, times, 4.0)
    brow, lid = curves[:, ACTIONS.index("AU4")], curves[:, ACTIONS.index("AU43")]
    assert brow[times < 1].max() == 0 and brow[times > 2].max() == 0
    assert brow[(times > 1.3) & (times < 1.7)].min() == pytest.approx(3)
    assert 0.1 < (lid > 1).mean() * 4 < 0.2 and lid.max() > 4.5
    assert curves[:, [ACTIONS.index("head yaw"), ACTIONS.index("AU12")]].max() == 0


def test_speech_opens_the_mouth_where_the_voice_is_loud():
    loudness = np.repeat([0.0, 1.0], 50)
    curves = action_curves(FaceProgram(seed=5, speech_envelope=loudness), np.array([0.5, 3.5]), 4.0)
    assert curves[0, ACTIONS.index("AU26")] == 0 and curves[1, ACTIONS.index("AU26")] > 1


def test_a_hand_covers_the_mouth_only_while_it_is_there():
    program = FaceProgram(seed=6, occluder=Occluder("hand", "mouth", 0.5, 1.0))
    renderer, free = FaceRenderer(program), FaceRenderer(FaceProgram(seed=6))
    np.testing.assert_array_equal(renderer.frame(REST, 0.2, duration_s=2.0), free.frame(REST, 0.2, duration_s=2.0))
    change = np.abs(renderer.frame(REST, 0.7, duration_s=2.0).astype(int) - free.frame(REST, 0.7, duration_s=2.0))
    assert change[150:185, 110:150].mean() > 8 and change[60:100, 90:166].max() == 0


def test_scene_set_points_and_events_show_in_the_pixels():
    dark, bright = (paint_background(Background(3, level), (96, 96)).mean() for level in (0.2, 0.7))
    assert dark == pytest.approx(0.2 * 255, abs=20) and bright > 2.5 * dark
    grey = paint_background(Background(3, colourfulness=0.0), (96, 96)).astype(int)
    assert np.ptp(grey, axis=-1).max() <= 1
    program = FaceProgram(seed=8, scene_events=(SceneEvent("brightness", 0.5, 1.0, 2.0),), sway_deg=0, blink_times=())
    frames = render(program, 2.0, 4, (128, 128)).astype(float)
    assert frames[6].mean() == pytest.approx(0.5 * frames[1].mean(), rel=0.05)


def test_a_second_person_is_drawn_beside_the_first():
    scenes = (Background(2), Background(2, second_person=0.45))
    alone, two = (FaceRenderer(FaceProgram(seed=9, background=scene)).frame(REST) for scene in scenes)
    change = np.abs(two.astype(int) - alone).max(-1) > 20
    assert change.mean() > 0.04 and change[:, 100:156].mean() < 0.02


def test_wrong_programs_say_what_is_wrong():
    with pytest.raises(ValueError, match="did you mean 'AU12'"):
        FaceEvent("AU 12", 3, 0, 1)
    with pytest.raises(ValueError, match=r"AU4 intensity must lie in \[0, 5\], got 9"):
        FaceEvent("AU4", 9, 0, 1)
    with pytest.raises(ValueError, match="start < end"):
        FaceEvent("AU4", 3, 2, 1)
    with pytest.raises(ValueError, match="unknown scene attribute"):
        SceneEvent("smell", 1, 0, 1)
    with pytest.raises(ValueError, match=r"background\.brightness"):
        Background(brightness=2.0)
    with pytest.raises(ValueError, match="duration_s > 0"):
        render(FaceProgram(seed=1), 0, 25)
