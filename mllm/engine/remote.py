"""What the adapters to other engines share: requests are checked here, and answers are read as every engine reads them.

The other engine gives token ids; text, stop texts and the end of an answer come from `Sample`, so that an answer means
the same whoever computed it. Requests are checked before they are sent: a wrong width has been seen to end vLLM.
"""

import copy
import itertools
import time
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from cuewise.mllm.engine.base import EngineRequest, EngineStats, FinishReason, TokenEvent
from cuewise.mllm.engine.detokenize import Detokenizer
from cuewise.mllm.engine.grammar import Grammar, json_grammar
from cuewise.mllm.engine.sample import Sample
from cuewise.mllm.engine.scheduler import Intake, Queued, Ticket, Watch, check_request
from cuewise.mllm.engine.sequential import prompt_rows


class RemoteEngine(Queued):
    """An engine whose model runs elsewhere. A subclass sends (`_send`), takes back (`_drop`) and listens (`_receive`).

    Args:
        embed: the embedding table of the language model, through which token ids become rows.
        dtype: in which the other engine takes rows; None is the table's own.
    """

    kind = "remote"

    def __init__(
        self, embed: nn.Module, tokenizer: PreTrainedTokenizerBase, end_ids: Iterable[int], max_length: int = 4096, *,
        dtype: torch.dtype | None = None, max_waiting: int = 1024, stall_s: float = 120.0,
    ):  # fmt: skip
        self.embed, self.tokenizer = embed, tokenizer
        self.end_ids, self.max_length = frozenset(end_ids), max_length
        self.vocabulary, self.width = embed.weight.shape
        self.dtype = dtype or embed.weight.dtype
        self._intake, self._watch = Intake(max_waiting), Watch(stall_s)
        self._flying: dict[str, Sample] = {}
        self._serial = itertools.count()
        self._stats = EngineStats()

    # What a subclass does

    def _send(self, name: str, rows: Tensor, sample: Sample) -> None:
        raise NotImplementedError

    def _drop(self, name: str) -> None:
        raise NotImplementedError

    def _receive(self) -> list[tuple[str, list[tuple[int, float | None]], FinishReason | None, str | None]]:
        """(name, new tokens with log-probabilities, why it ended, error); waits until there is something."""
        raise NotImplementedError

    # The contract

    def submit(self, request: EngineRequest) -> None:
        length = check_request(request, self.vocabulary, self.width, self.max_length)
        self.schema(request)
        self._enqueue(request, length)

    def step(self) -> list[TokenEvent]:
        began, events = time.perf_counter(), []
        while not events:
            while (ticket := self._intake.take()) is not None:
                events += self._launch(ticket)
            now = time.monotonic()
            for name, sample in list(self._flying.items()):
                if reason := sample.ticket.over(now):
                    self._drop(name)
                    events.append(self._end(name, reason))
            if not self._flying:
                break
            if not events:
                for name, tokens, reason, error in self._receive():
                    events += self._read(name, tokens, reason, error)
                self._watch.beat()
        self._watch.step_took(time.perf_counter() - began)
        return events

    def stats(self) -> EngineStats:
        stats = copy.copy(self._stats)
        stats.waiting, stats.refused, stats.running = len(self._intake), self._intake.refused, len(self._flying)
        stats.longest_step_s = self._watch.longest_s
        return stats

    def close(self) -> None:
        for name in list(self._flying):
            self._drop(name)
        self._flying.clear()
        self._intake.clear()

    # Shared with subclasses

    def schema(self, request: EngineRequest) -> dict[str, Any] | str | None:
        """The JSON schema of a request. Raises ValueError for a grammar that only our own engines follow."""
        if request.grammar is None:
            return None
        if isinstance(request.grammar, Grammar):
            raise ValueError(f"request {request.id!r}: {self.kind} follows JSON schemas only; use the slot engine for "
                             "other grammars")  # fmt: skip
        json_grammar(request.grammar)
        return request.grammar

    def _launch(self, ticket: Ticket) -> list[TokenEvent]:
        ticket.began, request = time.monotonic(), ticket.request
        with torch.inference_mode():
            rows = prompt_rows(self.embed, request).to(self.dtype).cpu()
        self._stats.prompt_tokens += ticket.length
        events = []
        for number in range(request.n):
            name = f"{request.id}#{number}#{next(self._serial)}"
            text = Detokenizer(self.tokenizer, request.sampling.stop)
            self._flying[name] = Sample(ticket, number, text, self.end_ids, self.max_length)
            try:
                self._send(name, rows, self._flying[name])
            except (OSError, RuntimeError, ValueError) as error:
                events.append(self._end(name, "error", str(error)))
        return events

    def _read(
        self, name: str, tokens: list[tuple[int, float | None]], reason: FinishReason | None, error: str | None
    ) -> list[TokenEvent]:
        sample, events = self._flying.get(name), []
        if sample is None:
            return []
        sample.ticket.first = sample.ticket.first or time.monotonic()
        for token, logprob in tokens:
            if not 0 <= token < self.vocabulary:
                self._drop(name)
                return [*events, self._end(name, "error", f"{self.kind} gave token {token}, which the model has not")]
            events.append(sample.take(token, logprob if sample.ticket.request.sampling.logprobs else None))
            self._stats.generated_tokens += events[-1].token_id is not None
            if sample.ended:
                if reason is None:
                    self._drop(name)
                self._forget(name)
                return events
        if reason is not None:
            events.append(self._end(name, reason, error))
        return events

    def _end(self, name: str, reason: FinishReason, error: str | None = None) -> TokenEvent:
        event = self._flying[name].end(reason, error=error)
        self._forget(name)
        return event

    def _forget(self, name: str) -> None:
        ticket = self._flying.pop(name).ticket
        if ticket.left == 0 and self._intake.done(ticket):
            self._stats.finished += 1
            self._stats.failed += ticket.failed
