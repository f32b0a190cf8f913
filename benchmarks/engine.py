"""How fast are many answers at once? The slot engine against three other ways, on the same requests in the same run.

    python benchmarks/engine.py [--requests 64] [--slots 16] [--repeats 3] [--json out.json]

64 requests arrive together: prompts of 24-220 tokens, answers of 8-128 tokens (log-normal; the length is forced), on a
random Qwen3 of 5 million parameters. Compared: `generate` one by one, `generate` on padded batches, transformers'
continuous batching and the slot engine with the attention that `cuewise serve` picks. Every way must give the same
tokens. Clock: CPU seconds of the process with one compute thread. The ways take turns, and ratios are medians of those
within each turn, because other work on the machine slows neighbouring runs alike. Latency of a request is the clock at
its last token, since all arrive at 0.

Then a prompt of 2,048 tokens arrives while others are written: the longest wait between two tokens of those others is
held against the time that the prompt takes in one piece.
"""

import argparse
import json
import logging
import os
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM
from transformers.generation import ContinuousBatchingConfig

from cuewise.mllm.attention import set_attention
from cuewise.mllm.engine.base import EngineRequest, SamplingParams
from cuewise.mllm.engine.slot import SlotEngine

BARS = {"tokens_vs_one_by_one": 3.0, "p99_vs_one_by_one": 0.4, "tokens_vs_static": 1.8, "tokens_vs_continuous": 1.5,
        "longest_stall": 0.25}  # fmt: skip
VOCABULARY, LONG_PROMPT = 4096, 2048


@dataclass(frozen=True, slots=True)
class Job:
    prompt: list[int]
    answer: int


@dataclass(slots=True)
class Outcome:
    """One run: tokens per request, CPU seconds at which each was complete, CPU seconds in all."""

    tokens: list[list[int]]
    done_s: list[float]
    total_s: float = field(init=False)

    def __post_init__(self) -> None:
        self.total_s = max(self.done_s)


def make_jobs(count: int, seed: int = 0) -> list[Job]:
    """Prompt lengths 24-220, answer lengths log-normal around 40, cut to 8-128."""
    draw = random.Random(seed)
    return [
        Job([draw.randrange(VOCABULARY) for _ in range(draw.randint(24, 220))],
            int(min(128, max(8, draw.lognormvariate(3.7, 0.7)))))
        for _ in range(count)
    ]  # fmt: skip


def make_model(seed: int = 0) -> Qwen3ForCausalLM:
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=VOCABULARY, hidden_size=256, intermediate_size=768, num_hidden_layers=5, num_attention_heads=8,
        num_key_value_heads=4, head_dim=32, tie_word_embeddings=True, initializer_range=0.06,
        max_position_embeddings=4096, bos_token_id=None, eos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    return Qwen3ForCausalLM(config).eval()


def make_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level tokenizer of the same size, so that the slot engine also turns tokens into text."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = [*alphabet, *(a + b for a in alphabet for b in alphabet)][:VOCABULARY]
    plain = Tokenizer(models.BPE(vocab={name: i for i, name in enumerate(names)}, merges=[]))
    plain.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=plain)


def one_by_one(model: Qwen3ForCausalLM, jobs: list[Job], _: int) -> Outcome:
    tokens, done, began = [], [], time.process_time()
    for job in jobs:
        ids = torch.tensor([job.prompt])
        answer = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=job.answer)
        tokens.append(answer[0, len(job.prompt) :].tolist())
        done.append(time.process_time() - began)
    return Outcome(tokens, done)


