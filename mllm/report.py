"""The answer of the system: its types, the one `render` and the one `parse` of answer text.

Text forms, grammar and problem codes follow docs/answer-format.md. `parse` never raises: whatever a language model
writes becomes a `ParsedAnswer` whose `problems` say what was wrong. `render` writes the canonical text, and
``parse(render(x)) == x`` for every answer without problems.
"""

import math
import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = "1.0"

Channel = Literal["face", "voice", "words", "scene"]
CHANNELS: tuple[Channel, ...] = ("face", "voice", "words", "scene")
CHANNEL_ALIASES: dict[str, Channel] = {
    "face": "face", "video": "face", "facial": "face",
    "voice": "voice", "audio": "voice", "speech": "voice",
    "words": "words", "text": "words", "transcript": "words", "subtitle": "words",
    "scene": "scene", "context": "scene", "background": "scene",
}  # fmt: skip
PROBLEM_TEXT = {
    "empty": "the answer is blank",
    "missing_answer": "no <answer> tag was written",
    "empty_answer": "the answer names no emotion",
    "empty_think": "the reasoning is blank",
    "no_cue": "the reasoning names no cue",
    "text_outside": "text stands outside the tags",
    "wrong_order": "the tags are not in the order think, answer, confidence",
    "repeated_tag": "a tag was written twice; the first one counts",
    "nested_tag": "a tag was opened inside another",
    "stray_tag": "a closing tag closes nothing",
    "truncated": "the answer stops inside a tag",
    "unknown_channel": "a cue names a channel that does not exist",
    "empty_cue": "a cue line has no observation",
    "bad_time": "a cue's time lies outside the clip",
    "bad_confidence": "the confidence is no number from 0 to 1",
    "too_many_labels": "more than 16 labels were written",
}
READING_PROBLEM_TEXT = {
    "not_what_is_read": "the answer is not what the streams read",
    "off_list": "a label of the answer is not among the candidates",
    "prose_disagrees": "the reasoning says of the channels what their readings do not",
    "untrained_task": "the model does not declare that it was trained for this; take the answer as a guess",
}
"""Problems of what an answer says, beside those of its form; the messages of a report add what was found."""

MAX_LABELS = 16
MAX_LABEL_CHARS = 64
TIME_SLACK_S = 0.05

_TAG = re.compile(r"<\s*(/?)\s*(think|answer|confidence)\s*>", re.IGNORECASE)
_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)"
_CUE_LINE = re.compile(r"^(?:[-*•]\s*)?\[\s*([^\W\d_]+)\s*[:,]?\s*([^\]]*)\]\s*(.*)$", re.DOTALL)
_SPAN = re.compile(rf"^({_NUMBER})\s*s?\s*(?:-|–|to)\s*({_NUMBER})\s*s?$", re.IGNORECASE)
_LABEL_SPLIT = re.compile(r"[,;，、；\r\n]")
_LABEL_STRIP = " \t\u3000[](){}【】（）「」<>\"'`“”‘’«»-*•.!。！"
_PERCENT = re.compile(rf"^({_NUMBER})\s*%$")


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Claim(_Model):
    """What a cue asserts, in the closed vocabulary of `cuewise.mllm.evidence.claims`."""

    attribute: str
    direction: str
    degree: Literal["slightly", "clearly", "strongly"] = "clearly"


class Check(_Model):
    """A claim held against what was measured in its time span."""

    verdict: Literal["supported", "contradicted", "not_measurable"]
    measured: float | None = None
    unit: str | None = None
    reference: float | None = None
    reference_kind: Literal["same_speaker_rest", "population", "absolute"] | None = None
    why: str = ""


class Cue(_Model):
    """One observation in one channel; `start` and `end` in seconds, both null for the whole clip."""

    channel: Channel
    start: float | None = None
    end: float | None = None
    observation: str
    supports: list[str] = Field(default_factory=list)
    claim: Claim | None = None
    check: Check | None = None


class ParsedAnswer(_Model):
    """An answer as read from text. `form` is ``unparsed`` when no tag was found."""

    form: Literal["explained", "direct", "unparsed"]
    labels: list[str] = Field(default_factory=list)
    confidence: float | None = None
    cues: list[Cue] = Field(default_factory=list)
    reasoning: str = ""
    problems: list[str] = Field(default_factory=list)

    @property
    def format_ok(self) -> bool:
        """True for an explained answer without any problem."""
        return self.form == "explained" and not self.problems

    @property
    def direct_ok(self) -> bool:
        """True for a direct answer without any problem."""
        return self.form == "direct" and not self.problems


class Word(_Model):
    """One spoken word; times in seconds, null when the transcript carries none."""

    text: str
    start: float | None = None
    end: float | None = None


