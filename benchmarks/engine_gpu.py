"""How near does the slot engine come to what a GPU can do? A random backbone of 7 billion parameters in bf16.

    python benchmarks/engine_gpu.py --minutes 2 [--rows 1 8 32 64] [--json out.json]
    python benchmarks/engine_gpu.py --tiny --device cpu          # the same road in seconds, without a GPU

Written: tokens/s of the slot engine, launched kernel by kernel and with recorded steps, and of `generate` on the same
prompts; the share of the memory bandwidth that a decode step uses (weights and visible keys and values, over the
bandwidth measured by a large copy); the share of the matrix speed that reading a prompt uses (over the speed measured
by a large product); every attention kernel that runs here against 64-bit attention and against each other, in values
and in time. What does not fit into the minutes is left out and named; what fails is a line of the table.

Runs on torch 2.11 and transformers 5.17 and newer, with or without flash-attention.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from cuewise.mllm.attention import PROVIDERS, choose
from cuewise.mllm.engine.base import EngineRequest, SamplingParams
from cuewise.mllm.engine.slot import SlotEngine

SHAPES = {
    False: {"vocab_size": 152_064, "hidden_size": 3584, "intermediate_size": 18_944, "num_hidden_layers": 28,
            "num_attention_heads": 28, "num_key_value_heads": 4, "head_dim": 128},
    True: {"vocab_size": 512, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
           "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16},
}  # fmt: skip


class Bench:
    """Model, device and sizes of one run, and the time that is left for it."""

    def __init__(self, tiny: bool, device: str, minutes: float):
        self.until = time.monotonic() + minutes * 60
        self.tiny, self.device = tiny, torch.device(device)
        self.dtype = torch.bfloat16 if self.device.type == "cuda" else torch.float32
        self.prompt, self.answer = (32, 8) if tiny else (512, 64)
        self.choice = choose("auto", self.device, self.dtype)
        torch.manual_seed(0)
        config = Qwen3Config(**SHAPES[tiny], max_position_embeddings=8192, tie_word_embeddings=False,
                             bos_token_id=None, eos_token_id=None, pad_token_id=0)  # fmt: skip
        torch.set_default_dtype(self.dtype)
        with self.device:
            self.model = Qwen3ForCausalLM(config).eval()
        torch.set_default_dtype(torch.float32)
        self.model.set_attn_implementation(self.choice.implementation)
        self.vocabulary = config.vocab_size
        self.weight_bytes = sum(p.nbytes for name, p in self.model.named_parameters() if "embed_tokens" not in name)

    def seconds(self, work: Callable[[], Any], repeats: int = 3) -> float:
        """Median wall seconds of some work, after one warm-up."""
        found = []
        for _ in range(repeats + 1):
            self.wait()
            began = time.perf_counter()
            work()
            self.wait()
            found.append(time.perf_counter() - began)
        return median(found[1:])

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def prompts(self, count: int) -> torch.Tensor:
        return torch.randint(1, self.vocabulary, (count, self.prompt), generator=torch.Generator().manual_seed(count))


def limits(bench: Bench) -> dict[str, float]:
    """Bytes/s of a large copy (read and written) and operations/s of a large matrix product."""
    size = 2**22 if bench.tiny else 2**31
    source = torch.empty(size, dtype=torch.uint8, device=bench.device)
    target = torch.empty_like(source)
    side = 256 if bench.tiny else 8192
    left, right = (torch.randn(side, side, device=bench.device).to(bench.dtype) for _ in range(2))
    return {
        "bytes_per_s": 2 * size / bench.seconds(lambda: target.copy_(source)),
        "operations_per_s": 2 * side**3 / bench.seconds(lambda: left @ right),
    }


def slots(bench: Bench, prompts: torch.Tensor, graphs: bool, limit: dict[str, float]) -> dict[str, Any]:
    """The slot engine on these prompts: a warm run, then one that is timed."""
    rows = len(prompts)
    engine = SlotEngine(
        bench.model, _tokenizer(), end_ids=[], max_length=bench.prompt + bench.answer + 1, slots=rows, prefix_tokens=0,
        chunk=max(bench.prompt, 512), pack=4 * bench.prompt, graphs=graphs,
    )  # fmt: skip
    lists, tokens = prompts.tolist(), {}

    def run() -> None:
        tokens.clear()
        sampling = SamplingParams(max_tokens=bench.answer)
        for event in engine.generate(EngineRequest(id=str(i), segments=[ids], sampling=sampling)
                                     for i, ids in enumerate(lists)):  # fmt: skip
            tokens.setdefault(int(event.request_id), []).append(event.token_id)

    run()
    before = engine.stats()
    took = timed(bench, run)
    after = engine.stats()
    step = (after.decode_s - before.decode_s) / (after.steps - before.steps)
    shape = SHAPES[bench.tiny]
    visible = rows * (bench.prompt + bench.answer / 2)
    kv_bytes = 2 * visible * shape["num_hidden_layers"] * shape["num_key_value_heads"] * shape["head_dim"]
    moved = bench.weight_bytes + kv_bytes * torch.empty(0, dtype=bench.dtype).element_size()
    found = {
        "tokens_per_s": rows * bench.answer / took, "decode_tokens_per_s": rows / step, "step_ms": step * 1000,
        "share_of_bandwidth": moved / step / limit["bytes_per_s"], "kv_mib_per_row": after.kv_bytes / rows / 2**20,
        "tokens": [tokens[i] for i in range(rows)],
    }  # fmt: skip
    if graphs and engine.graphs is not None:
        found["graphs_broken"] = engine.graphs.broken
    engine.close()
    return found


def timed(bench: Bench, work: Callable[[], Any]) -> float:
    """Wall seconds of some work."""
    bench.wait()
    began = time.perf_counter()
    work()
    bench.wait()
    return time.perf_counter() - began


def decode(bench: Bench, rows: int, limit: dict[str, float]) -> dict[str, Any]:
    """Tokens/s with this many answers at once: the slot engine both ways, and `generate` on the whole batch."""
    prompts = bench.prompts(rows)
    ids = prompts.to(bench.device)

    def generate(new: int = bench.answer) -> torch.Tensor:
        with torch.inference_mode():
            return bench.model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=new)

    generate(4)
    written: list[torch.Tensor] = []
    took = timed(bench, lambda: written.append(generate()))
    want = written[0][:, bench.prompt :].tolist()
    found: dict[str, Any] = {"rows": rows, "generate_tokens_per_s": rows * bench.answer / took}
    for name, graphs in (("slot", False), ("recorded", True)):
        if graphs and bench.device.type != "cuda":
            found[name] = {"failed": "steps are recorded on CUDA devices alone"}
            continue
        try:
            one = slots(bench, prompts, graphs, limit)
        except Exception as error:  # whatever stops a way is a line of the table
            found[name] = {"failed": f"{type(error).__name__}: {error}"[:200]}
            continue
        tokens = one.pop("tokens")
        one["same_tokens"] = sum(a == b for a, b in zip(tokens, want)) / rows
        one["same_first_8"] = sum(a[:8] == b[:8] for a, b in zip(tokens, want)) / rows
        found[name] = one
    return found


@torch.inference_mode()
def prefill(bench: Bench, limit: dict[str, float]) -> dict[str, float]:
    """Operations/s of reading a long prompt in one piece, of the product's speed."""
    tokens = 128 if bench.tiny else 4096
    ids = torch.randint(1, bench.vocabulary, (1, tokens), device=bench.device)
    took = bench.seconds(lambda: bench.model(ids, use_cache=False, logits_to_keep=1), 3)
    shape = SHAPES[bench.tiny]
    head = shape["vocab_size"] * shape["hidden_size"]
    linear = sum(p.numel() for p in bench.model.parameters() if p.ndim == 2) - 2 * head
    attention = shape["num_hidden_layers"] * shape["num_attention_heads"] * shape["head_dim"] * tokens
    done = tokens * (2 * linear + 2 * attention) + 2 * head
    return {"tokens": tokens, "tokens_per_s": tokens / took, "share_of_matrix": done / took / limit["operations_per_s"]}


