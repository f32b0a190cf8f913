"""Attributes of pictures are exact on flat colours."""

import numpy as np
import pytest

from cuewise.data_recipes.pictures import attributes, dominant_hue, hue_name


def flat(*rgb: int) -> np.ndarray:
    return np.full((8, 6, 3), rgb, np.uint8)


@pytest.mark.parametrize(
    ("rgb", "degrees", "name"),
    [((255, 0, 0), 0, "red"), ((255, 255, 0), 60, "yellow"), ((0, 255, 0), 120, "green"), ((0, 255, 255), 180, "cyan"),
     ((0, 0, 255), 240, "blue"), ((255, 0, 255), 300, "magenta"), ((200, 100, 50), 20, "red")],
)  # fmt: skip
def test_hue_of_flat_colours(rgb, degrees, name):
    found, strength = dominant_hue(flat(*rgb))
    assert min(abs(found - degrees), 360 - abs(found - degrees)) < 1e-6 and strength == pytest.approx(1.0)
    assert hue_name(found) == attributes(flat(*rgb))["hue"] == name


def test_grey_has_no_hue_and_white_is_brightest():
    assert dominant_hue(flat(90, 90, 90)) is None and attributes(flat(0, 0, 0)) == {
        "brightness": 0.0, "colourfulness": 0.0, "hue": None}  # fmt: skip
    assert attributes(flat(255, 255, 255))["brightness"] == pytest.approx(1.0)


def test_opposite_hues_cancel():
    half = np.concatenate([flat(255, 0, 0), flat(0, 255, 255)])
    assert dominant_hue(half)[1] < 1e-6
    assert attributes(half)["colourfulness"] > 100
