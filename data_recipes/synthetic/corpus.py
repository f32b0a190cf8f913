"""Synthetic clips with ground truth for every cue: a rendered face, a synthesised voice, words with times.

    clip = make_clip(seed=7, config=SynthConfig())

Everything follows from the seed and the config. Which emotion each channel shows and when is decided in plan.py, how
conflicts are settled in conflict.py; here the plan is drawn, spoken and written down as a `Row`.
"""

from dataclasses import dataclass, replace

import numpy as np

from cuewise.data_recipes.schema import Row
from cuewise.data_recipes.synthetic.background import Background
from cuewise.data_recipes.synthetic.config import SynthConfig
from cuewise.data_recipes.synthetic.conflict import Carried, final, reasoning
from cuewise.data_recipes.synthetic.emotions import emotion_table
from cuewise.data_recipes.synthetic.face import (
    FaceEvent,
    FaceProgram,
    Lighting,
    Occluder,
    SceneEvent,
    action_curves,
    render,
)
from cuewise.data_recipes.synthetic.face_geometry import UNITS
from cuewise.data_recipes.synthetic.plan import ClipPlan, PlannedCue, plan_clip, speaker_stream, split_of_seed, stream
from cuewise.data_recipes.synthetic.voice import TooManyWordsError, VoiceEvent, VoiceProgram, synthesize
from cuewise.mllm.clip import Clip
from cuewise.mllm.evidence.claims import DEGREES, direction, phrase
from cuewise.mllm.evidence.words import occurrences
from cuewise.mllm.media.types import SAMPLE_RATE_HZ
from cuewise.mllm.report import Claim, Cue, Word
from cuewise.mllm.taxonomy import valence_arousal

__all__ = ["LICENCE", "SynthConfig", "SyntheticClip", "make_clip", "plan_clip", "split_of_seed"]

LICENCE = "CC0-1.0"
SOURCE = "cuewise synthetic corpus"
LONGER_S = 0.25
"""Steps in which a clip is lengthened whose words do not fit."""

AU_INTENSITY = ((0.8, 1.3), (1.8, 2.7), (3.6, 4.8))
"""Intensity range of an action unit shown slightly, clearly, strongly."""

SPEAKING_AU_INTENSITY = ((1.8, 2.2), (3.0, 3.6), (4.4, 5.0))
"""The same for lips, jaw and closed eyes, which move anyway in speech and blinks."""

DEGREES_OF_ANGLE = {
    ("head", "up"): ((4.5, 5.5), (8.0, 10.0), (14.5, 18.0)),
    ("head", "down"): ((4.5, 5.5), (8.0, 10.0), (14.5, 18.0)),
    ("head", "away"): ((9.0, 10.5), (15.0, 19.0), (25.0, 28.0)),
    ("head", "tilted"): ((5.0, 6.3), (9.0, 12.0), (16.0, 20.0)),
    ("gaze", "up"): ((6.0, 7.5), (10.0, 13.0), (18.0, 21.0)),
    ("gaze", "down"): ((6.0, 7.5), (10.0, 13.0), (18.0, 21.0)),
    ("gaze", "away"): ((9.0, 11.0), (15.0, 18.0), (23.0, 26.0)),
}  # fmt: skip
"""Angle in degrees of a head or gaze movement, slightly, clearly, strongly."""

HIDES = {"mouth": ("lip corners", "lips", "jaw", "chin", "upper lip"), "eyes": ("eyes", "brows", "gaze"),
         "brows": ("brows", "eyes"), "cheek": ("cheeks", "nose", "lip corners")}  # fmt: skip
VALENCE_AT = (0.5, 0.6, 0.8, 1.0)
"""Share of the emotion's valence and arousal that a clip of strength 0-3 has."""


@dataclass(slots=True)
class SyntheticClip:
    """One clip. A stream that the clip does not have is None."""

    frames: np.ndarray | None
    """uint8 [T, size, size, 3] RGB."""

    fps: float
    samples: np.ndarray | None
    """float32 [n] at 16 kHz in [-1, 1]."""

    row: Row
    """Ground truth; `media` is empty until the clip is written."""

    duration_s: float
    face: FaceProgram | None = None
    """What the face does, drawn or not."""

    def clip(self) -> Clip:
        """What is seen and heard of it, for whoever reads it."""
        shown = {} if self.frames is None else {"frames": self.frames, "fps": self.fps}
        heard = {} if self.samples is None else {"samples": self.samples, "sample_rate": SAMPLE_RATE_HZ}
        row = self.row
        return Clip(transcript=row.transcript, words=list(row.words), id=row.id, **shown, **heard)


