"""A report as text for a terminal: plain characters, colour only where the terminal shows it."""

import os
import shutil
import sys
import textwrap
from collections.abc import Callable
from typing import TextIO

from cuewise.mllm.report import CHANNELS, Cue, EmotionReport
from cuewise.wording import (
    NOTICE,
    VERDICT_MARK,
    VERDICT_TEXT,
    agreement_text,
    check_text,
    headline,
    message_of,
    span_text,
    stream_text,
    unsure_text,
    verdict,
)  # fmt: skip

BLOCKS = " ▏▎▍▌▋▊▉█"
COLOURS = {"bold": "1", "dim": "2", "supported": "36", "contradicted": "33", "not_measurable": "2", "warn": "33"}
MAX_WIDTH, MIN_WIDTH, NARROW = 100, 40, 64
MAX_BARS = 8

Paint = Callable[[str, str], str]


def wants_colour(stream: TextIO) -> bool:
    """Colour only on a terminal whose user has not asked for none (no-color.org)."""
    return stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def terminal_width() -> int:
    """Width to write for: that of the terminal, within bounds that read well."""
    return max(MIN_WIDTH, min(MAX_WIDTH, shutil.get_terminal_size((88, 24)).columns))


def bar(share: float, cells: int) -> str:
    """A horizontal bar of `share` (0 to 1) of `cells` characters, in eighths of a character."""
    eighths = round(max(0.0, min(1.0, share)) * cells * 8)
    full, rest = divmod(eighths, 8)
    return "█" * full + (BLOCKS[rest] if rest else "")


def render_report(report: EmotionReport, width: int | None = None, colour: bool | None = None) -> str:
    """The whole report as text of at most `width` columns (long words aside)."""
    width = terminal_width() if width is None else width
    colour = wants_colour(sys.stdout) if colour is None else colour

    def paint(text: str, style: str) -> str:
        return f"\x1b[{COLOURS[style]}m{text}\x1b[0m" if colour and style in COLOURS else text

    blocks = [
        _title(report, width, paint), _answer(report, width, paint), _distribution(report, width, paint),
        _cues(report.cues, width, paint), _channels(report, width, paint), _reasoning(report, width, paint),
        _streams(report, width, paint), _problems(report, width, paint),
        [paint(line, "dim") for line in textwrap.wrap(NOTICE, width)],
    ]  # fmt: skip
    return "\n\n".join("\n".join(_clean(line) for line in block) for block in blocks if block)


def _clean(line: str) -> str:
    """Without control characters (a transcript or a model may hold terminal commands); our own colours stay."""
    kept = (c for c in line if c == "\x1b" or c.isprintable())
    return "".join(kept).rstrip()


