"""From what the model said about one clip to its `EmotionReport`: the origin of each field in one place.

docs/answer-format.md has the table of fields and sources that this file implements.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from cuewise.mllm.engine.base import Completion
from cuewise.mllm.evidence.measure import signals
from cuewise.mllm.evidence.types import Measurements
from cuewise.mllm.media.types import Media
from cuewise.mllm.report import (
    CHANNELS,
    PROBLEM_TEXT,
    READING_PROBLEM_TEXT,
    Agreement,
    Channel,
    ChannelReading,
    Cue,
    Emotion,
    EmotionReport,
    FaceBox,
    ParsedAnswer,
    Problem,
    StreamInfo,
    Track,
)
from cuewise.mllm.taxonomy import flagged, nearest_common, same_core

CONFLICT_ABOVE = 0.5
"""Two channels conflict only when both are at least this sure."""

READ_SHARE = 0.5
"""An answer whose class has less than this share of the top class's probability is not what the streams read."""

NO_SIDE = frozenset({"neutral", "calm"})
"""A channel that shows nothing in particular contradicts nobody."""

_TOGETHER = re.compile(r"\b(?:agree|point the same way|fit together)\b", re.IGNORECASE)
_APART = re.compile(r"\b(?:disagree|conflict)\b", re.IGNORECASE)
_NOT = re.compile(r"\b(?:not|no|never|hardly|without)\b|n't\b", re.IGNORECASE)
_NAMED = re.compile(rf"\b({'|'.join(CHANNELS)})\b", re.IGNORECASE)


@dataclass(slots=True)
class Answered:
    """All that is known about one clip when its answer has been written."""

    name: str
    model: str
    media: Media
    measurements: Measurements
    answer: ParsedAnswer
    completion: Completion
    pieces: list[str]
    """Text of each token of the completion, in order."""

    cues: list[Cue]
    distribution: dict[str, float]
    channels: dict[Channel, ChannelReading]
    va: tuple[float, float] | None
    tokens: dict[str, int]
    timing_ms: dict[str, float] = field(default_factory=dict)
    candidates: Sequence[str] = ()
    """Labels the answer had to choose from."""

    untrained: str | None = None
    """What was asked for that the model was not trained for."""


def build_report(found: Answered, abstain_below: float = 0.0) -> EmotionReport:
    """The report of one clip."""
    media, answer = found.media, found.answer
    shown = [label for label in answer.labels if not flagged(label)]
    distribution = among(found.distribution, found.candidates)
    found = replace(found, distribution=distribution)
    confidence = answer.confidence
    if confidence is None and distribution:
        confidence = max(distribution.values())
    confidence = confidence if shown else None
    agreement = agree(found.channels, shown)
    said = content_problems(answer, shown, distribution, agreement, found.candidates)
    if found.untrained:
        why = f"the model does not declare that it was trained for {found.untrained}; take the answer as a guess"
        said.append(Problem(code="untrained_task", message=why))
    astray = any(problem.code == "not_what_is_read" for problem in said)
    return EmotionReport(
        model=found.model, clip=found.name, start=media.start_s, duration=media.duration_s, form=answer.form,
        emotions=[score_label(label, found) for label in shown],
        distribution=distribution,
        valence=found.va[0] if found.va else None, arousal=found.va[1] if found.va else None,
        confidence=confidence, unsure=confidence is None or confidence < abstain_below or astray,
        agreement=agreement, cues=found.cues, reasoning=answer.reasoning,
        words=media.words, streams=stream_infos(found), tracks=tracks(media),
        signals=signals(found.measurements, [cue.claim for cue in found.cues if cue.channel == "face" and cue.claim]),
        withheld=[label for label in answer.labels if flagged(label)],
        timing_ms=found.timing_ms,
        problems=[*media.problems, *(Problem(code=code, message=PROBLEM_TEXT[code]) for code in answer.problems),
                  *said],
        text=found.completion.text,
    )  # fmt: skip


def among(distribution: dict[str, float], candidates: Sequence[str]) -> dict[str, float]:
    """The classes that the candidates belong to, with shares that add up to 1.

    Whole where the candidates belong to fewer than two classes: there is then nothing to choose between.

    >>> among({"happy": 0.5, "sad": 0.3, "angry": 0.2}, ["joy", "sad"])
    {'happy': 0.625, 'sad': 0.375}
    """
    classes = {nearest_common(label) for label in candidates} & distribution.keys()
    total = sum(distribution[name] for name in classes)
    if len(classes) < 2 or total <= 0:
        return distribution
    return {name: round(share / total, 6) for name, share in distribution.items() if name in classes}


