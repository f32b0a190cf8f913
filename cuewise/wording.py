"""How a report is put into words for people; the terminal and the page say the same things the same way."""

from cuewise.mllm.report import Agreement, Check, Cue, EmotionReport, StreamInfo

NOTICE = (
    "Scores say how sure the model is of what is expressed, not what a person feels. "
    "This is no diagnosis and no lie detector. Do not use it to judge people at work or in class "
    "(prohibited in the EU, AI Act, Article 5), nor without the consent of those shown."
)
INTENSITY = "intensity 0-5"
OCCURRENCES = "times"
VERDICT_MARK = {"supported": "✓", "contradicted": "✗", "not_measurable": "?", None: "·"}
VERDICT_TEXT = {
    "supported": "supported",
    "contradicted": "contradicted",
    "not_measurable": "not measurable",
    None: "no checkable claim",
}
REFERENCE_TEXT = {
    "same_speaker_rest": "rest of the clip",
    "population": "people in general",
    "absolute": "against",
    None: "reference",
}


def verdict(cue: Cue) -> str | None:
    """The verdict of a cue, None when it claims nothing that can be checked."""
    return cue.check.verdict if cue.check else None


def number(value: float) -> str:
    """Three significant digits, without exponents for everyday sizes."""
    if value == int(value):
        return f"{value:.0f}"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def with_unit(value: float, unit: str | None) -> str:
    """A measured value and its unit."""
    if unit == INTENSITY:
        return f"{number(value)} of 5"
    return f"{number(value)} {unit}" if unit else number(value)


def check_text(check: Check | None) -> str:
    """What was measured against what, or why nothing was: `231 Hz, rest of the clip 180 Hz`."""
    if check is None:
        return "the observation holds no claim that is measured"
    parts = []
    if check.unit == OCCURRENCES and check.measured is not None:
        said = {0: "", 1: "said once"}.get(check.measured, f"said {number(check.measured)} times")
        return f"{said} ({check.why})" if said and check.why not in ("", "it is said") else said or check.why
    if check.measured is not None:
        parts.append(f"measured {with_unit(check.measured, check.unit)}")
    if check.reference is not None:
        parts.append(f"{REFERENCE_TEXT[check.reference_kind]} {with_unit(check.reference, check.unit)}")
    text = ", ".join(parts)
    return f"{text} ({check.why})" if text and check.why else text or check.why


def span_text(cue: Cue) -> str:
    """`0.40–1.20 s`, or `whole clip`."""
    return "whole clip" if cue.start is None or cue.end is None else f"{cue.start:.2f}–{cue.end:.2f} s"


def stream_text(stream: StreamInfo) -> str:
    """What was seen of a stream, or why it is absent."""
    if not stream.present:
        return f"absent: {stream.why or 'no reason was given'}"
    parts = []
    if stream.seconds is not None:
        parts.append(f"{stream.seconds:.2f} s")
    if stream.frames is not None:
        found = "" if stream.frames_found is None else f", found in {stream.frames_found}"
        parts.append(f"{stream.frames} frames{found}")
    if stream.tokens is not None:
        parts.append(f"{stream.tokens} token" + ("s" if stream.tokens != 1 else ""))
    if stream.why:
        parts.append(stream.why)
    return ", ".join(parts) or "present"


def agreement_text(agreement: Agreement) -> str:
    """One sentence on whether the channels agree; empty when fewer than two could be read."""
    labels = {name: reading.label for name, reading in agreement.channels.items()}
    if agreement.conflict:
        pairs = "; ".join(
            f"{a} ({labels.get(a, 'unread')}) and {b} ({labels.get(b, 'unread')})" for a, b in agreement.conflicting
        )
        followed = f"; the answer follows the {agreement.followed}" if agreement.followed else ""
        return f"The channels disagree: {pairs or 'see the readings'}{followed}."
    if len(labels) < 2:
        return ""
    if len(set(labels.values())) == 1:
        return f"{_listed(list(labels))} agree on {next(iter(labels.values()))}."
    return "The channels differ, but not surely enough to call it a conflict."


def message_of(report: EmotionReport, code: str) -> str:
    """What the first problem of this code says; empty where there is none."""
    return next((problem.message for problem in report.problems if problem.code == code), "")


def unsure_text(report: EmotionReport) -> str:
    """Why an answer is to be taken as a guess; empty where it is not."""
    if not report.unsure:
        return ""
    if not report.emotions:
        return "The model is unsure about this clip: no emotion was named."
    astray = message_of(report, "not_what_is_read")
    return f"Unsure: {astray or 'no emotion clearly leads'}. Take the answer as a guess."


def headline(report: EmotionReport) -> str:
    """The emotions of the answer, or what stands in their place."""
    return ", ".join(emotion.label for emotion in report.emotions) or "no emotion was named"


def _listed(names: list[str]) -> str:
    text = ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else names[0]
    return text[0].upper() + text[1:]
