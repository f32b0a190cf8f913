"""The drawings of the page, as SVG: curves in lanes, the valence/arousal plane, measured against reference."""

import math
from collections.abc import Sequence

from cuewise.mllm.report import Check, EmotionReport, Signal
from cuewise.page.markup import Markup, tag
from cuewise.wording import INTENSITY, OCCURRENCES, number

CURVE_HEIGHT = 100.0
CURVE_WIDTH = 1000.0
MIN_SHARE_SPREAD = 0.1


def curve(signal: Signal, duration: float) -> tuple[Markup, float, float]:
    """A signal over the whole time axis, stretched to its box; returns it with the lowest and highest value drawn.

    Gaps (null) stay gaps. A lone value between gaps becomes a short dash, or it would not be seen.
    """
    known = [v for v in signal.values if v is not None and math.isfinite(v)]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    if signal.unit == INTENSITY:
        low, high = 0.0, max(1.0, high)
    if signal.unit.startswith("share") and high - low < MIN_SHARE_SPREAD:  # noise must not look like an event
        low = max(0.0, (low + high - MIN_SHARE_SPREAD) / 2)
        high = low + MIN_SHARE_SPREAD
    spread = high - low or 1.0
    runs: list[list[tuple[float, float]]] = [[]]
    for time, value in zip(signal.times, signal.values):
        if value is None or not math.isfinite(value):
            runs.append([])
            continue
        x = max(0.0, min(1.0, time / duration)) * CURVE_WIDTH
        runs[-1].append((x, CURVE_HEIGHT - 6 - (value - low) / spread * (CURVE_HEIGHT - 12)))
    lines = [_polyline(run) for run in runs if run]
    drawing = tag(
        "svg", *lines, class_="curve", viewBox=f"0 0 {CURVE_WIDTH:g} {CURVE_HEIGHT:g}", preserveAspectRatio="none",
        aria_hidden="true", focusable="false",
    )  # fmt: skip
    return drawing, low, high


def _polyline(run: Sequence[tuple[float, float]]) -> Markup:
    if len(run) == 1:
        run = [(run[0][0] - 1.5, run[0][1]), (run[0][0] + 1.5, run[0][1])]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in run)
    return tag("polyline", points=points, vector_effect="non-scaling-stroke")


def affect_plane(report: EmotionReport) -> Markup | None:
    """Valence (left to right) and arousal (bottom to top), with what each channel alone says as a small letter."""
    if report.valence is None or report.arousal is None:
        return None
    parts = [
        tag("circle", cx=0, cy=0, r=100, class_="rim"),
        tag("line", x1=-100, y1=0, x2=100, y2=0, class_="axis"),
        tag("line", x1=0, y1=-100, x2=0, y2=100, class_="axis"),
        *(
            tag("text", word, x=x, y=y, class_="corner", text_anchor=anchor)
            for word, x, y, anchor in (
                ("active", 0, -106, "middle"), ("calm", 0, 116, "middle"), ("unpleasant", -104, 4, "end"),
                ("pleasant", 104, 4, "start"),
            )
        ),
    ]  # fmt: skip
    x, y = _on_plane(report.valence, report.arousal)
    parts += [tag("circle", cx=x, cy=y, r=17, class_="halo"), tag("circle", cx=x, cy=y, r=11, class_="dot")]
    for name, reading in report.agreement.channels.items():
        if reading.valence is not None and reading.arousal is not None:
            x, y = _on_plane(reading.valence, reading.arousal)
            parts.append(
                tag(
                    "g",
                    tag("title", f"{name} alone: valence {reading.valence:+.2f}, arousal {reading.arousal:+.2f}"),
                    tag("circle", cx=x, cy=y, r=9, class_="channel-dot"),
                    tag("text", name[0].upper(), x=x, y=y + 3.6, text_anchor="middle", class_="channel-letter"),
                )
            )
    label = f"Valence {report.valence:+.2f}, arousal {report.arousal:+.2f}, both from -1 to 1"
    return tag("svg", *parts, class_="plane", viewBox="-190 -124 380 248", role="img", aria_label=label)


def _on_plane(valence: float, arousal: float) -> tuple[float, float]:
    return valence * 100.0, -arousal * 100.0


def gauge(check: Check | None) -> Markup | None:
    """Measured and reference as two marks on one line, so that the size of the difference can be seen."""
    if check is None or check.measured is None or check.reference is None or check.unit == OCCURRENCES:
        return None
    low, high = sorted((check.measured, check.reference))
    room = (high - low) * 0.5 or abs(high) * 0.25 or 1.0
    low, high = low - room, high + room

    def at(value: float) -> float:
        return 6 + (value - low) / (high - low) * 188

    measured, reference = at(check.measured), at(check.reference)
    return tag(
        "svg",
        tag("line", x1=4, y1=12, x2=196, y2=12, class_="scale"),
        tag("line", x1=reference, y1=12, x2=measured, y2=12, class_="difference"),
        tag("line", x1=reference, y1=5, x2=reference, y2=19, class_="reference"),
        tag("circle", cx=measured, cy=12, r=5.5, class_="measured"),
        class_="gauge", viewBox="0 0 200 24", role="img",
        aria_label=f"measured {number(check.measured)} against {number(check.reference)}",
    )  # fmt: skip


def share_bar(share: float, label: str) -> Markup:
    """A bar whose filled length is `share` (0 to 1)."""
    width = f"width:{max(0.0, min(1.0, share)) * 100:.1f}%"
    return tag(
        "span", tag("span", class_="fill", style=width), class_="bar", role="img", aria_label=f"{label} {share:.2f}"
    )


VERDICT_ICON = {
    "supported": '<path d="M3.5 8.5l3 3 6-7"/>',
    "contradicted": '<path d="M4 4l8 8M12 4l-8 8"/>',
    "not_measurable": '<path d="M5.6 6.2a2.4 2.4 0 1 1 3.4 2.2c-.8.4-1 .8-1 1.6M8 12.6v.1"/>',
    None: '<path d="M4 8h8"/>',
}
CHANNEL_ICON = {
    "face": '<circle cx="8" cy="8" r="6"/><path d="M6 6.6v.1M10 6.6v.1M5.4 9.6c1.4 1.8 3.8 1.8 5.2 0"/>',
    "voice": '<path d="M2 8v.5M4.4 5.6v5M6.8 3v10M9.2 5v6M11.6 6.4v3.4M14 8v.5"/>',
    "words": '<path d="M2.5 3.5h11v7h-6l-3 2.6v-2.6h-2zM5 6.2h6M5 8.2h4"/>',
    "scene": '<rect x="2" y="3" width="12" height="10" rx="1.5"/><path d="M2.5 11.5l3.6-4 2.8 3 2-2 2.8 3M11 5.9v.1"/>',
}


def icon(path: str) -> Markup:
    """A small line drawing that takes the colour of the text around it."""
    return Markup(f'<svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">{path}</svg>')


def verdict_icon(kind: str | None) -> Markup:
    """A tick, a cross, a question mark or a dash."""
    return icon(VERDICT_ICON[kind])


def channel_icon(channel: str) -> Markup:
    """A face, a sound wave, a speech bubble or a picture."""
    return icon(CHANNEL_ICON[channel])
