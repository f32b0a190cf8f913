"""Measurements written by hand for the evidence tests: each quantity is a few constant pieces over time."""

from cuewise.mllm.evidence.types import Measurements, Reading
from cuewise.mllm.report import Signal


class PieceMeasures:
    """Quantities given as (start, end, value) pieces; a reading is their mean weighted by time inside the spans.

    `per_second` turns covered seconds into the amount: 1 for voiced seconds, the frame rate for frames.
    """

    def __init__(self, duration_s: float, pieces: dict[str, list[tuple[float, float, float]]], per_second: float = 1.0):
        self.duration_s, self.pieces, self.per_second = duration_s, pieces, per_second

    def read(self, quantity, spans=None):
        if quantity not in self.pieces:
            raise ValueError(f"unknown quantity {quantity!r}; known: {', '.join(self.pieces)}")
        covered = total = 0.0
        for start, end in spans if spans is not None else [(0.0, self.duration_s)]:
            for begin, stop, value in self.pieces[quantity]:
                seconds = max(0.0, min(end, stop) - max(start, begin))
                covered, total = covered + seconds, total + seconds * value
        amount = covered * self.per_second
        return Reading(total / covered, "", amount) if covered else Reading(None, "", 0.0, "nothing there")

    def signals(self):
        return {
            name: Signal(unit="", times=[piece[0] for piece in pieces], values=[piece[2] for piece in pieces])
            for name, pieces in self.pieces.items()
        }


def voice(duration_s: float = 6.0, **pieces) -> Measurements:
    """A clip with a voice; keyword names are quantities with `_` for a space."""
    named = {name.replace("_", " "): value for name, value in pieces.items()}
    return Measurements(duration_s=duration_s, voice=PieceMeasures(duration_s, named))


def face(duration_s: float = 4.0, frames_per_second: float = 4.0, **pieces) -> Measurements:
    """A clip with a face, 16 frames by default."""
    named = {name.replace("_", " "): value for name, value in pieces.items()}
    return Measurements(duration_s=duration_s, face=PieceMeasures(duration_s, named, frames_per_second))