class Problem(_Model):
    """Something that did not go as it should; `code` is stable, `message` is for people."""

    code: str
    message: str


class Emotion(_Model):
    """One emotion of the answer, most important first."""

    label: str
    score: float | None = Field(None, ge=0, le=1)
    score_kind: Literal["class_head", "token_probability"] | None = None


class ChannelReading(_Model):
    """What one channel alone says, read from the head on that stream's own tokens."""

    label: str
    score: float = Field(ge=0, le=1)
    distribution: dict[str, float] = Field(default_factory=dict)
    valence: float | None = Field(None, ge=-1, le=1)
    arousal: float | None = Field(None, ge=-1, le=1)


class Agreement(_Model):
    """Whether the channels agree. `followed` is the channel whose label equals the answer."""

    channels: dict[Channel, ChannelReading] = Field(default_factory=dict)
    conflict: bool = False
    conflicting: list[tuple[Channel, Channel]] = Field(default_factory=list)
    followed: Channel | None = None


class StreamInfo(_Model):
    """One input stream: what was seen of it, or why it is absent."""

    present: bool
    why: str | None = None
    seconds: float | None = None
    frames: int | None = None
    frames_found: int | None = None
    tokens: int | None = None


class FaceBox(_Model):
    """Box of the chosen face in one sampled frame, in pixels of the source frame; null when not found."""

    time: float
    box: tuple[float, float, float, float] | None = None
    score: float | None = None


class Track(_Model):
    """The chosen person over the sampled frames."""

    person: int
    people: int
    rule: str
    frame_width: int
    frame_height: int
    boxes: list[FaceBox]


class Signal(_Model):
    """A measured curve for display, at most a few hundred points; null where nothing could be measured."""

    unit: str
    times: list[float]
    values: list[float | None]


class EmotionReport(_Model):
    """Everything cuewise says about one clip. The origin of each field is documented in docs/answer-format.md."""

    schema_version: str = SCHEMA_VERSION
    model: str
    clip: str
    start: float | None = None
    duration: float | None = None
    form: Literal["explained", "direct", "unparsed"]
    emotions: list[Emotion] = Field(default_factory=list)
    distribution: dict[str, float] = Field(default_factory=dict)
    valence: float | None = Field(None, ge=-1, le=1)
    arousal: float | None = Field(None, ge=-1, le=1)
    confidence: float | None = Field(None, ge=0, le=1)
    unsure: bool = False
    agreement: Agreement = Field(default_factory=Agreement)
    cues: list[Cue] = Field(default_factory=list)
    reasoning: str = ""
    words: list[Word] = Field(default_factory=list)
    streams: dict[Channel, StreamInfo] = Field(default_factory=dict)
    tracks: list[Track] = Field(default_factory=list)
    signals: dict[str, Signal] = Field(default_factory=dict)
    withheld: list[str] = Field(default_factory=list)
    timing_ms: dict[str, float] = Field(default_factory=dict)
    problems: list[Problem] = Field(default_factory=list)
    text: str = ""


def render(answer: ParsedAnswer | EmotionReport) -> str:
    """Canonical answer text. Raises ValueError for an unparsed answer, which has none."""
    if answer.form == "unparsed":
        raise ValueError("an unparsed answer has no canonical text; parse an answer with <answer> tags first")
    labels = answer.labels if isinstance(answer, ParsedAnswer) else [e.label for e in answer.emotions]
    lines = []
    if answer.form == "explained":
        lines += ["<think>", *(render_cue(cue) for cue in answer.cues)]
        lines += [answer.reasoning] if answer.reasoning else []
        lines.append("</think>")
    lines.append(f"<answer>{', '.join(labels)}</answer>")
    if answer.confidence is not None:
        lines.append(f"<confidence>{answer.confidence:.2f}</confidence>")
    return "\n".join(lines)


def render_cue(cue: Cue) -> str:
    """One cue line: ``[channel start-end] observation => label, label``."""
    span = "" if cue.start is None or cue.end is None else f" {cue.start:.2f}-{cue.end:.2f}"
    supports = f" => {', '.join(cue.supports)}" if cue.supports else ""
    return f"[{cue.channel}{span}] {cue.observation}{supports}"


