"""What can be claimed of a clip: the cues that its own measurements support, strongest first.

Writes the training targets of real clips, where nobody has marked cues. It therefore says little rather than much: one
claim an attribute and moment, only of the degree that is measured, only well beyond its threshold, and nothing that is
true of nearly every clip. Every cue it returns is `supported` by `check_cue`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cuewise.mllm.evidence.check import Comparison, check_cue, compare
from cuewise.mllm.evidence.claims import DEGREES, Direction, load, phrase
from cuewise.mllm.evidence.types import Measurements, Span
from cuewise.mllm.evidence.words import occurrences
from cuewise.mllm.report import Channel, Check, Claim, Cue

WINDOW_S = 1.25
STEP_S = 0.25
MIN_CLIP_S = 2 * WINDOW_S
"""Shorter clips are described as a whole."""

SURE_FACTOR = 2.0
"""A claim is proposed on at least this many times what a verdict needs: edges of speech make steep short slopes."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    strength: float
    """x in units of the threshold of `clearly`, or of what is usual where that is more."""
    span: Span | None
    meaning: Direction
    degree: str
    found: Comparison


def observe(
    measurements: Measurements, channel: Channel, windows: Sequence[Span | None] | None = None, *, max_cues: int = 4,
    min_degree: str = "clearly", phrases: Sequence[str] = (),
) -> list[Cue]:  # fmt: skip
    """Supported cues of one channel, at most `max_cues`, in order of strength.

    Args:
        windows: spans in seconds to look at, None among them being the whole clip; by default the whole clip and
            windows of 1.25 s every 0.25 s.
        min_degree: weaker claims are not made.
        phrases: for `words`, the phrases worth quoting; those that are said become cues, in the order given.
    """
    if min_degree not in DEGREES:
        raise ValueError(f"min_degree must be one of {', '.join(DEGREES)}, got {min_degree!r}")
    if channel == "words":
        return _quotes(measurements, phrases, max_cues)
    if measurements.of(channel) is None:
        return []
    spans = candidate_windows(measurements.duration_s) if windows is None else list(windows)
    found = [
        candidate
        for meaning in load(channel).directions.values()
        if meaning.propose
        for span in spans
        if (candidate := _candidate(measurements, channel, meaning, span, min_degree)) is not None
    ]
    always = {(c.meaning.attribute, c.meaning.name) for c in found if c.span is None}
    found = [c for c in found if c.span is None or c.found.kind != "population"
             or (c.meaning.attribute, c.meaning.name) not in always]  # fmt: skip
    cues: list[Cue] = []
    chosen: list[_Candidate] = []
    for candidate in sorted(found, key=lambda c: (-c.strength, c.span or (0.0, 0.0))):
        if len(cues) == max_cues:
            break
        if any(_clash(candidate, other) for other in chosen):
            continue
        cue = check_cue(_cue(channel, candidate), measurements)
        if cue.check is not None and cue.check.verdict == "supported":
            chosen.append(candidate)
            cues.append(cue)
    return cues


def candidate_windows(duration_s: float) -> list[Span | None]:
    """The whole clip, and in a longer clip windows that slide over it; edges are rounded as an answer writes them."""
    spans: list[Span | None] = [None]
    if duration_s >= MIN_CLIP_S:
        count = int((duration_s - WINDOW_S) / STEP_S + 1e-6) + 1
        spans += [(round(i * STEP_S, 2), round(i * STEP_S + WINDOW_S, 2)) for i in range(count)]
    return spans


def _candidate(
    measurements: Measurements, channel: Channel, meaning: Direction, span: Span | None, min_degree: str
) -> _Candidate | None:
    """The strongest degree that is measured beyond its threshold, if it is at least `min_degree`."""
    found = compare(channel, meaning, span, measurements)
    if isinstance(found, Check):
        return None
    wanted = DEGREES[DEGREES.index(min_degree) :] if meaning.graded else ("clearly",)
    beyond = [degree for degree in wanted if found.beyond(meaning, degree)]
    if not beyond or found.x < meaning.usual:
        return None
    reading = measurements.of(channel).read(meaning.quantities[0], None if span is None else [span])
    if reading.amount < SURE_FACTOR * load(channel).minimum:
        return None
    unit = max(found.bound(meaning, "clearly"), meaning.usual)
    return _Candidate(found.x / unit, span, meaning, beyond[-1], found)


def _clash(one: _Candidate, other: _Candidate) -> bool:
    """Two claims about the same attribute at the same time, or the echo of one: a raised second lowers the rest."""
    if one.meaning.attribute != other.meaning.attribute:
        return False
    if one.meaning.opposite == other.meaning.name and one.found.kind == "same_speaker_rest":
        return True
    if one.span is None or other.span is None:
        return True
    return min(one.span[1], other.span[1]) > max(one.span[0], other.span[0])


def _cue(channel: Channel, candidate: _Candidate) -> Cue:
    meaning = candidate.meaning
    claim = Claim(attribute=meaning.attribute, direction=meaning.name, degree=candidate.degree)
    start, end = candidate.span or (None, None)
    return Cue(channel=channel, start=start, end=end, observation=phrase(channel, claim))


def _quotes(measurements: Measurements, phrases: Sequence[str], max_cues: int) -> list[Cue]:
    cues: list[Cue] = []
    for text in dict.fromkeys(phrases):
        places = occurrences(text, measurements.transcript, measurements.words)
        if not places or len(cues) == max_cues:
            continue
        start, end = places[0] or (None, None)
        spoken = phrase("words", Claim(attribute="quote", direction="present"), quote=text)
        cues.append(check_cue(Cue(channel="words", start=start, end=end, observation=spoken), measurements))
    return [cue for cue in cues if cue.check is not None and cue.check.verdict == "supported"]