def make_clip(seed: int, config: SynthConfig | None = None, *, pictures: bool = True) -> SyntheticClip:
    """The clip of a seed: the same seed and config give the same samples, pixels and row.

    Without `pictures` nothing is drawn, and the row, which still tells of the face, comes with sound alone.
    """
    config = config or SynthConfig()
    plan = plan_clip(seed, config)
    samples, words = _spoken(plan, config)
    face = frames = None
    if "face" in plan.present:
        face = _face_program(plan, config, samples)
        frames = render(face, plan.duration_s, config.fps, (config.size, config.size)) if pictures else None
    row = _row(plan, words, face, config)
    sound = samples if "voice" in plan.present else None
    return SyntheticClip(frames, config.fps, sound, row, plan.duration_s, face)


def _spoken(plan: ClipPlan, config: SynthConfig) -> tuple[np.ndarray, list[Word]]:
    """The plan's voice; pauses that leave no room for the words, which is rare, lengthen the clip."""
    while True:
        try:
            return synthesize(_voice_program(plan, config))
        except TooManyWordsError:
            if plan.duration_s >= config.max_seconds:
                raise
            plan.duration_s = round(min(plan.duration_s + LONGER_S, config.max_seconds), 2)
            plan.cues = [replace(cue, end=plan.duration_s) if cue.whole else cue for cue in plan.cues]


def _voice_program(plan: ClipPlan, config: SynthConfig) -> VoiceProgram:
    who, rng = speaker_stream(plan.speaker), stream(plan.seed, "voice")
    low = who.random() < 0.5
    f0 = float(np.clip(who.normal(118, 14) if low else who.normal(205, 22), 80, 260))
    events = [
        VoiceEvent(c.kind.attribute, c.kind.direction, _shown_degree(c), c.start, c.end) for c in plan.shown("voice")
    ]
    return VoiceProgram(
        transcript=plan.transcript, duration_s=plan.duration_s, base_f0_hz=f0, base_rate=plan.rate,
        base_loudness_db=float(rng.uniform(-32, -22)), events=events, language=plan.language, seed=plan.speaker,
        snr_db=float(rng.uniform(*config.snr_db)),
    )  # fmt: skip


def _shown_degree(cue: PlannedCue) -> str:
    """Degree in which the voice shows a cue: one more where sounds, accents and pauses move the measure anyway."""
    blurred = cue.kind.attribute in ("loudness", "rate", "pitch range") and cue.kind.direction != "steady"
    return DEGREES[DEGREES.index(cue.degree) + 1] if blurred else cue.degree


def _face_program(plan: ClipPlan, config: SynthConfig, samples: np.ndarray) -> FaceProgram:
    rng = stream(plan.seed, "face")
    shown = plan.shown("face")
    lighting = Lighting(azimuth=float(rng.uniform(-55, 55)), elevation=float(rng.uniform(10, 55)),
                        ambient=float(rng.uniform(0.45, 0.75)), brightness=float(rng.uniform(0.8, 1.15)))  # fmt: skip
    background = Background(
        seed=plan.seed, brightness=float(rng.uniform(0.35, 0.75)), colourfulness=float(rng.uniform(0.1, 0.6)),
        second_person=float(rng.uniform(0.4, 0.55)) if rng.random() < config.second_person_share else 0.0,
    )  # fmt: skip
    speaking = "voice" in plan.present or rng.random() < 0.5
    return FaceProgram(
        seed=plan.speaker, events=tuple(event for cue in shown for event in _face_events(rng, cue)), lighting=lighting,
        background=background, occluder=_occluder(rng, shown, config), scene_events=_scene_events(rng, plan, config),
        speech_envelope=loudness_envelope(samples) if speaking else None, sway_deg=float(rng.uniform(0.5, 1.6)),
        head_size=float(rng.uniform(0.52, 0.7)), take=plan.seed,
        centre=(float(rng.uniform(0.45, 0.55)), float(rng.uniform(0.44, 0.5))),
    )  # fmt: skip


def _face_events(rng: np.random.Generator, cue: PlannedCue) -> list[FaceEvent]:
    """The movements that show a cue; looking toward the camera needs none."""
    kind, level = cue.kind, DEGREES.index(cue.degree)
    if kind.direction == "toward":
        return []
    meaning = direction("face", Claim(attribute=kind.attribute, direction=kind.direction))
    if meaning.quantities[0].startswith("AU"):
        moves_anyway = kind.direction in ("parted", "dropped", "closed")
        amount = float(rng.uniform(*(SPEAKING_AU_INTENSITY if moves_anyway else AU_INTENSITY)[level]))
        return [FaceEvent(action, amount, cue.start, cue.end) for action in kind.actions or meaning.quantities]
    angle = float(rng.uniform(*DEGREES_OF_ANGLE[kind.attribute, kind.direction][level]))
    sign = meaning.sign if kind.direction in ("up", "down") else int(rng.choice((-1, 1)))
    return [FaceEvent(meaning.quantities[0], sign * angle, cue.start, cue.end)]


def _occluder(rng: np.random.Generator, shown: list[PlannedCue], config: SynthConfig) -> Occluder | None:
    """Something in front of a region in which nothing is shown."""
    if rng.random() >= config.occluder_share:
        return None
    busy = {cue.kind.attribute for cue in shown}
    free = [region for region, attributes in HIDES.items() if not busy & set(attributes)]
    return Occluder(str(rng.choice(["hand", "bar"])), free[rng.integers(len(free))]) if free else None


