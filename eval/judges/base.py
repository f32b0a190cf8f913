"""`Judge`: questions about answers in, typed values out, every raw reply kept.

A judge is asked `JudgeAsk`s of named tasks. The task writes the prompt and reads the reply by a strict schema: a reply
that is malformed or out of range is *invalid*, counted and never repaired or clipped. An invalid reply is the judge's
failure and is shown as such; what it does to a score is for the metric to say.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from cuewise.eval.judges.cache import ReplyCache
from cuewise.eval.judges.tasks import InvalidReplyError, JudgeTask, task_named
from cuewise.mllm.clip import Clip


class JudgeError(ValueError):
    """No such judge, or it cannot be loaded; the message says what to change."""


@dataclass(kw_only=True, slots=True, frozen=True)
class JudgeAsk:
    """One question to a judge."""

    id: str
    task: str
    """Name of a task, see `cuewise.eval.judges.tasks`."""

    fields: Mapping[str, Any]
    """What the task needs: texts, labels, steps."""

    clip: Clip | None = None
    """The clip the answer is about, for judges that can look at it."""

    temperature: float = 0.0
    seed: int = 0


@dataclass(kw_only=True, slots=True)
class JudgeReply:
    """What a judge said, and what it means."""

    id: str
    task: str
    value: Any = None
    """As the task reads it; None when the reply is invalid or there is none."""

    problem: str | None = None
    """Why there is no value: ``invalid: …`` or ``error: …``."""

    text: str = ""
    """The raw reply."""

    model: str = ""
    prompt_hash: str = ""
    temperature: float = 0.0
    cached: bool = False

    def record(self) -> dict[str, Any]:
        """Everything about this reply as plain values, for the files of a run."""
        return {
            "id": self.id, "task": self.task, "value": self.value, "problem": self.problem, "reply": self.text,
            "model": self.model, "prompt_hash": self.prompt_hash, "temperature": self.temperature,
        }  # fmt: skip


@dataclass(slots=True)
class Written:
    """A raw reply, or why there is none."""

    text: str = ""
    error: str | None = None


class Writer(Protocol):
    """What writes raw replies: a model, an endpoint or rules."""

    name: str
    identity: str
    """What decides its replies besides the prompt: model name and weights hash, or the version of the rules."""

    looks: bool
    """Whether it is shown clips."""

    def write(self, asks: Sequence[JudgeAsk], prompts: Sequence[str], tasks: Sequence[JudgeTask]) -> list[Written]:
        """One raw reply per ask, in order."""

    def describe(self) -> dict[str, Any]:
        """Kind, model, versions."""

    def close(self) -> None:
        """Free what it holds."""


@dataclass(slots=True)
class Counts:
    """How often each task was asked, and how it went."""

    asked: int = 0
    invalid: int = 0
    errors: int = 0
    cached: int = 0


@dataclass(slots=True)
class Judge:
    """A writer with tasks, schemas, cache and counts around it. Close it when done."""

    writer: Writer
    cache: ReplyCache | None = None
    counts: dict[str, Counts] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.writer.name

    def describe(self) -> dict[str, Any]:
        """What a table of results must name, with the counts so far."""
        tasks = {name: task_named(name).fingerprint for name in self.counts}
        counts = {name: {"asked": c.asked, "invalid": c.invalid, "errors": c.errors} for name, c in self.counts.items()}
        return {**self.writer.describe(), "tasks": tasks, "counts": counts}

    def ask(self, asks: Sequence[JudgeAsk]) -> list[JudgeReply]:
        """Replies in order. Equal questions are asked once; replies found in the cache are not asked for again."""
        tasks = [task_named(ask.task) for ask in asks]
        prompts = [task.prompt(ask.fields) for ask, task in zip(asks, tasks)]
        keys = [self._key(ask, prompt) for ask, prompt in zip(asks, prompts)]
        found = {key: Written(text) for key in dict.fromkeys(keys) if (text := self._cached(key)) is not None}
        cached = set(found)
        first = {key: i for i, key in reversed(list(enumerate(keys))) if key not in found}
        todo = sorted(first.values())
        written = self.writer.write([asks[i] for i in todo], [prompts[i] for i in todo], [tasks[i] for i in todo])
        for i, one in zip(todo, written, strict=True):
            found[keys[i]] = one if one.error else Written(self._keep(keys[i], asks[i], prompts[i], one.text))
        return [
            self._read(ask, task, prompt, found[key], key in cached)
            for ask, task, prompt, key in zip(asks, tasks, prompts, keys)
        ]

    def close(self) -> None:
        self.writer.close()

    def __enter__(self) -> "Judge":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, ask: JudgeAsk, task: JudgeTask, prompt: str, written: Written, cached: bool) -> JudgeReply:
        counts = self.counts.setdefault(ask.task, Counts())
        counts.asked += 1
        counts.cached += cached
        reply = JudgeReply(
            id=ask.id, task=ask.task, text=written.text, model=self.name, prompt_hash=text_hash(prompt),
            temperature=ask.temperature, cached=cached,
        )  # fmt: skip
        if written.error:
            counts.errors += 1
            reply.problem = f"error: {written.error}"
            return reply
        try:
            reply.value = task.read(written.text, ask.fields)
        except InvalidReplyError as error:
            counts.invalid += 1
            reply.problem = f"invalid: {error}"
        return reply

    def _key(self, ask: JudgeAsk, prompt: str) -> str:
        seed = ask.seed if ask.temperature else 0
        clip = clip_hash(ask.clip) if ask.clip is not None and self.writer.looks else None
        return text_hash(json.dumps([self.writer.identity, ask.task, prompt, ask.temperature, seed, clip]))

    def _cached(self, key: str) -> str | None:
        record = self.cache.get(key) if self.cache else None
        return record["reply"] if record else None

    def _keep(self, key: str, ask: JudgeAsk, prompt: str, text: str) -> str:
        """Store a reply; the text that counts is the one stored first, should another process have been faster."""
        if self.cache is None:
            return text
        record = {
            "model": self.name, "identity": self.writer.identity, "task": ask.task, "prompt_hash": text_hash(prompt),
            "temperature": ask.temperature, "seed": ask.seed, "prompt": prompt, "reply": text,
        }  # fmt: skip
        return self.cache.put(key, record)["reply"]


def text_hash(text: str) -> str:
    """SHA-256 of a text, in hex."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def clip_hash(clip: Clip) -> str:
    """Hash of what a clip shows: the bytes of its media, its span and its words."""
    digest = hashlib.sha256()
    for value in (clip.path, clip.audio):
        if value is not None and not isinstance(value, bytes):
            with open(value, "rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        elif value is not None:
            digest.update(value)
    for array in (clip.frames, clip.samples):
        if array is not None:
            digest.update(f"{array.shape}{array.dtype}".encode() + array.tobytes())
    digest.update(clip.data or b"")
    words = [(word.text, word.start, word.end) for word in clip.words]
    rest = [clip.fps, clip.sample_rate, clip.start, clip.end, clip.transcript, words, clip.context, clip.person]
    digest.update(json.dumps(rest).encode())
    return digest.hexdigest()
