"""The steps between decoded media and a report, each usable alone: measure, encode, ask, conclude.

`Analyzer` runs them one after the other; a server runs them in different threads and batches of different sizes. Both
get the same report, because every step is here once.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch

from cuewise.mllm.adapters.spans import span_ids
from cuewise.mllm.assemble import Answered, build_report
from cuewise.mllm.clip import Clip
from cuewise.mllm.engine.base import Completion, EngineRequest, SamplingParams, TokenEvent
from cuewise.mllm.evidence.check import check_cues
from cuewise.mllm.evidence.measure import measure
from cuewise.mllm.evidence.types import Measurements
from cuewise.mllm.hints import HintConfig, cue_words, hint_block
from cuewise.mllm.json_answer import grammar_of, read_answer, render_json, report_schema
from cuewise.mllm.media.types import Media
from cuewise.mllm.media_tokens import MediaTokens
from cuewise.mllm.modeling import CuewiseForConditionalGeneration
from cuewise.mllm.processing import CuewiseProcessor
from cuewise.mllm.prompts import Prompt, build, spoken, text_of
from cuewise.mllm.question import Answer, Question
from cuewise.mllm.report import CHANNELS, ChannelReading, EmotionReport
from cuewise.mllm.tensors import ClipTensors
from cuewise.mllm.tokenizer import TAG_TOKENS

STAGES = ("queue", "decode", "measure", "encode", "prefill", "generate")
"""Parts of `timing_ms`; they add up to its `total`. `queue` is the time in which nothing was done for the clip. `hints`
stands beside them where a question asks for hints."""

LEFT_OUT = "left out by the caller"


@dataclass(slots=True)
class Work:
    """One clip on its way; `spent_ms` collects the time of each stage, `taken` is when its turn began."""

    clip: Clip
    question: Question
    media: Media
    taken: float
    measurements: Measurements | None = None
    tensors: ClipTensors | None = None
    tokens: MediaTokens | None = None
    prompt: Prompt | None = None
    prompt_tokens: int = 0
    spent_ms: dict[str, float] = field(default_factory=dict)

    def again(self, question: Question, taken: float) -> "Work":
        """The same clip with another question, without the cost of what was done before."""
        return Work(self.clip, question, self.media, taken, self.measurements, self.tensors, self.tokens)

    def settle(self) -> None:
        """Let go of the file, pictures, sound and tensors of a clip that is encoded; the report needs none of them."""
        with timed(self, "measure"):
            self.measurements.settle()
            self.media, self.tensors = self.media.outline(), self.tensors.outline()
            self.clip = Clip(data=b"", id=self.clip.name)


class Written:
    """The answer to one request as it is written, behind the opening that was given to the model."""

    def __init__(self, key: str, opening: str):
        self.opening, self.completion = opening, Completion(key, 0)

    def add(self, event: TokenEvent) -> None:
        """Take the next event of the request."""
        self.completion.add(event)

    @property
    def text(self) -> str:
        """The whole answer so far, the opening that was given to the model included."""
        return self.opening + self.completion.text


class Stages:
    """Model and processor with the steps that use them. Holds no state of any clip; safe from several threads."""

    def __init__(
        self, model: CuewiseForConditionalGeneration, processor: CuewiseProcessor, *, name: str,
        speech_to_text: str | None = None,
    ):  # fmt: skip
        self.model, self.processor, self.name = model.eval(), processor, name
        self.speech_to_text = speech_to_text
        self.hint_config = HintConfig()
        self.max_length = getattr(model.config.text_config, "max_position_embeddings", 4096)
        self.end_ids = [model.config.tokens["end"]]
        self.knows_tags = set(TAG_TOKENS) <= processor.tokenizer.get_vocab().keys()

    def measure(self, clip: Clip, question: Question, media: Media, taken: float) -> Work:
        """Words, measurements and tensors of decoded media."""
        work = Work(clip, question, without(media, question.channels), taken)
        work.spent_ms["decode"] = media.timing_ms.get("decode", 0.0)
        with timed(work, "measure"):
            self._transcribe(work.media)
            work.measurements = measure(work.media)
            if question.channels is not None and "scene" not in question.channels:
                work.measurements.scene = None
        with timed(work, "encode"):
            work.tensors = self.processor.tensors(work.media)
            if question.channels is not None:
                kept = {name: given for name, given in work.tensors.streams.items()
                        if name in question.channels or name not in CHANNELS}
                work.tensors = ClipTensors(kept)
        return work

    @torch.inference_mode()
    def encode(self, works: Sequence[Work]) -> None:
        """Media tokens of all works, in one batch."""
        present = [work for work in works if work.tensors.streams]
        if not present:
            return
        began = time.perf_counter()
        encoded = self.model.encode(self.processor.collate([work.tensors for work in present], self.model.device))
        share = (time.perf_counter() - began) * 1000 / len(present)
        for work, tokens in zip(present, encoded):
            work.tokens = tokens
            work.spent_ms["encode"] = work.spent_ms.get("encode", 0.0) + share

    @torch.inference_mode()
    def request(self, work: Work, key: str, deadline_s: float | None = None) -> EngineRequest:
        """The prompt of one work for the engine. Raises ValueError when it cannot fit."""
        if work.question.own_hints and work.question.hints is None:
            with timed(work, "hints"):
                work.question = replace(work.question, hints=self.hints(work))
        if work.question.json_object and self.model.config.writes_json:
            schema = report_schema(work.question.form == "explained", self._channels(work))
            work.question = replace(work.question, schema=schema)
        question = work.question
        with timed(work, "prefill"):
            work.prompt = prompt_of(work.media, work.tensors, question)
            ids = self.ids(work.prompt, work.tensors, question.limit)
            rows = self.model.prompt_rows(torch.tensor(ids, device=self.model.device), work.tokens)
            opening = self.processor.text_ids(question.opening)
            sampling = SamplingParams(
                max_tokens=question.limit, temperature=question.temperature, top_p=question.top_p, stop=question.stop,
                seed=question.seed, presence_penalty=question.presence_penalty,
                frequency_penalty=question.frequency_penalty, logprobs=True,
            )  # fmt: skip
            work.prompt_tokens = len(ids) + len(opening)
            kinds = self.kinds(ids, len(opening))
            grammar = grammar_of(question, work.media.duration_s or None, self._channels(work), self.knows_tags)
            said = spoken(work.media.transcript, work.media.words) if question.form == "explained" else ""
        return EngineRequest(
            id=key, segments=[rows, opening] if opening else [rows], kinds=kinds, sampling=sampling,
            deadline_s=deadline_s, grammar=grammar, quotes=said or None,
        )  # fmt: skip

    def conclude(self, work: Work, written: Written) -> Answer:
        """Read and check the answer, and put the report together."""
        completion, media = written.completion, work.media
        if completion.timing is not None:
            work.spent_ms["prefill"] = work.spent_ms.get("prefill", 0.0) + completion.timing.prefill_s * 1000
            work.spent_ms["generate"] = completion.timing.generate_s * 1000
        completion.text = written.text
        with timed(work, "measure"):
            answer = read_answer(completion.text, work.question, media.duration_s or None)
            cues = check_cues(answer.cues, work.measurements)
        distribution, channels, va = self._readings(work.tokens)
        counts = {} if work.tokens is None else work.tokens.counts
        report = build_report(
            Answered(
                name=work.clip.name, model=self.name, media=media, measurements=work.measurements, answer=answer,
                completion=completion, pieces=[self.processor.tokenizer.decode([i]) for i in completion.token_ids],
                cues=cues, distribution=distribution, channels=channels, va=va, tokens=counts,
                candidates=work.question.candidates, untrained=self._untrained(work.question),
            ),
            self.model.config.calibration_config.abstain_below,
        )  # fmt: skip
        if work.question.turned:
            report.text = render_json(report)
        set_timing(report, work)
        usage = {"prompt_tokens": work.prompt_tokens, "completion_tokens": len(completion.token_ids),
                 "media_tokens": sum(counts.values()),
                 "cached_tokens": 0 if completion.timing is None else completion.timing.cached_tokens}  # fmt: skip
        return Answer(report=report, prompt=text_of(work.prompt), usage=usage, media_tokens=counts,
                      finish_reason=completion.finish_reason or "error")  # fmt: skip

    def hints(self, work: Work) -> str | None:
        """What the heads and the measurements of one work say; None for a clip that no head reads."""
        shares, _, _ = self._readings(work.tokens)
        return hint_block(shares, cue_words(work.measurements, self.hint_config), self.hint_config)

    def ids(self, prompt: Prompt, tensors: ClipTensors, answer_tokens: int) -> list[int]:
        """Token ids of a prompt, placeholders included; context and transcript give way when it is too long."""
        counts = self.processor.plan.num_tokens(tensors.lengths)
        kept = min(answer_tokens, self.max_length // 2)
        return self.processor.prompt_ids(prompt, counts, max_tokens=self.max_length - kept - 8)

    def kinds(self, ids: list[int], more: int) -> list[int] | None:
        """What each prompt position is, with `more` of text behind; None unless the model asks."""
        if not self.model.row_kinds:
            return None
        return [*span_ids(torch.tensor(ids), self.processor.plan.tokens.placeholders).tolist(), *[0] * more]

    def _untrained(self, question: Question) -> str | None:
        """What a question asks that the model does not declare to know."""
        return "judging statements" if question.statement and "statement" not in self.model.config.tasks else None

    def _channels(self, work: Work) -> list[str]:
        """Channels a cue may speak of."""
        said = bool(work.media.transcript or work.media.words)
        return [name for name in CHANNELS if name in work.tensors.streams or (name == "words" and said)]

    def _transcribe(self, media: Media) -> None:
        if self.speech_to_text and media.samples is not None and not media.transcript and not media.words:
            from cuewise.mllm.media.transcribe import transcribe

            media.words = transcribe(media.samples, self.speech_to_text, media.language)
            media.transcript = " ".join(word.text for word in media.words) or None
            if media.transcript:
                media.absent.pop("words", None)
            else:
                media.absent["words"] = "the speech-to-text model heard no words"

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
            if reading.logits is None or name not in CHANNELS:
                continue
            shares = _shares(labels, reading.logits)
            label = max(shares, key=shares.get)
            va = (None, None) if reading.va is None else _bounded(reading.va)
            channels[name] = ChannelReading(
                label=label, score=shares[label], distribution=shares, valence=va[0], arousal=va[1]
            )
        return fused, channels, None if tokens.va is None else _bounded(tokens.va)


def without(media: Media, channels: Sequence[str] | None) -> Media:
    """`media` with nothing but these channels; None keeps all. What is left out says so in `absent`.

    The frames stay when the face is kept, since its track belongs to them; the scene is then left out of the tensors.
    """
    if channels is None:
        return media
    left = [name for name in CHANNELS if name not in channels]
    media = replace(media, absent=media.absent | {name: media.absent.get(name, LEFT_OUT) for name in left})
    if "face" in left:
        media.face = None
    if "scene" in left and media.face is None:
        media.frames = None
    if "voice" in left:
        media.samples = None
    if "words" in left:
        media.transcript, media.words = None, []
    return media


def prompt_of(media: Media, tensors: ClipTensors, question: Question) -> Prompt:
    """The words of one question about one clip."""
    return build(
        tensors.streams, question.form, transcript=media.transcript, words=media.words, context=media.context,
        task="statement" if question.statement else "emotions", duration_s=media.duration_s or None,
        candidates=question.candidates, statement=question.statement, question=question.text,
        hints=question.hints, addition=question.addition,
    )  # fmt: skip


def set_timing(report: EmotionReport, work: Work) -> None:
    """Write the stage times of a work into its report; what no stage accounts for was waiting."""
    total = (time.perf_counter() - work.taken) * 1000
    more = [name for name in work.spent_ms if name not in STAGES]
    spent = {name: work.spent_ms.get(name, 0.0) for name in (*STAGES[1:], *more)}
    timing = {"queue": max(0.0, total - sum(spent.values())), **spent, "total": total}
    report.timing_ms = {name: round(value, 2) for name, value in timing.items()}


@contextmanager
def timed(work: Work, stage: str) -> Iterator[None]:
    """Add the time of a block to a stage of a clip."""
    began = time.perf_counter()
    yield
    work.spent_ms[stage] = work.spent_ms.get(stage, 0.0) + (time.perf_counter() - began) * 1000


def _shares(labels: list[str], logits: torch.Tensor) -> dict[str, float]:
    return {label: round(float(p), 6) for label, p in zip(labels, logits.float().softmax(-1))}


def _bounded(va: torch.Tensor) -> tuple[float, float]:
    return tuple(round(max(-1.0, min(1.0, float(value))), 4) for value in va)
