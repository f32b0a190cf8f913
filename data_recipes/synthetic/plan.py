"""What happens in a synthetic clip, decided before it is drawn and spoken: who, which emotion where, which cues when.

Everything follows from (seed, config). Seeds below 1,000,000 are training clips, below 2,000,000 dev, from there test;
people, sentences and scenes of one split never appear in another.
"""

from dataclasses import dataclass, field

import numpy as np

from cuewise.data_recipes.synthetic.config import SynthConfig
from cuewise.data_recipes.synthetic.conflict import WORDS_STRENGTH, Carried, draw_labels
from cuewise.data_recipes.synthetic.emotions import CueKind, emotion_table, spurious_cues, supported_labels
from cuewise.data_recipes.synthetic.script import Sentence, pick, sentences, syllables
from cuewise.mllm.evidence.claims import DEGREES, phrase
from cuewise.mllm.report import Channel, Claim, Cue

SPLIT_SEEDS = {"train": (0, 1_000_000), "dev": (1_000_000, 2_000_000), "test": (2_000_000, 3_000_000)}
SPEAKER_SHARE = {"train": 1.0, "dev": 0.1, "test": 0.2}
ABSENT = (("voice",), ("words",), ("face",), ("voice", "words"), ("face", "words"), ("face", "voice"))
ABSENT_WEIGHTS = (0.15, 0.35, 0.2, 0.1, 0.1, 0.1)
DEGREE_CHANCES = ((0.75, 0.25, 0.0), (0.15, 0.7, 0.15), (0.0, 0.3, 0.7))
"""Chance of slightly, clearly, strongly in a weak, medium and strong showing."""

FACE_SPAN_S, VOICE_SPAN_S = 1.1, 0.9
"""Shortest cues."""

LONGER_VOICE_SPAN_S = 1.4
"""Shortest cues of what needs several syllables to be heard: rate, pitch range, pauses."""

ENTANGLED = ({"pitch", "pitch range"}, {"rate", "pauses"}, {"loudness", "breathiness"})
"""Attributes of the voice of which a clip changes one only: each moves the measure of the other."""

SAMPLED_FRAMES = 16
"""Frames a reader is expected to sample: a face cue covers at least 3 of them and leaves at least 8 outside."""

FACE_WHOLE_SHARE = 0.15


@dataclass(frozen=True, slots=True)
class PlannedCue:
    """One cue that will be shown: a claim over a span, and the emotion it speaks for, None when it means nothing."""

    kind: CueKind
    degree: str
    start: float
    end: float
    whole: bool
    label: str | None

    def cue(self) -> Cue:
        """It as ground truth of the clip."""
        claim = Claim(attribute=self.kind.attribute, direction=self.kind.direction, degree=self.degree)
        times = (None, None) if self.whole else (self.start, self.end)
        return Cue(
            channel=self.kind.channel, start=times[0], end=times[1], observation=phrase(self.kind.channel, claim),
            supports=[self.label] if self.label else [], claim=claim,
        )  # fmt: skip


@dataclass(slots=True)
class ClipPlan:
    """One clip, decided."""

    seed: int
    split: str
    speaker: int
    language: str
    duration_s: float
    rate: float
    """Syllables a second while speaking."""

    present: list[Channel]
    carried: list[Carried]
    script: list[Sentence]
    cues: list[PlannedCue] = field(default_factory=list)
    spurious: PlannedCue | None = None

    @property
    def transcript(self) -> str:
        return " ".join(sentence.text for sentence in self.script)

    def shown(self, channel: Channel) -> list[PlannedCue]:
        """Everything to be shown in a channel, meaningless actions included."""
        extra = [self.spurious] if self.spurious and self.spurious.kind.channel == channel else []
        return [cue for cue in self.cues if cue.kind.channel == channel] + extra


def split_of_seed(seed: int) -> str:
    """Split of a clip seed."""
    for split, (first, end) in SPLIT_SEEDS.items():
        if first <= seed < end:
            return split
    raise ValueError(f"a clip seed lies in 0 to {SPLIT_SEEDS['test'][1] - 1}, got {seed}")


def stream(seed: int, purpose: str) -> np.random.Generator:
    """Random numbers for one purpose of one clip, so that a change in one part leaves the others as they were."""
    return np.random.default_rng([seed, *purpose.encode()])


def plan_clip(seed: int, config: SynthConfig) -> ClipPlan:
    """Decide everything about the clip of a seed."""
    split = split_of_seed(seed)
    rng = stream(seed, "plan")
    speakers = max(int(config.train_speakers * SPEAKER_SHARE[split]), 1)
    speaker = SPLIT_SEEDS[split][0] + int(rng.integers(speakers))
    present = _present(rng, config.absent_share)
    labels = draw_labels(rng, config.labels, present, config.conflict_share, config.emotional_words_share)
    language = str(rng.choice(["de", "pl"])) if rng.random() < config.other_languages_share else "en"
    wording = labels.get("words", "neutral")
    if not sentences(split, language, wording):
        language = "en"
    script = pick(rng, split, language, wording, 2 if config.max_seconds >= 4 else 1)
    rate = float(np.clip(speaker_stream(speaker).normal(4.4, 0.35) + rng.normal(0, 0.15), 3.7, 5.3))
    spoken = syllables(" ".join(sentence.text for sentence in script), language) / rate + 0.5 + 0.3 * (len(script) - 1)
    duration = round(float(np.clip(spoken, config.min_seconds, config.max_seconds)), 2)
    plan = ClipPlan(seed, split, speaker, language, duration, rate, present, [], script)
    for channel in present:
        plan.carried.append(_carry(rng, plan, channel, labels[channel]))
    if rng.random() < config.spurious_share:
        plan.spurious = _spurious(rng, plan, labels)
    return plan


