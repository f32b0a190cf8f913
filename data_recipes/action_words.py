"""Measured facial action units in words, for the `context` of a clip: our own wording, and how others write them.

A caller who has measurements of another program will not write them as we do, so training shows every wording of
`OTHERS` now and then. Names of units: Ekman, Friesen and Hager (2002), Facial Action Coding System.
"""

from collections.abc import Mapping
from dataclasses import dataclass

AU_WORDS = {
    "AU1": "inner brows raised", "AU2": "outer brows raised", "AU4": "brows lowered", "AU5": "eyes widened",
    "AU6": "cheeks raised", "AU7": "eyes narrowed", "AU9": "nose wrinkled", "AU10": "upper lip raised",
    "AU12": "lip corners up", "AU14": "cheeks dimpled", "AU15": "lip corners down", "AU17": "chin raised",
    "AU20": "lips stretched", "AU23": "lips tightened", "AU25": "lips parted", "AU26": "jaw dropped",
    "AU45": "blinking",
}  # fmt: skip
"""What each of OpenFace's 17 intensities is called in words."""

AU_NAMES = {
    "AU1": "inner brow raiser", "AU2": "outer brow raiser", "AU4": "brow lowerer", "AU5": "upper lid raiser",
    "AU6": "cheek raiser", "AU7": "lid tightener", "AU9": "nose wrinkler", "AU10": "upper lip raiser",
    "AU12": "lip corner puller", "AU14": "dimpler", "AU15": "lip corner depressor", "AU17": "chin raiser",
    "AU20": "lip stretcher", "AU23": "lip tightener", "AU25": "lips part", "AU26": "jaw drop", "AU45": "blink",
}  # fmt: skip
"""What the coding system calls them."""

WORTH_SAYING = 0.02
"""Mean intensity from which an action unit is written into the context. Weak actions say much: a logistic regression
reads 0.45 of RAVDESS's eight emotions (other actors) from the units above 0.5, and 0.54 from those above 0.02."""

OPENING = "Measured face actions (mean, 0-5): "


@dataclass(frozen=True, slots=True)
class Wording:
    """How measured action units are written."""

    unit: str = "{words} ({code}) {value:.2f}"
    """One unit. May hold `words`, `name` (of the coding system), `code` (AU6), `column` (AU06, as tables write it) and
    `value`."""

    opening: str = OPENING
    between: str = ", "
    end: str = "."
    lowest: float = WORTH_SAYING
    """Weaker units are left out."""

    by_strength: bool = True
    """Strongest first; otherwise in the order of their numbers."""


OURS = Wording()
OTHERS = {
    "codes": Wording("{code} {value:.2f}", "", by_strength=False),
    "codes and tenths": Wording("{code}: {value:.1f}", "Facial action units: ", lowest=0.1),
    "codes and names": Wording("{code} ({name}) {value:.2f}", "Action units: ", "; "),
    "equations": Wording("{code}={value:.2f}", "AUs: ", " ", "", by_strength=False),
    "openface": Wording("{column}_r={value:.3f}", "OpenFace: ", ", ", "", 0.0, by_strength=False),
    "lines": Wording("{column}_r: {value:.2f}", "Action unit intensities (0-5): ", "\n", "", 0.0, by_strength=False),
    "names": Wording("{name} {value:.1f}", "Face: ", lowest=0.1),
    "names and codes": Wording("{name} ({column}): {value:.2f}", "Mean intensity of action units, from 0 to 5: ", "; "),
    "json": Wording('"{column}_r": {value:.2f}', "{", ", ", "}", 0.0, by_strength=False),
    "sentence": Wording("{column} {value:.2f} ({name})", "The face shows ", lowest=0.1),
}
"""How others may write them."""


def in_words(aus: Mapping[str, float], wording: Wording = OURS) -> str:
    """Measured action units (0-5) as one sentence; units without words here are left out.

    >>> in_words({"AU12": 2.314, "AU6": 1.4, "AU4": 0.01})
    'Measured face actions (mean, 0-5): lip corners up (AU12) 2.31, cheeks raised (AU6) 1.40.'
    >>> in_words({"AU12": 2.314, "AU6": 1.4, "AU4": 0.01}, Wording("{code} {value:.1f}", "AUs: ", by_strength=False))
    'AUs: AU6 1.4, AU12 2.3.'
    """
    told = [(unit, aus[unit]) for unit in AU_WORDS if unit in aus and aus[unit] >= wording.lowest]
    if not told:
        return f"{wording.opening}none reaches {wording.lowest or WORTH_SAYING}{wording.end or '.'}"
    if wording.by_strength:
        told.sort(key=lambda item: -item[1])
    units = [
        wording.unit.format(
            words=AU_WORDS[unit], name=AU_NAMES[unit], code=unit, column=f"AU{int(unit[2:]):02d}", value=value
        )
        for unit, value in told
    ]
    return f"{wording.opening}{wording.between.join(units)}{wording.end}"


def tells_actions(context: str) -> bool:
    """Whether a context is what `in_words` made in our own wording."""
    return context.startswith(OPENING)
