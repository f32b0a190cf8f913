"""The drawings of the report, as SVG. Each is as wide as its box and says in words what it shows."""

from collections.abc import Sequence

from .figures import ConflictGap, Coverage, Reliability, WheelTable
from .markup import Markup, tag
from .tables import number, percent

WIDTH = 400.0
FEW_ANSWERS = 10
"""A point of the coverage curve over fewer answers is drawn hollow."""


def svg(*parts: Markup | None, width: float, height: float, label: str, class_: str = "drawing") -> Markup:
    """A drawing that scales with its box."""
    return tag("svg", *parts, class_=class_, viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=label)


def _text(x: float, y: float, words: str, class_: str = "note", anchor: str = "middle", **more: str) -> Markup:
    return tag("text", words, x=x, y=y, class_=class_, text_anchor=anchor, **more)


def _line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def heat_map(table: WheelTable) -> Markup:
    """Gold sectors down, predicted sectors across; a cell is the share of its row, darker for more."""
    left, top, gap = 96.0, 62.0, 5.0
    columns = [*table.sectors, "none"]
    cell = min(40.0, (WIDTH - left - gap - 26) / len(columns))
    parts: list[Markup] = []
    for j, name in enumerate(columns):
        x = left + j * cell + cell / 2 + (gap if j == len(columns) - 1 else 0)
        words = name if name != "none" else "no sector"
        parts.append(_text(x - 2, top - 8, words, "column", "start", transform=f"rotate(-42 {x:.1f} {top - 8:.1f})"))
    for i, (name, row, other) in enumerate(zip(table.sectors, table.rows, table.other)):
        total, y = sum(row) + other, top + i * cell
        parts.append(_text(left - 8, y + cell / 2 - 1, name, "row", "end"))
        parts.append(_text(left - 8, y + cell / 2 + 10, f"n {total:,}", "small", "end"))
        for j, count in enumerate([*row, other]):
            x = left + j * cell + (gap if j == len(columns) - 1 else 0)
            parts.append(_cell(x, y, cell, count, total, right=i == j))
    height = top + len(table.sectors) * cell + 20
    parts.append(_text(left + cell * len(table.sectors) / 2, height - 5, "predicted", "axis-name"))
    middle = top + len(table.sectors) * cell / 2
    parts.append(_text(14, middle, "gold", "axis-name", transform=f"rotate(-90 14 {middle:.1f})"))
    hits = sum(row[i] for i, row in enumerate(table.rows))
    label = f"Confusion of {table.n} samples over {len(table.sectors)} sectors; {hits} on the diagonal"
    return svg(*parts, width=WIDTH, height=height, label=label, class_="drawing heat")


def _cell(x: float, y: float, size: float, count: int, total: int, right: bool) -> Markup:
    share = count / total if total else 0.0
    classes = "cell right" if right else "cell"
    box = tag("rect", x=x + 1, y=y + 1, width=size - 2, height=size - 2, rx=3, class_="ground")
    ink = tag("rect", x=x + 1, y=y + 1, width=size - 2, height=size - 2, rx=3, class_="ink", fill_opacity=share)
    words = _text(x + size / 2, y + size / 2 + 4, f"{100 * share:.0f}" if count else "", "share")
    return tag("g", box, ink if count else None, words if count else None, class_=classes)


def _frame(left: float, top: float, width: float, height: float, x_name: str, y_name: str) -> list[Markup]:
    """A square of shares: both axes from 0 to 100 percent."""
    parts = []
    for i in range(6):
        share = i / 5
        x, y = left + share * width, top + (1 - share) * height
        words = f"{100 * share:.0f}"
        parts += [_line(left, y, left + width, y, "grid"), _text(left - 6, y + 3.5, words, "tick", "end")]
        parts += [_line(x, top, x, top + height, "grid"), _text(x, top + height + 14, words, "tick")]
    parts.append(_text(left + width / 2, top + height + 30, x_name, "axis-name"))
    middle = top + height / 2
    parts.append(_text(14, middle, y_name, "axis-name", transform=f"rotate(-90 14 {middle:.1f})"))
    return parts


def reliability_diagram(data: Reliability) -> Markup:
    """Accuracy against confidence per bin; the size of a dot grows with its bin, the bars below say how many."""
    left, top, width, height = 46.0, 10.0, 340.0, 230.0
    parts = _frame(left, top, width, height, "stated confidence, %", "right, %")
    parts.append(_line(left, top + height, left + width, top, "ideal"))
    full = [b for b in data.bins if b.n and b.accuracy is not None and b.confidence is not None]
    most = max((b.n for b in full), default=1)
    base = top + height + 92
    for b in full:
        x, y = left + b.confidence * width, top + (1 - b.accuracy) * height
        ideal = top + (1 - b.confidence) * height
        dot = tag("circle", cx=x, cy=y, r=3 + 5 * (b.n / most) ** 0.5, class_="dot")
        parts += [_line(x, ideal, x, y, "error"), dot]
    for b in data.bins:
        x, w, h = left + b.low * width, (b.high - b.low) * width, 36 * b.n / most
        parts.append(tag("rect", x=x + 1.5, y=base - h, width=w - 3, height=h, class_="bar"))
        parts.append(_text(x + w / 2, base - h - 3, f"{b.n:,}", "small"))
    parts += [_line(left, base, left + width, base, "axis"), _text(left + width / 2, base + 14, "answers per bin")]
    label = f"Reliability of {data.n} answers: ECE {number(data.ece, 'plain')}, Brier {number(data.brier, 'plain')}"
    return svg(*parts, width=WIDTH, height=base + 20, label=label)


