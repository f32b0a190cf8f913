"""The time axis of the page: a ruler, pictures, and one lane per channel with cues, curves and words.

Everything is placed in per cent of the clip's duration, so the page can be as wide as it likes.
"""

import math
import re

from cuewise.mllm.report import CHANNELS, Cue, EmotionReport, Signal, Word
from cuewise.page.embed import Poster
from cuewise.page.figures import channel_icon, curve, verdict_icon
from cuewise.page.markup import Markup, tag
from cuewise.wording import VERDICT_TEXT, number, span_text, verdict

MAX_CURVES = 4
MIN_CUE_SHARE = 0.012
SCENE_SIGNALS = ("brightness", "colourfulness", "people", "motion")
TURN_OF = {"away": "yaw", "toward": "yaw", "shaking": "yaw", "up": "pitch", "down": "pitch", "nodding": "pitch",
           "tilted": "roll"}  # fmt: skip
"""Direction of a head or gaze claim -> the angle whose curve shows it."""

_PREFIX = re.compile(r"^(face|voice|scene)[\s./:_-]+", re.IGNORECASE)
_ACTION = re.compile(r"AU\d+")


def timeline(report: EmotionReport, posters: list[Poster], cue_ids: dict[int, str]) -> Markup | None:
    """The whole timeline; None for a clip without length (a picture, words alone)."""
    duration = timeline_length(report)
    if duration is None:
        return None
    lanes = [_ruler(duration), _filmstrip(posters, duration)]
    lanes += [_lane(report, channel, duration, cue_ids) for channel in CHANNELS]
    over = tag("div", tag("div", class_="playhead", hidden=True), class_="over", aria_hidden="true")
    axis = tag("div", *lanes, over, class_="timeline", role="group", aria_label="Cues over time")
    return tag("section", tag("h3", "Timeline"), tag("div", axis, class_="scroll"), _legend(), class_="card lanes")


def timeline_length(report: EmotionReport) -> float | None:
    """Seconds on the time axis, or None when nothing in the report has a time."""
    if report.duration:
        return report.duration
    ends = [c.end for c in report.cues if c.end] + [w.end for w in report.words if w.end]
    return max(ends) if ends else None


def _lane(report: EmotionReport, channel: str, duration: float, cue_ids: dict[int, str]) -> Markup:
    cues = [cue for cue in report.cues if cue.channel == channel]
    rows = [_cue_row(row, duration, cue_ids) for row in pack(cues, duration)]
    signals = {n: s for n, s in report.signals.items() if signal_channel(n) == channel and s.times}
    shown = choose_signals(signals, cues)
    curves = [_curve_row(name, signals[name], cues, duration) for name in shown]
    words = [_word_row(report.words, duration)] if channel == "words" and report.words else []
    stream = report.streams.get(channel)
    body = [*words, *rows, *curves]
    if stream is not None and not stream.present:
        body.append(tag("p", f"absent: {stream.why or 'no reason was given'}", class_="absent"))
    elif not body:
        body.append(tag("p", "no cue was named in this channel", class_="absent"))
    rest = sorted(set(signals) - set(shown))
    if rest:
        more = [_curve_row(name, signals[name], cues, duration) for name in rest]
        body.append(tag("details", tag("summary", f"{len(rest)} more curves"), *more, class_="more-curves"))
    return tag(
        "div",
        tag("div", channel_icon(channel), channel, class_="lane-name"),
        tag("div", *body, class_="lane-body"),
        class_=f"lane lane-{channel}",
    )


def pack(cues: list[Cue], duration: float) -> list[list[Cue]]:
    """Cues in as few rows as possible, without overlap; cues for the whole clip come first."""
    rows: list[list[Cue]] = []
    ends: list[float] = []
    for cue in sorted(cues, key=lambda c: (c.start if c.start is not None else -1.0, c.end or duration)):
        start, end = (0.0, duration) if cue.start is None or cue.end is None else (cue.start, cue.end)
        for index, until in enumerate(ends):
            if start >= until - 1e-9:
                rows[index].append(cue)
                ends[index] = end
                break
        else:
            rows.append([cue])
            ends.append(end)
    return rows


def signal_channel(name: str) -> str:
    """The lane a curve belongs to, from its name."""
    prefix = _PREFIX.match(name)
    if prefix:
        return prefix.group(1).lower()
    if _ACTION.match(name) or name.startswith(("head", "gaze")):
        return "face"
    return "scene" if name.startswith(SCENE_SIGNALS) else "voice"


def choose_signals(signals: dict[str, Signal], cues: list[Cue]) -> list[str]:
    """The curves worth seeing first: those that a cue speaks of, then those that move most."""

    def movement(name: str) -> float:
        known = [v for v in signals[name].values if v is not None and math.isfinite(v)]
        return max(known) - min(known) if known else -1.0

    spoken = [name for name in signals if any(speaks_of(cue, name) for cue in cues)]
    actions = [name for name in signals if name not in spoken]
    if any(_ACTION.search(name) for name in actions):
        actions.sort(key=lambda name: (not _ACTION.search(name), -movement(name)))
    return (spoken + actions)[: max(MAX_CURVES, len(spoken))]