@torch.inference_mode()
def attention(bench: Bench) -> list[dict[str, Any]]:
    """Every kernel on the same ragged sequences: time, error against 64 bit, largest difference to each other."""
    sizes = [17, 96, 3, 64] if bench.tiny else [1531, 512, 77, 2048, 1024]
    shape = SHAPES[bench.tiny]
    draw = torch.Generator().manual_seed(1)
    q, k, v = (torch.randn(sum(sizes), heads, shape["head_dim"], generator=draw).to(bench.device, bench.dtype)
               for heads in (shape["num_attention_heads"], *[shape["num_key_value_heads"]] * 2))  # fmt: skip
    cu = torch.tensor([0, *sizes], device=bench.device).cumsum(0).int()
    facts = (cu, cu, max(sizes), max(sizes), True, None)
    exact = PROVIDERS["sdpa"].load()(q.double(), k.double(), v.double(), *facts)
    rows, outputs = [], {}
    for name, provider in PROVIDERS.items():
        try:
            function = provider.load()
            out = outputs[name] = function(q, k, v, *facts).double()
        except Exception as error:  # whatever stops a kernel is a line of the table
            rows.append({"kernel": name, "runs": False, "why": f"{type(error).__name__}: {error}"[:200]})
            continue
        rows.append({
            "kernel": name, "runs": True, "ms": bench.seconds(lambda f=function: f(q, k, v, *facts)) * 1000,
            "relative_error": float((out - exact).norm() / exact.norm()),
            "largest_difference": {other: float((out - done).abs().max()) for other, done in outputs.items()
                                   if other != name},
        })  # fmt: skip
    return rows


