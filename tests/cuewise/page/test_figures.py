import re

from cuewise.mllm.report import Check, Signal
from cuewise.page.figures import affect_plane, curve, gauge


def test_gaps_in_a_curve_stay_gaps():
    signal = Signal(unit="Hz", times=[0, 1, 2, 3, 4], values=[100, 200, None, 150, None])
    drawing, low, high = curve(signal, duration=4.0)
    assert (low, high) == (100, 200)
    runs = re.findall(r'points="([^"]*)"', drawing)
    assert len(runs) == 2, "two runs of known values"
    assert runs[0] == "0.0,94.0 250.0,6.0", "lowest at the bottom, highest at the top, times from left to right"
    assert len(runs[1].split()) == 2, "a lone value is drawn as a dash"


def test_a_curve_without_values_draws_nothing():
    drawing, _, _ = curve(Signal(unit="Hz", times=[0, 1], values=[None, None]), 1.0)
    assert "points" not in drawing


def test_a_share_that_hardly_moves_is_drawn_flat():
    _, low, high = curve(Signal(unit="share 0-1", times=[0, 1], values=[0.76, 0.77]), 1.0)
    assert abs(high - low - 0.1) < 1e-9
    assert low < 0.76 and high > 0.77


def test_the_plane_has_pleasant_on_the_right_and_active_above(report):
    report.valence, report.arousal = 1.0, 0.5
    assert re.search(r'<circle cx="100" cy="-50" r="11"', affect_plane(report))
    assert "F</text>" in affect_plane(report) and "V</text>" not in affect_plane(report)
    report.valence = None
    assert affect_plane(report) is None


def test_the_gauge_shows_the_side_on_which_the_measured_value_lies():
    def marks(measured: float, reference: float) -> tuple[float, float]:
        drawing = gauge(Check(verdict="supported", measured=measured, reference=reference, unit="Hz"))
        return float(re.search(r'cx="([\d.]+)"', drawing).group(1)), float(
            re.search(r'class="reference"', drawing) and re.findall(r'x1="([\d.]+)"', drawing)[-1]
        )

    higher, lower, same = marks(200, 100), marks(100, 200), marks(3, 3)
    assert higher[0] > higher[1] and lower[0] < lower[1] and same[0] == same[1]
    assert gauge(Check(verdict="not_measurable", why="x")) is None
