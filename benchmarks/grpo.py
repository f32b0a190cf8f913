"""One GRPO step, shared prefix against the usual way, on this machine.

    python benchmarks/grpo.py [--prompt 1200 --completion 64 --group 8] [--repeats 5] [--all] [--json]

The usual way repeats media and prompt for each of G samples: encoders and prefill on G copies, decoding with G copies
of the prompt's keys, and a loss on G full rows, the faster of all rows at once and one after the other. Ours encodes
and reads the prompt once, decodes from one copy of its keys, and takes the loss on one packed row, whose layers are
computed again in backward (`gradient_checkpointing`): the time that sharing saves pays for half the memory. The packed
row with all activations kept is shown as `kept`. Both ways use the same language model (about 12M weights), encoders
(about 4M, frozen), sampler and seeds, with and without media.

Times are medians of alternating runs on one thread, in CPU seconds, which other work on the machine does not change;
wall-clock ratios are given too. Peak memory of a step (rollout, then loss) above the loaded model is measured in a
process of its own for each side, with an allocator that returns what is freed. `--all` adds the sizes 600/32 and
2000/64. The last line is JSON.
"""

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torch import Tensor
from transformers import DynamicCache

from cuewise.mllm.configuration import CuewiseConfig
from cuewise.mllm.engine.base import EngineRequest, SamplingParams
from cuewise.mllm.engine.sampling import choose
from cuewise.mllm.media_tokens import MediaTokens
from cuewise.mllm.modeling import CuewiseForConditionalGeneration
from cuewise.mllm.shared_prefix import VARLEN, use_kernel
from cuewise.train.packing import Prompted, pack_answers
from cuewise.train.policy_losses import policy_loss, token_logprobs
from cuewise.train.rollout import SharedPrefixRollout

VOCAB, FRAMES, PICTURE, MEL_FRAMES = 6144, 8, 96, 300
SIZES = [(1200, 64), (600, 32), (2000, 64)]


@dataclass(slots=True)
class Task:
    """One prompt, its media, and how many answers of which length it gets."""

    model: CuewiseForConditionalGeneration
    ids: list[int]
    streams: dict[str, Tensor]
    completion: int
    group: int

    @property
    def sampling(self) -> SamplingParams:
        return SamplingParams(temperature=1.0, max_tokens=self.completion, seed=7)


def build_model() -> CuewiseForConditionalGeneration:
    """Random weights; encoders frozen, everything else trained."""
    vision = {"model_type": "clip_vision_model", "hidden_size": 224, "intermediate_size": 896, "num_hidden_layers": 4,
              "num_attention_heads": 7, "image_size": PICTURE, "patch_size": 16, "projection_dim": 224}  # fmt: skip
    streams = {
        "face": {"encoder": {"family": "hf_vision", "hf": vision, "image_size": PICTURE, "colour": True},
                 "compressor": {"name": "attn_pool", "tokens": 32, "summary": True}, "frozen": True},
        "voice": {"encoder": {"family": "conv_voice", "channels": [48, 96, 160, 224], "width": 320},
                  "compressor": {"name": "attn_pool", "tokens": 32, "summary": True}, "frozen": True},
    }  # fmt: skip
    text = {
        "model_type": "qwen3", "vocab_size": VOCAB, "hidden_size": 384, "intermediate_size": 1024,
        "num_hidden_layers": 6, "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 64,
        "max_position_embeddings": 4096, "tie_word_embeddings": True, "bos_token_id": None, "eos_token_id": 1,
        "pad_token_id": 0,
    }  # fmt: skip
    torch.manual_seed(0)
    model = CuewiseForConditionalGeneration(CuewiseConfig(
        text_config=text, streams=streams, prefusion={"name": "attn2", "hidden": 128},
    ))  # fmt: skip
    return model.train()


def build_task(prompt: int, completion: int, group: int, encoders: bool) -> Task:
    """A prompt of `prompt` tokens, media rows among them when there are encoders."""
    model, generator = build_model(), torch.Generator().manual_seed(1)
    streams: dict[str, Tensor] = {}
    ids: list[int] = []
    if encoders:
        streams = {
            "face_values": torch.randint(0, 255, (1, FRAMES, PICTURE, PICTURE, 3), generator=generator).byte(),
            "face_mask": torch.ones(1, FRAMES, dtype=torch.bool),
            "face_times_s": torch.linspace(0, 3, FRAMES)[None],
            "voice_values": torch.randn(1, MEL_FRAMES, model.plan.features.bands, generator=generator),
            "voice_mask": torch.ones(1, MEL_FRAMES, dtype=torch.bool),
            "voice_times_s": torch.linspace(0, 3, MEL_FRAMES)[None],
        }  # fmt: skip
        places = model.plan.tokens.placeholders
        counts = model.plan.num_tokens({"face": FRAMES, "voice": MEL_FRAMES})
        ids = [places[slot] for slot, count in counts.items() for _ in range(count)]
    ids += torch.randint(300, VOCAB, (prompt - len(ids),), generator=generator).tolist()
    return Task(model, ids, streams, completion, group)


