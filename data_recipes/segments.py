"""Labels over time: segments in seconds to labels per frame, and back without drift.

Frame i of a clip at `fps` covers [i / fps, (i + 1) / fps). Edges are computed from frame numbers, never by adding up
frame lengths, so an hour at 29.97 frames a second comes back exactly.
"""

from collections.abc import Sequence

from cuewise.data_recipes.schema import FrameLabel


def frames_of(segments: Sequence[FrameLabel], fps: float, frames: int) -> list[str | None]:
    """Label of each frame: that of the segment its middle lies in, None where there is none.

    Of overlapping segments the later one in the list counts.
    """
    if fps <= 0:
        raise ValueError(f"fps must be > 0, got {fps}")
    labels: list[str | None] = [None] * frames
    for segment in segments:
        first = max(0, _first_at(segment.start, fps))
        for index in range(first, min(frames, _first_at(segment.end, fps))):
            labels[index] = segment.label
    return labels


def segments_of(labels: Sequence[str | None], fps: float) -> list[FrameLabel]:
    """Runs of equal labels as segments in seconds; runs without a label are gaps."""
    if fps <= 0:
        raise ValueError(f"fps must be > 0, got {fps}")
    found: list[FrameLabel] = []
    start = 0
    for index in range(1, len(labels) + 1):
        if index == len(labels) or labels[index] != labels[start]:
            if labels[start] is not None:
                found.append(FrameLabel(start=start / fps, end=index / fps, label=labels[start]))
            start = index
    return found


def _first_at(time: float, fps: float) -> int:
    """First frame whose middle lies at or after a time."""
    index = int(time * fps)
    return index if (index + 0.5) / fps >= time - 1e-9 else index + 1
