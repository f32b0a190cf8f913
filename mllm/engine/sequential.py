"""The plain engine: one request after the other, one prefill per request, one token per step.

It is the reference the faster engines are tested against.
"""

import copy
import time
from collections import deque
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedTokenizerBase

from cuewise.mllm.engine.base import EngineRequest, EngineStats, TokenEvent
from cuewise.mllm.engine.detokenize import Detokenizer
from cuewise.mllm.engine.grammar import Grammars
from cuewise.mllm.engine.kinds import telling
from cuewise.mllm.engine.sample import Sample, end_all
from cuewise.mllm.engine.scheduler import Intake, Queued, Ticket, Watch, check_request
from cuewise.mllm.engine.verbatim import matcher_of


def prompt_rows(embed: nn.Module, request: EngineRequest) -> Tensor:
    """The segments of a prompt as embedding rows [n, d]."""
    weight = embed.weight
    return torch.cat([
        segment.to(weight) if isinstance(segment, Tensor)
        else embed(torch.tensor(segment, dtype=torch.long, device=weight.device))
        for segment in request.segments if len(segment)
    ])  # fmt: skip


class SequentialEngine(Queued):
    """Runs a Hugging Face causal language model on embedding rows, sample by sample.

    Args:
        decoder: a causal language model that takes `inputs_embeds`, `past_key_values` and gives `logits`.
        tokenizer: for text, stop texts and grammars.
        end_ids: token ids that end an answer; they are not part of its text.
        max_length: prompt and answer together, in tokens.
        max_waiting: requests that may wait; one more raises `QueueFull`.
        stall_s: seconds without a finished step after which `healthy` is False while work is in flight.
    """

    def __init__(
        self, decoder: nn.Module, tokenizer: PreTrainedTokenizerBase, end_ids: Iterable[int], max_length: int = 4096, *,
        max_waiting: int = 1024, stall_s: float = 30.0,
    ):  # fmt: skip
        self.decoder, self.tokenizer = decoder, tokenizer
        self.end_ids, self.max_length = frozenset(end_ids), max_length
        self.vocabulary, self.width = decoder.get_input_embeddings().weight.shape
        self.grammars = Grammars(tokenizer, self.vocabulary, self.end_ids)
        self._intake, self._watch = Intake(max_waiting), Watch(stall_s)
        self._current: deque[tuple[Sample, DynamicCache, Tensor]] = deque()
        self._stats = EngineStats()

    def submit(self, request: EngineRequest) -> None:
        length = check_request(request, self.vocabulary, self.width, self.max_length)
        if request.grammar is not None:
            self.grammars.matcher(request.grammar)
        self._enqueue(request, length)

    @torch.inference_mode()
    def step(self) -> list[TokenEvent]:
        began = time.perf_counter()
        events = self._over() or self._work()
        self._watch.step_took(time.perf_counter() - began)
        return events

    def stats(self) -> EngineStats:
        self._stats.waiting, self._stats.refused = len(self._intake), self._intake.refused
        self._stats.running = int(bool(self._current))
        self._stats.longest_step_s = self._watch.longest_s
        return copy.copy(self._stats)

    def close(self) -> None:
        self._intake.clear()
        self._current.clear()

    def _over(self) -> list[TokenEvent]:
        """Ends of requests that were cancelled or came too late."""
        now, events = time.monotonic(), []
        for ticket in self._intake.sweep(now):
            events += end_all(ticket, ticket.over(now))
            self._done(ticket)
        if self._current and (reason := self._current[0][0].ticket.over(now)):
            ticket = self._current[0][0].ticket
            events += [sample.end(reason) for sample, _, _ in self._current]
            self._current.clear()
            self._done(ticket)
        return events

    def _work(self) -> list[TokenEvent]:
        if not self._current:
            ticket = self._intake.take()
            if ticket is None:
                return []
            try:
                self._prefill(ticket)
            except (RuntimeError, ValueError) as error:
                self._current.clear()
                self._done(ticket)
                return end_all(ticket, "error", str(error))
        sample, cache, logits = self._current[0]
        try:
            event = self._advance(sample, cache, logits)
        except (RuntimeError, ValueError) as error:
            event = sample.end("error", error=str(error))
        if sample.ended:
            self._current.popleft()
            if not self._current:
                self._done(sample.ticket)
        return [event]

    def _done(self, ticket: Ticket) -> None:
        self._intake.done(ticket)
        self._stats.finished += 1
        self._stats.failed += ticket.failed

    def _prefill(self, ticket: Ticket) -> None:
        began = time.perf_counter()
        ticket.began = time.monotonic()
        request = ticket.request
        rows = prompt_rows(self.decoder.get_input_embeddings(), request)
        cache = DynamicCache(config=self.decoder.config)
        with telling(self.decoder, [request], len(rows)):
            output = self.decoder(inputs_embeds=rows[None], past_key_values=cache, use_cache=True, logits_to_keep=1)
        for number in range(request.n):
            own = cache if number == request.n - 1 else copy.deepcopy(cache)
            matcher = matcher_of(request, self.grammars)
            text = Detokenizer(self.tokenizer, request.sampling.stop)
            sample = Sample(ticket, number, text, self.end_ids, self.max_length, matcher)
            self._current.append((sample, own, output.logits[0, -1]))
        ticket.first = time.monotonic()
        self._stats.prompt_tokens += len(rows)
        self._stats.prefill_s += time.perf_counter() - began

    def _advance(self, sample: Sample, cache: DynamicCache, logits: Tensor) -> TokenEvent:
        began = time.perf_counter()
        event = sample.take(*sample.choose(logits))
        self._stats.generated_tokens += event.token_id is not None
        if not sample.ended:
            embed = self.decoder.get_input_embeddings()
            row = embed(torch.tensor([[sample.last]], device=embed.weight.device))
            with telling(self.decoder, [sample.ticket.request], sample.ticket.length):
                output = self.decoder(inputs_embeds=row, past_key_values=cache, use_cache=True)
            self._current[0] = (sample, cache, output.logits[0, -1])
        self._stats.decode_s += time.perf_counter() - began
        self._stats.steps += 1
        return event