# Ours


def shared_rollout(task: Task) -> list[list[int]]:
    """Encode once, prefill once, decode G samples from one copy of the prompt's keys."""
    model = task.model.eval()
    with torch.no_grad():
        media = model.encode(task.streams)[0] if task.streams else None
        rows = model.prompt_rows(task.ids, media)
        engine = SharedPrefixRollout(model, None, [])
        found = engine.sample([EngineRequest(id="0", segments=[rows], sampling=task.sampling, n=task.group)])
    return [completion.token_ids for completion in found[0]]


def shared_loss(task: Task, answers: list[list[int]]) -> None:
    """Forward and backward of one packed row."""
    task.model.train()
    row = pack_answers([Prompted(id="0", prompt=task.ids, answers=answers)])
    logits = task.model(**row.inputs, **(task.streams or {"media_tokens": [MediaTokens()]})).logits
    grpo(row.by_answer(token_logprobs(logits[0], row.targets)), task.completion * task.group).backward()


# The usual way


def repeated(task: Task, times: int) -> dict[str, Tensor]:
    return {key: value.expand(times, *value.shape[1:]).contiguous() for key, value in task.streams.items()}


def usual_rollout(task: Task) -> list[list[int]]:
    """Encoders and prefill on G copies, decoding with G copies of the prompt's keys."""
    model, group = task.model, task.group
    cache, ids = DynamicCache(config=model.config.text_config), torch.tensor([task.ids] * group)
    generators = [torch.Generator().manual_seed(task.sampling.seed + i) for i in range(group)]
    found: list[list[int]] = [[] for _ in range(group)]
    with torch.inference_mode():
        inputs = {"input_ids": ids, **repeated(task, group)}
        for _ in range(task.completion):
            logits = model(**inputs, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[:, -1]
            tokens = [choose(row, task.sampling, generator)[0] for row, generator in zip(logits, generators)]
            for answer, token in zip(found, tokens):
                answer.append(token)
            inputs = {"input_ids": torch.tensor(tokens)[:, None]}
    return found


def usual_loss(task: Task, answers: list[list[int]], at_once: bool) -> None:
    """Forward and backward of G full rows, at once or one after the other."""
    size = task.group if at_once else 1
    for begin in range(0, task.group, size):
        chosen = answers[begin : begin + size]
        ids = torch.tensor([task.ids + answer for answer in chosen])
        keep = task.completion + 1
        logits = task.model(input_ids=ids, **repeated(task, len(chosen)), logits_to_keep=keep, use_cache=False).logits
        logp = token_logprobs(logits[:, :-1], torch.tensor(chosen))
        grpo(logp, task.completion * task.group, begin).backward()


def grpo(logp: Tensor, normalizer: int, begin: int = 0) -> Tensor:
    advantage = torch.linspace(-1, 1, 64)[begin : begin + len(logp)]
    return policy_loss(logp, logp.detach(), advantage, torch.ones_like(logp) > 0, normalizer=normalizer)[0]


SIDES: dict[str, tuple[Callable, Callable]] = {
    "shared": (shared_rollout, shared_loss),
    "kept": (shared_rollout, shared_loss),
    "at_once": (usual_rollout, lambda task, answers: usual_loss(task, answers, True)),
    "row_by_row": (usual_rollout, lambda task, answers: usual_loss(task, answers, False)),
}


# Measuring


def timed(run: Callable[[], object]) -> tuple[float, float]:
    """CPU and wall-clock seconds."""
    gc.collect()
    cpu, wall = time.process_time(), time.perf_counter()
    run()
    return time.process_time() - cpu, time.perf_counter() - wall


def use_side(task: Task, side: str) -> None:
    """Kernel and recomputation of a side, and no gradients."""
    model = task.model.language_model
    use_kernel(model, VARLEN if side in ("shared", "kept") else "sdpa")
    if side == "shared":
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    elif model.is_gradient_checkpointing:
        model.gradient_checkpointing_disable()
    task.model.train().zero_grad(set_to_none=True)


def times(task: Task, repeats: int) -> dict[str, list[tuple[float, float]]]:
    """Alternating runs of every pass of every side. The first round is for warming up; of the two ways to take the loss
    on full rows only the one that was faster in the second round goes on."""
    found: dict[str, list[tuple[float, float]]] = {}
    answers = {}
    for side in ("shared", "at_once"):
        use_side(task, side)
        answers[side] = SIDES[side][0](task)
    if answers["shared"] != answers["at_once"]:
        raise SystemExit("the two ways sampled different tokens for the same seeds")
    for turn in range(repeats + 1):
        if turn == 2:
            found.pop(max(("at_once/loss", "row_by_row/loss"), key=lambda name: found[name]))
        for side, (rollout, loss) in SIDES.items():
            use_side(task, side)
            runs = {f"{side}/loss": lambda loss=loss: loss(task, answers["shared"])}
            if side in ("shared", "at_once"):
                runs[f"{side}/rollout"] = lambda rollout=rollout: rollout(task)
            for name, run in runs.items():
                if turn > 1 and name not in found:
                    continue
                spent = timed(run)
                if turn:
                    found.setdefault(name, []).append(spent)
    return found


def peak_above_baseline(task: Task, side: str) -> float:
    """MiB of resident memory that a step needs above the loaded model, gradients included."""
    use_side(task, side)
    rollout, loss = SIDES[side]
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    loss(task, rollout(task))
    return (_status("VmHWM") - before) / 1024


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))


