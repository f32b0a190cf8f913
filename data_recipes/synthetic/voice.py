"""A synthetic voice whose pitch, loudness, rate and manner are known exactly, second by second.

`synthesize` speaks a transcript with a source-filter voice (voice_signal.py) and changes it where a `VoiceEvent` says
so, by the amounts of `AMOUNTS`. The words' times are those of the sound. Everything follows from (program, seed).

Shapes: n samples at 16 kHz, C control points at 400 Hz.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from cuewise.data_recipes.synthetic.phones import PHONES, sounds
from cuewise.data_recipes.synthetic.voice_signal import CONTROL_HZ, SAMPLE_RATE_HZ, Controls, Speaker, render
from cuewise.mllm.report import Word

Degree = Literal["slightly", "clearly", "strongly"]
DEGREES: tuple[Degree, ...] = ("slightly", "clearly", "strongly")
AMOUNTS: dict[str, tuple[float, float, float]] = {
    "pitch": (2.0, 4.0, 7.0),
    "loudness": (3.0, 6.0, 10.0),
    "rate": (1.25, 1.5, 1.9),
    "pitch range": (1.4, 1.9, 2.8),
    "tremor": (0.9, 1.6, 2.6),
    "breathiness": (6.5, 12.0, 18.0),
}
"""What an event changes, for slightly, clearly, strongly: pitch in semitones, loudness in dB, rate and pitch range as
factors, tremor as semitones of a 5-8 Hz modulation (peak), breathiness in dB of aspiration noise."""

SLOPES: dict[str, tuple[float, float, float]] = {"pitch": (3.0, 5.5, 9.0), "loudness": (3.5, 6.5, 11.0)}
"""Rising and falling pitch in semitones/s and loudness in dB/s; other attributes go from one side of their amount to
the other. The way from begin to end of an event is at most `MAX_SWEEP`, so strong trends need spans below 2 s."""

MAX_SWEEP = {"pitch": 18.0, "loudness": 22.0, "breathiness": 20.0}
MORE_PAUSES: dict[Degree, tuple[int, float]] = {"slightly": (2, 0.24), "clearly": (1, 0.26), "strongly": (1, 0.45)}
"""`pauses more`: after how many words a pause comes, and its seconds."""

USUAL_PAUSES: dict[Degree, tuple[int, float]] = {"slightly": (4, 0.28), "clearly": (3, 0.32), "strongly": (3, 0.42)}
"""Pauses outside a `pauses fewer` event, so that there is something to leave out inside it."""

DIRECTIONS = dict.fromkeys(AMOUNTS, ("higher", "lower", "steady", "rising", "falling")) | {"pauses": ("more", "fewer")}
PHRASE_PAUSE_S = 0.22
PUNCTUATION_PAUSE_S = {",": 0.22, ";": 0.25, ":": 0.25, ".": 0.32, "!": 0.32, "?": 0.32, "…": 0.4}
LEAD_S = 0.12
MAX_SYLLABLES_PER_S = 9.0
BASE_TREMOR_ST = 0.05


class TooManyWordsError(ValueError):
    """The words of a program do not fit its clip."""


@dataclass(frozen=True, slots=True)
class VoiceEvent:
    """One change of the voice from `start` to `end` seconds; over the whole clip: 0 and the duration."""

    attribute: str
    direction: str
    degree: Degree
    start: float
    end: float

    def __post_init__(self) -> None:
        if self.direction not in DIRECTIONS.get(self.attribute, ()):
            known = "; ".join(f"{name}: {', '.join(ways)}" for name, ways in DIRECTIONS.items())
            raise ValueError(f"a voice cannot become `{self.attribute} {self.direction}`; known: {known}")
        if self.degree not in DEGREES:
            raise ValueError(f"degree must be one of {', '.join(DEGREES)}, got {self.degree!r}")
        if not 0 <= self.start < self.end:
            raise ValueError(f"a voice event needs 0 <= start < end, got {self.start} to {self.end} s")


@dataclass(kw_only=True, slots=True)
class VoiceProgram:
    """What is said, by what kind of voice, and how the voice changes. Another `seed` is another speaker."""

    transcript: str
    duration_s: float
    base_f0_hz: float = 150.0
    """Median pitch outside events, 70 to 350 Hz."""

    base_rate: float | None = None
    """Syllables a second while speaking, pauses not counted; None fills the clip, within 3 to 6.5. A transcript that
    does not fit is spoken faster; a short one leaves silence at the end."""

    base_loudness_db: float = -26.0
    """Level (mean power) of the voiced speech outside events, dB of full scale."""

    events: list[VoiceEvent] = field(default_factory=list)
    language: str = "en"
    seed: int = 0
    snr_db: float = 40.0
    """Room noise: this far below the speech."""

    def __post_init__(self) -> None:
        if not 0.2 <= self.duration_s <= 120:
            raise ValueError(f"voice duration_s must lie in 0.2 to 120 s, got {self.duration_s}")
        if not 70 <= self.base_f0_hz <= 350:
            raise ValueError(f"voice base_f0_hz must lie in 70 to 350 Hz, got {self.base_f0_hz}")
        if self.base_rate is not None and not 1 <= self.base_rate <= MAX_SYLLABLES_PER_S:
            raise ValueError(f"voice base_rate must lie in 1 to {MAX_SYLLABLES_PER_S}, got {self.base_rate}")
        if not -60 <= self.base_loudness_db <= -12:
            raise ValueError(f"voice base_loudness_db must lie in -60 to -12 dB, got {self.base_loudness_db}")

    def pauses(self, time_s: float) -> tuple[int, float] | None:
        """How the voice pauses at this time: (after how many words, seconds), None for no pauses."""
        here = [e for e in self.events if e.attribute == "pauses" and e.start <= time_s < e.end]
        if here:
            return MORE_PAUSES[here[0].degree] if here[0].direction == "more" else None
        fewer = [e for e in self.events if e.attribute == "pauses" and e.direction == "fewer"]
        return USUAL_PAUSES[fewer[0].degree] if fewer else (5, PHRASE_PAUSE_S)


@dataclass(slots=True)
class Timeline:
    """Where each sound stands: pieces of phones, words, syllable nuclei, phrases. Times in seconds."""

    pieces: list[tuple[str, int, float, float]] = field(default_factory=list)
    """(key of `PHONES`, number of its piece, start, end)."""

    words: list[Word] = field(default_factory=list)
    nuclei: list[tuple[float, bool]] = field(default_factory=list)
    """(centre of a syllable, is it accented)."""

    phrases: list[tuple[float, float, str]] = field(default_factory=list)
    """(start, end, final punctuation)."""

    end: float = 0.0


def synthesize(program: VoiceProgram) -> tuple[np.ndarray, list[Word]]:
    """The program as float32 [n] sound at 16 kHz in [-1, 1], n = duration * 16000, and its words with their times."""
    speaker = Speaker.from_seed(program.seed, program.base_f0_hz)
    timeline = _fit(program)
    points = int(np.ceil(program.duration_s * CONTROL_HZ)) + 1
    times = np.arange(points) / CONTROL_HZ
    controls = Controls(
        pieces=[(PHONES[name][i], start, end) for name, i, start, end in timeline.pieces],
        semitones=_melody(program, timeline, speaker, times),
        gain_db=_level(program, "loudness", times) + _stress(program, timeline, times),
        tremor=_tremor(program, times),
        breath_db=_breath(program, times),
    )
    samples = render(controls, speaker, round(program.duration_s * SAMPLE_RATE_HZ), program.base_f0_hz,
                     program.base_loudness_db, program.snr_db, program.seed)  # fmt: skip
    return samples, timeline.words


def _tokens(program: VoiceProgram) -> list[tuple[str, str, list[str]]]:
    """(word, its punctuation, its sounds) in order; every character of scripts without spaces is a word."""
    pieces = "".join(f" {c} " if ord(c) >= 0x2E80 and c.isalpha() else c for c in program.transcript).split()
    tokens: list[tuple[str, str, list[str]]] = []
    for piece in pieces:
        text = piece.strip(".,;:!?…\"'“”‘’«»()[]-–—。，！？、")
        marks = [c for c in piece.translate(str.maketrans("。，！？、", ".,!?,")) if c in PUNCTUATION_PAUSE_S]
        named = sounds(text, program.language)
        if named:
            tokens.append((text, marks[-1] if marks else "", named))
        elif marks and tokens:
            tokens[-1] = (tokens[-1][0], marks[-1], tokens[-1][2])
    return tokens


def _fit(program: VoiceProgram) -> Timeline:
    """The timeline at the wanted rate, or at the slowest rate above it at which everything fits the clip."""
    tokens = _tokens(program)
    if not tokens:
        return Timeline()
    room = program.duration_s - min(0.1, 0.1 * program.duration_s)
    wanted = program.base_rate or 3.0
    timeline = _lay_out(program, tokens, wanted)
    if timeline.end > room:
        low, high = wanted, MAX_SYLLABLES_PER_S
        timeline = _lay_out(program, tokens, high)
        if timeline.end > room:
            raise TooManyWordsError(f"{len(tokens)} words do not fit a clip of {program.duration_s} s even at {high} "
                                    "syllables/s; shorten the transcript or lengthen the clip")  # fmt: skip
        for _ in range(12):
            middle = (low + high) / 2
            attempt = _lay_out(program, tokens, middle)
            low, high, timeline = (low, middle, attempt) if attempt.end <= room else (middle, high, timeline)
    return timeline


def _lay_out(program: VoiceProgram, tokens: list[tuple[str, str, list[str]]], rate: float) -> Timeline:
    """Sounds one after the other at `rate` syllables/s, changed by rate events, with pauses between words."""
    every = [phone for _, _, named in tokens for name in named for phone in PHONES[name]]
    stretch = sum(phone.is_nucleus for phone in every) / sum(phone.duration for phone in every) / rate
    rng = np.random.default_rng([program.seed, 2])
    line, now, begun, since = Timeline(), min(LEAD_S, 0.1 * program.duration_s), None, 0
    for number, (text, mark, named) in enumerate(tokens):
        start, begun = now, now if begun is None else begun
        accented = len(text) > 3 or begun == now
        even = _evenness(named, rate * stretch)
        for name in named:
            for i, phone in enumerate(PHONES[name]):
                speed = np.exp(_level_at(program, "rate", now))
                seconds = phone.duration * even * stretch / speed * rng.uniform(0.88, 1.12)
                line.pieces.append((name, i, now, now + seconds))
                if phone.is_nucleus:
                    line.nuclei.append((now + seconds / 2, accented))
                    accented = False
                now += seconds
        line.words.append(Word(text=text, start=round(start, 3), end=round(now, 3)))
        since += 1
        pause = _pause_after(program, mark, since, now) if number + 1 < len(tokens) else 0.0
        if pause or number + 1 == len(tokens):
            line.phrases.append((begun, now, mark))
            now, begun, since = now + pause, None, 0
    line.end = line.words[-1].end
    return line


def _evenness(named: list[str], usual_rate: float) -> float:
    """Factor on a word's length that brings it two thirds of the way to an even rhythm of syllables."""
    phones = [phone for name in named for phone in PHONES[name]]
    length = sum(phone.duration for phone in phones)
    even = sum(phone.is_nucleus for phone in phones) / usual_rate
    return float(np.clip((length + 2 * even) / 3 / length, 0.6, 1.6))


