"""One report as a section of the page: answer, player, timeline, evidence, reasoning, streams, problems."""

import json
from collections import Counter

from cuewise.mllm.report import CHANNELS, Cue, EmotionReport
from cuewise.page.embed import Poster
from cuewise.page.figures import affect_plane, channel_icon, gauge, icon, share_bar, verdict_icon
from cuewise.page.lanes import timeline, timeline_length
from cuewise.page.markup import Markup, tag
from cuewise.wording import (
    VERDICT_TEXT,
    agreement_text,
    check_text,
    message_of,
    span_text,
    stream_text,
    unsure_text,
    verdict,
)

MAX_BARS = 8
WARNING_ICON = '<path d="M8 2.2L14.6 13.4H1.4zM8 6.4v3.4M8 11.6v.1"/>'
AGREE_ICON = '<circle cx="6" cy="8" r="4.2"/><circle cx="10" cy="8" r="4.2"/>'


def report_section(
    report: EmotionReport, player: Markup | None, why: str, posters: list[Poster], number: int
) -> Markup:
    """The whole section. `player` is None where the clip is not in the page, `why` says why."""
    cue_ids = {id(cue): f"r{number}c{index}" for index, cue in enumerate(report.cues)}
    screen = _stage(report, player, why, posters)
    top = "top" if has_picture(player, posters) else "top no-stage"
    return tag(
        "article",
        _head(report),
        tag("div", screen, _answer(report), class_=top),
        timeline(report, posters, cue_ids),
        _evidence(report, cue_ids),
        _pair(_channels(report), _reasoning(report)),
        _pair(_streams(report), _problems(report)),
        class_="report", id=f"r{number}", data_offset=report.start or 0, data_length=timeline_length(report),
        data_track=_track(report), data_frame=_frame(report),
    )  # fmt: skip


def _pair(*parts: Markup | None) -> Markup | None:
    """Sections side by side where there is room."""
    return tag("div", *parts, class_="pair") if any(parts) else None


def error_section(name: str, code: str, message: str, number: int) -> Markup:
    """What stands in the place of a report when a clip could not be read."""
    return tag(
        "article",
        tag("header", tag("h2", name)),
        tag("p", icon(WARNING_ICON), tag("strong", f"Not read ({code}): "), message, class_="card callout"),
        class_="report", id=f"r{number}",
    )  # fmt: skip


def _head(report: EmotionReport) -> Markup:
    facts = []
    if report.duration:
        facts.append(f"{report.duration:.2f} s" + (f", from {report.start:.2f} s" if report.start else ""))
    facts.append(f"model {report.model}")
    if report.timing_ms.get("total"):
        facts.append(f"read in {report.timing_ms['total'] / 1000:.1f} s")
    return tag("header", tag("h2", report.clip), tag("p", *(tag("span", fact) for fact in facts), class_="facts"))


def _stage(report: EmotionReport, player: Markup | None, why: str, posters: list[Poster]) -> Markup | None:
    """The clip: its player, else its frames, else its words."""
    if player is None and not posters:
        said = " ".join(word.text for word in report.words)
        quote = tag("blockquote", said, class_="card quote") if said and not why else None
        return tag("p", f"No player: {why}.", class_="card no-player") if why else quote
    still = None
    if posters:
        still = tag("img", src=posters[0].uri, alt="a frame of the clip", class_="still", hidden=player is not None)
    note = tag("p", f"No player: {why}." if player is None else None, class_="player-note", hidden=player is not None)
    return tag("div", player, still, note, class_="card screen" if has_picture(player, posters) else "card sound-only")


def has_picture(player: Markup | None, posters: list[Poster]) -> bool:
    """Whether there is anything to see of the clip."""
    return bool(posters) or (player is not None and 'class="stage"' in player)


def _answer(report: EmotionReport) -> Markup:
    names = []
    for emotion in report.emotions:
        score = tag("span", f"{emotion.score:.2f}", class_="score") if emotion.score is not None else None
        names.append(tag("li", tag("span", emotion.label, class_="emotion"), score))
    title = tag("ul", *names, class_="emotions") if names else tag("p", "No emotion was named.", class_="emotion none")
    rows = []
    if report.confidence is not None:
        rows.append(_meter("confidence", report.confidence, "unsure" if report.unsure else None))
    if unsure := unsure_text(report):
        rows.append(tag("p", unsure, class_="unsure"))
    if report.withheld:
        rows.append(tag("p", f"Withheld by policy: {', '.join(report.withheld)}", class_="withheld"))
    return tag(
        "div",
        tag("p", "expressed emotion", class_="kicker"),
        title,
        *rows,
        _agreement(report),
        tag("div", _distribution(report), affect_plane(report), class_="figures"),
        class_="card answer",
    )


def _meter(name: str, share: float, note: str | None) -> Markup:
    return tag(
        "div", tag("span", name), share_bar(share, name), tag("b", f"{share:.2f}"),
        tag("em", note, class_="unsure") if note else None, class_="meter",
    )  # fmt: skip


def _agreement(report: EmotionReport) -> Markup | None:
    sentence = agreement_text(report.agreement)
    if not sentence:
        return None
    conflict = report.agreement.conflict
    mark, title = (WARNING_ICON, tag("strong", "Conflict. ")) if conflict else (AGREE_ICON, None)
    return tag(
        "p", icon(mark), title, sentence,
        class_="agreement conflict" if conflict else "agreement",
    )  # fmt: skip