def parse(text: str, length: float | None = None) -> ParsedAnswer:
    """Read answer text. `length` is the clip length in seconds, against which cue times are checked."""
    if not text or not text.strip():
        return ParsedAnswer(form="unparsed", problems=["empty"])
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # lone surrogates are no text
    blocks, problems = _split_tags(text)
    if not blocks:
        return ParsedAnswer(form="unparsed", problems=sorted(problems | {"missing_answer"}))
    cues, reasoning = _parse_think(blocks["think"], length, problems) if "think" in blocks else ([], "")
    labels: list[str] = []
    if "answer" not in blocks:
        problems.add("missing_answer")
    else:
        labels = split_labels(blocks["answer"], problems)
        if not labels:
            problems.add("empty_answer")
    confidence = None
    if "confidence" in blocks:
        confidence = _parse_confidence(blocks["confidence"])
        if confidence is None:
            problems.add("bad_confidence")
    return ParsedAnswer(
        form="explained" if "think" in blocks else "direct",
        labels=labels, confidence=confidence, cues=cues, reasoning=reasoning, problems=sorted(problems),
    )  # fmt: skip


def split_labels(text: str, problems: set[str] | None = None) -> list[str]:
    """Emotion words of a comma-separated list: stripped, lower-cased, unique, in order, at most 16."""
    labels: list[str] = []
    for piece in _LABEL_SPLIT.split(text):
        label = " ".join(piece.strip().strip(_LABEL_STRIP).lower().split())
        if label and len(label) <= MAX_LABEL_CHARS and label not in labels:
            labels.append(label)
    if len(labels) > MAX_LABELS and problems is not None:
        problems.add("too_many_labels")
    return labels[:MAX_LABELS]


def _split_tags(text: str) -> tuple[dict[str, str], set[str]]:
    """Content of the first think, answer and confidence block, and the problems of the tag structure."""
    blocks: dict[str, str] = {}
    problems: set[str] = set()
    outside: list[str] = []
    opened, opened_at, last, tags_seen = None, 0, 0, False
    for tag in _TAG.finditer(text):
        tags_seen = True
        closing, name = bool(tag.group(1)), tag.group(2).lower()
        if opened is None:
            outside.append(text[last : tag.start()])
            last = tag.end()
            if closing:
                problems.add("stray_tag")
            else:
                opened, opened_at = name, tag.end()
        elif closing and name == opened:
            _keep(blocks, problems, name, text[opened_at : tag.start()])
            opened, last = None, tag.end()
        else:
            problems.add("stray_tag" if closing else "nested_tag")
    if opened is None:
        outside.append(text[last:])
    else:
        problems.add("truncated")
        _keep(blocks, problems, opened, text[opened_at:])
    if tags_seen and any(piece.strip() for piece in outside):
        problems.add("text_outside")
    order = [name for name in blocks if name in ("think", "answer", "confidence")]
    if order != [name for name in ("think", "answer", "confidence") if name in blocks]:
        problems.add("wrong_order")
    return blocks, problems


def _keep(blocks: dict[str, str], problems: set[str], name: str, content: str) -> None:
    if name in blocks:
        problems.add("repeated_tag")
    else:
        blocks[name] = content


def _parse_think(content: str, length: float | None, problems: set[str]) -> tuple[list[Cue], str]:
    cues: list[Cue] = []
    reasoning: list[str] = []
    if not content.strip():
        problems.add("empty_think")
        return cues, ""
    for line in (raw.strip() for raw in content.splitlines()):
        match = _CUE_LINE.match(line)
        channel = CHANNEL_ALIASES.get(match.group(1).lower()) if match else None
        if match and channel is None:
            problems.add("unknown_channel")
        if match is None or channel is None:
            if line:
                reasoning.append(line)
            continue
        cue = _parse_cue(channel, match.group(2), match.group(3), length, problems)
        if cue is not None:
            cues.append(cue)
    if not cues:
        problems.add("no_cue")
    return cues, " ".join(reasoning)


def _parse_cue(channel: Channel, span: str, body: str, length: float | None, problems: set[str]) -> Cue | None:
    observation, arrow, labels = body.rpartition("=>")
    if not arrow:
        observation, labels = body, ""
    observation = " ".join(observation.split()).rstrip(" .")
    if not observation:
        problems.add("empty_cue")
        return None
    start, end = _parse_span(span.strip(), length, problems)
    return Cue(channel=channel, start=start, end=end, observation=observation, supports=split_labels(labels, problems))


def _parse_span(span: str, length: float | None, problems: set[str]) -> tuple[float | None, float | None]:
    if not span:
        return None, None
    match = _SPAN.match(span)
    start, end = (float(match.group(1)), float(match.group(2))) if match else (0.0, 0.0)
    if length is not None and length < end <= length + TIME_SLACK_S + 1e-9:
        end = float(length)
    if not math.isfinite(end) or start < 0 or end <= start or (length is not None and end > length):
        problems.add("bad_time")
        return None, None
    return start, end


def _parse_confidence(text: str) -> float | None:
    text = text.strip()
    percent = _PERCENT.match(text)
    try:
        value = float(percent.group(1)) / 100 if percent else float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and 0 <= value <= 1 else None
