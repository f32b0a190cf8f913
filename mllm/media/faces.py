"""Faces in one picture: the detector interface, OpenCV's cascades (default) and YuNet.

A detector answers with float32 [k, 5]: x0, y0, x1, y1 in pixels of the picture it was given, and a score in [0, 1].
Pictures are uint8 [h, w, 3] RGB. Both detectors are deterministic.
"""

from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np

from cuewise.mllm.media.config import MediaConfig

_BORDER = 0.2
"""Border added around a picture before the cascade, as a share of its long side: a face that fills the picture touches
its edges, and the cascade needs some ground around a face."""
_WINDOW = 1.8
"""Side of the search window around an expected face, in face sizes."""
_WINDOW_PIXELS = 128
_SAME_FACE = 0.3
"""Boxes that overlap by this much (intersection over union), or cover each other by 0.6, show one face."""
_SMALLEST_FACE = 20


class DetectorError(ValueError):
    """A face detector that cannot be built from its options."""


class FaceDetector(Protocol):
    """What tracking needs of a face detector."""

    def detect(self, picture: np.ndarray) -> np.ndarray:
        """All faces of a picture."""
        ...

    def search(self, picture: np.ndarray) -> np.ndarray:
        """Faces by every means, slower and less strict; for pictures in which `detect` found none."""
        ...


def make_detector(config: MediaConfig) -> FaceDetector | None:
    """The detector that `config` names, built once per process; None for "none"."""
    if config.detector == "none":
        return None
    return _cascades(config.detect_size) if config.detector == "cascade" else _yunet(
        str(config.yunet_path), config.detect_size)  # fmt: skip


def find_near(detector: FaceDetector, picture: np.ndarray, box: np.ndarray) -> np.ndarray | None:
    """The face in a window around the expected `box` (x0, y0, x1, y1), as float32 [5], or None."""
    import cv2

    size = float(max(box[2] - box[0], box[3] - box[1]))
    centre = (box[:2] + box[2:]) / 2
    height, width = picture.shape[:2]
    low = np.clip(np.floor(centre - size * _WINDOW / 2), 0, (width - 2, height - 2)).astype(int)
    high = np.clip(np.ceil(centre + size * _WINDOW / 2), low + 2, (width, height)).astype(int)
    window = picture[low[1] : high[1], low[0] : high[0]]
    scale = _WINDOW_PIXELS / max(window.shape[:2])
    wanted = (max(2, round(window.shape[1] * scale)), max(2, round(window.shape[0] * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    found = detector.search(cv2.resize(window, wanted, interpolation=how))
    if not len(found):
        return None
    found[:, :4] = found[:, :4] / scale + np.tile(low, 2)
    sides = (found[:, 2:4] - found[:, :2]).max(axis=1)
    fits = (sides > 0.5 * size) & (sides < 1.7 * size)
    fits &= np.linalg.norm((found[:, :2] + found[:, 2:4]) / 2 - centre, axis=1) < 0.6 * size
    return found[fits][np.argmax(found[fits, 4])] if fits.any() else None


def merge(boxes: np.ndarray) -> np.ndarray:
    """float32 [k, 5] without boxes that show the same face; the best score stays."""
    kept: list[np.ndarray] = []
    for box in boxes[np.argsort(-boxes[:, 4], kind="stable")]:
        if all(iou(box, other) < _SAME_FACE and _cover(box, other) < 0.6 for other in kept):
            kept.append(box)
    return np.stack(kept) if kept else np.zeros((0, 5), np.float32)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes."""
    shared = _shared(a, b)
    return shared / max(_area(a) + _area(b) - shared, 1e-9)


def _cover(a: np.ndarray, b: np.ndarray) -> float:
    return _shared(a, b) / max(min(_area(a), _area(b)), 1e-9)


def _shared(a: np.ndarray, b: np.ndarray) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return float(max(width, 0) * max(height, 0))


def _area(box: np.ndarray) -> float:
    return float((box[2] - box[0]) * (box[3] - box[1]))


class CascadeDetector:
    """OpenCV's Haar cascades: frontal faces first, other frontal and both profile cascades when searching."""

    def __init__(self, detect_size: int):
        import cv2

        folder = getattr(getattr(cv2, "data", None), "haarcascades", None)
        if folder is None or not hasattr(cv2, "CascadeClassifier"):
            raise DetectorError("this OpenCV carries no face cascades; install opencv-python-headless<5")
        names = ("frontalface_alt2", "frontalface_default", "profileface")
        self._frontal, self._second, self._profile = (
            cv2.CascadeClassifier(str(Path(folder, f"haarcascade_{name}.xml"))) for name in names
        )
        if self._frontal.empty() or self._second.empty() or self._profile.empty():
            raise DetectorError(f"face cascades are missing in {folder}; install opencv-python-headless<5 again")
        self._size = detect_size

    def detect(self, picture: np.ndarray) -> np.ndarray:
        """See `FaceDetector.detect`."""
        grey, scale, border = self._prepare(picture)
        return _restored(merge(_windows(self._frontal, grey, 4)), scale, border, picture.shape)

    def search(self, picture: np.ndarray) -> np.ndarray:
        """See `FaceDetector.search`."""
        import cv2

        grey, scale, border = self._prepare(picture)
        found = merge(np.concatenate([_windows(self._frontal, grey, 2), _windows(self._second, grey, 3)]))
        if not len(found):
            mirrored = _windows(self._profile, cv2.flip(grey, 1), 2)
            mirrored[:, [0, 2]] = grey.shape[1] - mirrored[:, [2, 0]]
            found = merge(np.concatenate([_windows(self._profile, grey, 2), mirrored]))
        return _restored(found, scale, border, picture.shape)

    def _prepare(self, picture: np.ndarray) -> tuple[np.ndarray, float, int]:
        """Grey picture with even contrast and a border, the scale it was brought to, and the border in pixels."""
        import cv2

        small, scale = _shrunk(picture, self._size)
        grey = cv2.equalizeHist(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))
        border = round(max(grey.shape) * _BORDER)
        return cv2.copyMakeBorder(grey, border, border, border, border, cv2.BORDER_REPLICATE), scale, border


class YunetDetector:
    """YuNet (Wu et al. 2023) through OpenCV's FaceDetectorYN; the model file is the user's."""

    def __init__(self, path: str, detect_size: int):
        import cv2

        if not Path(path).is_file():
            raise DetectorError(
                f"media.yunet_path: there is no file {path}; download face_detection_yunet_2023mar.onnx from the "
                "OpenCV model zoo, or set media.detector to 'cascade'"
            )
        try:
            self._net = cv2.FaceDetectorYN.create(path, "", (320, 320), 0.3, 0.3, 200)
            self._detect(np.zeros((64, 64, 3), np.uint8), 0.6)
        except cv2.error as error:
            raise DetectorError(f"media.yunet_path: {path} is no YuNet model OpenCV can run ({error.err})") from None
        self._size = detect_size

    def detect(self, picture: np.ndarray) -> np.ndarray:
        """See `FaceDetector.detect`."""
        return self._detect(_shrunk(picture, self._size)[0], 0.6, picture.shape)

    def search(self, picture: np.ndarray) -> np.ndarray:
        """See `FaceDetector.search`."""
        return self._detect(_shrunk(picture, self._size)[0], 0.35, picture.shape)

    def _detect(self, small: np.ndarray, least: float, shape: tuple[int, ...] | None = None) -> np.ndarray:
        import cv2

        self._net.setInputSize((small.shape[1], small.shape[0]))
        rows = self._net.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))[1]
        if rows is None:
            return np.zeros((0, 5), np.float32)
        rows = rows[rows[:, 14] >= least]
        boxes = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4], rows[:, 14:]], axis=1).astype(np.float32)
        shape = shape or small.shape
        return _restored(merge(boxes), small.shape[1] / shape[1], 0, shape)