def static_batches(model: Qwen3ForCausalLM, jobs: list[Job], slots: int) -> Outcome:
    """Left-padded batches in order of arrival; a batch runs until its longest answer is complete."""
    tokens, done, began = [], [], time.process_time()
    for first in range(0, len(jobs), slots):
        batch = jobs[first : first + slots]
        longest = max(len(job.prompt) for job in batch)
        ids = torch.tensor([[0] * (longest - len(job.prompt)) + job.prompt for job in batch])
        mask = torch.tensor([[0] * (longest - len(job.prompt)) + [1] * len(job.prompt) for job in batch])
        answers = model.generate(ids, attention_mask=mask, do_sample=False, max_new_tokens=max(j.answer for j in batch))
        now = time.process_time() - began
        tokens += [answer[longest : longest + job.answer].tolist() for answer, job in zip(answers, batch)]
        done += [now] * len(batch)
    return Outcome(tokens, done)


def continuous(model: Qwen3ForCausalLM, jobs: list[Job], slots: int) -> Outcome:
    """Transformers' own continuous batching; starting and ending its thread is not counted."""
    setup = ContinuousBatchingConfig(
        page_size=32, num_blocks=slots * 16, max_batch_tokens=256 + slots, max_requests_per_batch=slots,
        use_cuda_graph=False, allow_block_sharing=False,
    )  # fmt: skip
    greedy = GenerationConfig(do_sample=False, max_new_tokens=128, eos_token_id=-1, pad_token_id=0)
    tokens, done = {}, {}
    with model.continuous_batching_context_manager(
        generation_config=greedy, continuous_batching_config=setup, block=True, warmup=False
    ) as manager:
        began = time.process_time()
        for i, job in enumerate(jobs):
            manager.add_request(job.prompt, request_id=str(i), max_new_tokens=job.answer)
        while len(done) < len(jobs):
            result = manager.get_result(timeout=60)
            if result is None:
                raise RuntimeError("transformers' continuous batching stopped answering")
            if result.is_finished():
                done[result.request_id] = time.process_time() - began
                tokens[result.request_id] = list(result.generated_tokens)
    model.set_attn_implementation("sdpa")
    return Outcome([tokens[str(i)] for i in range(len(jobs))], [done[str(i)] for i in range(len(jobs))])


def slot_engine(model: Qwen3ForCausalLM, jobs: list[Job], slots: int) -> Outcome:
    set_attention(model)
    engine = SlotEngine(model, make_tokenizer(), end_ids=[], max_length=4096, slots=slots, prefix_tokens=0)
    tokens, done = [[] for _ in jobs], [0.0] * len(jobs)
    began = time.process_time()
    for event in engine.generate(
        EngineRequest(id=str(i), segments=[job.prompt], sampling=SamplingParams(max_tokens=job.answer))
        for i, job in enumerate(jobs)
    ):
        tokens[int(event.request_id)].append(event.token_id)
        if event.finish_reason is not None:
            done[int(event.request_id)] = time.process_time() - began
    model.set_attn_implementation("sdpa")
    return Outcome(tokens, done)


WAYS: dict[str, Callable[[Qwen3ForCausalLM, list[Job], int], Outcome]] = {
    "one_by_one": one_by_one, "static": static_batches, "continuous": continuous, "slot": slot_engine,
}  # fmt: skip


def compare(
    model: Qwen3ForCausalLM, jobs: list[Job], slots: int, repeats: int
) -> tuple[dict[str, dict[str, float]], dict[str, float]]:  # fmt: skip
    """Medians over repeats: tokens/s, mean latency and p99 of every way, and the slot engine's ratios to the others.

    Raises where answers differ.
    """
    runs: dict[str, list[Outcome]] = {name: [] for name in WAYS}
    want = None
    for _ in range(repeats):
        for name, run in WAYS.items():
            outcome = run(model, jobs, slots)
            want = want or outcome.tokens
            wrong = [i for i, (a, b) in enumerate(zip(outcome.tokens, want)) if a != b]
            if wrong:
                raise AssertionError(f"{name}: answers {wrong[:5]} differ from one by one ({len(wrong)} in all)")
            runs[name].append(outcome)
    written = sum(job.answer for job in jobs)
    ratios = {f"tokens_vs_{name}": median(other.total_s / slot.total_s for other, slot in zip(runs[name], runs["slot"]))
              for name in WAYS if name != "slot"}  # fmt: skip
    turns = zip(runs["slot"], runs["one_by_one"])
    ratios["p99_vs_one_by_one"] = median(p99(slot) / p99(other) for slot, other in turns)
    return {
        name: {
            "tokens_per_s": median(written / outcome.total_s for outcome in outcomes),
            "mean_s": median(mean(outcome.done_s) for outcome in outcomes),
            "p99_s": median(map(p99, outcomes)),
        }
        for name, outcomes in runs.items()
    }, ratios  # fmt: skip


