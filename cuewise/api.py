"""The Python front door: `load` a model once, or `analyze` one clip in one call."""

from typing import TYPE_CHECKING, Any

from cuewise.mllm.clip import Clip
from cuewise.mllm.report import EmotionReport

if TYPE_CHECKING:
    from cuewise.mllm.pipeline import Analyzer


def load(model: str = "nano", **options: Any) -> "Analyzer":
    """An analyzer that keeps `model` in memory; use it as a context manager, or call its `close`.

    Args:
        model: a shipped model (``nano``, ``nano-research``) or the folder of one.
        options: passed on to `cuewise.mllm.pipeline.Analyzer.load` (media, speech_to_text, device).
    """
    from cuewise.mllm.pipeline import Analyzer

    return Analyzer.load(model, **options)


def analyze(clip: Clip | str, *, model: str = "nano", form: str = "explained", **clip_fields: Any) -> EmotionReport:
    """Report on one clip: a `Clip`, or the path of a file with more of `Clip`'s fields by name.

    Loads the model for this one call; for many clips use `load` once. Raises `cuewise.mllm.media.MediaError`
    when the clip cannot be read.
    """
    if isinstance(clip, Clip):
        if clip_fields:
            raise TypeError(f"{', '.join(clip_fields)}: set these on the Clip, or pass a path instead")
    else:
        clip = Clip(path=clip, **clip_fields)
    analyzer = load(model)
    try:
        return analyzer.analyze(clip, form=form)
    finally:
        analyzer.close()