def memory(prompt: int, completion: int, group: int, encoders: bool, side: str) -> float:
    """`peak_above_baseline` of one side, in a process of its own."""
    command = [sys.executable, __file__, "--prompt", prompt, "--completion", completion, "--group", group,
               "--memory-of", side, *([] if encoders else ["--no-encoders"])]  # fmt: skip
    returned_at_once = {f"MALLOC_{name}_THRESHOLD_": "65536" for name in ("MMAP", "TRIM")}
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True,
                          env=os.environ | returned_at_once)  # fmt: skip
    return float(done.stdout.splitlines()[-1])


def measure(prompt: int, completion: int, group: int, repeats: int, encoders: bool) -> dict[str, float | str]:
    """All numbers of one size."""
    found = times(build_task(prompt, completion, group, encoders), repeats)
    cpu, wall = ({name: statistics.median(run[i] for run in runs) for name, runs in found.items()} for i in (0, 1))
    faster = next(side for side in ("at_once", "row_by_row") if f"{side}/loss" in found)
    peak = {side: memory(prompt, completion, group, encoders, side) for side in SIDES}
    ratios = {}
    for suffix, clock in (("", cpu), ("_wall", wall)):
        ratios[f"rollout_ratio{suffix}"] = clock["at_once/rollout"] / clock["shared/rollout"]
        ratios[f"loss_ratio{suffix}"] = clock[f"{faster}/loss"] / clock["shared/loss"]
        ratios[f"loss_ratio_kept{suffix}"] = clock[f"{faster}/loss"] / clock["kept/loss"]
    ratios["memory_ratio"] = peak["shared"] / peak[faster]
    ratios["memory_ratio_at_once"] = peak["shared"] / peak["at_once"]
    numbers = {f"{name}_s": value for name, value in cpu.items()} | {f"{side}/peak_mib": v for side, v in peak.items()}
    return {key: round(value, 3) for key, value in (ratios | numbers).items()} | {"faster_loss": faster}


def table(size: tuple[int, int], group: int, found: dict[str, dict]) -> None:
    print(f"\nprompt {size[0]}, completion {size[1]}, group {group}      usual     shared   ratio")
    for name, numbers in found.items():
        faster = numbers["faster_loss"]
        rows = (("rollout, CPU s", "at_once/rollout_s", "shared/rollout_s", "rollout_ratio"),
                (f"loss, CPU s ({faster})", f"{faster}/loss_s", "shared/loss_s", "loss_ratio"),
                ("  activations kept", f"{faster}/loss_s", "kept/loss_s", "loss_ratio_kept"),
                ("peak of a step, MiB", f"{faster}/peak_mib", "shared/peak_mib", "memory_ratio"))  # fmt: skip
        for label, usual, shared, ratio in rows:
            print(f"  {name:17} {label:26} {numbers[usual]:9.2f} {numbers[shared]:9.2f} {numbers[ratio]:7.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompt", type=int, default=SIZES[0][0])
    parser.add_argument("--completion", type=int, default=SIZES[0][1])
    parser.add_argument("--group", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--all", action="store_true", help="also 600/32 and 2000/64")
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON line")
    parser.add_argument("--no-encoders", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--memory-of", choices=SIDES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.memory_of:
        task = build_task(args.prompt, args.completion, args.group, not args.no_encoders)
        print(peak_above_baseline(task, args.memory_of))
        return
    sizes = [(args.prompt, args.completion)] + (SIZES[1:] if args.all else [])
    results = {}
    for size in sizes:
        found = {("with encoders" if encoders else "without encoders"):
                 measure(*size, args.group, args.repeats, encoders) for encoders in (True, False)}  # fmt: skip
        results[f"{size[0]}/{size[1]}"] = found
        if not args.json:
            table(size, args.group, found)
    model = build_model()
    encoders = torch.nn.ModuleList(tower.encoder for tower in model.media.towers.values())
    weights = {"llm": model.language_model, "encoders": encoders}
    first = results[f"{sizes[0][0]}/{sizes[0][1]}"]["with encoders"]
    print(json.dumps({
        **{name: first[name] for name in ("rollout_ratio", "loss_ratio", "memory_ratio")},
        "group": args.group, "repeats": args.repeats, "torch": torch.__version__, "threads": 1,
        "parameters": {name: sum(w.numel() for w in part.parameters()) for name, part in weights.items()},
        "sizes": results,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
