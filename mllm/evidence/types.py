"""What travels between the measurements and the checks: a reading, what can be read of a channel, a measured clip.

Importing this loads no model and no signal processing. Times are seconds from the begin of the clip's span.
"""

from dataclasses import dataclass, field
from typing import Protocol

from cuewise.mllm.report import Channel, Signal, Word

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Reading:
    """One measured quantity over one or more spans."""

    value: float | None
    """The measured value in `unit`; None when it could not be measured, with the reason in `why`."""

    unit: str
    amount: float
    """What the value rests on: voiced seconds (voice), tracked frames (face), frames (scene)."""

    why: str = ""


class ChannelMeasures(Protocol):
    """The measurements of one channel of one clip: voice, face or scene."""

    def read(self, quantity: str, spans: list[Span] | None = None) -> Reading:
        """The value of `quantity` over `spans`, pooled; None means the whole clip.

        Quantities are those named by claims.yaml for the channel; any other raises ValueError naming the known ones.
        """
        ...

    def signals(self) -> dict[str, Signal]:
        """Curves over the clip for display."""
        ...


@dataclass(slots=True)
class Measurements:
    """Everything measured in one clip. A channel that is not there is None and `absent` says why."""

    duration_s: float
    voice: ChannelMeasures | None = None
    face: ChannelMeasures | None = None
    scene: ChannelMeasures | None = None
    words: list[Word] = field(default_factory=list)
    transcript: str | None = None
    absent: dict[Channel, str] = field(default_factory=dict)

    def settle(self) -> None:
        """Work out what is otherwise worked out when first asked, and let go of the pictures."""
        for measures in (self.face, self.scene):
            if measures is not None:
                measures.settle()

    def of(self, channel: Channel) -> ChannelMeasures | None:
        """The measures of `face`, `voice` or `scene`; `words` are not measured but read."""
        if channel == "words":
            raise ValueError("words are read from `transcript` and `words`, they have no ChannelMeasures")
        return {"voice": self.voice, "face": self.face, "scene": self.scene}[channel]
