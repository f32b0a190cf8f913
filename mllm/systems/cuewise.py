"""Our own models as a `System`: the pipeline behind asks and replies."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from cuewise.mllm.adapters.store import adapter_folder
from cuewise.mllm.clip import Clip
from cuewise.mllm.folders import model_folder
from cuewise.mllm.pipeline import BATCH_SIZE, AnalyzeError, Analyzer, ClipError
from cuewise.mllm.question import Answer, Question
from cuewise.mllm.systems.base import Ask, Reply, ReplyError, SystemLoadError
from cuewise.mllm.systems.facts import model_facts, weights_hash


class CuewiseSystem:
    """A model of ours. `analyzer` may be shared; closing the system closes it."""

    def __init__(self, analyzer: Analyzer, folder: Path | None = None, adapter: Path | None = None):
        self.analyzer, self.name, self.folder, self.adapter = analyzer, analyzer.name, folder, adapter
        self.realloc: dict[str, Any] | None = None
        """Options under which attention is moved, for `describe`."""

        self.own_hints = False
        """Whether each prompt begins with what the model's own heads say."""

    @classmethod
    def load(cls, spec: str | Path, **options: Any) -> "CuewiseSystem":
        """A shipped model or a folder; `options` go to `Analyzer.load`. Raises SystemLoadError."""
        try:
            analyzer = Analyzer.load(spec, **options)
        except AnalyzeError as error:
            raise SystemLoadError(str(error)) from error
        name = options.get("adapter")
        system = cls(analyzer, model_folder(spec), None if name is None else adapter_folder(name))
        system.realloc = options.get("realloc")
        return system

    def describe(self) -> dict[str, Any]:
        adapter = {} if self.adapter is None else {"adapter_sha256": weights_hash(self.adapter)}
        hints = {"hints": "own"} if self.own_hints else {}
        hints |= {"realloc": self.realloc} if self.realloc else {}
        return {"kind": "cuewise", "model": self.name, **model_facts(self.analyzer.model, self.folder), **adapter,
                **hints, "engine": type(self.analyzer.engine).__name__}  # fmt: skip

    def answer(self, asks: Iterable[Ask]) -> Iterator[Reply]:
        """Replies in order. An ask without a clip is about the words of its prompt."""
        waiting = iter(asks)
        while some := list(islice(waiting, BATCH_SIZE)):
            yield from self._answer_together(some)

    def _answer_together(self, asks: list[Ask]) -> list[Reply]:
        """Replies to a batch; where a question cannot be asked, each alone, so that it spoils no other."""
        try:
            questions = (replace(question_of(ask), own_hints=self.own_hints) for ask in asks)
            answers = list(self.analyzer.answer_many(zip(map(clip_of, asks), questions)))
        except ValueError as error:
            if len(asks) == 1:
                return [failed(asks[0], "bad_question", f"the question cannot be asked: {error}")]
            return [reply for ask in asks for reply in self._answer_together([ask])]
        return [reply_of(ask, answer) for ask, answer in zip(asks, answers, strict=True)]

    def close(self) -> None:
        self.analyzer.close()


def reply_of(ask: Ask, answer: Answer | ClipError) -> Reply:
    """An answer of the pipeline as a reply."""
    if isinstance(answer, ClipError):
        return failed(ask, answer.code, answer.message)
    if answer.finish_reason == "error":
        return failed(ask, "generation_failed", "the engine gave up on this answer")
    return Reply(id=ask.id, text=answer.report.text, prompt=answer.prompt, report=answer.report, usage=answer.usage,
                 timing_ms=answer.report.timing_ms, finish_reason=answer.finish_reason)  # fmt: skip


def failed(ask: Ask, code: str, message: str) -> Reply:
    """No answer, and why."""
    return Reply(id=ask.id, prompt=ask.prompt or "", error=ReplyError(code, " ".join(message.split())))


def clip_of(ask: Ask) -> Clip:
    """The clip of an ask, or its words as one."""
    return ask.clip if ask.clip is not None else Clip(transcript=ask.prompt, id=ask.id)


def question_of(ask: Ask) -> Question:
    """An ask in the words of the pipeline."""
    return Question(
        form=ask.form, text=None if ask.clip is None else ask.prompt, candidates=ask.candidates,
        statement=ask.statement, hints=ask.hints, addition=ask.addition, max_tokens=ask.max_tokens,
        temperature=ask.temperature, seed=ask.seed,
    )  # fmt: skip
