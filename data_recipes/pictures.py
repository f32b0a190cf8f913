"""Visual attributes of pictures and stylised video: brightness, colourfulness, and dominant hue (EmoVid, EmoSet)."""

from typing import Literal

import numpy as np

from cuewise.mllm.evidence.scene import brightness, colourfulness

HUES = ("red", "yellow", "green", "cyan", "blue", "magenta")
"""Sectors of 60 degrees, centred on 0, 60, … 300."""

MIN_SATURATION = 0.1
"""Below it a pixel has no colour worth naming."""


def dominant_hue(frame: np.ndarray) -> tuple[float, float] | None:
    """(degrees, strength) of the hue of a uint8 [h, w, 3] RGB frame; None for a grey one.

    The mean of all hues as directions, weighted by saturation; strength is in [0, 1], 1 when all pixels have one hue.
    """
    values = frame.reshape(-1, 3).astype(np.float64) / 255
    high, low = values.max(1), values.min(1)
    spread = high - low
    saturation = np.divide(spread, high, out=np.zeros_like(spread), where=high > 0)
    coloured = saturation >= MIN_SATURATION
    if not coloured.any():
        return None
    red, green, blue = values[coloured].T
    top, span = high[coloured], spread[coloured]
    hue = np.where(top == red, ((green - blue) / span) % 6, np.where(top == green, (blue - red) / span + 2,
                                                                     (red - green) / span + 4))  # fmt: skip
    direction = (np.exp(1j * np.deg2rad(60 * hue)) * saturation[coloured]).sum() / saturation[coloured].sum()
    return float(np.rad2deg(np.angle(direction)) % 360), float(min(1.0, abs(direction)))


def hue_name(degrees: float) -> Literal["red", "yellow", "green", "cyan", "blue", "magenta"]:
    """The sector a hue lies in.

    >>> [hue_name(x) for x in (0, 359, 45, 120, 240)]
    ['red', 'red', 'yellow', 'green', 'blue']
    """
    return HUES[int(((degrees + 30) % 360) // 60)]


def attributes(frame: np.ndarray) -> dict[str, float | str | None]:
    """Brightness (0-1), colourfulness (Hasler-Suesstrunk) and the name of the dominant hue; None for grey."""
    hue = dominant_hue(frame)
    return {"brightness": brightness(frame), "colourfulness": colourfulness(frame),
            "hue": None if hue is None else hue_name(hue[0])}  # fmt: skip
