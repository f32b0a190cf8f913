"""Do generated explanations use words that lie where the emotion lies? A check with a lexicon that the user supplies.

The mean valence, arousal or dominance of the known words of each text against the true value of its sample.
"""

from collections.abc import Sequence
from typing import Any

from cuewise.mllm.taxonomy.lexicon import Lexicon

from .base import MetricInputError, check_pair, mean
from .regression import pearson

AXES = ("valence", "arousal", "dominance")


def text_place(text: str, lexicon: Lexicon) -> tuple[float, float, float] | None:
    """Mean place of the known words of a text; None when it has none."""
    places = [place for _, _, place in lexicon.spans(text)]
    return tuple(mean(place[axis] for place in places) for axis in range(3)) if places else None


def lexicon_check(gt: Sequence[float], texts: Sequence[str], lexicon: Lexicon, axis: str = "valence") -> dict[str, Any]:
    """Pearson correlation of true values with the places of the texts; `covered` is the share with a known word."""
    check_pair(gt, texts)
    if axis not in AXES:
        raise MetricInputError(f"axis must be one of {', '.join(AXES)}, got {axis!r}")
    found = [text_place(text, lexicon) for text in texts]
    known = [(value, place[AXES.index(axis)]) for value, place in zip(gt, found) if place is not None]
    correlation = pearson([a for a, _ in known], [b for _, b in known]).value if len(known) > 1 else float("nan")
    return {"n": len(gt), "covered": len(known) / len(gt) if gt else 0.0, "pearson": correlation, "axis": axis}