def _distribution(report: EmotionReport) -> Markup | None:
    shares = report.distribution or {e.label: e.score for e in report.emotions if e.score is not None}
    if not shares:
        return None
    named = {emotion.label for emotion in report.emotions}
    rows = []
    for name, share in sorted(shares.items(), key=lambda item: -item[1])[:MAX_BARS]:
        style = "share named" if name in named else "share"
        rows.append(tag("div", tag("span", name), share_bar(share, name), tag("b", f"{share:.2f}"), class_=style))
    return tag("div", *rows, class_="distribution")


def _evidence(report: EmotionReport, cue_ids: dict[int, str]) -> Markup | None:
    if not report.cues:
        return None
    counts = Counter(verdict(cue) for cue in report.cues)
    told = [f"{counts[kind]} {VERDICT_TEXT[kind]}" for kind in VERDICT_TEXT if counts[kind]]
    ordered = sorted(report.cues, key=lambda c: (c.start is None, c.start or 0.0))
    return tag(
        "section",
        tag("h3", "Evidence", tag("small", ", ".join(told))),
        tag("ol", *(_card(cue, cue_ids[id(cue)]) for cue in ordered), class_="evidence"),
    )


def _card(cue: Cue, card: str) -> Markup:
    kind = verdict(cue)
    timed = cue.start is not None and cue.end is not None
    span = (
        tag(
            "button", icon('<path d="M5 3.4l7 4.6-7 4.6z"/>'), span_text(cue), type="button", class_="span",
            data_start=cue.start, data_end=cue.end, aria_label=f"play {span_text(cue)} in a loop",
        )
        if timed
        else tag("span", span_text(cue), class_="span")
    )  # fmt: skip
    return tag(
        "li",
        tag("div", tag("span", channel_icon(cue.channel), cue.channel, class_="channel"), span, class_="card-top"),
        tag("p", cue.observation, class_="observation"),
        tag("p", "→ ", tag("b", ", ".join(cue.supports)), class_="supports") if cue.supports else None,
        tag(
            "div",
            tag("span", verdict_icon(kind), VERDICT_TEXT[kind], class_=f"badge {kind or 'no_claim'}"),
            gauge(cue.check),
            tag("span", check_text(cue.check), class_="measure"),
            class_="check",
        ),
        class_=f"card cue-card {kind or 'no_claim'}",
        id=card,
    )


def _channels(report: EmotionReport) -> Markup | None:
    readings = report.agreement.channels
    if not readings:
        return None
    clashing = {name for pair in report.agreement.conflicting for name in pair}
    rows = []
    for name in (channel for channel in CHANNELS if channel in readings):
        label, score = readings[name].label, readings[name].score
        clash = tag("em", icon(WARNING_ICON), "disagrees") if name in clashing else None
        channel = tag("span", channel_icon(name), name, class_="channel")
        bar = share_bar(score, f"{name}: {label}")
        style = "reading clashing" if clash else "reading"
        rows.append(tag("div", channel, tag("b", label), bar, tag("span", f"{score:.2f}"), clash, class_=style))
    return tag("section", tag("h3", "Each channel read alone"), *rows, class_="card readings")


def _reasoning(report: EmotionReport) -> Markup | None:
    if not report.reasoning and not report.text:
        return None
    parts = [tag("p", report.reasoning) if report.reasoning else tag("p", "No reasoning was given.", class_="absent")]
    if against := message_of(report, "prose_disagrees"):
        parts.append(tag("p", icon(WARNING_ICON), against, class_="agreement conflict"))
    if report.text:
        parts.append(tag("details", tag("summary", "The answer as the model wrote it"), tag("pre", report.text)))
    return tag("section", tag("h3", "Reasoning"), *parts, class_="card reasoning")


def _streams(report: EmotionReport) -> Markup | None:
    if not report.streams:
        return None
    rows = [
        tag(
            "tr", tag("th", channel_icon(name), name, scope="row"),
            tag("td", "present" if report.streams[name].present else "absent"), tag("td", _detail(report, name)),
            class_="" if report.streams[name].present else "gone",
        )
        for name in CHANNELS
        if name in report.streams
    ]  # fmt: skip
    return tag("section", tag("h3", "What was read"), tag("table", tag("tbody", *rows)), class_="card streams")


def _detail(report: EmotionReport, name: str) -> str:
    text = stream_text(report.streams[name])
    return text.removeprefix("absent: ") if text != "present" else ""


def _problems(report: EmotionReport) -> Markup | None:
    if not report.problems:
        return None
    rows = [tag("li", tag("code", problem.code), " ", problem.message) for problem in report.problems]
    return tag("section", tag("h3", icon(WARNING_ICON), "Problems"), tag("ul", *rows), class_="card problems")


def _track(report: EmotionReport) -> str | None:
    """Face boxes as JSON ``[[time, x0, y0, x1, y1] or [time]]`` for the overlay."""
    if not report.tracks:
        return None
    boxes = [[round(b.time, 3), *(round(x, 1) for x in b.box or ())] for b in report.tracks[0].boxes]
    return json.dumps(boxes, separators=(",", ":"))


def _frame(report: EmotionReport) -> str | None:
    return f"{report.tracks[0].frame_width} {report.tracks[0].frame_height}" if report.tracks else None


def contents(names: list[tuple[str, str]]) -> Markup | None:
    """Links to the sections of a page with several clips: (clip, what was found)."""
    if len(names) < 2:
        return None
    links = [tag("li", tag("a", tag("b", name), " ", found, href=f"#r{i}")) for i, (name, found) in enumerate(names)]
    return tag("nav", tag("ol", *links), aria_label="Clips on this page", class_="contents")
