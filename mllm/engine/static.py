"""Static batches: for models whose cache is more than keys and values of all positions (sliding windows, states).

A batch of requests is padded on the left and runs until its longest answer is complete; the library's own cache does
the rest. When a batch fails, each half is built again from what was written so far, down to the request at fault.
"""

import copy
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from inspect import signature

import torch
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedTokenizerBase

from cuewise.mllm.engine.base import EngineRequest, EngineStats, TokenEvent
from cuewise.mllm.engine.detokenize import Detokenizer
from cuewise.mllm.engine.grammar import Grammars
from cuewise.mllm.engine.kinds import kinds_of, told, wants_kinds
from cuewise.mllm.engine.reading import FAULTS
from cuewise.mllm.engine.sample import Sample, end_all
from cuewise.mllm.engine.scheduler import Intake, Queued, Ticket, Watch, check_request
from cuewise.mllm.engine.sequential import prompt_rows
from cuewise.mllm.engine.verbatim import matcher_of


@dataclass(slots=True, eq=False)
class _Line:
    """One answer of a batch: the embedding rows [n, d] of its prompt, and the tokens written so far."""

    sample: Sample
    prompt: Tensor
    ids: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _Batch:
    lines: list[_Line]
    cache: DynamicCache
    mask: Tensor
    logits: Tensor
    kinds: Tensor | None = None
    """[B, L] of the prompts, padded on the left; None where the decoder does not ask."""