def p99(outcome: Outcome) -> float:
    return sorted(outcome.done_s)[round(0.99 * (len(outcome.done_s) - 1))]


def stall(model: Qwen3ForCausalLM, slots: int, repeats: int) -> dict[str, float]:
    """Longest wait of running answers while a prompt of 2,048 tokens is read, and that prompt read in one piece."""
    draw = random.Random(5)
    long = [draw.randrange(VOCABULARY) for _ in range(LONG_PROMPT)]
    whole, waits = [], []
    set_attention(model)
    for _ in range(repeats):
        with torch.inference_mode():
            began = time.process_time()
            model(torch.tensor([long]), use_cache=True, logits_to_keep=1)
            whole.append(time.process_time() - began)
        engine = SlotEngine(model, make_tokenizer(), end_ids=[], max_length=4096, slots=slots, prefix_tokens=0)
        for i in range(slots - 1):
            prompt = [draw.randrange(VOCABULARY) for _ in range(60)]
            engine.submit(EngineRequest(id=str(i), segments=[prompt], sampling=SamplingParams(max_tokens=100)))
        while engine.stats().running < slots - 1 or engine.stats().waiting:
            engine.step()
        engine.submit(EngineRequest(id="long", segments=[long], sampling=SamplingParams(max_tokens=4)))
        last, longest, first = time.process_time(), 0.0, False
        while not first:
            events = engine.step()
            now = time.process_time()
            longest, last = max(longest, now - last), now
            first = any(event.request_id == "long" for event in events)
        waits.append(longest)
        engine.close()
    share = median(wait / alone for wait, alone in zip(waits, whole))
    return {"whole_prompt_s": median(whole), "longest_wait_s": median(waits), "share": share}


def main() -> int:
    """Measure, print the table, return 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=64)
    parser.add_argument("--slots", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("ContinuousBatchingLogger").setLevel(logging.ERROR)
    transformers.logging.set_verbosity_error()
    model, jobs = make_model(), make_jobs(options.requests)
    compare(model, jobs[:4], options.slots, 1)  # everything imported and allocated once
    ways, ratios = compare(model, jobs, options.slots, options.repeats)
    long = stall(model, options.slots, options.repeats)
    ratios["longest_stall"] = long["share"]
    for name, row in ways.items():
        print(f"{name:12s} {row['tokens_per_s']:7.0f} tokens/s  mean {row['mean_s']:6.2f} s  p99 {row['p99_s']:6.2f} s")
    print(f"prompt of {LONG_PROMPT}: {long['whole_prompt_s']:.3f} s whole, longest wait {long['longest_wait_s']:.3f} s")
    missed = []
    for name, value in ratios.items():
        low_is_good = name in ("p99_vs_one_by_one", "longest_stall")
        good = value <= BARS[name] if low_is_good else value >= BARS[name]
        missed += [] if good else [name]
        sign = "<=" if low_is_good else ">="
        print(f"{name:22s} {value:5.2f}  bar {sign} {BARS[name]}  {'ok' if good else 'MISSED'}")
    if options.json:
        figures = {
            "requests": options.requests, "slots": options.slots, "repeats": options.repeats, "threads": 1,
            "clock": "process CPU seconds", "parameters": sum(p.numel() for p in model.parameters()),
            "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
            "load_average": os.getloadavg()[0], "ways": ways, "long_prompt": long, "ratios": ratios, "bars": BARS,
        }  # fmt: skip
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
