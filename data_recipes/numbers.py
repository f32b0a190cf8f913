"""Numbers written as text: regression and ordinal answers, read with their range (EmoLLMs).

An answer outside its range is no answer: None, never the nearest end. Lead-ins (``Intensity Score:``, ``>>``) and what
follows a class (``-3: very negative …``) are allowed; a second, different number makes an answer unreadable.
"""

import re
from dataclasses import dataclass

_NUMBER = re.compile(r"(?<![\w.])[+-]?(?:\d+(?:\.\d+)?|\.\d+)(?![\w%])")


@dataclass(frozen=True, slots=True)
class Scale:
    """What an answer may be: a number in [low, high], whole where `whole`."""

    low: float
    high: float
    whole: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"a scale needs low < high, got {self.low} and {self.high}")

    def to_unit(self, value: float) -> float:
        """A value of the scale in [0, 1]."""
        return (value - self.low) / (self.high - self.low)


SCALES: dict[str, Scale] = {
    "intensity": Scale(0, 1), "intensity_class": Scale(0, 3, whole=True),
    "valence": Scale(0, 1), "valence_class": Scale(-3, 3, whole=True),
    "sentiment_strength": Scale(-1, 1), "vad": Scale(1, 5), "voice_intensity": Scale(0, 10),
}  # fmt: skip
"""Range of each task."""


def read_number(text: str, scale: Scale) -> float | None:
    """The number an answer gives; None without one, with two different ones, or outside the scale.

    >>> read_number(">>0.62", SCALES["intensity"]), read_number("1.7", SCALES["intensity"])
    (0.62, None)
    """
    first_line = next((line for line in text.replace(">>", " ").splitlines() if line.strip()), "")
    answer = first_line.partition("Score:")[2] or first_line.partition("Class:")[2] or first_line
    head, colon, _ = answer.partition(":")
    if colon and _NUMBER.fullmatch(head.strip()):
        answer = head
    found = {float(number) for number in _NUMBER.findall(answer)}
    if len(found) != 1:
        return None
    value = found.pop()
    if not scale.low <= value <= scale.high or (scale.whole and value != int(value)):
        return None
    return value


def write_number(value: float, scale: Scale) -> str:
    """A target as text: three decimals, whole numbers for classes. Raises ValueError outside the scale."""
    if not scale.low <= value <= scale.high:
        raise ValueError(f"{value} lies outside the scale from {scale.low:g} to {scale.high:g}")
    return str(round(value)) if scale.whole else f"{value:.3f}"
