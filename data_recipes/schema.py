"""`Row`: one record for every corpus. Missing is None, never 0 or -10."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from cuewise.mllm.clip import Clip
from cuewise.mllm.report import Channel, Cue, Word

MediaKind = Literal["video", "audio", "image"]


class Statement(BaseModel):
    """A claim about a clip that is right or wrong (emotion statement judgment)."""

    model_config = ConfigDict(extra="forbid")
    text: str
    correct: bool


class Dialogue(BaseModel):
    """Place of an utterance in a conversation."""

    model_config = ConfigDict(extra="forbid")
    id: str
    turn: int


class FrameLabel(BaseModel):
    """A label over a time span, in seconds."""

    model_config = ConfigDict(extra="forbid")
    start: float
    end: float
    label: str | None = None
    valence: float | None = None
    arousal: float | None = None


class Row(BaseModel):
    """One clip, utterance or image with everything its corpus says about it."""

    model_config = ConfigDict(extra="forbid")

    id: str
    corpus: str
    split: str | None = None
    media: dict[MediaKind, str] = Field(default_factory=dict)
    span: tuple[float, float] | None = None
    transcript: str | None = None
    words: list[Word] = Field(default_factory=list)
    language: str | None = None
    speaker: str | None = None
    demographics: dict[str, str | int | float | None] = Field(default_factory=dict)
    dialogue: Dialogue | None = None
    person_box: tuple[float, float, float, float] | None = None
    context: str | None = None
    labels: list[str] = Field(default_factory=list)
    votes: dict[Literal["face", "voice", "words", "all"], dict[str, float]] = Field(default_factory=dict)
    sentiment: float | None = None
    valence: float | None = Field(None, ge=-1, le=1)
    arousal: float | None = Field(None, ge=-1, le=1)
    dominance: float | None = Field(None, ge=-1, le=1)
    aus: dict[str, float] = Field(default_factory=dict)
    frame_labels: list[FrameLabel] = Field(default_factory=list)
    cues: list[Cue] = Field(default_factory=list)
    layers: dict[Literal["factual", "abstract", "intent"], str] = Field(default_factory=dict)
    """What happens, what it means, what the person wants: descriptions that never run into each other (VideoMind)."""

    reasoning: str | None = None
    task: str | None = None
    instruction: str | None = None
    options: list[str] = Field(default_factory=list)
    """Answers to choose from; the right one is the row's label."""

    statement: Statement | None = None
    chosen: str | None = None
    rejected: str | None = None
    rejected_kind: str | None = None
    rejected_inputs: dict[Channel, str] = Field(default_factory=dict)
    """Channel -> id of the row whose stream stands there in the rejected input of a preference."""

    tier: str | None = None
    licence: str | None = None
    source: str | None = None

    def clip(self, root: str | Path = ".") -> Clip:
        """The clip this row describes; media paths are relative to `root`."""
        base = Path(root)
        picture = self.media.get("video") or self.media.get("image")
        sound = self.media.get("audio")
        start, end = self.span or (None, None)
        return Clip(
            path=base / picture if picture else (base / sound if sound else None),
            audio=base / sound if sound and picture else None,
            start=start, end=end, transcript=self.transcript, words=list(self.words), language=self.language,
            context=self.context, person_box=self.person_box, id=self.id,
        )  # fmt: skip


def write_jsonl(rows: Iterable[Row], path: str | Path) -> int:
    """Write rows, one JSON object a line; returns how many. The file appears whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    count = 0
    with part.open("w", encoding="utf-8") as out:
        for row in rows:
            out.write(row.model_dump_json(exclude_defaults=True) + "\n")
            count += 1
    part.replace(path)
    return count


def read_jsonl(path: str | Path) -> Iterator[Row]:
    """Read rows; a broken line raises ValueError naming file and line."""
    path = Path(path)
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                yield Row.model_validate_json(line)
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from None
