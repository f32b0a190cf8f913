"""The check of a cue: what it claims, held against what was measured in its time span.

One rule for every claim. The measured value is compared with a reference (the rest of the same clip, else the
population, else an absolute value), which gives one number x: how far the value lies on the claimed side. Beyond the
threshold of the claim's degree it is supported, beyond the opposite bound contradicted; between the two only
`slightly` is supported. The table of thresholds and references is claims.yaml, explained in docs/evidence.md.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from cuewise.mllm.evidence.claims import Direction, Vocabulary, direction, load, read_claim
from cuewise.mllm.evidence.types import ChannelMeasures, Measurements, Reading, Span
from cuewise.mllm.evidence.words import occurrences, quoted
from cuewise.mllm.report import Channel, Check, Claim, Cue

ReferenceKind = Literal["same_speaker_rest", "population", "absolute"]
MIN_REST_PIECE_S = 0.05
WORD_SLACK_S = 0.15
_KIND_WORDS = {"same_speaker_rest": "the rest of the clip", "population": "people in general", "absolute": ""}
_SCALE_UNITS = {"semitone": "semitones", "ratio": "times"}


@dataclass(frozen=True, slots=True)
class Comparison:
    """A measured value against its reference: `x` is how far it lies on the claimed side, on the claim's scale."""

    x: float
    measured: float
    reference: float
    kind: ReferenceKind

    def beyond(self, meaning: Direction, degree: str) -> bool:
        """Whether x lies beyond the threshold of `degree` on the claimed side."""
        return self.x >= self.bound(meaning, degree)

    def bound(self, meaning: Direction, degree: str) -> float:
        """The threshold of `degree`; wider against the population, because people differ."""
        return meaning.threshold(degree) * (meaning.population_factor if self.kind == "population" else 1.0)


def check_cues(cues: Iterable[Cue], measurements: Measurements) -> list[Cue]:
    """Each cue with its claim and check filled in, in the same order."""
    return [check_cue(cue, measurements) for cue in cues]


def check_cue(cue: Cue, measurements: Measurements) -> Cue:
    """The cue with its claim, read from the observation, and the check of it; both None where it claims nothing."""
    claim = read_claim(cue.channel, cue.observation)
    if claim is None:
        return cue.model_copy(update={"claim": None, "check": None})
    span = None if cue.start is None or cue.end is None else (cue.start, cue.end)
    if cue.channel == "words":
        check = _check_quote(quoted(cue.observation) or "", span, measurements)
    else:
        check = check_claim(cue.channel, claim, span, measurements)
    return cue.model_copy(update={"claim": claim, "check": check})


def check_claim(channel: Channel, claim: Claim, span: Span | None, measurements: Measurements) -> Check:
    """The verdict on a claim about face, voice or scene over `span` (None: the whole clip)."""
    meaning = direction(channel, claim)
    found = compare(channel, meaning, span, measurements)
    if isinstance(found, Check):
        return found
    bound = found.bound(meaning, claim.degree)
    against = meaning.against if meaning.against is not None else -bound
    if found.x >= bound:
        verdict = "supported"
    elif found.x <= against:
        verdict = "contradicted"
    else:
        verdict = "supported" if claim.degree == "slightly" else "contradicted"
    return Check(
        verdict=verdict, measured=_rounded(found.measured), unit=meaning.unit, reference=_rounded(found.reference),
        reference_kind=found.kind, why=_why(meaning, claim, found, bound),
    )  # fmt: skip


def is_beyond(check: Check, meaning: Direction, degree: str) -> bool:
    """Whether what a check measured lies beyond the threshold of `degree`, as a supported `slightly` need not.

    The check's values are rounded to four digits, so at the threshold itself either is possible.
    """
    if check.measured is None or check.reference is None:
        return False
    x = _difference(check.measured, check.reference, meaning.scale)
    x = (abs(x) if meaning.magnitude else x) * meaning.sign
    return Comparison(x, check.measured, check.reference, check.reference_kind).beyond(meaning, degree)


