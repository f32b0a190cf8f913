"""A report as the pipeline makes them, with every kind of verdict, a conflict and an absent stream."""

import pytest

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
)  # fmt: skip


def example_cues() -> list[Cue]:
    """One cue per verdict and one for the whole clip."""
    return [
        Cue(
            channel="face", start=0.4, end=1.2, observation="brows clearly lowered (AU4)", supports=["angry"],
            claim=Claim(attribute="brows", direction="lowered"),
            check=Check(
                verdict="supported", measured=2.4, unit="intensity 0-5", reference=0.5,
                reference_kind="same_speaker_rest",
            ),
        ),
        Cue(
            channel="voice", start=1.0, end=2.0, observation="pitch clearly higher", supports=["happy", "excited"],
            claim=Claim(attribute="pitch", direction="higher"),
            check=Check(
                verdict="contradicted", measured=180.0, unit="Hz", reference=231.4, reference_kind="same_speaker_rest"
            ),
        ),
        Cue(
            channel="voice", start=2.5, end=2.7, observation="loudness slightly lower",
            claim=Claim(attribute="loudness", direction="lower", degree="slightly"),
            check=Check(verdict="not_measurable", unit="dB", why="only 0.18 s of voice there; 0.3 s are needed"),
        ),
        Cue(channel="words", observation="a cheerful greeting", supports=["happy"]),
    ]  # fmt: skip


@pytest.fixture
def report() -> EmotionReport:
    """A conflict of face and voice over three seconds."""
    times = [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    return EmotionReport(
        model="nano", clip="clip.mp4", start=0.0, duration=3.0, form="explained",
        emotions=[
            Emotion(label="angry", score=0.61, score_kind="class_head"),
            Emotion(label="tense", score=0.2, score_kind="token_probability"),
        ],
        distribution={"neutral": 0.1, "happy": 0.29, "angry": 0.61}, valence=-0.4, arousal=0.5, confidence=0.58,
        agreement=Agreement(
            channels={
                "face": ChannelReading(label="angry", score=0.7, valence=-0.6, arousal=0.5),
                "voice": ChannelReading(label="happy", score=0.6),
            },
            conflict=True, conflicting=[("face", "voice")], followed="face",
        ),
        cues=example_cues(), reasoning="The face is angrier than the voice.",
        words=[Word(text="good", start=1.0, end=1.4), Word(text="morning", start=1.4, end=2.0)],
        streams={
            "face": StreamInfo(present=True, frames=16, frames_found=15, tokens=16),
            "voice": StreamInfo(present=True, seconds=3.0, tokens=12),
            "words": StreamInfo(present=True, tokens=2),
            "scene": StreamInfo(present=False, why="the clip is a tight face crop"),
        },
        tracks=[
            Track(
                person=0, people=1, rule="largest", frame_width=320, frame_height=240,
                boxes=[FaceBox(time=0.0, box=(100, 40, 200, 160), score=0.9), FaceBox(time=1.5)],
            )
        ],
        signals={
            "pitch": Signal(unit="Hz", times=times, values=[None, 200, 210, None, 190, 185, None]),
            "AU4": Signal(unit="intensity 0-5", times=times, values=[0.2, 2.2, 2.6, 0.4, 0.3, 0.3, 0.2]),
            "AU12": Signal(unit="intensity 0-5", times=times, values=[0.1] * 7),
        },
        timing_ms={"total": 2100.0}, problems=[Problem(code="bad_time", message="a cue's time lies outside the clip")],
        text="<answer>angry, tense</answer>",
    )  # fmt: skip
