"""The drawings: everything lies inside its box, and nothing is drawn that is not there."""

import re
import xml.etree.ElementTree as ET

import pytest

from cuewise.eval.report.drawings import conflict_drawing, coverage_drawing, heat_map, reliability_diagram, strip
from cuewise.eval.report.figures import Absent


def drawn(run):
    figures = run[0].figures
    assert not any(isinstance(f, Absent) for f in (figures.wheel_confusion, figures.reliability, figures.conflict_gap))
    return [*map(heat_map, figures.wheel_confusion.wheels), reliability_diagram(figures.reliability),
            coverage_drawing(figures.coverage), conflict_drawing(figures.conflict_gap)]  # fmt: skip


def test_every_mark_lies_inside_its_drawing(run):
    for drawing in drawn(run):
        root = ET.fromstring(drawing)
        _, _, width, height = map(float, root.get("viewBox").split())
        assert root.get("role") == "img" and re.search(r"\d", root.get("aria-label"))
        for mark in root.iter():
            xs = [float(mark.get(k)) for k in ("x", "x1", "x2", "cx") if mark.get(k)]
            ys = [float(mark.get(k)) for k in ("y", "y1", "y2", "cy") if mark.get(k)]
            assert all(-1 <= x <= width + 1 for x in xs) and all(-1 <= y <= height + 1 for y in ys), mark.attrib


def test_the_darkness_of_a_cell_is_its_share_of_the_row(run):
    wheel = run[0].figures.wheel_confusion.wheels[0]
    cells = [float(m.get("fill-opacity")) for m in ET.fromstring(heat_map(wheel)).iter() if m.get("class") == "ink"]
    shares = [n / (sum(row) + o) for row, o in zip(wheel.rows, wheel.other) for n in (*row, o) if n]
    assert cells == pytest.approx(shares, abs=0.006)


@pytest.mark.parametrize(("value", "circles"), [(0.5, 1), (None, 0)])
def test_an_undefined_value_has_no_dot(value, circles):
    assert strip(value, None, None, (0, 1)).count("<circle") == circles


def test_values_beyond_the_scale_stay_at_its_end():
    (dot,) = [m for m in ET.fromstring(strip(7.0, -3.0, 9.0, (0, 1))).iter() if m.tag == "circle"]
    assert float(dot.get("cx")) == 152
