"""People are followed, counted from the left and chosen by rule; frames without the face stay marked."""

import numpy as np
import pytest
from shared_data import shared_dir

from cuewise.mllm.clip import Clip
from cuewise.mllm.media import MediaConfig, load_media
from cuewise.mllm.media.tracking import activity, choose, crop, in_order, link, track_face


def box(x, y, side, score=0.9):
    return np.array([x, y, x + side, y + side, score], np.float32)


def none():
    return np.zeros((0, 5), np.float32)


def test_two_people_stay_two_chains_through_gaps_and_noise():
    found = []
    for i in range(12):
        boxes = [box(20 + 3 * i, 40, 40)] if i != 5 else []
        boxes += [box(200 - 2 * i, 50, 60)]
        boxes += [box(120, 5, 12)] if i == 7 else []  # a false alarm, once
        found.append(np.stack(boxes[::-1]))
    chains = in_order(link(found), 320)
    assert [len(chain) for chain in chains] == [11, 12]
    assert 5 not in chains[0]
    assert all(chains[0][i][0] == 20 + 3 * i for i in chains[0])
    assert all(chains[1][i][0] == 200 - 2 * i for i in range(12))


def test_a_jump_or_another_size_is_another_person():
    far = link([np.stack([box(0, 0, 30)]), np.stack([box(200, 0, 30)])])
    sizes = link([np.stack([box(0, 0, 30)]), np.stack([box(0, 0, 90)])])
    assert len(far) == len(sizes) == 2


def test_no_boxes_no_people():
    assert link([none(), none()]) == []


def test_order_counts_from_the_left_in_the_first_frame_that_shows_all():
    crossing = [{1: box(200, 0, 30), 0: box(0, 0, 30)}, {1: box(100, 0, 30)}]
    assert in_order(crossing, 320)[0] is crossing[1]


@pytest.mark.parametrize(("rule", "wanted"), [("largest", 1), ("central", 0), ("active", 2), (0, 0), (2, 2)])
def test_rules(rule, wanted):
    rng = np.random.default_rng(0)
    frames = np.full((6, 120, 320, 3), 100, np.uint8)
    texture = rng.integers(0, 255, (120, 320, 3)).astype(np.uint8)
    frames[:] = texture
    frames[:, 70:110, 250:290] = rng.integers(0, 255, (6, 40, 40, 3))  # the third person's face changes
    people = [dict.fromkeys(range(6), b) for b in (box(145, 45, 30), box(20, 20, 60), box(250, 70, 40))]
    assert choose(people, frames, rule) == wanted
    assert activity(people[0], frames) == 0.0


def test_crop_is_square_and_repeats_the_edge_outside():
    frame = np.zeros((40, 60, 3), np.uint8)
    frame[:, :10] = (255, 0, 0)
    frame[10:20, 0:10] = (0, 255, 0)
    out = crop(frame, np.array([0, 10, 10, 20, 1], np.float32), 0.5, 20)
    assert out.shape == (20, 20, 3)
    np.testing.assert_array_equal(out[10, 2], (0, 255, 0))  # left of the picture: its edge again
    np.testing.assert_array_equal(out[10, 8], (0, 255, 0))
    np.testing.assert_array_equal(out[10, 17], (0, 0, 0))
    np.testing.assert_array_equal(out[2, 8], (255, 0, 0))


class Scripted:
    """A detector whose answers are written down; frames carry their number in the first pixel."""

    def __init__(self, boxes):
        self.boxes = boxes

    def detect(self, picture):
        return self.boxes[int(picture[0, 0, 0])]

    def search(self, picture):
        return none()


def test_frames_without_the_face_are_marked_and_empty():
    frames = np.full((5, 60, 80, 3), 128, np.uint8)
    frames[:, 0, 0, 0] = range(5)
    here = box(20, 10, 30)[None]
    track = track_face(frames, Scripted([here, here, none(), here, none()]), "largest", MediaConfig(), 2.0)
    np.testing.assert_array_equal(track.found, [True, True, False, True, False])
    np.testing.assert_array_equal(track.boxes[0], [40, 20, 100, 80])  # in pixels of the source
    assert np.isnan(track.boxes[[2, 4]]).all()
    assert np.isnan(track.scores[[2, 4]]).all()
    assert (track.crops[[2, 4]] == 0).all()
    assert (track.crops[0] == 128).all()
    assert (track.person, track.people, track.rule) == (0, 1, "largest")


def test_a_person_that_is_not_there_is_named():
    frames = np.zeros((2, 60, 80, 3), np.uint8)
    answer = track_face(frames, Scripted([box(20, 10, 30)[None]]), 3, MediaConfig(), 1.0)
    assert answer == "person 3 was asked for, but one person was found (the first is number 0)"


@pytest.mark.slow  # 19 real clips
@pytest.mark.parametrize("detector", ["cascade", "yunet"])
def test_the_face_is_found_in_nine_of_ten_frames_of_every_real_clip(detector):
    folder = shared_dir("data", "av_clips")
    config = MediaConfig(detector=detector, yunet_path=str(shared_dir("data", "encoders", "yunet_n_320_320.onnx")))
    shares = {}
    for path in sorted(folder.glob("*.mp4")):
        face = load_media(Clip(path=path), config).face
        shares[path.name] = 0.0 if face is None else float(face.found.mean())
        assert face is None or face.people == 1
    assert len(shares) >= 19
    assert min(shares.values()) >= 0.9, shares


@pytest.mark.slow  # 24 detections in wide frames
def test_two_real_people_side_by_side():
    config = MediaConfig(num_frames=8, frame_size=640, detector="none")
    left, right = (
        load_media(Clip(path=shared_dir("data", "av_clips", name)), config).frames
        for name in ("ravdess_01-01-01-01-01-01-01.mp4", "ravdess_01-01-08-02-01-01-06.mp4")
    )
    import cv2

    small = np.stack([cv2.resize(frame, (284, 160)) for frame in right])
    both = np.zeros((8, 320, 852, 3), np.uint8)
    both[:, :, :568], both[:, 80:240, 568:] = left, small
    for person, wanted in (("largest", 0), (0, 0), (1, 1)):
        face = load_media(Clip(frames=both, fps=5.0, person=person), MediaConfig(num_frames=8)).face
        assert (face.person, face.people) == (wanted, 2)
        assert face.found.mean() >= 0.9
        middle = np.nanmedian(face.boxes[:, [0, 2]])
        assert (middle < 568) == (wanted == 0)