def _tokenizer() -> PreTrainedTokenizerFast:
    plain = Tokenizer(models.BPE(vocab={"a": 0}, merges=[]))
    plain.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=plain)


def measured(bench: Bench, rows: list[int]) -> dict[str, Any]:
    """All figures that the time allows, the quick ones first."""
    limit = limits(bench)
    figures: dict[str, Any] = {
        "limits": limit, "prefill": prefill(bench, limit), "kernels": attention(bench), "decode": [], "left_out": [],
    }  # fmt: skip
    for count in rows:
        if time.monotonic() > bench.until:
            figures["left_out"].append(f"decode with {count} rows")
            continue
        figures["decode"].append(decode(bench, count, limit))
    return figures


def table(figures: dict[str, Any]) -> str:
    """The figures in lines."""
    limit, read = figures["limits"], figures["prefill"]
    lines = [
        f"{figures['device']}: copy {limit['bytes_per_s'] / 1e9:.0f} GB/s, product "
        f"{limit['operations_per_s'] / 1e12:.1f} TFLOP/s; attention: {figures['attention']['chosen']}",
        f"prompt of {read['tokens']}: {read['tokens_per_s']:.0f} tokens/s, {read['share_of_matrix']:.0%} of that",
        "rows  generate tok/s  slot tok/s  step ms  of copy | recorded tok/s  step ms  of copy  same answers",
    ]  # fmt: skip
    for row in figures["decode"]:
        slot, recorded = row["slot"], row["recorded"]
        parts = [f"{row['rows']:4d}  {row['generate_tokens_per_s']:14.0f}"]
        for way in (slot, recorded):
            parts.append(way["failed"] if "failed" in way else f"{way['tokens_per_s']:10.0f}  {way['step_ms']:7.2f}  "
                         f"{way['share_of_bandwidth']:7.0%}")  # fmt: skip
        same = " ".join(f"{way.get('same_tokens', 0):.2f}/{way.get('same_first_8', 0):.2f}" for way in (slot, recorded))
        lines.append("  ".join([*parts, same]))
    for kernel in figures["kernels"]:
        facts = kernel.get("why") or f"{kernel['ms']:.3f} ms, relative error {kernel['relative_error']:.1e}" + "".join(
            f", {most:.1e} from {other}" for other, most in kernel["largest_difference"].items()
        )  # fmt: skip
        lines.append(f"{kernel['kernel']:18s} {facts}")
    broken = {row["recorded"].get("graphs_broken") for row in figures["decode"]} - {None}
    lines += [f"steps were not recorded: {why}" for why in broken]
    return "\n".join([*lines, *(f"left out: {name}" for name in figures["left_out"])])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", nargs="+", type=int, default=[1, 8, 32, 64])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=2.0, help="begin no further measurement after so long")
    parser.add_argument("--tiny", action="store_true", help="a tiny model, to try the script itself")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print("no CUDA GPU is visible; try `--tiny --device cpu`", file=sys.stderr)
        return 2
    began = time.monotonic()
    bench = Bench(options.tiny, options.device, options.minutes)
    figures = {
        "device": torch.cuda.get_device_name() if bench.device.type == "cuda" else "cpu", "tiny": options.tiny,
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "attention": {"chosen": bench.choice.name, "implementation": bench.choice.implementation,
                      "refused": bench.choice.refused},
        **measured(bench, options.rows), "seconds": time.monotonic() - began,
    }  # fmt: skip
    print(table(figures))
    print(json.dumps(figures))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