def _pause_after(program: VoiceProgram, mark: str, words_since: int, now: float) -> float:
    """Seconds of silence after a word: at punctuation, or after so many words, unless an event forbids it."""
    habit = program.pauses(now)
    if habit is None:
        return 0.0
    return max(PUNCTUATION_PAUSE_S.get(mark, 0.0), habit[1] if words_since >= habit[0] else 0.0)


def _log_amount(attribute: str, degree: Degree) -> float:
    amount = AMOUNTS[attribute][DEGREES.index(degree)]
    return float(np.log(amount)) if attribute in ("rate", "pitch range") else amount


def _event_level(event: VoiceEvent, times: np.ndarray) -> np.ndarray:
    """[C] what one event adds to its attribute, in the unit of `AMOUNTS` (factors as logarithms)."""
    inside = (times >= event.start) & (times < event.end)
    if event.direction in ("higher", "lower"):
        return inside * _log_amount(event.attribute, event.degree) * (1 if event.direction == "higher" else -1)
    if event.direction not in ("rising", "falling"):
        return np.zeros(len(times))
    length = event.end - event.start
    if event.attribute in SLOPES:
        slope = SLOPES[event.attribute][DEGREES.index(event.degree)]
        sweep = min(slope * length, MAX_SWEEP[event.attribute])
    else:
        sweep = min(2 * _log_amount(event.attribute, event.degree), MAX_SWEEP.get(event.attribute, np.inf))
    ramp = (times - event.start) / length - 0.5
    return inside * ramp * sweep * (1 if event.direction == "rising" else -1)


