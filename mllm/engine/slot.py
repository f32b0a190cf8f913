"""The slot engine: continuous batching for any decoder with plain full attention.

Answers are written side by side, one row each; a row that ends is given to the next request at once. Prompts are read
in chunks between the steps, so that a long one stalls nobody. A request that fails, fails alone.
"""

import copy
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from cuewise.mllm.engine.base import EngineRequest, EngineStats, TokenEvent
from cuewise.mllm.engine.detokenize import Detokenizer
from cuewise.mllm.engine.grammar import Grammars
from cuewise.mllm.engine.graphs import VISIBLE, StepGraphs
from cuewise.mllm.engine.kinds import telling, wants_kinds
from cuewise.mllm.engine.kv import PromptCache, SlotCache, row_groups
from cuewise.mllm.engine.prefix import PrefixCache
from cuewise.mllm.engine.reading import FAULTS, Reader
from cuewise.mllm.engine.sample import Sample, end_all
from cuewise.mllm.engine.sampling import choose_plain
from cuewise.mllm.engine.scheduler import Intake, Queued, Ticket, Watch, check_request
from cuewise.mllm.engine.verbatim import matcher_of


@dataclass(slots=True)
class SlotOptions:
    """Sizes of a slot engine."""

    slots: int = 16
    """Answers written at once."""

    chunk: int = 128
    """Tokens of one prompt read between two steps; four times as many while no answer is being written."""

    pack: int = 256
    """Tokens of all prompts read between two steps, likewise."""

    bucket: int = 32
    """Visible positions are rounded up to a multiple of this."""

    max_waiting: int = 1024
    """Waiting requests; one more raises `QueueFull`."""

    max_tokens: int | None = None
    """Prompt and answer tokens of all rows together; None: as many as the slots can hold."""

    prefix_tokens: int = 16_384
    """Prompt tokens kept for requests that begin the same; 0 keeps none."""

    graphs: bool = False
    """On a CUDA device, record decode steps and replay them; other devices ignore it."""

    stall_s: float = 30.0
    """Seconds without a finished step after which `healthy` is False while work is in flight."""

    def __post_init__(self) -> None:
        for name in ("slots", "chunk", "pack", "bucket", "max_waiting"):
            if getattr(self, name) < 1:
                raise ValueError(f"engine.{name} must be >= 1, got {getattr(self, name)}")


@dataclass(slots=True)
class _Row:
    """An answer being written; `length` positions of its slot are filled."""

    sample: Sample
    length: int

    @property
    def reserved(self) -> int:
        return self.length + self.sample.room - self.sample.written


