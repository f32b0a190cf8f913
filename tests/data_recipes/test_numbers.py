"""Numbers in answers are read with their range; what is not one number of the scale is nothing."""

import math

import pytest

from cuewise.data_recipes.numbers import SCALES, Scale, read_number, write_number
from cuewise.eval.metrics.regression import pearson


@pytest.mark.parametrize(
    ("text", "scale", "value"),
    [("0.62", "intensity", 0.62), ("1.7", "intensity", None), ("-2", "valence_class", -2.0),
     (">>0.896", "intensity", 0.896), ("Intensity Score: 0.4", "intensity", 0.4),
     ("-3: very negative state", "valence_class", -3.0), ("2.5", "valence_class", None),
     ("between 0.2 and 0.4", "intensity", None), ("none", "intensity", None), ("", "intensity", None),
     ("50%", "intensity", None),
     ("1", "intensity", 1.0), ("0.5\n0.9", "intensity", 0.5), (".5", "intensity", 0.5)],
)  # fmt: skip
def test_reading(text, scale, value):
    assert read_number(text, SCALES[scale]) == value


@pytest.mark.parametrize("name", sorted(SCALES))
def test_what_is_written_is_read_back(name):
    scale = SCALES[name]
    for share in (0.0, 1 / 3, 0.5, 1.0):
        value = scale.low + share * (scale.high - scale.low)
        value = float(round(value)) if scale.whole else value
        assert read_number(write_number(value, scale), scale) == pytest.approx(value, abs=5e-4)
    with pytest.raises(ValueError, match="outside the scale"):
        write_number(scale.high + 1, scale)


def test_a_constant_prediction_has_no_correlation_and_is_no_crash():
    assert math.isnan(pearson([0.1, 0.5, 0.9], [0.5, 0.5, 0.5]).value)
    assert pearson([0.0, 0.5, 1.0], [read_number(t, SCALES["intensity"]) for t in ("0.1", "0.3", "0.5")]).value == 1.0
    with pytest.raises(ValueError, match="low < high"):
        Scale(1, 1)