def coverage_drawing(data: Coverage) -> Markup:
    """Accuracy of what is kept against how much is kept, from everything (right) to the surest few (left)."""
    left, top, width, height = 46.0, 10.0, 340.0, 230.0
    parts = _frame(left, top, width, height, "answers kept, %", "right among those kept, %")
    points = [p for p in data.points if p.n and p.accuracy is not None and p.coverage is not None]
    at = [(left + p.coverage * width, top + (1 - p.accuracy) * height) for p in points]
    if points:
        parts.append(_line(left, at[0][1], left + width, at[0][1], "ideal"))
        parts.append(tag("polyline", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in at), class_="curve"))
    drawn: list[tuple[float, float]] = []
    for p, (x, y) in zip(points, at):
        few = p.n < FEW_ANSWERS
        parts.append(tag("circle", cx=x, cy=y, r=2.8 if few else 3.2, class_="ring few" if few else "dot"))
        if round(p.threshold * 10) % 2 == 0 and abs(p.threshold * 10 % 1) < 1e-9 and _clear(x, y, drawn):
            drawn.append((x, y))
            height_of = y - 8 if y > top + 16 else y + 16
            parts.append(_text(max(x, left + 14), height_of, f"≥ {p.threshold:g}", "small over"))
    first = points[0].accuracy if points else None
    label = f"Accuracy against coverage of {data.n} answers; {percent(first)} right when all stated answers are kept"
    return svg(*parts, width=WIDTH, height=top + height + 38, label=label)


def _clear(x: float, y: float, drawn: Sequence[tuple[float, float]]) -> bool:
    return all(abs(x - u) > 34 or abs(y - v) > 12 for u, v in drawn)


def conflict_drawing(data: ConflictGap) -> Markup:
    """Score per subset with its interval, and the gap on a scale of its own around zero."""
    left, width, step = 118.0, 262.0, 34.0
    parts, y = [], 24.0
    rows = len(data.subsets)
    for i in range(6):
        x = left + i / 5 * width
        parts += [_line(x, 8, x, 8 + rows * step, "grid"), _text(x, 22 + rows * step, f"{20 * i}", "tick")]
    for estimate in data.subsets:
        parts += [_text(left - 10, y, estimate.name.replace("_", "-"), "row", "end"),
                  _text(left - 10, y + 11, f"n {estimate.n:,}", "small", "end"),
                  *whisker(estimate.value, estimate.low, estimate.high, left, width, y + 2, 0.0, 1.0)]  # fmt: skip
        y += step
    y += 46
    parts += [_text(left + width / 2, y - 31, "score, %", "axis-name")]
    parts.append(_line(left + width / 2, y - 14, left + width / 2, y + 16, "zero"))
    parts.append(_line(left, y, left + width, y, "axis"))
    parts += [_text(left, y + 28, "−100 trusts the face", "tick", "start"),
              _text(left + width, y + 28, "trusts the voice +100", "tick", "end")]  # fmt: skip
    parts.append(_text(left - 10, y, "gap", "row strong", "end"))
    parts.append(_text(left - 10, y + 11, f"n {data.gap.n:,}", "small", "end"))
    parts += whisker(data.gap.value, data.gap.low, data.gap.high, left, width, y, -1.0, 1.0)
    label = f"Audio-aligned minus video-aligned: {number(data.gap.value)} points, " + (
        f"from {number(data.gap.low)} to {number(data.gap.high)}" if data.gap.low is not None else "no interval")
    return svg(*parts, width=WIDTH, height=y + 36, label=label)


def whisker(
    value: float | None, low: float | None, high: float | None, left: float, width: float, y: float, start: float,
    end: float, class_: str = "dot",
) -> list[Markup]:  # fmt: skip
    """A dot with its interval on a scale from `start` to `end`; nothing where the value is undefined."""
    if value is None:
        return []

    def at(v: float) -> float:
        return left + (max(start, min(end, v)) - start) / (end - start) * width

    parts = []
    if low is not None and high is not None:
        parts = [_line(at(low), y, at(high), y, "range"), _line(at(low), y - 4, at(low), y + 4, "range"),
                 _line(at(high), y - 4, at(high), y + 4, "range")]  # fmt: skip
    return [*parts, tag("circle", cx=at(value), cy=y, r=4.2, class_=class_)]


def strip(
    value: float | None, low: float | None, high: float | None, span: tuple[float, float], mark: float | None = None,
    class_: str = "dot",
) -> Markup:  # fmt: skip
    """One row of a table drawn: value, interval, and a reference as an upright line. Numbers stand beside it."""
    left, width = 8.0, 144.0
    parts = [_line(left, 11, left + width, 11, "axis")]
    if mark is not None:
        x = left + (max(span[0], min(span[1], mark)) - span[0]) / (span[1] - span[0]) * width
        parts.append(_line(x, 2, x, 20, "reference"))
    parts += whisker(value, low, high, left, width, 11, *span, class_=class_)
    return tag("svg", *parts, class_="strip", viewBox="0 0 160 22", aria_hidden="true", focusable="false")


def count_bar(count: int, most: int) -> Markup:
    """A bar for a count; the number stands beside it."""
    width = 160 * count / most if most else 0.0
    bar = tag("rect", x=0, y=4, width=max(width, 1.0 if count else 0.0), height=12, rx=2, class_="bar")
    return tag("svg", bar, class_="strip", viewBox="0 0 160 20", aria_hidden="true", focusable="false")
