"""Which frames are looked at: `uniform`, `middle`, `peak` (face motion) or `event` (optical-flow events).

Every sampler answers with sorted, unique int64 indices, exactly `total` of them when there are that many frames, else
all frames.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np

# Optical-flow events, in frames: smoothing, least distance of two events, half width of an event's region.
_SIGMA, _DISTANCE, _REGION = 6.0, 30, 15
_PROMINENCE = 0.3
_STILL_PIXELS = 0.02
"""A clip whose mean flow varies by less than this many pixels a frame does not move: what is left is noise."""


def uniform(count: int, total: int) -> np.ndarray:
    """The middle frames of `total` equal parts of `count` frames."""
    if count <= total:
        return np.arange(count, dtype=np.int64)
    return ((np.arange(total) + 0.5) * count / total).astype(np.int64)


def middle(count: int, total: int) -> np.ndarray:
    """`total` neighbouring frames around the middle."""
    return _around(count // 2, count, total)


def peak(motion: np.ndarray, total: int) -> np.ndarray:
    """`total` neighbouring frames around the largest motion. `motion` is [n], one value per frame."""
    smooth = np.convolve(np.pad(motion, 2, mode="edge"), np.ones(5) / 5, mode="valid")
    return _around(int(np.argmax(smooth)), len(motion), total)


def event(motion: np.ndarray, total: int, stride: int = 1) -> np.ndarray:
    """Frames by motion events: an equal quota for every event's region and for the rest of the clip.

    `motion` [n] is the mean optical flow per frame, taken every `stride` frames of the source. It is scaled to [0, 1]
    and smoothed; peaks of it are events. Without an event, or with more events than frames, sampling is uniform.
    Quotas are filled before sorting: cutting after sorting, as released code does, would favour early frames.
    """
    count = len(motion)
    peaks = _events(motion, stride)
    if count <= total or not 0 < len(peaks) < total - 1:
        return uniform(count, total)
    quota, reach = total // (len(peaks) + 1), max(1, round(_REGION / stride))
    chosen: set[int] = set()
    for place in peaks:
        region = [i for i in range(max(0, place - reach), min(count, place + reach + 1)) if i not in chosen]
        chosen |= {region[i] for i in uniform(len(region), quota)}
    rest = [i for i in range(count) if i not in chosen]
    chosen |= {rest[i] for i in uniform(len(rest), total - len(chosen))}
    return np.array(sorted(chosen), dtype=np.int64)


def choose(
    sampler: str, count: int, total: int, scan: Callable[[], tuple[np.ndarray, np.ndarray]], stride: int = 1
) -> np.ndarray:
    """Indices by the sampler's name. `scan` measures motion and is called only by the samplers that need it.

    It answers with the motion per scanned frame and the numbers of the scanned frames.
    """
    if sampler == "uniform" or count <= total:
        return uniform(count, total)
    if sampler == "middle":
        return middle(count, total)
    motion, scanned = scan()
    if len(motion) <= total:
        return uniform(count, total)
    return scanned[peak(motion, total) if sampler == "peak" else event(motion, total, stride)]


def flow_motion(frames: np.ndarray) -> np.ndarray:
    """float64 [n]: mean Farnebäck flow, in pixels, from the frame before. `frames` is uint8 [n, h, w, 3]."""
    import cv2

    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    flows = [cv2.calcOpticalFlowFarneback(a, b, None, 0.5, 3, 15, 3, 5, 1.2, 0) for a, b in pairwise(grey)]
    motion = [float(np.linalg.norm(flow, axis=2).mean()) for flow in flows]
    return np.array([motion[0] if motion else 0.0, *motion])


def change_motion(frames: np.ndarray, box: np.ndarray | None = None) -> np.ndarray:
    """float64 [n]: mean change of grey level from the frame before, inside `box` (x0, y0, x1, y1) if given."""
    if box is not None:
        x0, y0, x1, y1 = (max(0, int(value)) for value in box)
        frames = frames[:, y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
    grey = frames.astype(np.float32).mean(axis=3)
    change = np.abs(np.diff(grey, axis=0)).mean(axis=(1, 2))
    return np.concatenate([change[:1] if len(change) else np.zeros(1), change]).astype(np.float64)


def _around(centre: int, count: int, total: int) -> np.ndarray:
    total = min(total, count)
    first = min(max(0, centre - total // 2), count - total)
    return np.arange(first, first + total, dtype=np.int64)


def _events(motion: np.ndarray, stride: int) -> np.ndarray:
    """Places of the motion peaks."""
    spread = float(np.ptp(motion)) if len(motion) else 0.0
    if spread < _STILL_PIXELS:
        return np.zeros(0, dtype=np.int64)
    from scipy.ndimage import gaussian_filter1d
    from scipy.signal import find_peaks

    smooth = gaussian_filter1d((motion - motion.min()) / spread, _SIGMA / stride)
    return find_peaks(smooth, distance=max(1, round(_DISTANCE / stride)), prominence=_PROMINENCE)[0]