def content_problems(
    answer: ParsedAnswer, shown: list[str], distribution: dict[str, float], agreement: Agreement,
    candidates: Sequence[str],
) -> list[Problem]:  # fmt: skip
    """What an answer says that the readings of the same clip, or the question, do not bear out."""
    problems = []
    own = distribution.get(nearest_common(shown[0]) or "") if shown else None
    top = max(distribution, key=distribution.get) if distribution else None
    if own is not None and own < READ_SHARE * distribution[top]:
        problems.append(("not_what_is_read", f"the answer says {shown[0]} ({own:.2f}), but the streams read {top} "
                         f"({distribution[top]:.2f})"))  # fmt: skip
    off = [label for label in answer.labels if candidates and label not in map(str.lower, candidates)]
    if off:
        problems.append(("off_list", f"{READING_PROBLEM_TEXT['off_list']}: {', '.join(off)}"))
    if why := prose_against(answer.reasoning, agreement):
        problems.append(("prose_disagrees", why))
    return [Problem(code=code, message=message) for code, message in problems]


def prose_against(reasoning: str, agreement: Agreement) -> str | None:
    """Why the prose contradicts what the channels it names read alone; None where it does not."""
    for sentence in re.split(r"(?<=[.!?])\s+", reasoning):
        together, apart = _TOGETHER.search(sentence), _APART.search(sentence)
        named = [name for name in dict.fromkeys(_NAMED.findall(sentence.lower())) if name in agreement.channels]
        if _NOT.search(sentence) or bool(together) == bool(apart):
            continue
        named = named if len(named) > 1 else list(agreement.channels)
        labels = [agreement.channels[name].label for name in named]
        alike = all(same_core(first, second) for i, first in enumerate(labels) for second in labels[i + 1 :])
        if len(named) < 2 or alike == bool(together):
            continue
        read = ", ".join(f"{name} {label}" for name, label in zip(named, labels))
        said = "agree" if together else "disagree"
        return f"the reasoning says that the channels {said}; read alone they say: {read}"
    return None


def score_label(label: str, found: Answered) -> Emotion:
    """Probability of the head class the label belongs to, else the geometric mean of its token probabilities."""
    common = nearest_common(label)
    if common in found.distribution:
        return Emotion(label=label, score=found.distribution[common], score_kind="class_head")
    score = token_probability(label, found.pieces, found.completion.logprobs)
    return Emotion(label=label, score=score, score_kind=None if score is None else "token_probability")


def token_probability(label: str, pieces: list[str], logprobs: list[float]) -> float | None:
    """Length-normalised probability of the tokens that wrote `label`, looked for after the last ``<answer>``.

    The opening tag of a direct answer is given to the model, so it is not among the pieces.
    """
    text = "".join(pieces).lower()
    start = text.find(label, max(text.rfind("<answer>"), 0))
    if start < 0 or len(logprobs) != len(pieces):
        return None
    end, at, chosen = start + len(label), 0, []
    for piece, logprob in zip(pieces, logprobs):
        if at < end and at + len(piece) > start:
            chosen.append(logprob)
        at += len(piece)
    return math.exp(sum(chosen) / len(chosen)) if chosen else None


def agree(channels: dict[Channel, ChannelReading], labels: list[str]) -> Agreement:
    """Which channels disagree at the first level of the taxonomy, and which one the answer followed."""
    sure = [name for name, reading in channels.items()
            if reading.score >= CONFLICT_ABOVE and reading.label not in NO_SIDE]  # fmt: skip
    conflicting = [
        (a, b) for i, a in enumerate(sure) for b in sure[i + 1 :] if not same_core(channels[a].label, channels[b].label)
    ]
    first = labels[0] if labels else None
    named = {first, nearest_common(first)} if first else set()
    followers = [name for name, reading in channels.items() if reading.label in named]
    followed = max(followers, key=lambda name: channels[name].score, default=None)
    return Agreement(channels=channels, conflict=bool(conflicting), conflicting=conflicting, followed=followed)


def stream_infos(found: Answered) -> dict[Channel, StreamInfo]:
    """Presence, size and token count of each stream, or why it is absent."""
    media = found.media
    infos: dict[Channel, StreamInfo] = {}
    for name in CHANNELS:
        count = found.tokens.get(name)
        present = count is not None if name != "words" else bool(media.transcript or media.words)
        info = StreamInfo(present=present, tokens=count)
        if not present:
            info.why = media.absent.get(name) or "the model has no such stream"
        elif name == "voice" and media.samples is not None:
            info.seconds = round(len(media.samples) / 16_000, 3)
        elif name in ("face", "scene") and media.frames is not None:
            info.seconds, info.frames = media.duration_s, len(media.frames)
            info.frames_found = int(media.face.found.sum()) if name == "face" and media.face is not None else None
        infos[name] = info
    return infos


def tracks(media: Media) -> list[Track]:
    """The chosen person's box in each sampled frame."""
    face = media.face
    if face is None or media.frame_times_s is None or media.frame_size is None:
        return []
    boxes = [
        FaceBox(
            time=round(float(time), 3),
            box=tuple(round(float(v), 1) for v in box) if found else None,
            score=round(float(score), 3) if found and math.isfinite(score) else None,
        )
        for time, box, score, found in zip(media.frame_times_s, face.boxes, face.scores, face.found)
    ]
    width, height = media.frame_size
    return [Track(person=face.person, people=face.people, rule=str(face.rule), frame_width=width, frame_height=height,
                  boxes=boxes)]  # fmt: skip
