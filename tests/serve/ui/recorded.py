"""A backend that replays a recorded answer, so that the page can be tested against the real routes without a model."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from cuewise.mllm.question import Answer
from cuewise.mllm.report import (
    Agreement,
    ChannelReading,
    Check,
    Claim,
    Cue,
    Emotion,
    EmotionReport,
    FaceBox,
    Problem,
    Signal,
    StreamInfo,
    Track,
    Word,
    render,
)
from cuewise.serve.errors import ApiError
from cuewise.serve.job import Job

PIECE = 9
SECONDS = 3.0
HOSTILE = 'a smile <img src="/x" onerror="window.owned=1"> & "quotes" --> =1+1'


SAID = (("good", 1.0, 1.4), ("morning", 1.4, 2.0), ("sunshine", 3.6, 4.4))
"""Words and their times in the file; a window that ends inside a word holds a part of it."""


def cues() -> list[Cue]:
    """One cue per verdict; two in the voice overlap; one text tries to be HTML."""
    return [
        Cue(
            channel="face", start=0.4, end=1.2, observation="brows clearly lowered (AU4)", supports=["angry"],
            claim=Claim(attribute="brows", direction="lowered"),
            check=Check(
                verdict="supported", measured=2.4, unit="intensity 0-5", reference=0.5,
                reference_kind="same_speaker_rest", why="as much as claimed (clearly: +0.85)",
            ),
        ),
        Cue(
            channel="voice", start=1.0, end=2.0, observation="pitch clearly higher", supports=["happy"],
            claim=Claim(attribute="pitch", direction="higher"),
            check=Check(
                verdict="contradicted", measured=180.0, unit="Hz", reference=231.4, reference_kind="same_speaker_rest"
            ),
        ),
        Cue(
            channel="voice", start=1.5, end=2.7, observation="loudness slightly lower", supports=["angry"],
            claim=Claim(attribute="loudness", direction="lower", degree="slightly"),
            check=Check(verdict="not_measurable", unit="dB", why="only 0.18 s of voice there; 0.3 s are needed"),
        ),
        Cue(channel="words", observation=HOSTILE, supports=["happy"]),
    ]  # fmt: skip


def recorded(name: str, start: float = 0.0, duration: float = SECONDS, *, unsure: bool = True) -> EmotionReport:
    """A conflict of face and voice, an absent scene, a withheld word; times count from `start`."""
    times = [i * 0.5 for i in range(int(duration / 0.5) + 1)]
    report = EmotionReport(
        model="recorded", clip=name, start=start, duration=duration, form="explained",
        emotions=[Emotion(label="angry", score=0.41, score_kind="class_head")],
        distribution={"neutral": 0.1, "happy": 0.49 - start / 50, "angry": 0.41 + start / 50},
        valence=-0.4 + start / 20, arousal=0.5 - start / 30, confidence=0.41, unsure=unsure,
        agreement=Agreement(
            channels={
                "face": ChannelReading(label="angry", score=0.7, valence=-0.6, arousal=0.5),
                "voice": ChannelReading(label="happy", score=0.6, valence=0.5, arousal=0.4),
            },
            conflict=True, conflicting=[("face", "voice")], followed="face",
        ),
        cues=cues(), reasoning="The face is angrier than the voice.",
        words=[
            Word(text=text, start=max(begin - start, 0.0), end=min(end - start, duration))
            for text, begin, end in SAID
            if begin < start + duration and end > start
        ],
        streams={
            "face": StreamInfo(present=True, frames=16, frames_found=15, tokens=16),
            "voice": StreamInfo(present=True, seconds=duration, tokens=12),
            "words": StreamInfo(present=True, tokens=2),
            "scene": StreamInfo(present=False, why="the clip is a tight face crop"),
        },
        tracks=[
            Track(
                person=0, people=1, rule="largest", frame_width=96, frame_height=64,
                boxes=[FaceBox(time=0.0, box=(20, 10, 50, 50), score=0.9),
                       FaceBox(time=1.0, box=(40, 10, 70, 50), score=0.9), FaceBox(time=2.0)],
            )
        ],
        signals={
            "voice.pitch": Signal(unit="Hz", times=times,
            values=[None if i % 3 == 0 else 200 + i for i in range(len(times))]),
            "AU4": Signal(unit="intensity 0-5", times=times, values=[2.0] * len(times)),
        },
        withheld=["intoxicated"], timing_ms={"decode": 300.0, "generate": 900.0, "total": 1200.0},
    )  # fmt: skip
    report.text = render(report)
    return report


def astray(report: EmotionReport) -> None:
    """Make a report one whose answer and prose are not what its readings say."""
    report.confidence, report.unsure, report.reasoning = 1.0, True, "Face and voice agree, so angry."
    report.problems = [
        Problem(code="not_what_is_read", message="the answer says angry (0.08), but the streams read happy (0.72)"),
        Problem(code="prose_disagrees", message="read alone they say: face angry, voice happy"),
    ]
    report.agreement.channels["voice"].valence, report.agreement.channels["voice"].arousal = 0.95, 0.95


class Recorded:
    """Replays the answer. A clip whose name begins with a code of the API is refused with that code.

    `busy-` refuses once, with a time to wait. `cut-` breaks off in the middle of the text.

    Attributes:
        jobs: everything that was asked.
    """

    def __init__(self, pause_s: float = 0.0, clip_s: float = SECONDS):
        self.pause_s, self.clip_s = pause_s, clip_s
        self.jobs: list[Job] = []
        self._refused: set[str] = set()

    async def ready(self) -> None:
        """Always ready."""

    async def info(self) -> dict[str, Any]:
        return {"model": "recorded", "engine": "none", "attention": None}

    async def answer(self, job: Job) -> Answer:
        return [piece async for piece in self.stream(job)][-1]

    async def stream(self, job: Job) -> AsyncIterator[str | Answer]:
        self.jobs.append(job)
        name = job.clip.name
        code = name.split("-")[0]
        if code == "busy" and name not in self._refused:
            self._refused.add(name)
            raise ApiError("overloaded", "the queue is full", retry_after_s=1)
        if code in ("media_undecodable", "media_too_long", "deadline", "engine_dead") and job.clip.end is None:
            raise ApiError(code, f"{name}: refused with {code}", param="media")
        begin = job.clip.start or 0.0
        end = min(self.clip_s, job.clip.end or self.clip_s)
        if begin >= self.clip_s:
            raise ApiError("media_bad_span", f"{name}: the span lies outside the clip")
        report = recorded(name, begin, end - begin)
        if code == "astray":
            astray(report)
        for at in range(0, len(report.text), PIECE):
            if code == "cut" and at > len(report.text) / 2:
                raise ApiError("generation_failed", f"{name}: failed in the middle")
            if self.pause_s:
                await asyncio.sleep(self.pause_s)
            yield report.text[at : at + PIECE]
        usage = {"prompt_tokens": 10, "completion_tokens": 20, "cached_tokens": 0}
        yield Answer(report=report, prompt="", usage=usage, finish_reason="stop")
