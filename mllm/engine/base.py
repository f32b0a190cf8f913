"""The engine contract: the only way text is generated.

A request is a prompt in segments (token ids or embedding rows) and sampling options; an engine answers with a stream
of `TokenEvent`. Engines never see media. Every engine passes the same contract tests (tests/mllm/engine).

Shapes: n rows, d width of the language model.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from torch import Tensor

from cuewise.mllm.engine.grammar import Grammar

Segment = list[int] | Tensor
FinishReason = Literal["stop", "length", "cancelled", "deadline", "error"]


@dataclass(kw_only=True, slots=True, frozen=True)
class SamplingParams:
    temperature: float = 0.0
    """0 takes the most likely token; otherwise logits are divided by it and a token is drawn."""

    top_p: float = 1.0
    """Keep the smallest set of tokens whose probability reaches this share."""

    top_k: int = 0
    """Keep only the k most likely tokens; 0 keeps all."""

    max_tokens: int = 256
    """Hard stop; such an answer ends with finish reason ``length``."""

    stop: tuple[str, ...] = ()
    """Texts that end the answer; they are not part of it."""

    seed: int = 0
    """Seed of this request's own generator: neither batch nor order changes an answer."""

    logprobs: bool = False
    """Whether events carry the log-probability of their token."""

    presence_penalty: float = 0.0
    """Taken from the logit of every token the answer already holds, in [-2, 2]."""

    frequency_penalty: float = 0.0
    """Taken from a token's logit once for each time the answer holds it, in [-2, 2]."""

    def __post_init__(self) -> None:
        if self.temperature < 0:
            raise ValueError(f"sampling.temperature must be >= 0, got {self.temperature}; 0 is greedy")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"sampling.top_p must lie in (0, 1], got {self.top_p}")
        if self.top_k < 0:
            raise ValueError(f"sampling.top_k must be >= 0, got {self.top_k}; 0 keeps all tokens")
        if self.max_tokens < 1:
            raise ValueError(f"sampling.max_tokens must be >= 1, got {self.max_tokens}")
        if any(not text for text in self.stop):
            raise ValueError("sampling.stop holds an empty text, which would stop every answer at once")
        for name in ("presence_penalty", "frequency_penalty"):
            if not -2 <= getattr(self, name) <= 2:
                raise ValueError(f"sampling.{name} must lie in [-2, 2], got {getattr(self, name)}")


@dataclass(kw_only=True, slots=True)
class EngineRequest:
    id: str
    """Unique among the requests in flight."""

    segments: list[Segment]
    """The prompt: token ids and embedding rows [n, d], in order."""

    kinds: list[int] | None = None
    """What each position of the prompt is, for decoders that ask (`cuewise.mllm.engine.kinds`); None: all text."""

    sampling: SamplingParams = field(default_factory=SamplingParams)
    n: int = 1
    """Samples that share this prompt; sample i draws with seed + i."""

    deadline_s: float | None = None
    """Seconds from submission after which the request ends with finish reason ``deadline``."""

    grammar: Grammar | dict[str, Any] | str | None = None
    """What the answer must look like: a JSON schema, or a `Grammar`. None leaves the model free."""

    quotes: str | None = None
    """What was said: the answer quotes it word by word (`cuewise.mllm.engine.verbatim`). Engines of others cannot hold
    a model to it and leave quotations free."""

    prefix_key: str = ""
    """Cached prompts are shared only between requests with the same key. What is shared is found by content."""

    priority: int = 0
    """Waiting requests of a higher priority start first."""

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"request {self.id!r}: n must be >= 1, got {self.n}")


@dataclass(slots=True, frozen=True)
class Timing:
    """Where the time of a request went; the three parts follow each other without a gap. Seconds, wall clock."""

    queue_s: float = 0.0
    """Submission until its prompt is first worked on."""

    prefill_s: float = 0.0
    """Until the first token can be chosen."""

    generate_s: float = 0.0
    """Until this sample ended."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    """Prompt tokens whose keys and values came from the prompt cache."""


@dataclass(slots=True, frozen=True)
class TokenEvent:
    """One generated token, or the end of one sample.

    `text` is what can be shown now: text that may still become part of a stop text or of an unfinished character is
    held back until it is decided. The texts of a sample's events joined are its whole answer.
    """

    request_id: str
    sample: int
    token_id: int | None
    text: str
    logprob: float | None = None
    finish_reason: FinishReason | None = None
    error: str | None = None
    timing: Timing | None = None
    """On the last event of a sample."""


@dataclass(slots=True)
class EngineStats:
    """Counters since the start; `waiting`, `running` and the cache sizes are of now."""

    waiting: int = 0
    """Requests not yet worked on."""

    running: int = 0
    """Samples (slot engine: with a slot) being written or prefilled."""

    finished: int = 0
    """Requests ended, for whatever reason."""

    failed: int = 0
    """Requests ended by an error of their own."""

    refused: int = 0
    """Requests refused because the queue was full."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    generated_tokens: int = 0
    prefill_s: float = 0.0
    decode_s: float = 0.0
    steps: int = 0
    """Decode steps; `generated_tokens` / `steps` is the mean batch."""

    longest_step_s: float = 0.0
    prefix_tokens: int = 0
    """Tokens held by the prompt cache."""

    kv_bytes: int = 0
    """Memory of keys and values."""


class Engine(Protocol):
    """Synchronous core. `generate` is `submit` plus `step` until all given requests are done."""

    def submit(self, request: EngineRequest) -> None:
        """Queue a request. May be called from any thread.

        Raises ValueError for a request the model cannot take, QueueFull when too many wait.
        """

    def step(self) -> list[TokenEvent]:
        """Do one unit of work; an empty list when nothing is left to do."""

    def generate(self, requests: Iterable[EngineRequest]) -> Iterator[TokenEvent]:
        """Run requests to the end, yielding events as they come."""

    def cancel(self, request_id: str) -> bool:
        """End a request at the next step; False when it is not in flight. May be called from any thread."""

    def stats(self) -> EngineStats:
        """Counters since the start."""

    def healthy(self) -> bool:
        """False when work is in flight and no step has finished for too long. May be called from any thread."""

    def close(self) -> None:
        """Give up everything in flight and free memory."""


@dataclass(slots=True)
class Completion:
    """All events of one sample joined."""

    request_id: str
    sample: int
    text: str = ""
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish_reason: FinishReason | None = None
    error: str | None = None
    timing: Timing | None = None

    def add(self, event: TokenEvent) -> None:
        self.text += event.text
        if event.token_id is not None:
            self.token_ids.append(event.token_id)
        if event.logprob is not None:
            self.logprobs.append(event.logprob)
        if event.finish_reason is not None:
            self.finish_reason, self.error, self.timing = event.finish_reason, event.error, event.timing


def collect(events: Iterable[TokenEvent]) -> dict[tuple[str, int], Completion]:
    """Join events by (request id, sample)."""
    done: dict[tuple[str, int], Completion] = {}
    for event in events:
        key = (event.request_id, event.sample)
        done.setdefault(key, Completion(*key)).add(event)
    return done
