"""Options of the synthetic corpus."""

from dataclasses import dataclass, field

from cuewise.data_recipes.corpora.labels import COMMON_LABELS, nearest


@dataclass(kw_only=True, slots=True)
class SynthConfig:
    """What synthetic clips are like. Together with the seed it determines every sample of a clip."""

    min_seconds: float = 4.0
    """Shortest clip. Speech longer than this lengthens the clip, up to `max_seconds`."""

    max_seconds: float = 6.0
    """Longest clip. Below about 4.5 s little voice is left outside a cue to compare it with."""

    fps: float = 15.0
    """Frames a second."""

    size: int = 256
    """Width and height of the picture in pixels, an even number."""

    labels: list[str] = field(default_factory=lambda: list(COMMON_LABELS))
    """Emotions that are drawn, each equally often."""

    conflict_share: float = 0.25
    """Share in which the channels carry different emotions, among the clips with at least two channels."""

    absent_share: float = 0.3
    """Share of clips in which a channel is missing."""

    emotional_words_share: float = 0.45
    """Share of clips whose wording carries the emotion; else the words are neutral."""

    spurious_share: float = 0.2
    """Share of clips with an action that means nothing and is no cue."""

    scene_share: float = 0.06
    """Share of clips in which the light changes for a while; a cue of the scene that supports no emotion."""

    occluder_share: float = 0.05
    """Share of clips in which a hand or bar covers a part of the face that shows no cue."""

    second_person_share: float = 0.04
    """Share of clips with a smaller second face in the background."""

    snr_db: tuple[float, float] = (22.0, 45.0)
    """Room noise lies this far below the speech."""

    other_languages_share: float = 0.25
    """Share of clips spoken in German or Polish."""

    train_speakers: int = 2000
    """Different people in training clips; dev has a tenth, test a fifth of it, and nobody stands in two splits."""

    def __post_init__(self) -> None:
        if not 2.0 <= self.min_seconds <= self.max_seconds <= 20.0:
            given = f"{self.min_seconds} and {self.max_seconds}"
            raise ValueError(f"synth.min_seconds and max_seconds must lie in 2 to 20, in order; got {given}")
        if self.size < 96 or self.size % 2:
            raise ValueError(f"synth.size must be an even number from 96, got {self.size}")
        if not 8 <= self.fps <= 60:
            raise ValueError(f"synth.fps must lie in 8 to 60, got {self.fps}; below 8 a cue of 1 s is hard to see")
        if self.train_speakers < 10:
            raise ValueError(f"synth.train_speakers must be at least 10, got {self.train_speakers}")
        for label in self.labels:
            if label not in COMMON_LABELS:
                raise ValueError(f"synth.labels: unknown emotion {label!r}; {nearest(label, COMMON_LABELS)}")
        for name in ("conflict", "absent", "emotional_words", "spurious", "scene", "occluder", "second_person",
                     "other_languages"):  # fmt: skip
            share = getattr(self, f"{name}_share")
            if not 0 <= share <= 1:
                raise ValueError(f"synth.{name}_share must lie in [0, 1], got {share}")