def speaker_stream(speaker: int) -> np.random.Generator:
    """Random numbers that are the same in every clip of a person."""
    return np.random.default_rng([speaker, 0x5EA])


def _present(rng: np.random.Generator, absent_share: float) -> list[Channel]:
    gone = ABSENT[rng.choice(len(ABSENT), p=ABSENT_WEIGHTS)] if rng.random() < absent_share else ()
    return [channel for channel in ("face", "voice", "words") if channel not in gone]


def _carry(rng: np.random.Generator, plan: ClipPlan, channel: Channel, label: str) -> Carried:
    """Plan the cues of one channel and say how strongly it shows its emotion."""
    if channel == "words":
        return Carried(channel, label, 0 if label == "neutral" else WORDS_STRENGTH)
    kinds = list(emotion_table()[label].cues(channel))
    chances = DEGREE_CHANCES[rng.choice(3, p=(0.25, 0.45, 0.3))]
    count = int(rng.choice((1, 2, 3), p=(0.35, 0.45, 0.2))) if label != "neutral" else 1
    weights = np.array([kind.weight for kind in kinds])
    strength = 0
    taken: set[str] = set()
    for index in rng.choice(len(kinds), size=len(kinds), replace=False, p=weights / weights.sum()):
        kind = kinds[index]
        if len(taken) == count:
            break
        if taken & _family(kind):
            continue
        degree = _degree(rng, kind, chances)
        planned = _place(rng, plan, kind, degree, label)
        plan.cues.append(planned)
        taken.add(kind.attribute)
        strength = max(strength, DEGREES.index(degree) + 1)
    return Carried(channel, label, 0 if label == "neutral" else strength)


def _family(kind: CueKind) -> set[str]:
    """Attributes that cannot be shown beside this cue in one clip."""
    return next(
        (family for family in ENTANGLED if kind.channel == "voice" and kind.attribute in family), {kind.attribute}
    )


def _degree(rng: np.random.Generator, kind: CueKind, chances: tuple[float, ...]) -> str:
    wanted = rng.choice(3, p=chances)
    shown = [DEGREES.index(degree) for degree in kind.degrees]
    return DEGREES[min(shown, key=lambda degree: abs(degree - wanted))]


def _place(rng: np.random.Generator, plan: ClipPlan, kind: CueKind, degree: str, label: str | None) -> PlannedCue:
    """Give a cue its time. Voice cues and head and gaze levels leave a rest of the clip to be compared with."""
    duration = plan.duration_s
    needs_rest = kind.channel == "voice" or (kind.attribute in ("head", "gaze") and kind.direction in ("up", "down"))
    if kind.whole or (not needs_rest and rng.random() < FACE_WHOLE_SHARE):
        return PlannedCue(kind, degree, 0.0, duration, True, label)
    if kind.channel == "face":
        shortest = max(FACE_SPAN_S, 3.5 * duration / SAMPLED_FRAMES)
    else:
        shortest = LONGER_VOICE_SPAN_S if kind.attribute in ("rate", "pitch range", "pauses") else VOICE_SPAN_S
    longest = (0.45 if kind.channel == "face" else 0.25) * duration
    if kind.direction in ("rising", "falling"):
        longest = min(longest, 1.6)
    length = rng.uniform(shortest, max(longest, shortest + 0.05))
    first, last = (0.1, duration - 0.1) if kind.channel == "face" else (0.15, duration - 0.35)
    start = round(float(rng.uniform(first, max(last - length, first + 0.01))), 2)
    return PlannedCue(kind, degree, start, round(start + float(length), 2), False, label)


def _spurious(rng: np.random.Generator, plan: ClipPlan, labels: dict[Channel, str]) -> PlannedCue | None:
    """An action of face or voice that speaks for none of the clip's emotions."""
    channels = [channel for channel in plan.present if channel != "words"]
    if not channels:
        return None
    channel = channels[rng.integers(len(channels))]
    busy = {cue.kind.attribute for cue in plan.cues if cue.kind.channel == channel}
    pool = [
        kind
        for kind in spurious_cues(channel)
        if not busy & _family(kind)
        and not set(labels.values()) & set(supported_labels(channel, kind.attribute, kind.direction))
    ]
    if not pool:
        return None
    kind = pool[rng.integers(len(pool))]
    return _place(rng, plan, kind, _degree(rng, kind, DEGREE_CHANCES[1]), None)
