"""The emotion table: which cues of face and voice speak for which emotion. The data are in emotions.yaml."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cuewise.data_recipes.corpora.labels import COMMON_LABELS
from cuewise.mllm.config_tools import load_yaml
from cuewise.mllm.evidence.claims import DEGREES, vocabulary
from cuewise.mllm.report import Channel

TABLE = Path(__file__).with_name("emotions.yaml")
OPTIONS = {"min", "max", "actions", "whole"}


@dataclass(frozen=True, slots=True)
class CueKind:
    """One cue that speaks for an emotion."""

    channel: Channel
    attribute: str
    direction: str
    weight: float
    degrees: tuple[str, ...] = DEGREES
    """Degrees in which it is shown."""

    actions: tuple[str, ...] = ()
    """Action units that show it, where the vocabulary leaves a choice."""

    whole: bool = False
    """Shown over the whole clip only."""


@dataclass(frozen=True, slots=True)
class EmotionEntry:
    """What the table says about one emotion."""

    label: str
    related: tuple[tuple[str, ...], ...]
    """Open words for it by the degree of its strongest cue: slightly, clearly, strongly."""

    face: tuple[CueKind, ...]
    voice: tuple[CueKind, ...]

    def cues(self, channel: Channel) -> tuple[CueKind, ...]:
        """Its cues in face or voice; words and scene have none in the table."""
        return {"face": self.face, "voice": self.voice}.get(channel, ())


@cache
def emotion_table(path: Path = TABLE) -> dict[str, EmotionEntry]:
    """The table by common label. Raises ValueError for a cue outside the claim vocabulary."""
    data = load_yaml(path)
    if set(data) != {*COMMON_LABELS, "spurious"}:
        raise ValueError(f"{path}: the entries must be {', '.join(COMMON_LABELS)}, spurious; got {', '.join(data)}")
    table = {}
    for label in COMMON_LABELS:
        related = tuple(tuple(words) for words in data[label]["related"])
        table[label] = EmotionEntry(label, related, **_kinds(path, label, data[label]))
    return table


@cache
def spurious_cues(channel: Channel, path: Path = TABLE) -> tuple[CueKind, ...]:
    """Actions of face or voice that are shown now and then without meaning anything."""
    return _kinds(path, "spurious", load_yaml(path)["spurious"])[channel]


def supported_labels(channel: Channel, attribute: str, direction: str) -> list[str]:
    """Common labels for which this cue speaks, in their order; empty when it speaks for none."""
    return [
        label
        for label, entry in emotion_table().items()
        if any((kind.attribute, kind.direction) == (attribute, direction) for kind in entry.cues(channel))
    ]


def _kinds(path: Path, name: str, entry: dict) -> dict[str, tuple[CueKind, ...]]:
    return {channel: tuple(_kind(path, name, channel, cue) for cue in entry[channel]) for channel in ("face", "voice")}


def _kind(path: Path, label: str, channel: Channel, cue: list) -> CueKind:
    attribute, direction, weight = cue[:3]
    options = cue[3] if len(cue) > 3 else {}
    where = f"{path}: {label}, {channel} {attribute} {direction}"
    if (attribute, direction) not in vocabulary(channel):
        raise ValueError(f"{where}: not in the claim vocabulary of {channel}")
    if unknown := set(options) - OPTIONS:
        raise ValueError(f"{where}: unknown option {', '.join(sorted(unknown))}; known: {', '.join(sorted(OPTIONS))}")
    first, last = (
        DEGREES.index(options.get(name, default)) for name, default in (("min", "slightly"), ("max", "strongly"))
    )
    if direction in ("steady", "toward"):
        first = last = DEGREES.index("clearly")
    return CueKind(channel, attribute, direction, float(weight), DEGREES[first : last + 1],
                   tuple(options.get("actions", ())), bool(options.get("whole", False)))  # fmt: skip
