"""What small readers say first, for a language model that decides: candidate emotions and cues in words; after HEF.

The heads of a model are such readers, and so is a small model beside a large one. Their candidates and the measured
cues stand at the head of the prompt; the answer is the language model's own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cuewise.mllm.evidence.observe import observe
from cuewise.mllm.evidence.types import Measurements


@dataclass(kw_only=True, slots=True, frozen=True)
class HintConfig:
    labels: int = 3
    """Most candidate emotions."""

    floor: float = 0.05
    """Share from which an emotion is a candidate; the first one always is."""

    cues: int = 4
    """Most cues, of face and voice together."""

    def __post_init__(self) -> None:
        if self.labels < 1 or self.cues < 0 or not 0 <= self.floor <= 1:
            raise ValueError(f"hints need labels >= 1, cues >= 0 and floor in [0, 1], got {self.labels}, {self.cues}, "
                             f"{self.floor:g}")  # fmt: skip


def candidates(shares: Mapping[str, float], config: HintConfig) -> list[tuple[str, float]]:
    """Emotions with their shares, the likeliest first."""
    ranked = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    return [item for place, item in enumerate(ranked[: config.labels]) if place == 0 or item[1] >= config.floor]


def cue_words(measurements: Measurements | None, config: HintConfig) -> list[str]:
    """What stands out in face and voice, in words, face and voice by turns."""
    if measurements is None or not config.cues:
        return []
    found = [[cue.observation for cue in observe(measurements, channel, max_cues=config.cues)]
             for channel in ("face", "voice")]  # fmt: skip
    mixed = [side[place] for place in range(config.cues) for side in found if place < len(side)]
    return list(dict.fromkeys(mixed))[: config.cues]


def hint_block(shares: Mapping[str, float], cues: Sequence[str], config: HintConfig | None = None) -> str | None:
    """Candidates and cues as one line; None when there is no candidate.

    >>> hint_block({"sad": 0.25, "happy": 0.7, "calm": 0.05}, ["pitch clearly higher"])
    'happy 0.70, sad 0.25, calm 0.05; pitch clearly higher'
    """
    chosen = candidates(shares, config or HintConfig())
    if not chosen:
        return None
    said = ", ".join(f"{label} {share:.2f}" for label, share in chosen)
    return f"{said}; {', '.join(cues)}" if cues else said
