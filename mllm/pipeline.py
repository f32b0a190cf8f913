"""The whole road of a clip as one object: `Clip` in, `EmotionReport` out. Analyze, evaluation and serving all call it.

media (in a worker process) -> measure -> tensors -> encode (batched) -> prompt -> engine -> parse -> check -> report.
The steps are in `cuewise.mllm.stages`; here they run over many clips, in order.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from cuewise.mllm.attention import set_attention
from cuewise.mllm.clip import Clip, as_clip
from cuewise.mllm.engine.base import Engine
from cuewise.mllm.engine.build import build_engine
from cuewise.mllm.engine.sequential import SequentialEngine
from cuewise.mllm.folders import ModelNotFoundError, model_folder
from cuewise.mllm.media import MediaConfig, MediaError, MediaWorker
from cuewise.mllm.media.types import Media
from cuewise.mllm.modeling import CuewiseForConditionalGeneration
from cuewise.mllm.processing import CuewiseProcessor
from cuewise.mllm.question import Answer, Form, Question
from cuewise.mllm.report import EmotionReport
from cuewise.mllm.stages import Stages, Work, Written, prompt_of
from cuewise.mllm.tensors import ClipTensors

BATCH_SIZE = 8


class AnalyzeError(Exception):
    """The analysis cannot start; the message says what to change."""


@dataclass(frozen=True, slots=True)
class ClipError:
    """A clip that could not be read. `code` is stable, `message` names file, problem and limit."""

    clip: str
    code: str
    message: str


class Analyzer:
    """Model, processor, engine and media worker, loaded once. Close it, or use it as a context manager."""

    def __init__(
        self, model: CuewiseForConditionalGeneration, processor: CuewiseProcessor, *, name: str,
        media: MediaConfig | None = None, speech_to_text: str | None = None, engine: str = "slot",
    ):  # fmt: skip
        self.stages = Stages(model, processor, name=name, speech_to_text=speech_to_text)
        self.model, self.processor, self.name = self.stages.model, processor, name
        self.worker = MediaWorker(media or MediaConfig())
        self.engine = make_engine(engine, self.stages)

    @classmethod
    def load(
        cls, model: str | Path = "nano", *, media: MediaConfig | None = None, speech_to_text: str | None = None,
        device: str = "cpu", engine: str = "slot", adapter: str | Path | None = None,
        realloc: dict[str, Any] | None = None,
    ) -> "Analyzer":  # fmt: skip
        """Load a shipped model by name, or a folder written by `save_pretrained`. Raises AnalyzeError.

        `adapter` is a folder or the name of a training run; inside `analyzer.model.adapter.off()` it has no effect.
        Clips are read as in the model's training; `media` changes the options that it has other than the default.
        `realloc` moves attention between modalities, with the options of `cuewise.mllm.adapters.attn_realloc`.
        """
        loaded, processor, name = load_model(model, device, adapter, realloc=realloc)
        media = processor.media_config(media)
        return cls(loaded, processor, name=name, media=media, speech_to_text=speech_to_text, engine=engine)

    def analyze(self, clip: Clip | str | Path, form: Form = "explained") -> EmotionReport:
        """Report on one clip, or on the file of that path. Raises MediaError when it cannot be read."""
        clip = as_clip(clip)
        media = next(iter(self.worker.load_many([clip])))
        if isinstance(media, MediaError):
            raise media
        began = time.perf_counter() - media.timing_ms.get("decode", 0.0) / 1000
        work = self.stages.measure(clip, Question(form=form), media, began)
        return next(self._answers([work], None)).report

    def analyze_many(
        self, clips: Iterable[Clip | str | Path], form: Form = "explained",
        on_text: Callable[[str], None] | None = None,
    ) -> Iterator[EmotionReport | ClipError]:  # fmt: skip
        """Reports in the order of the clips, encoded in batches; a clip that cannot be read gives a `ClipError`.

        `on_text` receives answer text as it is written; clips then go one by one.
        """
        for answer in self.answer_many(((as_clip(clip), Question(form=form)) for clip in clips), on_text):
            yield answer if isinstance(answer, ClipError) else answer.report

    def answer_many(
        self, asked: Iterable[tuple[Clip, Question]], on_text: Callable[[str], None] | None = None
    ) -> Iterator[Answer | ClipError]:
        """The same with a question of its own for each clip. Raises ValueError for a question that cannot be asked."""
        waiting = iter(asked)
        while batch := list(islice(waiting, 1 if on_text else BATCH_SIZE)):
            began = time.perf_counter()
            loaded = list(zip(batch, self.worker.load_many([clip for clip, _ in batch])))
            works = [self.stages.measure(clip, question, media, began) for (clip, question), media in loaded
                     if isinstance(media, Media)]  # fmt: skip
            answers = self._answers(works, on_text)
            for (clip, _), media in loaded:
                yield next(answers) if isinstance(media, Media) else ClipError(clip.name, media.code, str(media))

    def hints(self, clips: Sequence[Clip]) -> list[str | None]:
        """What the heads and the measurements say about each clip, for somebody else's prompt; None where they cannot.

        No text is generated.
        """
        began, found = time.perf_counter(), {}
        for place, media in enumerate(self.worker.load_many(list(clips))):
            if isinstance(media, Media):
                found[place] = self.stages.measure(clips[place], Question(), media, began)
        self.stages.encode([*found.values()])
        return [self.stages.hints(found[place]) if place in found else None for place in range(len(clips))]

    def prompt_ids(self, media: Media, tensors: ClipTensors, form: Form) -> list[int]:
        """Token ids of the prompt, placeholders included: the one prompt that training writes too."""
        question = Question(form=form)
        return self.stages.ids(prompt_of(media, tensors, question), tensors, question.limit)

    def close(self) -> None:
        """End the worker and give up what is in flight."""
        self.engine.close()
        self.worker.close()

    def __enter__(self) -> "Analyzer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answers(self, works: list[Work], on_text: Callable[[str], None] | None) -> Iterator[Answer]:
        """Encode the works together and answer them in order, as many at a time as the engine takes."""
        self.stages.encode(works)
        size = 1 if isinstance(self.engine, SequentialEngine) else max(1, len(works))
        for first in range(0, len(works), size):
            yield from self._written(works[first : first + size], on_text)

    def _written(self, works: list[Work], on_text: Callable[[str], None] | None) -> list[Answer]:
        """The answers of works that the engine writes side by side."""
        requests = [self.stages.request(work, str(index)) for index, work in enumerate(works)]
        written = [Written(str(index), work.question.opening) for index, work in enumerate(works)]
        whole = bool(works) and works[0].question.turned  # text that is turned into JSON is shown when it is done
        if on_text and not whole:
            on_text(written[0].opening)
        for event in self.engine.generate(requests):
            written[int(event.request_id)].add(event)
            if on_text and event.text and not whole:
                on_text(event.text)
        answers = [self.stages.conclude(work, one) for work, one in zip(works, written)]
        if on_text and whole:
            on_text(answers[0].report.text)
        return answers


def load_model(
    model: str | Path, device: str = "cpu", adapter: str | Path | None = None, attention: str = "auto",
    realloc: dict[str, Any] | None = None,
) -> tuple[CuewiseForConditionalGeneration, CuewiseProcessor, str]:  # fmt: skip
    """A shipped model by name or one from a folder, its processor and its name. Raises AnalyzeError.

    `attention` names the kernels of the language model (see `cuewise.mllm.attention`).
    """
    try:
        folder = model_folder(model)
    except ModelNotFoundError as error:
        raise AnalyzeError(str(error)) from error
    check_device(device)
    try:
        loaded = CuewiseForConditionalGeneration.from_pretrained(folder).to(device)
        processor = CuewiseProcessor.from_pretrained(folder)
    except (OSError, ValueError, RuntimeError) as error:
        raise AnalyzeError(f"model {str(model)!r} cannot be loaded: {error}") from error
    try:
        set_attention(loaded.language_model, attention)
    except (ValueError, ImportError) as error:
        raise AnalyzeError(str(error)) from error
    name = Path(folder).name
    if adapter is not None:
        from cuewise.mllm.adapters.store import AdapterError, load_for_answers

        try:
            name = f"{name}+{load_for_answers(loaded, adapter)}"
        except AdapterError as error:
            raise AnalyzeError(str(error)) from error
    if realloc is not None:
        from cuewise.mllm.adapters.attn_realloc import install_realloc

        try:
            install_realloc(loaded, realloc)
        except ValueError as error:
            raise AnalyzeError(str(error)) from error
    return loaded, processor, name


def check_device(name: str) -> None:
    """Raise AnalyzeError for a device that does not exist, or is not here."""
    try:
        device = torch.device(name)
    except RuntimeError:
        raise AnalyzeError(f"device {name!r} does not exist; use cpu, cuda or cuda:NUMBER") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        seen = f"{torch.cuda.device_count()} seen" if torch.cuda.is_available() else "none was found"
        raise AnalyzeError(f"device {name!r} needs a GPU that torch can use ({seen}); use --device cpu")


def make_engine(name: str, stages: Stages, **options: Any) -> Engine:
    """The engine called `name` over the model of `stages`. Raises AnalyzeError for a name that is not in `ENGINES`."""
    try:
        return build_engine(
            stages.model, stages.processor.tokenizer, stages.end_ids, stages.max_length, kind=name, **options
        )
    except ValueError as error:
        raise AnalyzeError(str(error)) from error