def _scene_events(rng: np.random.Generator, plan: ClipPlan, config: SynthConfig) -> tuple[SceneEvent, ...]:
    if rng.random() >= config.scene_share:
        return ()
    length = float(rng.uniform(0.3, 0.45)) * plan.duration_s
    start = round(float(rng.uniform(0.1, plan.duration_s - length - 0.1)), 2)
    return (SceneEvent("brightness", float(rng.choice((0.55, 1.5))), start, round(start + length, 2)),)


def loudness_envelope(samples: np.ndarray, rate_hz: float = 50.0) -> np.ndarray:
    """Loudness of speech in [0, 1], float32 at about `rate_hz`, for the movement of the mouth."""
    hop = int(SAMPLE_RATE_HZ / rate_hz)
    count = max(len(samples) // hop, 1)
    level = np.sqrt(np.mean(np.square(samples[: count * hop].reshape(count, -1)), axis=1))
    smooth = np.convolve(level, np.ones(5) / 5, "same")
    return np.clip(smooth / max(float(np.percentile(smooth, 95)), 1e-6), 0, 1).astype(np.float32)


def _row(plan: ClipPlan, words: list[Word], face: FaceProgram | None, config: SynthConfig) -> Row:
    rng = stream(plan.seed, "row")
    winner = final(plan.carried)
    cues = [cue.cue() for cue in plan.cues] + _word_cues(plan, words) + _scene_cues(face)
    valence, arousal = _affect(rng, plan.carried, winner)
    has_words, timed = "words" in plan.present, "voice" in plan.present
    return Row(
        id=f"synth_{plan.seed:07d}", corpus="synthetic", split=plan.split,
        transcript=plan.transcript if has_words else None, words=list(words) if has_words and timed else [],
        language=plan.language, speaker=f"synth_{plan.speaker}", labels=_labels(rng, winner),
        votes={**{one.channel: {one.label: 1.0} for one in plan.carried}, "all": {winner.label: 1.0}},
        valence=valence, arousal=arousal, aus=_mean_actions(face, plan, config),
        cues=[cue for channel in ("face", "voice", "words", "scene") for cue in cues if cue.channel == channel],
        reasoning=reasoning(rng, plan.carried, winner), licence=LICENCE, source=SOURCE,
    )  # fmt: skip


def _labels(rng: np.random.Generator, winner: Carried) -> list[str]:
    """The common label, in half of the clips followed by an open word for its strength."""
    related = emotion_table()[winner.label].related[max(winner.strength, 1) - 1]
    word = related[rng.integers(len(related))]
    return [winner.label, word] if rng.random() < 0.5 else [winner.label]


def _affect(rng: np.random.Generator, carried: list[Carried], winner: Carried) -> tuple[float, float]:
    """Valence and arousal: those of the emotion at the clip's strength, drawn a little towards dissenting channels."""
    place = np.array(valence_arousal(winner.label)) * VALENCE_AT[winner.strength]
    others = [one for one in carried if one.strength and one.label not in (winner.label, "neutral")]
    for one in others:
        place += 0.25 * (np.array(valence_arousal(one.label)) * VALENCE_AT[one.strength] - place)
    valence, arousal = np.clip(place + rng.normal(0, 0.02, 2), -1, 1)
    return round(float(valence), 3), round(float(arousal), 3)


def _word_cues(plan: ClipPlan, words: list[Word]) -> list[Cue]:
    carried = next((one for one in plan.carried if one.channel == "words"), None)
    spoken = next((sentence.phrase for sentence in plan.script if sentence.phrase), None)
    if carried is None or not carried.strength or spoken is None:
        return []
    places = occurrences(spoken, plan.transcript, words if "voice" in plan.present else [])
    start, end = places[0] or (None, None)
    claim = Claim(attribute="quote", direction="present")
    return [Cue(channel="words", start=start, end=end, claim=claim, supports=[carried.label],
                observation=phrase("words", claim, quote=spoken))]  # fmt: skip


def _scene_cues(face: FaceProgram | None) -> list[Cue]:
    cues = []
    for event in face.scene_events if face else ():
        claim = Claim(attribute="brightness", direction="higher" if event.amount > 1 else "lower", degree="clearly")
        cues.append(
            Cue(channel="scene", start=event.start, end=event.end, claim=claim, observation=phrase("scene", claim))
        )
    return cues


def _mean_actions(face: FaceProgram | None, plan: ClipPlan, config: SynthConfig) -> dict[str, float]:
    """True mean intensity of each action unit over the frames, those that never move left out."""
    if face is None:
        return {}
    times = (np.arange(round(plan.duration_s * config.fps)) + 0.5) / config.fps
    means = action_curves(face, times, plan.duration_s).mean(0)[: len(UNITS)]
    return {unit: round(float(mean), 3) for unit, mean in zip(UNITS, means) if mean > 0.005}