class SlotEngine(Queued):
    """Runs a Hugging Face causal language model on many requests at once.

    Args:
        decoder: a causal language model that takes `inputs_embeds`, `position_ids`, `past_key_values` and a
            four-dimensional attention mask; `cuewise.mllm.engine.build` checks this and falls back otherwise.
        tokenizer: for text, stop texts and grammars.
        end_ids: token ids that end an answer; they are not part of its text.
        max_length: prompt and answer together, in tokens.
        options: sizes.
    """

    def __init__(
        self, decoder: nn.Module, tokenizer: PreTrainedTokenizerBase, end_ids: Iterable[int], max_length: int = 4096,
        options: SlotOptions | None = None, **sizes: float,
    ):  # fmt: skip
        self.decoder, self.tokenizer = decoder, tokenizer
        self.end_ids, self.max_length = frozenset(end_ids), max_length
        self.options = options or SlotOptions(**sizes)
        self.embed = decoder.get_input_embeddings()
        self.vocabulary, self.width = self.embed.weight.shape
        self.grammars = Grammars(tokenizer, self.vocabulary, self.end_ids)
        self.prefixes = PrefixCache(self.options.prefix_tokens)
        self._intake, self._watch = Intake(self.options.max_waiting), Watch(self.options.stall_s)
        self._slots = SlotCache(self.options.slots)
        self._rows: list[_Row] = []
        self._starts: deque[tuple[Sample, PromptCache]] = deque()
        self._stats = EngineStats()
        self._reader = Reader(decoder, self.prefixes, self._stats, self.options.chunk, self.options.pack)
        device = self.embed.weight.device
        wanted = self.options.graphs and device.type == "cuda" and not wants_kinds(decoder)
        self.graphs = StepGraphs(self._step_logits, self.options.slots, device) if wanted else None

    # The contract

    def submit(self, request: EngineRequest) -> None:
        length = check_request(request, self.vocabulary, self.width, self.max_length)
        if request.grammar is not None:
            self.grammars.matcher(request.grammar)
        self._enqueue(request, length)

    @torch.inference_mode()
    def step(self) -> list[TokenEvent]:
        while True:
            began = time.perf_counter()
            events = self._over()
            events += self._read()
            if self._rows:
                events += self._decode()
            self._watch.step_took(time.perf_counter() - began)
            if events or not (self._rows or self._reader.readings or self._starts or len(self._intake)):
                return events

    def stats(self) -> EngineStats:
        stats = copy.copy(self._stats)
        stats.waiting, stats.refused = len(self._intake), self._intake.refused
        stats.running = len(self._rows) + len(self._starts) + len(self._reader.readings)
        stats.longest_step_s = self._watch.longest_s
        stats.prefix_tokens = self.prefixes.tokens
        stats.kv_bytes = self._slots.nbytes() + self.prefixes.nbytes()
        return stats

    def close(self) -> None:
        self._intake.clear()
        self._rows.clear()
        self._starts.clear()
        self._reader.readings.clear()
        self.prefixes.clear()
        self._slots = SlotCache(self.options.slots)

    # Ends that do not come from the model

    def _over(self) -> list[TokenEvent]:
        """Last events of requests that were cancelled or came too late."""
        now, events = time.monotonic(), []
        for ticket in self._intake.sweep(now):
            events += end_all(ticket, ticket.over(now))
            self._close(ticket)
        for ticket in [reading.ticket for reading in self._reader.readings if reading.ticket.over(now)]:
            self._reader.drop(ticket)
            events += end_all(ticket, ticket.over(now))
            self._close(ticket)
        for sample, _ in [start for start in self._starts if start[0].ticket.over(now)]:
            events.append(sample.end(sample.ticket.over(now)))
            self._close(sample.ticket)
        self._starts = deque(start for start in self._starts if not start[0].ended)
        for row in self._rows:
            if reason := row.sample.ticket.over(now):
                events.append(row.sample.end(reason))
        self._release()
        return events

    def _close(self, ticket: Ticket) -> None:
        """Count a request whose samples have all ended."""
        if ticket.left == 0 and self._intake.done(ticket):
            self._stats.finished += 1
            self._stats.failed += ticket.failed

    def _release(self, poisoned: Iterable[int] = ()) -> None:
        """Give back the rows that have ended; the last row moves into each gap."""
        for index in poisoned:
            self._slots.wipe(index)
        for index in reversed(range(len(self._rows))):
            row = self._rows[index]
            if not row.sample.ended:
                continue
            last = self._rows.pop()
            if index < len(self._rows):
                self._slots.move(len(self._rows), index, last.length)
                self._rows[index] = last
            self._close(row.sample.ticket)

    # Reading prompts

    def _read(self) -> list[TokenEvent]:
        """Start answers whose prompt is read, and read on for one pass."""
        events = self._start()
        longest = max((reading.ticket.length + 1 for reading in self._reader.readings), default=0)
        if self._slots.reserve(longest, layers=1) and self._rows:
            return events  # enough for those who wait for their next token
        free = self.options.slots - len(self._rows) - len(self._starts)
        for ticket, outcome in self._reader.read(free, bool(self._rows), lambda: self._intake.take(self._fits_behind)):
            try:
                if isinstance(outcome, Exception):
                    raise outcome
                samples = [self._sample(ticket, number) for number in range(ticket.request.n)]
            except FAULTS as error:
                events += end_all(ticket, "error", str(error))
                self._close(ticket)
                continue
            ticket.first = time.monotonic()
            self._starts.extend((sample, outcome) for sample in samples)
        return events + self._start()

    def _start(self) -> list[TokenEvent]:
        """Give free rows to answers whose prompt is read."""
        events = []
        while self._starts and len(self._rows) < self.options.slots and self._fits(self._starts[0][0].ticket):
            events.append(self._begin(*self._starts.popleft()))
        return events

    def _fits(self, ticket: Ticket, ahead: int = 0) -> bool:
        """Whether another answer to this request stays within the token budget; one alone always does."""
        held = ahead + sum(row.reserved for row in self._rows)
        limit = self.options.max_tokens
        return limit is None or held == 0 or held + self._need(ticket) <= limit

    def _fits_behind(self, ticket: Ticket) -> bool:
        """Whether the prompt of the next waiting request should be read now, behind those that are being read."""
        return self._fits(ticket, sum(self._need(reading.ticket) for reading in self._reader.readings))

    def _need(self, ticket: Ticket) -> int:
        """Positions that one answer to this request may fill."""
        return ticket.length + min(ticket.request.sampling.max_tokens, self.max_length - ticket.length)

    def _sample(self, ticket: Ticket, number: int) -> Sample:
        request = ticket.request
        matcher = matcher_of(request, self.grammars)
        text = Detokenizer(self.tokenizer, request.sampling.stop)
        return Sample(ticket, number, text, self.end_ids, self.max_length, matcher)

    def _begin(self, sample: Sample, prompt: PromptCache) -> TokenEvent:
        """The first token of an answer; it takes the next row unless it ends at once."""
        event = self._choose([_Row(sample, prompt.length)], prompt.logits[None])[0]
        self._stats.generated_tokens += event.token_id is not None
        if sample.ended:
            self._close(sample.ticket)
        else:
            self._slots.install(len(self._rows), prompt)
            self._rows.append(_Row(sample, prompt.length))
        return event

    # Writing answers

    def _decode(self) -> list[TokenEvent]:
        """One token for every row."""
        began, events, poisoned = time.perf_counter(), [], []
        for low, high, result in self._logits(0, len(self._rows)):
            for row in self._rows[low:high]:
                row.length += 1
            if isinstance(result, Exception):
                events.append(self._rows[low].sample.end("error", error=str(result)))
                poisoned.append(low)
                continue
            for index, event in enumerate(self._choose(self._rows[low:high], result), low):
                events.append(event)
                if event.finish_reason == "error":
                    poisoned.append(index)
        self._stats.generated_tokens += sum(event.token_id is not None for event in events)
        self._release(poisoned)
        self._stats.steps += 1
        self._stats.decode_s += time.perf_counter() - began
        return events

    def _logits(self, low: int, high: int) -> list[tuple[int, int, Tensor | Exception]]:
        """Logits [rows, vocabulary] of rows `low`..`high`-1; when the step fails, of each half, down to one row."""
        try:
            return [(low, high, self._forward(self._rows[low:high], low))]
        except FAULTS as error:
            if high - low == 1:
                return [(low, high, error)]
            middle = (low + high) // 2
            return [*self._logits(low, middle), *self._logits(middle, high)]

    def _forward(self, rows: list[_Row], low: int) -> Tensor:
        tokens, lengths = [row.sample.last for row in rows], [row.length for row in rows]
        if self.graphs is not None and len(rows) == len(self._rows):
            self._slots.reserve(-(-(max(lengths) + 1) // VISIBLE) * VISIBLE)
            if (logits := self.graphs.run(tokens, lengths, self._slots.generation)) is not None:
                return logits
        device = self.embed.weight.device
        facts = torch.tensor([tokens, lengths], device=device)
        groups = row_groups(lengths, self.options.bucket)
        more = {"row_groups": groups} if self._reader.packs and device.type == "cpu" else {}
        visible = max(seen for _, _, seen in groups)
        with telling(self.decoder, [row.sample.ticket.request for row in rows], visible):
            return self._step_logits(facts[0], facts[1], visible, low, **more)

    def _step_logits(self, tokens: Tensor, positions: Tensor, visible: int, low: int = 0, **more: Any) -> Tensor:
        """Logits [rows, vocabulary] of the rows from `low` on, from their last tokens [rows] and positions [rows]."""
        self._slots.aim(low, low + len(tokens), positions, visible)
        mask = torch.arange(visible, device=tokens.device)[None] <= positions[:, None]
        output = self.decoder(
            inputs_embeds=self.embed(tokens)[:, None], attention_mask=mask[:, None, None],
            position_ids=positions[:, None], past_key_values=self._slots, use_cache=True, **more,
        )  # fmt: skip
        return output.logits[:, -1]

    def _choose(self, rows: list[_Row], logits: Tensor) -> list[TokenEvent]:
        """Events of rows from their logits [rows, vocabulary]."""
        wants_logprob = any(row.sample.ticket.request.sampling.logprobs for row in rows)
        plain = choose_plain(logits, wants_logprob) if any(row.sample.plain for row in rows) else []
        logits = logits if all(row.sample.plain for row in rows) else logits.float().cpu()
        events = []
        for index, row in enumerate(rows):
            sample = row.sample
            try:
                if sample.plain:
                    token, logprob = plain[index]
                    if token < 0:
                        raise ValueError("the model gave no finite logits for the next token")
                    wanted = sample.ticket.request.sampling.logprobs
                    events.append(sample.take(token, logprob if wanted else None))
                else:
                    events.append(sample.take(*sample.choose(logits[index])))
            except FAULTS as error:
                events.append(sample.end("error", error=str(error)))
        return events
