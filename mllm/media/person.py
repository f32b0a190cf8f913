"""The person around a face, or in a given box, cut out of every frame; what lies outside the picture is left out.

Boxes are x0, y0, x1, y1 in pixels of the source frame.
"""

import numpy as np

from cuewise.mllm.media.types import Media

Box = tuple[float, float, float, float]
SIDES, ABOVE, BELOW = 1.0, 0.5, 5.0
"""Ground around a face that holds the person, in widths and heights of the face."""


def inside(box: Box, size: tuple[int, int]) -> Box | None:
    """The part of a box inside a picture (width, height); None when less than a pixel of it is.

    >>> inside((-5, 2, 8, 90), (10, 20)), inside((30, 2, 40, 9), (10, 20))
    ((0.0, 2.0, 8.0, 20.0), None)
    """
    x0, y0, x1, y1 = max(box[0], 0.0), max(box[1], 0.0), min(box[2], size[0]), min(box[3], size[1])
    return (float(x0), float(y0), float(x1), float(y1)) if x1 - x0 >= 1 and y1 - y0 >= 1 else None


def around(face: Box) -> Box:
    """Where the person with this face is: as wide as three faces, from half a face above to five below."""
    width, height = face[2] - face[0], face[3] - face[1]
    return (face[0] - SIDES * width, face[1] - ABOVE * height, face[2] + SIDES * width, face[3] + BELOW * height)


def person_crops(media: Media, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The person in each frame: uint8 [T, side, side, 3], and bool [T] where there is one; zeros elsewhere.

    The box of the clip where it has one, else the surroundings of the tracked face.
    """
    import cv2

    count = len(media.frames)
    crops, found = np.zeros((count, side, side, 3), np.uint8), np.zeros(count, bool)
    height, width = media.frames.shape[1:3]
    scale = width / (media.frame_size or (width, height))[0]
    for number, frame in enumerate(media.frames):
        box = _box_of(media, number)
        box = None if box is None else inside(tuple(value * scale for value in box), (width, height))
        if box is None:
            continue
        x0, y0, x1, y1 = (int(value) for value in (*np.floor(box[:2]), *np.ceil(box[2:])))
        part = frame[y0:y1, x0:x1]
        how = cv2.INTER_AREA if side < max(part.shape[:2]) else cv2.INTER_LINEAR
        crops[number], found[number] = cv2.resize(part, (side, side), interpolation=how), True
    return crops, found


def _box_of(media: Media, number: int) -> Box | None:
    if media.person_box is not None:
        return media.person_box
    face = media.face
    if face is None or not face.found[number]:
        return None
    return around(tuple(float(value) for value in face.boxes[number]))
