"""How near does the slot engine come to what a GPU can do? A random backbone of 7 billion parameters in bf16.

    python benchmarks/engine_gpu.py [--rows 1 8 32 64] [--json out.json]
    python benchmarks/engine_gpu.py --tiny --device cpu          # the same road in seconds, without a GPU

Written: tokens/s of the slot engine and of `generate` on the same prompts; the share of the memory bandwidth that a
decode step uses (weights and visible keys and values, over the bandwidth measured by a large copy); the share of the
matrix speed that reading a prompt uses (over the speed measured by a large product); every attention kernel that runs
here against 64-bit attention and against each other, in values and in time.

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
    """Model, device and sizes of one run."""

    def __init__(self, tiny: bool, device: str, answer: int = 128, repeats: int = 2):
        self.tiny, self.device, self.repeats = tiny, torch.device(device), repeats
        self.dtype = torch.bfloat16 if self.device.type == "cuda" else torch.float32
        self.prompt, self.answer = (32, 8) if tiny else (512, answer)
        self.choice = choose("auto", self.device, self.dtype)
        torch.manual_seed(0)
        config = Qwen3Config(**SHAPES[tiny], max_position_embeddings=8192, tie_word_embeddings=False,
                             bos_token_id=None, eos_token_id=None, pad_token_id=0)  # fmt: skip
        config._attn_implementation = self.choice.implementation
        torch.set_default_dtype(self.dtype)
        with self.device:
            self.model = Qwen3ForCausalLM(config).eval()
        torch.set_default_dtype(torch.float32)
        self.vocabulary = config.vocab_size
        self.weight_bytes = sum(p.nbytes for name, p in self.model.named_parameters() if "embed_tokens" not in name)

    def seconds(self, work: Callable[[], Any], repeats: int = 5) -> float:
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


def decode(bench: Bench, rows: int, limit: dict[str, float]) -> dict[str, float]:
    """Tokens/s with this many answers at once, with the slot engine and with `generate` on the whole batch."""
    prompts, written = bench.prompts(rows), rows * bench.answer
    engine = SlotEngine(bench.model, _tokenizer(), end_ids=[], max_length=bench.prompt + bench.answer + 1, slots=rows,
                        prefix_tokens=0, chunk=max(bench.prompt, 512), pack=4 * bench.prompt)  # fmt: skip

    def run() -> None:
        sampling = SamplingParams(max_tokens=bench.answer)
        for _ in engine.generate(EngineRequest(id=str(i), segments=[ids.tolist()], sampling=sampling)
                                 for i, ids in enumerate(prompts)):  # fmt: skip
            pass

    ids = prompts.to(bench.device)
    slot = bench.seconds(run, bench.repeats)
    before = engine.stats()
    run()
    after = engine.stats()
    step = (after.decode_s - before.decode_s) / (after.steps - before.steps)
    visible = rows * (bench.prompt + bench.answer / 2)
    shape = SHAPES[bench.tiny]
    kv_bytes = 2 * visible * shape["num_hidden_layers"] * shape["num_key_value_heads"] * shape["head_dim"]
    moved = bench.weight_bytes + kv_bytes * torch.empty(0, dtype=bench.dtype).element_size()
    with torch.inference_mode():
        plain = bench.seconds(lambda: bench.model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=bench.answer
        ), bench.repeats)  # fmt: skip
    return {
        "rows": rows, "slot_tokens_per_s": written / slot, "generate_tokens_per_s": written / plain,
        "step_ms": step * 1000, "share_of_bandwidth": moved / step / limit["bytes_per_s"],
        "kv_mib_per_row": engine.stats().kv_bytes / rows / 2**20,
    }  # fmt: skip


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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", nargs="+", type=int, default=[1, 8, 32, 64])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--answer", type=int, default=128, help="tokens of each answer; 32 takes a minute on a GPU")
    parser.add_argument("--repeats", type=int, default=2, help="timed runs per figure, of which the median is taken")
    parser.add_argument("--tiny", action="store_true", help="a tiny model, to try the script itself")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print("no CUDA GPU is visible; try `--tiny --device cpu`", file=sys.stderr)
        return 2
    bench = Bench(options.tiny, options.device, options.answer, options.repeats)
    limit = limits(bench)
    figures = {
        "device": torch.cuda.get_device_name() if bench.device.type == "cuda" else "cpu", "tiny": options.tiny,
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "attention": {"chosen": bench.choice.name, "implementation": bench.choice.implementation,
                      "refused": bench.choice.refused},
        "limits": limit, "decode": [decode(bench, rows, limit) for rows in options.rows],
        "prefill": prefill(bench, limit), "kernels": attention(bench),
    }  # fmt: skip
    print(json.dumps(figures, indent=1))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
