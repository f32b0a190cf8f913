"""From faces per frame to people over the clip, to the one person who is read, to that person's crops.

A person is a chain of boxes that follow each other in place and size. Nothing is interpolated: a frame in which the
chosen person is not found has `found` False, a box of NaN and an empty crop.
"""

import numpy as np

from cuewise.mllm.clip import Person
from cuewise.mllm.media.config import MediaConfig
from cuewise.mllm.media.faces import FaceDetector, find_near, iou
from cuewise.mllm.media.sampling import uniform
from cuewise.mllm.media.types import FaceTrack

_REACH = 0.8
"""How far a face may move from one sampled frame to the next, in face sizes; twice that after a gap."""
_SIZE_CHANGE = 1.8
_LOOK_CLOSER = 6
"""Frames that are searched by every means when no frame shows a face at first sight."""
_LEAST_SHARE = 0.15
"""A person must be seen in this share of the frames; less is a false alarm of the detector."""
_TIGHT = 0.35
"""A face box that covers this share of the picture makes the clip a face crop."""

Chain = dict[int, np.ndarray]
"""One person: frame number -> float32 [5] x0, y0, x1, y1, score."""


def track_face(
    frames: np.ndarray, detector: FaceDetector, rule: Person, config: MediaConfig, scale: float
) -> FaceTrack | str:
    """The face of the person chosen by `rule` over uint8 frames [T, h, w, 3], or why there is none.

    Boxes are given in pixels of the source, which is `scale` times as wide as `frames`.
    """
    found = [detector.detect(frame) for frame in frames]
    if not any(len(boxes) for boxes in found):
        for number in uniform(len(frames), _LOOK_CLOSER):
            found[number] = detector.search(frames[number])
    people = in_order(link(found), frames.shape[2])
    if not people:
        return f"no face was found in {len(frames)} sampled frame{'s' * (len(frames) != 1)}"
    if isinstance(rule, int) and not 0 <= rule < len(people):
        found = "one person was" if len(people) == 1 else f"{len(people)} people were"
        return f"person {rule} was asked for, but {found} found (the first is number 0)"
    person = choose(people, frames, rule)
    chain = _completed(people[person], frames, detector)
    return _as_track(chain, frames, person, people, rule, config, scale)


def link(found: list[np.ndarray]) -> list[Chain]:
    """Chains of boxes float32 [k, 5] over the frames, without those seen too rarely to be a person."""
    chains: list[Chain] = []
    for number, boxes in enumerate(found):
        pairs = [
            (_distance(chain, number, box), c, b) for c, chain in enumerate(chains) for b, box in enumerate(boxes)
        ]
        taken_chains, taken_boxes = set(), set()
        for cost, c, b in sorted(pairs):
            if cost <= 1 and c not in taken_chains and b not in taken_boxes:
                chains[c][number] = boxes[b]
                taken_chains.add(c)
                taken_boxes.add(b)
        chains += [{number: box} for b, box in enumerate(boxes) if b not in taken_boxes]
    longest = max((len(chain) for chain in chains), default=0)
    least = max(_LEAST_SHARE * len(found), 0.25 * longest)
    return [chain for chain in chains if len(chain) >= min(least, longest)]


def in_order(chains: list[Chain], width: int) -> list[Chain]:
    """People from left to right in the first frame that shows all of them, or by their mean place if none does."""
    if len(chains) < 2:
        return chains
    shared = sorted(set.intersection(*(set(chain) for chain in chains)))

    def place(chain: Chain) -> float:
        boxes = [chain[shared[0]]] if shared else list(chain.values())
        return float(np.mean([(box[0] + box[2]) / 2 for box in boxes])) / width

    return sorted(chains, key=place)


def choose(people: list[Chain], frames: np.ndarray, rule: Person) -> int:
    """Number of the person that `rule` names: largest, most central or most active face, or that number itself."""
    if isinstance(rule, int):
        return rule
    centre = np.array([frames.shape[2], frames.shape[1]]) / 2
    presence = [len(chain) / len(frames) for chain in people]
    if rule == "largest":
        value = [np.median([_side(b) for b in chain.values()]) * p**0.5 for chain, p in zip(people, presence)]
    elif rule == "central":
        value = [
            -np.mean([np.linalg.norm((b[:2] + b[2:4]) / 2 - centre) for b in chain.values()]) for chain in people
        ]
    else:
        value = [activity(chain, frames) for chain in people]
    return int(np.argmax(value))