@lru_cache(maxsize=4)
def _cascades(detect_size: int) -> CascadeDetector:
    return CascadeDetector(detect_size)


@lru_cache(maxsize=4)
def _yunet(path: str, detect_size: int) -> YunetDetector:
    return YunetDetector(path, detect_size)


def _shrunk(picture: np.ndarray, detect_size: int) -> tuple[np.ndarray, float]:
    """The picture scaled to at most `detect_size` squared pixels, and the scale."""
    import cv2

    scale = min(1.0, detect_size / (picture.shape[0] * picture.shape[1]) ** 0.5)
    if scale == 1.0:
        return picture, 1.0
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA), scale


def _windows(cascade, grey: np.ndarray, neighbours: int) -> np.ndarray:
    """float32 [k, 5] of one cascade; the score is n / (n + 5) for n windows that agree."""
    least = max(_SMALLEST_FACE, int(min(grey.shape) * 0.08))
    boxes, counts = cascade.detectMultiScale2(grey, 1.1, neighbours, minSize=(least, least))
    if not len(boxes):
        return np.zeros((0, 5), np.float32)
    boxes, counts = np.asarray(boxes, np.float32), np.asarray(counts, np.float32).reshape(-1, 1)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:], counts / (counts + 5)], axis=1)


def _restored(boxes: np.ndarray, scale: float, border: int, shape: tuple[int, ...]) -> np.ndarray:
    """Boxes in the pixels of the picture they were found in, cut at its edges; what lies mostly outside is dropped."""
    boxes = boxes.copy()
    boxes[:, :4] = (boxes[:, :4] - border) / scale
    whole = np.maximum((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), 1e-9)
    boxes[:, [0, 2]] = boxes[:, [0, 2]].clip(0, shape[1])
    boxes[:, [1, 3]] = boxes[:, [1, 3]].clip(0, shape[0])
    inside = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) / whole
    return boxes[inside > 0.4]
