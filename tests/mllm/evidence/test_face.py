"""Face measurements: what the shipped estimator reads on people it never saw, and what it refuses to say."""

import cv2
import numpy as np
import pytest
from shared_data import shared_dir

from cuewise.data_recipes.synthetic.face import ACTIONS, FaceEvent, FaceProgram, action_curves, render
from cuewise.mllm.evidence.face import ANGLES, NOT_VALIDATED, QUANTITIES, UNITS, FaceMeasures, back_and_forth
from cuewise.mllm.evidence.face_actions import CROP, OUTPUTS, WEIGHTS, FaceActionEstimator, FaceActionNet
from cuewise.mllm.evidence.measure import signals
from cuewise.mllm.evidence.types import Measurements
from cuewise.mllm.media.config import MediaConfig
from cuewise.mllm.media.faces import make_detector
from cuewise.mllm.media.tracking import track_face
from cuewise.mllm.media.types import FaceTrack, Media
from cuewise.mllm.report import Claim
from cuewise.train.face_action_data import photographs, rendered_faces

DURATION_S, FRAMES = 4.0, 16


def filmed(program: FaceProgram) -> Media:
    """A rendered clip after the media stage's face tracking."""
    times = ((np.arange(FRAMES) + 0.5) * DURATION_S / FRAMES).astype(np.float32)
    frames = render(program, DURATION_S, FRAMES / DURATION_S, (256, 256))
    face = track_face(frames, make_detector(MediaConfig()), "largest", MediaConfig(), 1.0)
    return Media(duration_s=DURATION_S, frame_size=(256, 256), frames=frames, frame_times_s=times, face=face)


def of_crops(crops: np.ndarray) -> Media:
    count = len(crops)
    face = FaceTrack(
        boxes=np.tile(np.array((9, 9, 90, 90), np.float32), (count, 1)), scores=np.ones(count, np.float32), crops=crops,
        found=np.ones(count, bool),
    )  # fmt: skip
    return Media(duration_s=count * 0.25, frame_times_s=(np.arange(count, dtype=np.float32) + 0.5) * 0.25, face=face)


@pytest.fixture(scope="module")
def held_out():
    return rendered_faces(range(5_000_000, 5_000_024), 10, seed=5, detected=1.0)


@pytest.fixture(scope="module")
def estimates(held_out):
    return FaceActionEstimator.load().estimate(held_out.crops)


def test_the_shipped_net_is_small_and_says_what_was_validated():
    facts = FaceActionEstimator.load().facts
    assert WEIGHTS.stat().st_size <= 1_500_000
    assert sum(p.numel() for p in FaceActionNet().parameters()) <= 300_000
    assert set(facts["validated"]["rendered"]) <= set(UNITS + ANGLES) and len(facts["validated"]["rendered"]) >= 17
    assert facts["validated"]["photograph"] in ([], ["AU12"])
    for name in facts["validated"]["rendered"]:
        assert facts["numbers"]["rendered"][name]["r_within"] >= 0.8


@pytest.mark.parametrize("name", UNITS + ANGLES)
def test_people_never_seen_are_read_as_well_as_stated(name, held_out, estimates):
    truth = held_out.targets[:, OUTPUTS.index(name)]
    known = ~np.isnan(truth)
    said = estimates.values[name][known]
    stated = FaceActionEstimator.load().facts["numbers"]["rendered"][name]
    assert np.corrcoef(truth[known], said)[0, 1] >= stated["r"] - 0.1
    assert np.abs(truth[known] - said).mean() <= 1.5 * stated["mae"] + 0.05


def test_rendered_faces_are_not_taken_for_photographs(estimates):
    assert np.mean(estimates.photograph > 0.5) <= 0.05


def test_a_smile_is_read_in_its_span_and_not_before():
    measures = FaceMeasures(filmed(FaceProgram(seed=6_000_001, events=(FaceEvent("AU12", 4, 1.5, 3.0),))))
    smile, rest = measures.read("AU12", [(1.5, 3.0)]), measures.read("AU12", [(0.0, 1.5), (3.0, 4.0)])
    assert smile.amount >= 3 and rest.amount >= 8 and smile.unit == "intensity 0-5"
    assert smile.value > 2.2 and rest.value < 0.8
    assert measures.read("AU4", [(1.5, 3.0)]).value < 0.8
    curves = measures.signals()
    assert set(curves) >= {"lip corners up", "head yaw"}
    assert len(curves["head yaw"].values) == len(curves["head yaw"].times) == smile.amount + rest.amount


def test_there_is_a_curve_for_what_a_cue_names():
    program = FaceProgram(seed=4, events=[FaceEvent("AU10", 3.5, 1.0, 2.5)])
    measures = FaceMeasures(filmed(program))
    claims = [Claim(attribute="upper lip", direction="raised"), Claim(attribute="head", direction="tilted"),
              Claim(attribute="head", direction="shaking"), Claim(attribute="lips", direction="pressed")]  # fmt: skip
    curves = measures.curves_of(claims)
    assert set(curves) == {"upper lip raised", "head roll"}, "motions have no curve, nor has what was not validated"
    assert curves["head roll"].unit == "deg" and max(curves["upper lip raised"].values) > 1.5
    media = Measurements(duration_s=DURATION_S, face=measures)
    assert "face.upper lip raised" in signals(media, claims) and "face.upper lip raised" not in signals(media)


