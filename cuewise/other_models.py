"""Reports from systems that are not ours: off-the-shelf models of transformers, and endpoints."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from cuewise.errors import UserError
from cuewise.mllm.clip import Clip
from cuewise.mllm.media.config import MediaConfig
from cuewise.mllm.pipeline import ClipError
from cuewise.mllm.report import EmotionReport
from cuewise.mllm.systems.base import Ask, SystemLoadError, load_system, model_kind

FRAME_SIZE = 448
"""Least long side, in pixels, of the frames that these systems are shown."""


def is_ours(model: str) -> bool:
    """Whether a name or folder is one of our models. Raises UserError when it is nothing at all."""
    try:
        return not str(model).startswith("openai:") and model_kind(model) == "cuewise"
    except SystemLoadError as error:
        raise UserError(str(error)) from error


def reports_by(
    model: str, clips: Sequence[Clip], *, form: str = "explained", media: MediaConfig | None = None,
    device: str = "cpu", stream: bool = False, speech_to_text: str | None = None, adapter: str | None = None,
) -> Iterator[EmotionReport | ClipError]:  # fmt: skip
    """A report for each clip, in order. Answers without our tags are reported as ``unparsed``. Raises UserError."""
    for option, given in (("--stream", stream), ("--speech-to-text", speech_to_text), ("--adapter", adapter)):
        if given:
            hint = "; pass what is said with --transcript" if option == "--speech-to-text" else ""
            raise UserError(f"{option} works with the models of cuewise, not with {model}{hint}")
    media = media or MediaConfig()
    options: dict[str, Any] = {"media": replace(media, frame_size=max(media.frame_size, FRAME_SIZE)), "reports": True}
    if not model.startswith("openai:"):
        options["device"] = device
    try:
        system = load_system(model, **options)
    except SystemLoadError as error:
        raise UserError(str(error)) from error
    try:
        yield from _reports(system, clips, form)
    finally:
        system.close()


def _reports(system: Any, clips: Iterable[Clip], form: str) -> Iterator[EmotionReport | ClipError]:
    clips = list(clips)
    asks = (Ask(id=str(number), clip=clip, form=form) for number, clip in enumerate(clips))
    for clip, reply in zip(clips, system.answer(asks), strict=True):
        yield reply.report if reply.error is None else ClipError(clip.name, reply.error.code, reply.error.message)