def _level(program: VoiceProgram, attribute: str, times: np.ndarray) -> np.ndarray:
    """[C] sum of what the events of an attribute add, with edges of 30 ms."""
    level = sum((_event_level(e, times) for e in program.events if e.attribute == attribute), np.zeros(len(times)))
    return np.convolve(np.pad(level, 6, mode="edge"), np.ones(13) / 13, "valid") if level.any() else level


def _level_at(program: VoiceProgram, attribute: str, time_s: float) -> float:
    events = [e for e in program.events if e.attribute == attribute and e.start <= time_s < e.end]
    return float(sum(_event_level(e, np.array([time_s]))[0] for e in events))


def _held(program: VoiceProgram, attribute: str, directions: tuple[str, ...], times: np.ndarray) -> np.ndarray:
    """[C] bool: inside an event of the attribute with one of these directions."""
    held = np.zeros(len(times), bool)
    for event in program.events:
        if event.attribute == attribute and event.direction in directions:
            held |= (times >= event.start) & (times < event.end)
    return held


def _melody(program: VoiceProgram, line: Timeline, speaker: Speaker, times: np.ndarray) -> np.ndarray:
    """[C] pitch in semitones around the base: declination, accents and phrase ends, scaled and moved by events."""
    rng = np.random.default_rng([program.seed, 3])
    contour = np.zeros(len(times))
    for start, end, mark in line.phrases:
        inside = (times >= start - 0.05) & (times < end + 0.05)
        share = np.clip((times - start) / max(end - start, 0.05), 0, 1)
        contour += inside * (1.6 - 3.2 * share)
        final = np.clip((times - (end - 0.25)) / 0.25, 0, 1) * inside
        contour += final * (4.0 if mark == "?" else -1.5)
    for centre, is_accented in line.nuclei:
        height = speaker.accent_st * (rng.uniform(0.7, 1.3) if is_accented else rng.uniform(-0.15, 0.25))
        contour += height * np.exp(-0.5 * ((times - centre) / 0.085) ** 2)
    spoken = np.zeros(len(times), bool)
    for start, end, _ in line.phrases:
        spoken |= (times >= start) & (times < end)
    contour -= np.median(contour[spoken]) if spoken.any() else 0.0
    scale = np.exp(_level(program, "pitch range", times))
    scale = np.where(_held(program, "pitch", ("rising", "falling"), times), 0.35 * scale, scale)
    scale = np.where(_held(program, "pitch", ("steady",), times), 0.15 * scale, scale)
    for event in program.events:  # the melody of a span is scaled about its own middle, or its pitch would move too
        inside = (times >= event.start) & (times < event.end) & spoken
        if event.attribute in ("pitch", "pitch range") and inside.any():
            contour[inside] -= np.median(contour[inside])
    return contour * scale + _level(program, "pitch", times)


