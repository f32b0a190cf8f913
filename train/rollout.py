"""Rollouts: G answers to each prompt. Media is encoded once per prompt and the prompt is read once per group.

Two engines answer the same requests: `EngineRollout` hands them to any engine of `cuewise.mllm.engine`, and
`SharedPrefixRollout` decodes all samples of all prompts together, each group from the one copy of its prompt's keys.
Sample i of a request draws with seed + i in both, so they write the same tokens.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedTokenizerBase

from cuewise.mllm.engine.base import Completion, Engine, EngineRequest, SamplingParams, collect
from cuewise.mllm.engine.sampling import choose
from cuewise.mllm.engine.verbatim import QuoteMatcher, quote_matcher
from cuewise.mllm.shared_prefix import VARLEN, PrefixKV, SharedPrefixes, use_kernel
from cuewise.train.media_gate import check_prompts, check_rows
from cuewise.train.packing import Prompted


class RolloutEngine(Protocol):
    """What answers requests in training."""

    def sample(self, requests: Sequence[EngineRequest]) -> list[list[Completion]]:
        """`n` completions of every request, in order; the end token is not among their ids."""


class EngineRollout:
    """Rollouts by an engine that also serves."""

    def __init__(self, engine: Engine):
        self.engine = engine

    def sample(self, requests: Sequence[EngineRequest]) -> list[list[Completion]]:
        done = collect(self.engine.generate(requests))
        return [[done[request.id, number] for number in range(request.n)] for request in requests]


class _Sample(NamedTuple):
    """One answer being written."""

    request: int
    number: int
    generator: torch.Generator
    completion: Completion
    matcher: QuoteMatcher | None
    """What its quotations are held to."""


class SharedPrefixRollout:
    """Decodes groups together; a prompt's keys and values exist once and are never expanded.

    Args:
        model: a `CuewiseForConditionalGeneration`, or any causal language model with `language_model` of its own.
        tokenizer: for the text of the completions.
        end_ids: token ids that end an answer.
        max_length: prompt and answer together, in tokens.
    """

    def __init__(
        self, model: Any, tokenizer: PreTrainedTokenizerBase | None, end_ids: Iterable[int], max_length: int = 4096
    ):
        self.model, self.tokenizer = model, tokenizer
        self.end_ids, self.max_length = frozenset(end_ids), max_length
        use_kernel(model.language_model, VARLEN)

    @torch.inference_mode()
    def sample(self, requests: Sequence[EngineRequest]) -> list[list[Completion]]:
        read = [self._prefill(request) for request in requests]
        found = [[Completion(request.id, i) for i in range(request.n)] for request in requests]
        alive = [
            _Sample(r, i, torch.Generator().manual_seed(request.sampling.seed + i), found[r][i],
                    quote_matcher(request, self.tokenizer))
            for r, request in enumerate(requests) for i in range(request.n)
        ]  # fmt: skip
        logits = torch.cat([last.expand(request.n, -1) for request, (_, last) in zip(requests, read)])
        self._decode(requests, alive, logits, [prefix for prefix, _ in read])
        for group in found:
            for completion in group:
                completion.text = self._text(completion.token_ids)
        return found

    def _prefill(self, request: EngineRequest) -> tuple[PrefixKV, Tensor]:
        """Keys and values of the prompt, and the logits [1, V] of the first token of every answer."""
        if request.sampling.stop or request.grammar is not None:
            raise ValueError(f"request {request.id!r}: stop texts and grammars need an engine; use EngineRollout")
        table = self.model.get_input_embeddings()
        rows = torch.cat([
            segment.to(table.weight) if isinstance(segment, Tensor)
            else table(torch.tensor(segment, device=table.weight.device))
            for segment in request.segments if len(segment)
        ])  # fmt: skip
        if len(rows) + request.sampling.max_tokens > self.max_length:
            raise ValueError(f"request {request.id!r}: a prompt of {len(rows)} and an answer of "
                             f"{request.sampling.max_tokens} tokens do not fit into {self.max_length}")  # fmt: skip
        cache = DynamicCache(config=self.model.language_model.config)
        out = self.model(inputs_embeds=rows[None], past_key_values=cache, use_cache=True, logits_to_keep=1)
        return PrefixKV.of(cache), out.logits[0]

    def _decode(
        self, requests: Sequence[EngineRequest], alive: list[_Sample], logits: Tensor, prefixes: list[PrefixKV]
    ) -> None:
        """Write all answers to their ends, token by token; ended samples leave the batch."""
        own = DynamicCache(config=self.model.language_model.config)
        anything = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=logits.device)
        while alive:
            tokens = self._draw(requests, alive, logits)
            going = [i for i, sample in enumerate(alive) if sample.completion.finish_reason is None]
            if len(going) < len(alive):
                if not going:
                    return
                alive, tokens = [alive[i] for i in going], [tokens[i] for i in going]
                if own.get_seq_length():
                    own.batch_select_indices(torch.tensor(going, device=logits.device))
            counts = [sum(sample.request == r for sample in alive) for r in range(len(requests))]
            written = own.get_seq_length()
            places = [[prefixes[sample.request].length + written] for sample in alive]
            logits = self.model(
                inputs_embeds=self.model.get_input_embeddings()(torch.tensor(tokens, device=logits.device)[:, None]),
                position_ids=torch.tensor(places, device=logits.device), attention_mask=anything,
                past_key_values=own, use_cache=True, shared_prefix=SharedPrefixes.of(prefixes, counts),
            ).logits[:, -1]  # fmt: skip

    def _draw(self, requests: Sequence[EngineRequest], alive: list[_Sample], logits: Tensor) -> list[int]:
        """The next token of every sample, noted in its completion."""
        tokens = []
        for sample, row in zip(alive, logits.float().cpu()):
            params = requests[sample.request].sampling
            token, logprob = choose(row, params, sample.generator, sample.matcher)
            done = sample.completion
            tokens.append(token)
            if token in self.end_ids:
                done.finish_reason = "stop"
                continue
            done.token_ids.append(token)
            if sample.matcher is not None:
                sample.matcher.accept(token)
            if logprob is not None:
                done.logprobs.append(logprob)
            if len(done.token_ids) >= params.max_tokens:
                done.finish_reason = "length"
        return tokens

    def _text(self, ids: list[int]) -> str:
        if self.tokenizer is None:
            return ""
        return self.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)


@torch.no_grad()
def roll_out(
    model: Any, engine: RolloutEngine, prompts: Sequence[Prompted], n: int, sampling: SamplingParams,
    seeds: Sequence[int], quotes: Sequence[str | None] | None = None,
) -> list[list[Completion]]:  # fmt: skip
    """`n` answers to each prompt, whose media is counted on its way. The model answers in evaluation mode.

    Args:
        seeds: one per prompt; sample i of a prompt draws with its seed + i.
        quotes: what is said in each clip, which answers quote word by word; they are left free without.
    """
    training = model.training
    model.eval()
    try:
        check_prompts("rollout", prompts, model.plan.tokens.placeholders)
        requests = []
        said = quotes or [None] * len(prompts)
        for index, (prompt, seed, words) in enumerate(zip(prompts, seeds, said, strict=True)):
            rows = model.prompt_rows(torch.tensor(prompt.prompt, device=model.device), prompt.media)
            check_rows("rollout", model, prompt, rows)
            requests.append(EngineRequest(id=str(index), segments=[rows], sampling=_seeded(sampling, seed), n=n,
                                          quotes=words))  # fmt: skip
        found = engine.sample(requests)
    finally:
        model.train(training)
    broken = [(prompts[i].id, c.error) for i, group in enumerate(found) for c in group if c.finish_reason == "error"]
    if broken:
        raise RuntimeError(f"rollout of sample {broken[0][0]} failed: {broken[0][1]}")
    return found


def _seeded(sampling: SamplingParams, seed: int) -> SamplingParams:
    return replace(sampling, seed=seed)


def answer_tokens(completion: Completion, end_id: int) -> list[int]:
    """The tokens that the policy wrote: with the end token, unless the answer was cut."""
    return [*completion.token_ids, end_id] if completion.finish_reason == "stop" else list(completion.token_ids)