def speaks_of(cue: Cue, signal_name: str) -> bool:
    """Whether the claim of a cue is about this curve."""
    action = _ACTION.search(signal_name)
    if action:
        return action.group() in _ACTION.findall(cue.observation)
    if cue.claim is None:
        return False
    bare = _PREFIX.sub("", signal_name)
    rest = bare.removeprefix(cue.claim.attribute)
    return rest != bare and rest.strip() in ("", cue.claim.direction, TURN_OF.get(cue.claim.direction))


def _place(start: float, end: float, duration: float) -> str:
    left = max(0.0, min(1.0, start / duration))
    width = max(MIN_CUE_SHARE, min(1.0, end / duration) - left)
    return f"left:{left * 100:.2f}%;width:{width * 100:.2f}%"


def _cue_row(row: list[Cue], duration: float, cue_ids: dict[int, str]) -> Markup:
    return tag("div", *(_cue_segment(cue, duration, cue_ids[id(cue)]) for cue in row), class_="cue-row")


def _cue_segment(cue: Cue, duration: float, card: str) -> Markup:
    kind = verdict(cue)
    whole = cue.start is None or cue.end is None
    start, end = (0.0, duration) if whole else (cue.start, cue.end)
    said = f"{cue.channel}, {span_text(cue)}: {cue.observation}; {VERDICT_TEXT[kind]}"
    return tag(
        "button", verdict_icon(kind), tag("span", cue.observation), type="button",
        class_=f"cue {kind or 'no_claim'}" + (" whole" if whole else ""), style=_place(start, end, duration),
        data_start=start, data_end=end, data_card=card, title=said, aria_label=said,
    )  # fmt: skip


def _curve_row(name: str, signal: Signal, cues: list[Cue], duration: float) -> Markup:
    drawing, low, high = curve(signal, duration)
    bands = [
        tag("span", class_=f"band {verdict(cue) or 'no_claim'}", style=_place(cue.start, cue.end, duration))
        for cue in cues
        if cue.start is not None and cue.end is not None and speaks_of(cue, name)
    ]
    label = f"{_PREFIX.sub('', name)}, {signal.unit}" if signal.unit else _PREFIX.sub("", name)
    return tag(
        "div", *bands, drawing, tag("span", label, class_="curve-name"),
        tag("span", number(high), class_="curve-high"), tag("span", number(low), class_="curve-low"),
        class_="curve-row",
    )  # fmt: skip


def _word_row(words: list[Word], duration: float) -> Markup:
    if not any(word.start is not None for word in words):
        return tag("p", " ".join(word.text for word in words), class_="untimed")
    spans = [
        tag(
            "button", word.text, type="button", class_="word", data_start=word.start, data_end=word.end,
            style=_place(word.start, word.end, duration), title=f"{word.text} ({word.start:.2f}–{word.end:.2f} s)",
        )
        for word in words
        if word.start is not None and word.end is not None
    ]  # fmt: skip
    return tag("div", *spans, class_="word-row")


def _ruler(duration: float) -> Markup:
    step = next(s for s in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, math.inf) if duration / s <= 10)
    step = step if math.isfinite(step) else duration
    ticks = [index * step for index in range(int(duration / step + 1e-9) + 1)]
    digits = 1 if step < 1 else 0
    marks = []
    for tick in ticks:
        label = tag("span", f"{tick:.{digits}f}", tag("i", " s"))
        marks.append(tag("span", label, class_="tick", style=f"left:{tick / duration * 100:.2f}%"))
    return tag(
        "div",
        tag("div", "time", class_="lane-name"),
        tag(
            "div", *marks, class_="ruler", role="slider", tabindex=0, aria_label="Position in the clip, in seconds",
            aria_valuemin=0, aria_valuemax=round(duration, 2), aria_valuenow=0,
        ),
        class_="lane lane-time",
    )  # fmt: skip


def _filmstrip(posters: list[Poster], duration: float) -> Markup | None:
    if not posters:
        return None
    share = 100 / len(posters)
    frames = [
        tag("img", src=p.uri, alt="", style=f"left:{i * share:.2f}%;width:{share:.2f}%", title=f"{p.time:.2f} s")
        for i, p in enumerate(posters)
    ]
    return tag(
        "div",
        tag("div", "frames", class_="lane-name"),
        tag("div", *frames, class_="filmstrip", role="img", aria_label=f"{len(posters)} frames of the clip"),
        class_="lane lane-frames",
    )


def _legend() -> Markup:
    items = [
        tag("span", tag("span", verdict_icon(kind), class_=f"key {kind or 'no_claim'}"), VERDICT_TEXT[kind])
        for kind in ("supported", "contradicted", "not_measurable", None)
    ]
    hint = "Click a cue to hear and see it in a loop; Esc ends the loop, arrow keys move in time."
    return tag("p", *items, tag("span", hint, class_="hint"), class_="legend")
