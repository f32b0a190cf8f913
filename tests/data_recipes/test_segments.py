"""Segments and frames: there and back without drift."""

import numpy as np
import pytest

from cuewise.data_recipes.schema import FrameLabel
from cuewise.data_recipes.segments import frames_of, segments_of


@pytest.mark.parametrize("fps", [24.0, 25.0, 30000 / 1001, 60.0])
def test_an_hour_of_frames_comes_back_exactly(fps):
    rng = np.random.default_rng(0)
    frames = int(3600 * fps)
    labels, index = [None] * frames, 0
    while index < frames:
        length = int(rng.integers(1, 300))
        run = [(None, "hesitant", "calm")[rng.integers(3)]] * (min(frames, index + length) - index)
        labels[index : index + length] = run
        index += length
    segments = segments_of(labels, fps)
    assert frames_of(segments, fps, frames) == labels
    assert segments_of(frames_of(segments, fps, frames), fps) == segments


def test_segments_are_read_by_the_middle_of_a_frame():
    segments = [FrameLabel(start=0.1, end=0.3, label="a"), FrameLabel(start=0.2, end=0.26, label="b")]
    assert frames_of(segments, 10, 5) == [None, "a", "b", None, None]
    assert frames_of([FrameLabel(start=-1, end=99, label="a")], 10, 3) == ["a"] * 3
    assert segments_of([], 10) == [] and segments_of([None, None], 10) == []
    with pytest.raises(ValueError, match="fps must be > 0, got 0"):
        segments_of(["a"], 0)