def test_a_turned_head_is_read_in_degrees_with_its_side():
    turns = (FaceEvent("head yaw", 18, 0.5, 2.0), FaceEvent("head yaw", -18, 2.2, 3.8))
    program = FaceProgram(seed=6_000_002, events=turns)
    measures = FaceMeasures(filmed(program))
    truth = action_curves(program, measures.times_s, DURATION_S)[:, ACTIONS.index("head yaw")]
    assert np.abs(measures.actions.values["head yaw"] - truth).mean() < 4
    assert measures.read("head yaw", [(0.7, 1.8)]).value > 10 and measures.read("head yaw", [(2.4, 3.6)]).value < -10


def test_a_shaking_head_moves_and_a_single_turn_does_not():
    shaking = FaceMeasures(filmed(FaceProgram(seed=6_000_003, events=(FaceEvent("head shake", 14, 0.5, 3.0),))))
    turning = FaceMeasures(filmed(FaceProgram(seed=6_000_003, events=(FaceEvent("head yaw", 18, 0.5, 3.0),))))
    assert shaking.read("head yaw motion", [(0.5, 3.0)]).value > 20
    assert turning.read("head yaw motion", [(0.5, 3.0)]).value < 8
    assert shaking.read("head yaw motion", [(0.5, 1.0)]).value is None, "two frames are no motion"


def test_swings_are_counted_by_their_turns():
    assert back_and_forth(np.array([0.0, 10, -10, 10])) == 50
    assert back_and_forth(np.array([0.0, 5, 10, 15, 20])) == 0
    assert back_and_forth(np.array([0.0, 15, 15, 0])) == 0
    assert back_and_forth(np.array([0.0, 1, -1, 1, 0])) <= 2


def test_a_blink_is_not_closed_eyes():
    events = (FaceEvent("AU43", 5, 2.0, 3.5),)
    measures = FaceMeasures(filmed(FaceProgram(seed=6_000_004, events=events, blink_times=(0.8,))))
    assert measures.read("AU43", [(2.0, 3.5)]).value > 3 and measures.read("AU43", [(0.0, 1.8)]).value < 0.7


def test_photographs_are_recognised_and_only_what_was_validated_there_is_measured():
    faces = photographs(shared_dir("data", "london_faces"), "dev", copies=1, seed=0)
    estimates = FaceActionEstimator.load().estimate(faces.crops)
    assert np.mean(estimates.photograph > 0.5) >= 0.95
    measures = FaceMeasures(of_crops(faces.crops))
    assert measures.is_photograph
    for quantity in set(QUANTITIES) - {"AU12"}:
        reading = measures.read(quantity)
        assert reading.value is None and reading.why == NOT_VALIDATED
    assert set(measures.signals()) <= {"lip corners up"}
    smiling = faces.targets[:, OUTPUTS.index("AU12")] > 0
    if "AU12" in FaceActionEstimator.load().facts["validated"]["photograph"]:
        assert estimates.values["AU12"][smiling].mean() > estimates.values["AU12"][~smiling].mean() + 1


def test_faces_in_real_clips_are_photographs():
    detector, verdicts = make_detector(MediaConfig()), []
    for path in sorted(shared_dir("data", "av_clips").glob("*.mp4"))[:8]:
        video = cv2.VideoCapture(str(path))
        frames = []
        while len(frames) < 30 and (seen := video.read())[0]:
            frames.append(cv2.cvtColor(seen[1], cv2.COLOR_BGR2RGB))
        face = track_face(np.stack(frames[::10]), detector, "largest", MediaConfig(), 1.0)
        if not isinstance(face, str):
            verdicts.append(FaceMeasures(of_crops(face.crops[face.found])).is_photograph)
    assert len(verdicts) >= 6 and all(verdicts)


def test_a_crop_is_read_the_same_alone_and_among_others():
    rng = np.random.default_rng(3)
    crops = rng.integers(0, 255, (5, CROP, CROP, 3), dtype=np.uint8)
    estimator = FaceActionEstimator.load()
    together, alone = estimator.estimate(crops).values["AU12"], estimator.estimate(crops[2:3]).values["AU12"]
    np.testing.assert_allclose(together[2:3], alone, atol=1e-4)  # the order of sums may differ with the batch
    assert len(estimator.estimate(crops[:0]).photograph) == 0


def test_wrong_use_is_named(tmp_path):
    media = of_crops(np.zeros((4, CROP, CROP, 3), np.uint8))
    with pytest.raises(ValueError, match="known: AU1"):
        FaceMeasures(media).read("AU99")
    with pytest.raises(ValueError, match="needs media with a face track"):
        FaceMeasures(Media(duration_s=1.0))
    with pytest.raises(FileNotFoundError, match="face-action weights"):
        FaceMeasures(media, weights=tmp_path / "none.safetensors").read("AU12")