def activity(chain: Chain, frames: np.ndarray) -> float:
    """Mean change of the lower half of the face between neighbouring frames, in standard deviations of its grey."""
    import cv2

    changes, last, last_number = [], None, None
    for number in sorted(chain):
        grey = cv2.cvtColor(crop(frames[number], chain[number], 0.0, 48), cv2.COLOR_RGB2GRAY)[24:].astype(np.float32)
        grey = (grey - grey.mean()) / max(float(grey.std()), 1.0)
        if last is not None and number == last_number + 1:
            changes.append(float(np.abs(grey - last).mean()))
        last, last_number = grey, number
    return float(np.mean(changes)) if changes else 0.0


def crop(frame: np.ndarray, box: np.ndarray, margin: float, side: int) -> np.ndarray:
    """uint8 [side, side, 3]: the square around `box` with `margin` of its longer side added on each side.

    What lies outside the picture repeats its edge.
    """
    import cv2

    centre = (box[:2] + box[2:4]) / 2
    half = _side(box) * (0.5 + margin)
    low, high = np.floor(centre - half).astype(int), np.ceil(centre + half).astype(int)
    high = np.maximum(high, low + 2)
    height, width = frame.shape[:2]
    x0, y0, x1, y1 = max(low[0], 0), max(low[1], 0), min(high[0], width), min(high[1], height)
    inner = frame[y0:y1, x0:x1]
    edges = (y0 - low[1], high[1] - y1, x0 - low[0], high[0] - x1)
    if any(edges):
        inner = cv2.copyMakeBorder(inner, *(int(e) for e in edges), cv2.BORDER_REPLICATE)
    how = cv2.INTER_AREA if side < inner.shape[0] else cv2.INTER_LINEAR
    return cv2.resize(inner, (side, side), interpolation=how)


def _completed(chain: Chain, frames: np.ndarray, detector: FaceDetector) -> Chain:
    """The chain with frames added in which the face is found by a closer look at where it should be."""
    complete = dict(chain)
    for number in range(len(frames)):
        if number in complete:
            continue
        before = max((n for n in complete if n < number), default=None)
        after = min((n for n in chain if n > number), default=None)
        near = [complete[n] for n in (before, after) if n is not None]
        face = find_near(detector, frames[number], np.mean(near, axis=0)[:4])
        if face is not None:
            complete[number] = face
    return complete


def _as_track(
    chain: Chain, frames: np.ndarray, person: int, people: list[Chain], rule: Person, config: MediaConfig, scale: float
) -> FaceTrack:
    count, side = len(frames), config.face_size
    boxes, scores = np.full((count, 4), np.nan, np.float32), np.full(count, np.nan, np.float32)
    crops, found = np.zeros((count, side, side, 3), np.uint8), np.zeros(count, bool)
    for number, box in chain.items():
        boxes[number], scores[number], found[number] = box[:4] * scale, box[4], True
        crops[number] = crop(frames[number], box, config.face_margin, side)
    area = float(np.median([(box[2] - box[0]) * (box[3] - box[1]) for box in chain.values()]))
    tight = len(people) == 1 and area > _TIGHT * frames.shape[1] * frames.shape[2]
    name = "tight" if tight else (f"person {rule}" if isinstance(rule, int) else rule)
    return FaceTrack(boxes, scores, crops, found, person, len(people), name)


def _distance(chain: Chain, number: int, box: np.ndarray) -> float:
    """How badly `box` of frame `number` continues `chain`: 0 the same place, up to 1 acceptable."""
    last = max(chain)
    known = chain[last]
    ratio = _side(box) / max(_side(known), 1e-6)
    if not 1 / _SIZE_CHANGE < ratio < _SIZE_CHANGE:
        return 2.0
    gap = float(np.linalg.norm((box[:2] + box[2:4] - known[:2] - known[2:4]) / 2))
    reach = _REACH * (1 if number - last <= 1 else 2) * max(_side(box), _side(known))
    return gap / reach * (1 - 0.5 * iou(box, known))


def _side(box: np.ndarray) -> float:
    return float(max(box[2] - box[0], box[3] - box[1]))
