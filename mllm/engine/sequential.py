"""The plain engine: one request after the other, one prefill per request, one token per step.

It is the reference the faster engines are tested against.
"""

import copy
import time
from collections import deque
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedTokenizerBase

from cuewise.mllm.engine.base import EngineRequest, EngineStats, FinishReason, TokenEvent
from cuewise.mllm.engine.detokenize import Detokenizer
from cuewise.mllm.engine.sampling import choose


class _Sample:
    """One answer being written: its cache, the logits of its next token, its text."""

    def __init__(self, request: EngineRequest, number: int, cache: DynamicCache, logits: Tensor, text: Detokenizer):
        self.request, self.number, self.cache, self.logits, self.detokenizer = request, number, cache, logits, text
        self.generator = torch.Generator().manual_seed(request.sampling.seed + number)
        self.count = 0


class SequentialEngine:
    """Runs a Hugging Face causal language model on embedding rows, sample by sample.

    Args:
        decoder: a causal language model that takes `inputs_embeds`, `past_key_values` and gives `logits`.
        tokenizer: for text and stop texts.
        end_ids: token ids that end an answer; they are not part of its text.
        max_length: prompt and answer together, in tokens.
    """

    def __init__(
        self, decoder: nn.Module, tokenizer: PreTrainedTokenizerBase, end_ids: Iterable[int], max_length: int = 4096
    ):
        self.decoder, self.tokenizer = decoder, tokenizer
        self.end_ids, self.max_length = frozenset(end_ids), max_length
        self._waiting: deque[tuple[EngineRequest, float]] = deque()
        self._current: deque[_Sample] = deque()
        self._deadline = float("inf")
        self._ended: list[TokenEvent] = []
        self._stats = EngineStats()

    def submit(self, request: EngineRequest) -> None:
        length, width = 0, self.decoder.get_input_embeddings().weight.shape
        if any(request.id == other.id for other in self._in_flight()):
            raise ValueError(f"request {request.id!r} is already in flight; give each request its own id")
        for segment in request.segments:
            if isinstance(segment, Tensor):
                if segment.ndim != 2 or segment.shape[1] != width[1]:
                    raise ValueError(f"request {request.id!r}: embedding rows of shape {tuple(segment.shape)}, "
                                     f"the model needs [n, {width[1]}]")  # fmt: skip
                if not torch.isfinite(segment).all():
                    raise ValueError(f"request {request.id!r}: embedding rows hold values that are not finite")
            elif segment and not 0 <= min(segment) <= max(segment) < width[0]:
                raise ValueError(f"request {request.id!r}: token ids must lie in 0..{width[0] - 1}")
            length += len(segment)
        if not 0 < length < self.max_length:
            raise ValueError(f"request {request.id!r}: prompt of {length} tokens, allowed are 1..{self.max_length - 1}")
        limit = float("inf") if request.deadline_s is None else time.monotonic() + request.deadline_s
        self._waiting.append((request, limit))

    @torch.inference_mode()
    def step(self) -> list[TokenEvent]:
        if self._ended:
            ended, self._ended = self._ended, []
            return ended
        if not self._current:
            if not self._waiting:
                return []
            request, self._deadline = self._waiting.popleft()
            try:
                self._prefill(request)
            except (RuntimeError, ValueError) as error:
                self._stats.finished += 1
                return [TokenEvent(request.id, i, None, "", None, "error", str(error)) for i in range(request.n)]
        sample = self._current[0]
        if time.monotonic() > self._deadline:
            return [self._finish(sample, None, "deadline")]
        try:
            return [self._advance(sample)]
        except (RuntimeError, ValueError) as error:
            return [self._finish(sample, None, "error", str(error))]

    def generate(self, requests: Iterable[EngineRequest]) -> Iterator[TokenEvent]:
        for request in requests:
            self.submit(request)
        while events := self.step():
            yield from events

    def cancel(self, request_id: str) -> bool:
        waiting = [request for request, _ in self._waiting if request.id == request_id]
        numbers = [number for request in waiting for number in range(request.n)]
        numbers += [sample.number for sample in self._current if sample.request.id == request_id]
        self._waiting = deque(item for item in self._waiting if item[0].id != request_id)
        self._current = deque(sample for sample in self._current if sample.request.id != request_id)
        self._ended += [TokenEvent(request_id, number, None, "", None, "cancelled") for number in numbers]
        self._stats.finished += bool(numbers)
        return bool(numbers)

    def stats(self) -> EngineStats:
        self._stats.waiting = len(self._waiting)
        self._stats.running = int(bool(self._current))
        return copy.copy(self._stats)

    def close(self) -> None:
        self._waiting.clear()
        self._current.clear()

    def _in_flight(self) -> list[EngineRequest]:
        return [item[0] for item in self._waiting] + [sample.request for sample in self._current]

    def _prefill(self, request: EngineRequest) -> None:
        began = time.perf_counter()
        embed = self.decoder.get_input_embeddings()
        rows = torch.cat([
            segment.to(embed.weight) if isinstance(segment, Tensor)
            else embed(torch.tensor(segment, dtype=torch.long, device=embed.weight.device))
            for segment in request.segments if len(segment)
        ])  # fmt: skip
        cache = DynamicCache(config=self.decoder.config)
        output = self.decoder(inputs_embeds=rows[None], past_key_values=cache, use_cache=True, logits_to_keep=1)
        for number in range(request.n):
            own = cache if number == request.n - 1 else copy.deepcopy(cache)
            detokenizer = Detokenizer(self.tokenizer, request.sampling.stop)
            self._current.append(_Sample(request, number, own, output.logits[0, -1], detokenizer))
        self._stats.prompt_tokens += len(rows)
        self._stats.prefill_s += time.perf_counter() - began

    def _advance(self, sample: _Sample) -> TokenEvent:
        began, params = time.perf_counter(), sample.request.sampling
        token, logprob = choose(sample.logits, params, sample.generator)
        logprob = logprob if params.logprobs else None
        if token in self.end_ids:
            return self._finish(sample, None, "stop")
        sample.count += 1
        self._stats.generated_tokens += 1
        text = sample.detokenizer.push(token)
        if sample.detokenizer.stopped:
            return self._finish(sample, token, "stop", text=text, logprob=logprob)
        if sample.count >= params.max_tokens or sample.cache.get_seq_length() + 1 >= self.max_length:
            return self._finish(sample, token, "length", text=text, logprob=logprob)
        embed = self.decoder.get_input_embeddings()
        row = embed(torch.tensor([[token]], device=embed.weight.device))
        output = self.decoder(inputs_embeds=row, past_key_values=sample.cache, use_cache=True)
        sample.logits = output.logits[0, -1]
        self._stats.decode_s += time.perf_counter() - began
        return TokenEvent(sample.request.id, sample.number, token, text, logprob)

    def _finish(
        self, sample: _Sample, token: int | None, reason: FinishReason, error: str | None = None, *,
        text: str = "", logprob: float | None = None,
    ) -> TokenEvent:  # fmt: skip
        self._current.popleft()
        self._stats.finished += not any(other.request.id == sample.request.id for other in self._current)
        if not sample.detokenizer.stopped:
            text += sample.detokenizer.flush()
        return TokenEvent(sample.request.id, sample.number, token, text, logprob, reason, error)