def compare(channel: Channel, meaning: Direction, span: Span | None, measurements: Measurements) -> Comparison | Check:
    """The measured value of one direction against its reference, or a `not_measurable` check that says why not."""
    measures, known = measurements.of(channel), load(channel)
    if measures is None:
        return _not_measurable(measurements.absent.get(channel) or f"the clip has no {channel}", meaning.unit)
    if meaning.halves:
        return _compare_halves(meaning, span or (0.0, measurements.duration_s), measures, known)
    best: Comparison | None = None
    for quantity in meaning.quantities:
        reading = measures.read(quantity, None if span is None else [span])
        why = _unusable(reading, known, meaning)
        if why:
            return _not_measurable(why, reading.unit)
        reference, kind = _reference(quantity, meaning, span, measurements, measures, known)
        if reference is None:
            return _not_measurable(kind, meaning.unit, reading.value)
        distance = _difference(reading.value, reference, meaning.scale)
        distance = abs(distance) if meaning.magnitude else distance
        found = Comparison(distance, reading.value, reference, kind)
        best = found if best is None or found.x > best.x else best
    return Comparison(best.x * meaning.sign, best.measured, best.reference, best.kind)


def rest_of(span: Span | None, duration_s: float) -> list[Span]:
    """What lies outside `span` in the clip; nothing when the span is the whole clip."""
    if span is None:
        return []
    pieces = [(0.0, min(span[0], duration_s)), (max(span[1], 0.0), duration_s)]
    return [(start, end) for start, end in pieces if end - start >= MIN_REST_PIECE_S]


def _reference(
    quantity: str, meaning: Direction, span: Span | None, measurements: Measurements, measures: ChannelMeasures,
    known: Vocabulary,
) -> tuple[float, ReferenceKind] | tuple[None, str]:  # fmt: skip
    """The value to compare with and its kind, or None and the reason why there is none."""
    reasons: list[str] = []
    for kind in meaning.references:
        if kind == "absolute":
            return meaning.zero, kind
        if kind == "same_speaker_rest":
            pieces = rest_of(span, measurements.duration_s)
            rest = measures.read(quantity, pieces) if pieces else None
            if rest is not None and _usable(rest, meaning) and rest.amount >= known.minimum_rest:
                return rest.value, kind
            amount = rest.amount if rest is not None else 0.0
            reasons.append(f"{amount:.3g} {known.amount} outside the span, {known.minimum_rest:g} needed")
        if kind == "population":
            median = _population(meaning, measures, known)
            if median is not None:
                return median, kind
            reasons.append(meaning.why_no_population or "no population is known for it")
    return None, "nothing to compare with: " + "; ".join(reasons)


def _population(meaning: Direction, measures: ChannelMeasures, known: Vocabulary) -> float | None:
    """Median of the population; for the voice, of the register that the clip's own pitch lies in."""
    quantiles = meaning.population.get("all")
    if quantiles is None and meaning.population:
        pitch = measures.read(known.registers["quantity"]).value
        if pitch is None:
            return None
        quantiles = meaning.population["low" if pitch < known.registers["boundary"] else "high"]
    return None if quantiles is None else quantiles[1]


def _compare_halves(meaning: Direction, span: Span, measures: ChannelMeasures, known: Vocabulary) -> Comparison | Check:
    middle = (span[0] + span[1]) / 2
    first, second = (measures.read(meaning.quantities[0], [half]) for half in ((span[0], middle), (middle, span[1])))
    for reading in (first, second):
        why = _unusable(reading, known, meaning)
        if why:
            return _not_measurable(f"each half of the span is needed: {why}", reading.unit)
    distance = _difference(second.value, first.value, meaning.scale)
    x = meaning.sign * (abs(distance) if meaning.magnitude else distance)
    ratio = meaning.scale != "linear"
    return Comparison(x, second.value / first.value if ratio else distance, 1.0 if ratio else 0.0, "absolute")