def _safe(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


def _title(report: EmotionReport, width: int, paint: Paint) -> list[str]:
    parts = [_safe(report.clip)]
    if report.duration:
        at = f" from {report.start:.2f} s" if report.start else ""
        parts.append(f"{report.duration:.2f} s{at}")
    parts.append(f"model {_safe(report.model)}")
    if report.timing_ms.get("total"):
        parts.append(f"read in {report.timing_ms['total'] / 1000:.1f} s")
    title = textwrap.wrap(" · ".join(parts), width)
    return [*(paint(line, "dim") for line in title), paint("─" * width, "dim")]


def _answer(report: EmotionReport, width: int, paint: Paint) -> list[str]:
    lines = [paint(_safe(headline(report)), "bold")]
    facts = []
    if report.confidence is not None:
        facts.append(f"confidence {report.confidence:.2f}" + (" (unsure)" if report.unsure else ""))
    if report.valence is not None:
        facts.append(f"valence {report.valence:+.2f} ({'pleasant' if report.valence >= 0 else 'unpleasant'})")
    if report.arousal is not None:
        facts.append(f"arousal {report.arousal:+.2f} ({'active' if report.arousal >= 0 else 'calm'})")
    lines += textwrap.wrap(" · ".join(facts), width)
    lines += [paint(line, "warn") for line in textwrap.wrap(_safe(unsure_text(report)), width)]
    if report.withheld:
        lines += textwrap.wrap(f"withheld by policy: {_safe(', '.join(report.withheld))}", width)
    return lines


def _distribution(report: EmotionReport, width: int, paint: Paint) -> list[str]:
    shares = report.distribution or {e.label: e.score for e in report.emotions if e.score is not None}
    if not shares:
        return []
    top = sorted(shares.items(), key=lambda item: -item[1])[:MAX_BARS]
    left = max(len(name) for name, _ in top) + 2
    cells = max(8, min(40, width - left - 8))
    return [f"{_safe(name):{left}}{share:4.2f}  {bar(share, cells)}" for name, share in top]


def _cues(cues: list[Cue], width: int, paint: Paint) -> list[str]:
    if not cues:
        return []
    lines = [paint("Cues", "bold")]
    for cue in sorted(cues, key=lambda c: (c.start is None, c.start or 0.0)):
        lines += _cue(cue, width, paint)
    return lines


def _cue(cue: Cue, width: int, paint: Paint) -> list[str]:
    """Mark, channel, span and observation side by side, or one below the other where the terminal is narrow."""
    kind = verdict(cue)
    head = f"{cue.channel:5}  {span_text(cue):13}  "
    indent = len(head) + 4 if width >= NARROW else 6
    supports = f" → {_safe(', '.join(cue.supports))}" if cue.supports else ""
    text = textwrap.wrap(_safe(cue.observation) + supports, width - indent) or [""]
    first = f"  {paint(VERDICT_MARK[kind], kind or 'dim')} {head}"
    lines = [first + text[0], *(" " * indent + more for more in text[1:])]
    if width < NARROW:
        lines = [first, *(" " * indent + more for more in text)]
    if cue.check:
        detail = textwrap.wrap(_safe(f"{VERDICT_TEXT[kind]}: {check_text(cue.check)}"), width - indent)
        lines += [paint(" " * indent + part, "dim") for part in detail]
    return lines


def _channels(report: EmotionReport, width: int, paint: Paint) -> list[str]:
    readings = report.agreement.channels
    if not readings:
        return []
    lines = [paint("Channels, each read alone", "bold")]
    for name in CHANNELS:
        if name in readings:
            reading = readings[name]
            lines.append(f"  {name:6} {reading.score:.2f}  {bar(reading.score, 12):12}  {_safe(reading.label)}")
    sentence = agreement_text(report.agreement)
    if sentence:
        style = "warn" if report.agreement.conflict else "dim"
        mark = "! " if report.agreement.conflict else ""
        lines += [paint("  " + part, style) for part in textwrap.wrap(mark + sentence, width - 2)]
    return lines


def _reasoning(report: EmotionReport, width: int, paint: Paint) -> list[str]:
    if not report.reasoning:
        return []
    lines = [paint("Reasoning", "bold"), *("  " + part for part in textwrap.wrap(_safe(report.reasoning), width - 2))]
    against = message_of(report, "prose_disagrees")
    marked = textwrap.wrap(_safe(f"! {against}"), width - 2) if against else []
    return lines + [paint("  " + part, "warn") for part in marked]


def _streams(report: EmotionReport, width: int, paint: Paint) -> list[str]:
    if not report.streams:
        return []
    lines = [paint("Streams", "bold")]
    for name in CHANNELS:
        if name in report.streams:
            text = textwrap.wrap(_safe(stream_text(report.streams[name])), width - 9) or [""]
            lines += [f"  {name:6} {text[0]}", *(" " * 9 + part for part in text[1:])]
    return lines


def _problems(report: EmotionReport, width: int, paint: Paint) -> list[str]:
    if not report.problems:
        return []
    lines = [paint("Problems", "bold")]
    for problem in report.problems:
        lines += ["  " + part for part in textwrap.wrap(f"{problem.code}: {_safe(problem.message)}", width - 2)]
    return lines
