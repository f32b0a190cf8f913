"""Face detectors: boxes lie on faces, overlapping ones are merged, and a missing model is an error with the fix."""

import numpy as np
import pytest
from shared_data import shared_dir

from cuewise.mllm.clip import Clip
from cuewise.mllm.media import MediaConfig, load_media
from cuewise.mllm.media.faces import DetectorError, find_near, iou, make_detector, merge

CLIPS = ("ravdess_01-01-07-02-02-01-01.mp4", "cremad_1001_DFA_ANG_XX.mp4", "ravdess_facecrop_01-01-03-02-02-01-01.mp4")


def detectors():
    model = shared_dir("data", "encoders", "yunet_n_320_320.onnx")
    return [MediaConfig(), MediaConfig(detector="yunet", yunet_path=str(model))]


def frame_of(name: str) -> np.ndarray:
    clip = Clip(path=shared_dir("data", "av_clips", name))
    return load_media(clip, MediaConfig(detector="none", frame_size=640, num_frames=3)).frames[1]


def box_by(config: MediaConfig, picture: np.ndarray) -> np.ndarray:
    boxes = make_detector(config).detect(picture)
    assert len(boxes) == 1
    return boxes[0]


@pytest.mark.parametrize("name", CLIPS)
def test_two_independent_detectors_find_the_same_face(name):
    picture = frame_of(name)
    cascade, yunet = (box_by(config, picture) for config in detectors())
    assert iou(cascade, yunet) > 0.45
    assert 0 < cascade[4] <= 1
    assert 0 < yunet[4] <= 1


def test_boxes_follow_a_shift_and_a_scale():
    import cv2

    picture = frame_of(CLIPS[0])
    for config in detectors():
        plain = box_by(config, picture)
        shifted = box_by(config, cv2.copyMakeBorder(picture, 40, 0, 60, 0, cv2.BORDER_REPLICATE))
        larger = box_by(config, cv2.resize(picture, None, fx=2, fy=2))
        assert iou(shifted - (60, 40, 60, 40, 0), plain) > 0.75
        assert iou(larger / 2, plain) > 0.75


def test_a_face_is_found_again_near_its_place():
    picture = frame_of(CLIPS[0])
    for config in detectors():
        plain = box_by(config, picture)
        again = find_near(make_detector(config), picture, plain[:4] + 10)
        assert iou(again, plain) > 0.6
        assert find_near(make_detector(config), np.full_like(picture, 90), plain[:4]) is None
        corner = np.array([-20, -20, 10, 10], np.float32)
        assert find_near(make_detector(config), picture, corner) is None


def test_pictures_without_a_face_have_none():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (120, 160, 3), dtype=np.uint8)
    for picture in (noise, *(np.zeros((*size, 3), np.uint8) for size in ((120, 160), (1, 1), (3, 400)))):
        detector = make_detector(MediaConfig())
        assert detector.detect(picture).shape == (0, 5)
        assert detector.search(picture).shape[1] == 5


def test_merge_keeps_the_best_of_each_face():
    boxes = np.array([[0, 0, 10, 10, 0.5], [1, 1, 11, 11, 0.9], [3, 3, 6, 6, 0.8], [50, 50, 60, 60, 0.4]], np.float32)
    np.testing.assert_array_equal(merge(boxes), boxes[[1, 3]])
    assert merge(np.zeros((0, 5), np.float32)).shape == (0, 5)


def test_missing_or_wrong_model_file_says_what_to_do(tmp_path):
    with pytest.raises(DetectorError, match=r"there is no file .*download"):
        make_detector(MediaConfig(detector="yunet", yunet_path=str(tmp_path / "no.onnx")))
    (tmp_path / "bad.onnx").write_bytes(b"not a model")
    with pytest.raises(DetectorError, match="is no YuNet model"):
        make_detector(MediaConfig(detector="yunet", yunet_path=str(tmp_path / "bad.onnx")))


def test_detector_none():
    assert make_detector(MediaConfig(detector="none")) is None