def _stress(program: VoiceProgram, line: Timeline, times: np.ndarray) -> np.ndarray:
    """[C] dB: accented syllables are a little louder, except where the loudness is to be steady."""
    stress = np.zeros(len(times))
    for centre, is_accented in line.nuclei:
        stress += (1.5 if is_accented else -0.5) * np.exp(-0.5 * ((times - centre) / 0.09) ** 2)
    return np.where(_held(program, "loudness", ("steady", "rising", "falling"), times), 0.0, stress)


def _tremor(program: VoiceProgram, times: np.ndarray) -> np.ndarray:
    """[C] semitones (peak) of trembling. Events that lower it, or let it rise or fall, presume a trembling voice."""
    base = max((_log_amount("tremor", event.degree) for event in _presuming(program, "tremor")), default=BASE_TREMOR_ST)
    return np.maximum(base + _level(program, "tremor", times), 0.0)


def _breath(program: VoiceProgram, times: np.ndarray) -> np.ndarray:
    """[C] dB of extra aspiration. Events that lower it, or let it rise or fall, presume a breathy voice."""
    most = MAX_SWEEP["breathiness"] / 2
    base = max((min(_log_amount("breathiness", e.degree), most if e.direction != "lower" else np.inf)
                for e in _presuming(program, "breathiness")), default=0.0)  # fmt: skip
    return base + _level(program, "breathiness", times)


def _presuming(program: VoiceProgram, attribute: str) -> list[VoiceEvent]:
    """Events that only make sense if the voice has the attribute outside them."""
    return [e for e in program.events if e.attribute == attribute and e.direction in ("lower", "rising", "falling")]
