"""The whole road of a clip as one object: `Clip` in, `EmotionReport` out. Analyze, evaluation and serving all call it.

media (in a worker process) -> measure -> tensors -> encode (batched) -> prompt -> engine -> parse -> check -> report.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import torch

from cuewise.mllm.assemble import Answered, build_report
from cuewise.mllm.clip import Clip
from cuewise.mllm.engine.base import Completion, EngineRequest, SamplingParams
from cuewise.mllm.engine.sequential import SequentialEngine
from cuewise.mllm.evidence.check import check_cues
from cuewise.mllm.evidence.measure import measure
from cuewise.mllm.evidence.types import Measurements
from cuewise.mllm.folders import ModelNotFoundError, model_folder
from cuewise.mllm.media import MediaConfig, MediaError, MediaWorker
from cuewise.mllm.media.types import Media
from cuewise.mllm.media_tokens import MediaTokens
from cuewise.mllm.modeling import CuewiseForConditionalGeneration
from cuewise.mllm.processing import CuewiseProcessor
from cuewise.mllm.prompts import Prompt, build, text_of
from cuewise.mllm.question import Answer, Form, Question
from cuewise.mllm.report import ChannelReading, EmotionReport, parse
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


@dataclass(slots=True)
class _Work:
    """One clip on its way; `spent_ms` collects the time of each stage, `taken` when its turn began."""

    clip: Clip
    question: Question
    media: Media
    taken: float
    measurements: Measurements | None = None
    tensors: ClipTensors | None = None
    tokens: MediaTokens | None = None
    spent_ms: dict[str, float] = field(default_factory=dict)


class Analyzer:
    """Model, processor, engine and media worker, loaded once. Close it, or use it as a context manager."""

    def __init__(
        self, model: CuewiseForConditionalGeneration, processor: CuewiseProcessor, *, name: str,
        media: MediaConfig | None = None, speech_to_text: str | None = None,
    ):  # fmt: skip
        self.model, self.processor, self.name = model.eval(), processor, name
        self.worker = MediaWorker(media or MediaConfig())
        self.speech_to_text = speech_to_text
        self.max_length = getattr(model.config.text_config, "max_position_embeddings", 4096)
        self.engine = SequentialEngine(
            model, processor.tokenizer, end_ids=[model.config.tokens["end"]], max_length=self.max_length
        )

    @classmethod
    def load(
        cls, model: str | Path = "nano", *, media: MediaConfig | None = None, speech_to_text: str | None = None,
        device: str = "cpu",
    ) -> "Analyzer":  # fmt: skip
        """Load a shipped model by name, or a folder written by `save_pretrained`. Raises AnalyzeError."""
        try:
            folder = model_folder(model)
        except ModelNotFoundError as error:
            raise AnalyzeError(str(error)) from error
        try:
            loaded = CuewiseForConditionalGeneration.from_pretrained(folder).to(device)
            processor = CuewiseProcessor.from_pretrained(folder)
        except (OSError, ValueError, RuntimeError) as error:
            raise AnalyzeError(f"model {str(model)!r} cannot be loaded: {error}") from error
        return cls(loaded, processor, name=Path(folder).name, media=media, speech_to_text=speech_to_text)

    def analyze(self, clip: Clip, form: Form = "explained") -> EmotionReport:
        """Report on one clip. Raises MediaError when it cannot be read."""
        media_or_error = next(iter(self.worker.load_many([clip])))
        if isinstance(media_or_error, MediaError):
            raise media_or_error
        began = time.perf_counter() - media_or_error.timing_ms.get("decode", 0.0) / 1000
        answer = next(self._finish([_Work(clip, Question(form=form), media_or_error, began)], None))
        if isinstance(answer, ClipError):
            raise AnalyzeError(answer.message)
        return answer.report

    def analyze_many(
        self, clips: Iterable[Clip], form: Form = "explained", on_text: Callable[[str], None] | None = None
    ) -> Iterator[EmotionReport | ClipError]:
        """Reports in the order of the clips, encoded in batches; a clip that cannot be read gives a `ClipError`.

        `on_text` receives answer text as it is written; clips then go one by one.
        """
        for answer in self.answer_many(((clip, Question(form=form)) for clip in clips), on_text):
            yield answer if isinstance(answer, ClipError) else answer.report

    def answer_many(
        self, asked: Iterable[tuple[Clip, Question]], on_text: Callable[[str], None] | None = None
    ) -> Iterator[Answer | ClipError]:
        """The same with a question of its own for each clip."""
        waiting = iter(asked)
        while batch := list(islice(waiting, 1 if on_text else BATCH_SIZE)):
            began = time.perf_counter()
            loaded = list(zip(batch, self.worker.load_many([clip for clip, _ in batch])))
            works = [_Work(clip, question, media, began) for (clip, question), media in loaded
                     if isinstance(media, Media)]  # fmt: skip
            answers = self._finish(works, on_text)
            for (clip, _), media in loaded:
                yield next(answers) if isinstance(media, Media) else ClipError(clip.name, media.code, str(media))

    def close(self) -> None:
        """End the worker and give up what is in flight."""
        self.engine.close()
        self.worker.close()

    def __enter__(self) -> "Analyzer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _finish(self, works: list[_Work], on_text: Callable[[str], None] | None) -> Iterator[Answer | ClipError]:
        for work in works:
            work.spent_ms["decode"] = work.media.timing_ms.get("decode", 0.0)
            with _timed(work, "measure"):
                self._transcribe(work)
                work.measurements = measure(work.media)
            with _timed(work, "encode"):
                work.tensors = self.processor.tensors(work.media)
        self._encode(works)
        for index, work in enumerate(works):
            try:
                yield self._answer(work, str(index), on_text)
            except ValueError as error:
                yield ClipError(work.clip.name, "bad_question", f"the question cannot be asked: {error}")

    def _transcribe(self, work: _Work) -> None:
        media = work.media
        if self.speech_to_text and media.samples is not None and not media.transcript and not media.words:
            from cuewise.mllm.media.transcribe import transcribe

            media.words = transcribe(media.samples, self.speech_to_text, media.language)
            media.transcript = " ".join(word.text for word in media.words) or None
            if media.transcript:
                media.absent.pop("words", None)
            else:
                media.absent["words"] = "the speech-to-text model heard no words"

    @torch.inference_mode()
    def _encode(self, works: list[_Work]) -> None:
        present = [work for work in works if work.tensors.streams]
        if not present:
            return
        began = time.perf_counter()
        encoded = self.model.encode(self.processor.collate([work.tensors for work in present], self.model.device))
        share = (time.perf_counter() - began) * 1000 / len(present)
        for work, tokens in zip(present, encoded):
            work.tokens = tokens
            work.spent_ms["encode"] += share

    @torch.inference_mode()
    def _answer(self, work: _Work, key: str, on_text: Callable[[str], None] | None) -> Answer:
        media, question = work.media, work.question
        with _timed(work, "prefill"):
            prompt = _prompt(media, work.tensors, question)
            ids = self._ids(prompt, work.tensors, question.limit)
            rows = self.model.prompt_rows(torch.tensor(ids, device=self.model.device), work.tokens)
            opening = self.processor.text_ids(question.opening)
            sampling = SamplingParams(
                max_tokens=question.limit, temperature=question.temperature, seed=question.seed, logprobs=True
            )
        completion = Completion(key, 0)
        if on_text:
            on_text(question.opening)
        before = self.engine.stats()
        for event in self.engine.generate([EngineRequest(id=key, segments=[rows, opening], sampling=sampling)]):
            completion.add(event)
            if on_text and event.text:
                on_text(event.text)
        completion.text = question.opening + completion.text
        after = self.engine.stats()
        work.spent_ms["prefill"] += (after.prefill_s - before.prefill_s) * 1000
        work.spent_ms["generate"] = (after.decode_s - before.decode_s) * 1000
        with _timed(work, "measure"):
            answer = parse(completion.text, media.duration_s or None)
            cues = check_cues(answer.cues, work.measurements)
        total = (time.perf_counter() - work.taken) * 1000
        timing = {name: work.spent_ms[name] for name in ("decode", "measure", "encode", "prefill", "generate")}
        timing = {"queue": max(0.0, total - sum(timing.values())), **timing, "total": total}
        distribution, channels, va = self._readings(work.tokens)
        tokens = {} if work.tokens is None else {name: len(t) for name, t in work.tokens.tokens.items()}
        report = build_report(
            Answered(
                name=work.clip.name, model=self.name, media=media, measurements=work.measurements, answer=answer,
                completion=completion, pieces=[self.processor.tokenizer.decode([i]) for i in completion.token_ids],
                cues=cues, distribution=distribution, channels=channels, va=va,
                tokens=tokens, timing_ms={name: round(value, 2) for name, value in timing.items()},
            ),
            self.model.config.calibration_config.abstain_below,
        )  # fmt: skip
        usage = {"prompt_tokens": len(ids) + len(opening), "completion_tokens": len(completion.token_ids),
                 "media_tokens": sum(tokens.values())}  # fmt: skip
        return Answer(
            report=report, prompt=text_of(prompt), usage=usage, finish_reason=completion.finish_reason or "error"
        )

    def prompt_ids(self, media: Media, tensors: ClipTensors, form: Form) -> list[int]:
        """Token ids of the prompt, placeholders included: the one prompt that training writes too."""
        question = Question(form=form)
        return self._ids(_prompt(media, tensors, question), tensors, question.limit)

    def _ids(self, prompt: Prompt, tensors: ClipTensors, answer_tokens: int) -> list[int]:
        counts = self.processor.plan.num_tokens(tensors.lengths)
        return self.processor.prompt_ids(prompt, counts, max_tokens=self.max_length - answer_tokens - 8)

    def _readings(
        self, tokens: MediaTokens | None
    ) -> tuple[dict[str, float], dict[str, ChannelReading], tuple[float, float] | None]:
        """Fused class distribution, what each channel alone says, and valence/arousal."""
        if tokens is None:
            return {}, {}, None
        labels = self.model.config.labels
        temperature = self.model.config.calibration_config.temperature
        fused = {} if tokens.logits is None else _shares(labels, tokens.logits / temperature)
        channels = {}
        for name, reading in tokens.readings.items():
            if reading.logits is None:
                continue
            shares = _shares(labels, reading.logits)
            label = max(shares, key=shares.get)
            va = (None, None) if reading.va is None else _bounded(reading.va)
            channels[name] = ChannelReading(
                label=label, score=shares[label], distribution=shares, valence=va[0], arousal=va[1]
            )
        return fused, channels, None if tokens.va is None else _bounded(tokens.va)


def _prompt(media: Media, tensors: ClipTensors, question: Question) -> Prompt:
    """The words of one question about one clip."""
    return build(
        tensors.streams, question.form, transcript=media.transcript, words=media.words, context=media.context,
        task="statement" if question.statement else "emotions", duration_s=media.duration_s or None,
        candidates=question.candidates, statement=question.statement, question=question.text,
    )  # fmt: skip


@contextmanager
def _timed(work: _Work, stage: str) -> Iterator[None]:
    """Add the time of a block to a stage of a clip."""
    began = time.perf_counter()
    yield
    work.spent_ms[stage] = work.spent_ms.get(stage, 0.0) + (time.perf_counter() - began) * 1000


def _shares(labels: list[str], logits: torch.Tensor) -> dict[str, float]:
    return {label: round(float(p), 6) for label, p in zip(labels, logits.float().softmax(-1))}


def _bounded(va: torch.Tensor) -> tuple[float, float]:
    return tuple(round(max(-1.0, min(1.0, float(value))), 4) for value in va)