class StaticEngine(Queued):
    """Runs any Hugging Face causal language model on padded batches of up to `slots` answers.

    Args as for `SequentialEngine`.
    """

    def __init__(
        self, decoder: nn.Module, tokenizer: PreTrainedTokenizerBase, end_ids: Iterable[int], max_length: int = 4096, *,
        slots: int = 16, max_waiting: int = 1024, stall_s: float = 30.0,
    ):  # fmt: skip
        self.decoder, self.tokenizer, self.slots = decoder, tokenizer, slots
        self.end_ids, self.max_length = frozenset(end_ids), max_length
        self.embed = decoder.get_input_embeddings()
        self.vocabulary, self.width = self.embed.weight.shape
        self.grammars = Grammars(tokenizer, self.vocabulary, self.end_ids)
        self._intake, self._watch = Intake(max_waiting), Watch(stall_s)
        self._to_build: deque[list[_Line]] = deque()
        self._batch: _Batch | None = None
        self._stats = EngineStats()
        self._takes_positions = "position_ids" in signature(decoder.forward).parameters

    def submit(self, request: EngineRequest) -> None:
        length = check_request(request, self.vocabulary, self.width, self.max_length)
        if request.grammar is not None:
            self.grammars.matcher(request.grammar)
        self._enqueue(request, length)

    @torch.inference_mode()
    def step(self) -> list[TokenEvent]:
        while True:
            began, events = time.perf_counter(), self._over()
            if self._batch is not None:
                events += self._advance(self._batch)
            elif self._to_build or len(self._intake):
                events += self._build()
            self._watch.step_took(time.perf_counter() - began)
            if events or not (self._batch or self._to_build or len(self._intake)):
                return events

    def stats(self) -> EngineStats:
        stats = copy.copy(self._stats)
        stats.waiting, stats.refused = len(self._intake), self._intake.refused
        stats.running = sum(not line.sample.ended for line in self._lines())
        stats.longest_step_s = self._watch.longest_s
        return stats

    def close(self) -> None:
        self._intake.clear()
        self._to_build.clear()
        self._batch = None

    def _lines(self) -> list[_Line]:
        return [*(self._batch.lines if self._batch else []), *(line for lines in self._to_build for line in lines)]

    def _over(self) -> list[TokenEvent]:
        """Last events of requests that were cancelled or came too late."""
        now, events = time.monotonic(), []
        for ticket in self._intake.sweep(now):
            events += end_all(ticket, ticket.over(now))
            self._close(ticket)
        for line in self._lines():
            if not line.sample.ended and (reason := line.sample.ticket.over(now)):
                events.append(self._end(line, reason))
        return events

    def _end(self, line: _Line, reason: str, error: str | None = None) -> TokenEvent:
        event = line.sample.end(reason, error=error)
        self._close(line.sample.ticket)
        return event

    def _close(self, ticket: Ticket) -> None:
        if ticket.left == 0 and self._intake.done(ticket):
            self._stats.finished += 1
            self._stats.failed += ticket.failed

    def _build(self) -> list[TokenEvent]:
        """Read the prompts of the next batch, and what was written of them before."""
        began, events = time.perf_counter(), []
        if not self._to_build:
            events += self._gather()
        lines = [line for line in self._to_build.popleft() if not line.sample.ended] if self._to_build else []
        if not lines:
            return events
        try:
            rows = [torch.cat([line.prompt, self.embed(self._ids(line.ids))]) for line in lines]
            longest = max(map(len, rows))
            mask = torch.stack([self._ids([0] * (longest - len(r)) + [1] * len(r)) for r in rows])
            padded = torch.stack([nn.functional.pad(r, (0, 0, longest - len(r), 0)) for r in rows])
            cache = DynamicCache(config=self.decoder.config.get_text_config(decoder=True))
            kinds = self._kinds(lines, longest)
            self._batch = _Batch(lines, cache, mask, self._forward(padded, mask, cache, kinds), kinds)
        except FAULTS as error:
            return events + self._split(lines, error)
        for line in lines:
            line.sample.ticket.first = line.sample.ticket.first or time.monotonic()
        self._stats.prefill_s += time.perf_counter() - began
        return events

    def _gather(self) -> list[TokenEvent]:
        """Make the next waiting requests one batch."""
        lines, events = [], []
        while len(lines) < self.slots and (ticket := self._intake.take()) is not None:
            ticket.began = time.monotonic()
            try:
                prompt = prompt_rows(self.embed, ticket.request)
                lines += [_Line(self._sample(ticket, number), prompt) for number in range(ticket.request.n)]
            except FAULTS as error:
                events += end_all(ticket, "error", str(error))
                self._close(ticket)
            self._stats.prompt_tokens += ticket.length
        self._to_build += [lines[i : i + self.slots] for i in range(0, len(lines), self.slots)]
        return events

    def _sample(self, ticket: Ticket, number: int) -> Sample:
        request = ticket.request
        matcher = matcher_of(request, self.grammars)
        text = Detokenizer(self.tokenizer, request.sampling.stop)
        return Sample(ticket, number, text, self.end_ids, self.max_length, matcher)

    def _advance(self, batch: _Batch) -> list[TokenEvent]:
        """One token for every line that has not ended; ended lines run along."""
        began, events = time.perf_counter(), []
        for index, line in enumerate(batch.lines):
            if line.sample.ended:
                continue
            try:
                event = line.sample.take(*line.sample.choose(batch.logits[index]))
            except FAULTS as error:
                event = line.sample.end("error", error=str(error))
            line.ids += [] if event.token_id is None else [event.token_id]
            self._stats.generated_tokens += event.token_id is not None
            self._close(line.sample.ticket)
            events.append(event)
        if all(line.sample.ended for line in batch.lines):
            self._batch = None
        else:
            try:
                last = self._ids([line.ids[-1] if line.ids else 0 for line in batch.lines])
                batch.mask = nn.functional.pad(batch.mask, (0, 1), value=1)
                batch.logits = self._forward(self.embed(last)[:, None], batch.mask, batch.cache, batch.kinds)
            except FAULTS as error:
                self._batch = None
                events += self._split([line for line in batch.lines if not line.sample.ended], error)
        self._stats.steps += 1
        self._stats.decode_s += time.perf_counter() - began
        return events

    def _split(self, lines: list[_Line], error: Exception) -> list[TokenEvent]:
        """Both halves of a batch that failed are to be built anew; a single line ends."""
        if len(lines) == 1:
            return [self._end(lines[0], "error", str(error))]
        self._to_build.extendleft([lines[len(lines) // 2 :], lines[: len(lines) // 2]])
        return []

    def _kinds(self, lines: list[_Line], longest: int) -> Tensor | None:
        """What the rows of a batch are: of each line its prompt, behind the padding and before what was written."""
        if not wants_kinds(self.decoder):
            return None
        requests, table = [line.sample.ticket.request for line in lines], []
        for line, request in zip(lines, requests):
            own = kinds_of([request], len(line.prompt) + len(line.ids), self.embed.weight.device)
            table.append(nn.functional.pad(own, (longest - own.shape[1], 0)))
        return torch.cat(table)

    def _forward(self, rows: Tensor, mask: Tensor, cache: DynamicCache, kinds: Tensor | None) -> Tensor:
        """Logits [B, vocabulary] behind embedding rows [B, L, d]; the mask [B, seen] tells padding."""
        extra = {}
        if self._takes_positions:
            extra["position_ids"] = (mask.cumsum(-1) - 1).clamp(min=0)[:, -rows.shape[1] :]
        with told(self.decoder, kinds):
            output = self.decoder(inputs_embeds=rows, attention_mask=mask, past_key_values=cache, use_cache=True,
                                  logits_to_keep=1, **extra)  # fmt: skip
        return output.logits[:, -1]

    def _ids(self, ids: list[int]) -> Tensor:
        return torch.tensor(ids, dtype=torch.long, device=self.embed.weight.device)
