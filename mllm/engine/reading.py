"""Prompts on their way into the slot engine: recalled where they were read before, else read chunk by chunk.

Chunks of several prompts go through the model in one pass, packed without padding.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cuewise.mllm.engine.base import EngineStats
from cuewise.mllm.engine.kinds import telling, wants_kinds
from cuewise.mllm.engine.kv import PackCache, PromptCache
from cuewise.mllm.engine.prefix import PrefixCache, fingerprints
from cuewise.mllm.engine.scheduler import Ticket
from cuewise.mllm.engine.sequential import prompt_rows

FAULTS = (RuntimeError, ValueError, IndexError, TypeError)
"""What a bad request may raise inside the model; anything else is a fault of the engine itself."""

PACKED_ATTENTION = "cuewise"
"""The attention implementation of `cuewise.mllm.attention`, which reads packed rows without a mask."""

IDLE_FACTOR = 4
"""Chunks are so many times larger while no answer is being written, since nobody waits for the next step."""


@dataclass(slots=True, eq=False)
class Reading:
    """A prompt being read; `rows` [n, d] are its embeddings."""

    ticket: Ticket
    cache: PromptCache
    rows: Tensor | None = None
    marks: list[tuple[int, bytes]] | None = None


Outcome = tuple[Ticket, PromptCache | Exception]
"""A prompt that is read, or why it cannot be."""


class Reader:
    """Reads prompts in the order in which they were taken.

    Args:
        chunk, pack: tokens of one prompt, and of all prompts, that a pass reads while answers are being written.
    """

    def __init__(self, decoder: nn.Module, prefixes: PrefixCache, stats: EngineStats, chunk: int, pack: int):
        self.decoder, self.prefixes, self.stats, self.chunk, self.pack = decoder, prefixes, stats, chunk, pack
        self.embed = decoder.get_input_embeddings()
        text = decoder.config.get_text_config(decoder=True)
        self.packs = getattr(text, "_attn_implementation", None) == PACKED_ATTENTION
        """Whether the attention is ours, which takes packed rows and groups of rows."""

        self.readings: list[Reading] = []

    def read(self, free: int, busy: bool, take: Callable[[], Ticket | None]) -> list[Outcome]:
        """One pass, or nothing when there is nothing to read.

        Args:
            free: rows that will be free for answers to these prompts; no more prompts are begun.
            busy: whether answers are being written.
            take: gives the next waiting request.
        """
        began, factor = time.perf_counter(), 1 if busy else IDLE_FACTOR
        outcomes: list[Outcome] = []
        parts: list[tuple[Reading, int]] = []
        left, alone = self.pack * factor, wants_kinds(self.decoder)
        while left > 0 and not (alone and parts):
            if len(parts) == len(self.readings):
                if len(self.readings) + len(outcomes) >= free or (ticket := take()) is None:
                    break
                outcomes += self._begin(ticket)
                continue
            reading = self.readings[len(parts)]
            filled, chunk = reading.cache.filled, self.chunk * factor
            # Behind a long beginning a token costs more, so that fewer make up a chunk.
            size = min(left, max(16, 8 * chunk * chunk // (8 * chunk + filled)), reading.ticket.length - filled)
            size = reading.ticket.length - filled if alone else size
            parts.append((reading, size))
            left -= size
        if parts:
            outcomes += self._pass(parts)
        self.stats.prefill_s += time.perf_counter() - began
        return outcomes

    def drop(self, ticket: Ticket) -> None:
        self.readings = [reading for reading in self.readings if reading.ticket is not ticket]

    def _begin(self, ticket: Ticket) -> list[Outcome]:
        """Take up a request; its outcome when no pass is needed."""
        ticket.began = time.monotonic()
        self.stats.prompt_tokens += ticket.length
        reading = Reading(ticket, PromptCache(ticket.length))
        try:
            if self._recall(reading):
                return [(ticket, reading.cache)]
            reading.rows = prompt_rows(self.embed, ticket.request)
        except FAULTS as error:
            return [(ticket, error)]
        self.readings.append(reading)
        return []

    def _recall(self, reading: Reading) -> bool:
        """Take what the prompt cache holds; True when that is the whole prompt."""
        if not self.prefixes.max_tokens:
            return False
        ticket = reading.ticket
        reading.marks = fingerprints(ticket.request)
        known, ticket.cached = self.prefixes.find(reading.marks)
        if wants_kinds(self.decoder) and ticket.cached < ticket.length:
            known, ticket.cached = None, 0  # what was chosen for the beginning of one prompt may not hold for another
        self.stats.cached_tokens += ticket.cached
        if ticket.cached == ticket.length:
            reading.cache = known
        elif known is not None:
            reading.cache.copy_start(known, ticket.cached)
        return ticket.cached == ticket.length

    def _pass(self, parts: list[tuple[Reading, int]]) -> list[Outcome]:
        """Read chunks of prompts in one pass; when it fails, one by one, so that a bad prompt fails alone."""
        try:
            logits = self._forward(parts)
        except FAULTS as error:
            if len(parts) > 1:
                return [outcome for part in parts for outcome in self._pass([part])]
            self.drop(parts[0][0].ticket)
            return [(parts[0][0].ticket, error)]
        outcomes: list[Outcome] = []
        for (reading, _), last in zip(parts, logits):
            if reading.cache.filled < reading.ticket.length:
                continue
            reading.cache.logits = last
            if reading.marks and torch.isfinite(last.max()):
                self.prefixes.store(reading.marks, reading.cache)
            self.drop(reading.ticket)
            outcomes.append((reading.ticket, reading.cache))
        return outcomes

    def _forward(self, parts: list[tuple[Reading, int]]) -> Tensor:
        """Logits [parts, vocabulary] behind the last token of every chunk."""
        pack = PackCache([(reading.cache, size) for reading, size in parts])
        rows = torch.cat([reading.rows[reading.cache.filled :][:size] for reading, size in parts])
        ends = torch.tensor([size for _, size in parts], device=rows.device).cumsum(0) - 1
        lengths = pack.lengths(rows.device) if self.packs else {}
        with telling(self.decoder, [parts[0][0].ticket.request], parts[0][0].ticket.length):
            output = self.decoder(
                inputs_embeds=rows[None], attention_mask=pack.mask(rows.device),
                position_ids=pack.positions(rows.device), past_key_values=pack, use_cache=True, logits_to_keep=ends,
                **lengths,
            )  # fmt: skip
        logits = output.logits[0]
        if len(parts) > 1 and not torch.isfinite(logits.amax(-1)).all():
            # One prompt's NaN reaches its neighbours through masked places: 0 x NaN is NaN.
            raise ValueError("one of several prompts gave no finite logits")
        pack.commit()
        return logits