def _usable(reading: Reading, meaning: Direction) -> bool:
    return reading.value is not None and math.isfinite(reading.value) and (
        meaning.scale == "linear" or reading.value > 0)  # fmt: skip


def _unusable(reading: Reading, known: Vocabulary, meaning: Direction) -> str:
    """Why a reading cannot carry a verdict; empty when it can."""
    if reading.amount < known.minimum:
        return reading.why or f"{reading.amount:.3g} {known.amount} in the span, {known.minimum:g} needed"
    if not _usable(reading, meaning):
        return reading.why or f"no usable value was measured (got {reading.value})"
    return ""


def _difference(value: float, reference: float, scale: str) -> float:
    if scale == "linear":
        return value - reference
    return math.log(value / reference) * (12 / math.log(2) if scale == "semitone" else 1.0)


def _check_quote(phrase: str, span: Span | None, measurements: Measurements) -> Check:
    """Words: the quoted phrase is said, and inside the span when the words carry times."""
    if not measurements.words and not (measurements.transcript or "").strip():
        why = measurements.absent.get("words") or "the clip has no transcript"
        return _not_measurable(why, "times")
    found = occurrences(phrase, measurements.transcript, measurements.words)
    inside = [place for place in found if span is None or place is None or _overlap(place, span)]
    untimed = span is not None and bool(inside) and all(place is None for place in inside)
    if inside:
        why = "it is said; the transcript carries no times, so when is not known" if untimed else "it is said"
    elif found:
        why = "it is said at " + ", ".join(f"{start:.2f}-{end:.2f} s" for start, end in found[:3]) + ", not in the span"
    else:
        why = "it is not in the transcript"
    return Check(verdict="supported" if inside else "contradicted", measured=float(len(inside)), unit="times",
                 reference=1.0, reference_kind="absolute", why=why)  # fmt: skip


def _overlap(place: Span, span: Span) -> bool:
    """At least half of the phrase lies in the span, give or take the error of word times."""
    start, end = span[0] - WORD_SLACK_S, span[1] + WORD_SLACK_S
    return min(place[1], end) - max(place[0], start) >= (place[1] - place[0]) / 2


def _not_measurable(why: str, unit: str | None = None, measured: float | None = None) -> Check:
    return Check(
        verdict="not_measurable", unit=unit, why=why, measured=None if measured is None else _rounded(measured)
    )


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def _why(meaning: Direction, claim: Claim, found: Comparison, bound: float) -> str:
    """For people: the difference, what it is against, and how it relates to the threshold of the degree."""
    flip = meaning.sign
    unit = _SCALE_UNITS.get(meaning.scale, meaning.unit)
    difference, limit = found.x * flip, bound * flip
    if meaning.scale == "ratio":
        shown, needed = f"{math.exp(difference):.2f}", f"{math.exp(limit):.2f}"
    else:
        signed = "" if meaning.magnitude else "+"
        shown, needed = f"{difference:{signed}.3g}", f"{limit:{signed}.3g}"
    against = "the first half" if meaning.halves else _KIND_WORDS[found.kind]
    versus = f" against {against}" if against else ""
    return f"{shown} {unit}{versus}; {_relation(meaning, found, bound, against)} ({claim.degree}: {needed})"


def _relation(meaning: Direction, found: Comparison, bound: float, against: str) -> str:
    """How a difference relates to what was claimed; small ones are small, whatever their sign."""
    if found.x >= bound:
        return "as much as claimed"
    least = abs(found.bound(meaning, "slightly"))
    if not meaning.magnitude and abs(found.x) < least:
        return f"hardly different from {against}" if against else "hardly there"
    return "less than claimed" if meaning.magnitude or found.x > 0 else "on the opposite side"
