"""Media -> Measurements: everything that can be measured in a clip, channel by channel.

The channels are imported when they are measured, so that reading claims needs no signal processing.
"""

from collections.abc import Sequence

from cuewise.mllm.evidence.types import Measurements
from cuewise.mllm.media.types import SAMPLE_RATE_HZ, Media
from cuewise.mllm.report import Claim, Signal


def measure(media: Media) -> Measurements:
    """Measure each present channel of `media`; an absent one is None and `absent` says why."""
    found = Measurements(
        duration_s=media.duration_s, words=list(media.words), transcript=media.transcript, absent=dict(media.absent)
    )
    if media.samples is not None and len(media.samples):
        from cuewise.mllm.evidence.voice import VoiceMeasures

        found.voice = VoiceMeasures(media.samples, SAMPLE_RATE_HZ)
    else:
        found.absent.setdefault("voice", "the clip has no sound")
    if media.face is not None and media.face.found.any():
        from cuewise.mllm.evidence.face import FaceMeasures

        found.face = FaceMeasures(media)
    else:
        found.absent.setdefault("face", "the clip has no picture" if media.frames is None else "no face was found")
    if media.frames is not None and len(media.frames):
        from cuewise.mllm.evidence.scene import SceneMeasures

        found.scene = SceneMeasures(media)
    else:
        found.absent.setdefault("scene", "the clip has no picture")
    if not media.words and not (media.transcript or "").strip():
        found.absent.setdefault("words", "no transcript was given")
    return found


def signals(measurements: Measurements, face_claims: Sequence[Claim] = ()) -> dict[str, Signal]:
    """The curves of all channels for display, named `channel.curve`, e.g. ``voice.pitch``.

    The face has a curve for each of `face_claims` beside its usual ones, so that what a cue names can be seen.
    """
    found: dict[str, Signal] = {}
    for channel in ("face", "voice", "scene"):
        measures = measurements.of(channel)
        if measures is not None:
            curves = measures.signals()
            if channel == "face" and face_claims:
                curves = curves | measures.curves_of(face_claims)
            found |= {f"{channel}.{name}": curve for name, curve in curves.items()}
    return found
