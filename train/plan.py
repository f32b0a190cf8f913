"""What a recipe needs on given GPUs: parameters, tokens, memory, step time. No weight is ever allocated.

Formulas (docs/training.md explains them), for one process of N:

    weights      frozen parameters x (2 in bfloat16, else 4) + trained parameters x 4
    gradients    4 x trained, optimizer 8 x trained (AdamW, float32); FSDP2 divides all three by N
    activations  a s b h (34 + 2 L) with recomputation, 34 a s b h L without (Korthikanti et al. 2022,
                 arXiv:2205.05198, less the attention matrix, which fused kernels do not keep); a = 1 in 16 bit, 2 in 32
    logits       2 x 4 bytes x tokens of a micro-batch x vocabulary
    FLOPs        tokens x (2 P forward + 2 P backward through P + 2 P_trained), + 2 P with recomputation;
                 4 s^2 h L per sample for attention (twice that backwards); 2 P_enc per state of a frozen encoder
    time         FLOPs / (peak x efficiency) + bytes moved / bandwidth

with s tokens per sample, b samples, h width, L layers, P parameters of the language model.
"""

import re
from dataclasses import dataclass, field
from difflib import get_close_matches

from torch import nn

from cuewise.mllm.modeling import CuewiseForConditionalGeneration
from cuewise.train.curriculum import StageConfig
from cuewise.train.stages import add_adapters, choose_parts

GIB = 2**30


@dataclass(frozen=True, slots=True)
class Gpu:
    """Figures of the maker's data sheet: memory, dense 16-bit matrix speed, speed of the links to other GPUs."""

    memory_gib: float
    tflops: float
    link_gb_s: float


GPUS = {
    "B200": Gpu(180, 2250, 900), "H200": Gpu(141, 989, 450), "H100": Gpu(80, 989, 450), "A100": Gpu(80, 312, 300),
    "A100-40GB": Gpu(40, 312, 300), "L40S": Gpu(48, 362, 32), "A10": Gpu(24, 125, 32), "RTX4090": Gpu(24, 165, 32),
    "V100": Gpu(32, 125, 150), "T4": Gpu(16, 65, 16),
}  # fmt: skip
OVERHEAD_GIB = 1.5
"""CUDA context, libraries and buffers of the collectives."""

FRAGMENTATION = 1.08
EFFICIENCY = 0.4
"""Share of the peak that training of this kind reaches; short rows reach less."""


@dataclass(kw_only=True, slots=True)
class ClipShape:
    """The clip that numbers are given for."""

    seconds: float = 6.0
    frames: int = 16
    words: int = 20
    """Tokens of what is said."""

    prompt: int = 80
    """Tokens of the prompt besides media."""

    answer: int = 120
    """Tokens of an explained answer."""


@dataclass(slots=True)
class Part:
    """Parameters of one part of the model in one stage."""

    name: str
    total: int
    trained: int


@dataclass(slots=True)
class StagePlan:
    """One stage on one kind of GPU."""

    name: str
    parts: list[Part]
    tokens: dict[str, int]
    """Slot -> language-model rows of the clip; `text` is prompt and answer."""

    batch: int
    """Samples of a step: those of the recipe, or the nearest number that all processes can share evenly."""

    memory_gib: dict[str, float] = field(default_factory=dict)
    """weights, gradients, optimizer, activations, logits, overhead: per process."""

    flops: float = 0.0
    """Of one optimizer step on all processes."""

    step_s: float = 0.0
    fits: bool = True

    @property
    def trained(self) -> int:
        return sum(part.trained for part in self.parts)

    @property
    def total(self) -> int:
        return sum(part.total for part in self.parts)


def parse_gpus(text: str) -> tuple[int, str]:
    """``8xH100`` -> (8, "H100"). Raises ValueError with the nearest known GPU."""
    match = re.fullmatch(r"(?:(\d+)\s*x\s*)?([A-Za-z][\w-]*)", text.strip())
    if match is None:
        raise ValueError(f"--gpus {text!r} is not of the form 8xH100")
    count, name = int(match[1] or 1), match[2].upper()
    known = {kind.upper(): kind for kind in GPUS}
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean `{known[near[0]]}`?" if near else f"known: {', '.join(GPUS)}"
        raise ValueError(f"--gpus: unknown GPU {match[2]!r}; {hint}")
    if count < 1:
        raise ValueError(f"--gpus {text!r}: at least one GPU is needed")
    return count, known[name]


def parts_of(model: CuewiseForConditionalGeneration) -> list[Part]:
    """Parameters of the language model, of every part of every tower, of fusion and heads; each counted once."""
    wide = [name for name in ("llm", "fusion", "fused_head", "dialogue") if name in model.scopes()]
    names = [*wide, *(name for name in model.scopes() if "." in name)]
    seen: set[int] = set()
    parts = []
    for name in names:
        weights = [weight for weight in model.scopes()[name].parameters() if id(weight) not in seen]
        seen |= {id(weight) for weight in weights}
        if weights:
            parts.append(Part(name, sum(w.numel() for w in weights),
                              sum(w.numel() for w in weights if w.requires_grad)))  # fmt: skip
    rest = [weight for weight in model.parameters() if id(weight) not in seen]
    if rest:
        parts.append(Part("other", sum(w.numel() for w in rest), sum(w.numel() for w in rest if w.requires_grad)))
    return parts


def tokens_of(model: CuewiseForConditionalGeneration, clip: ClipShape) -> dict[str, int]:
    """Slot -> rows of the clip, and `text` for prompt and answer."""
    lengths = {}
    for name, stream in model.plan.streams.items():
        kind = stream.encoder_config.input_kind
        lengths[name] = {"images": clip.frames, "log_mel": round(clip.seconds * 100),
                         "samples": round(clip.seconds * 16_000), "token_ids": clip.words}[kind]  # fmt: skip
    return model.plan.num_tokens(lengths) | {"text": clip.prompt + clip.answer}


def encoder_positions(model: CuewiseForConditionalGeneration, clip: ClipShape) -> dict[str, int]:
    """Stream -> positions its encoder computes for the clip: patches of all pictures, states of the sound."""
    found = {}
    for name, stream in model.plan.streams.items():
        config = stream.encoder_config
        if config.input_kind == "images":
            inner = getattr(config, "hf", {}) or {}
            patch = inner.get("patch_size") or inner.get("vision_config", {}).get("patch_size") or config.image_size
            found[name] = clip.frames * (config.image_size // patch) ** 2
        elif config.input_kind == "token_ids":
            found[name] = clip.words
        else:
            whisper = getattr(config, "is_mel", False)  # Whisper always computes its window of 30 s
            per_s = 16_000 if config.input_kind == "samples" else 100
            found[name] = 1500 if whisper else config.num_states(round(clip.seconds * per_s))
    return found


def plan_stage(
    name: str, stage: StageConfig, model: CuewiseForConditionalGeneration, gpus: str = "1xH100", *,
    low_frozen: bool = False, precision: str = "bf16", sharded: bool = False, clip: ClipShape | None = None,
) -> StagePlan:  # fmt: skip
    """Numbers of one stage.

    Args:
        model: on the meta device, with the adapters of the recipe.
        low_frozen: frozen language model and encoders are kept in bfloat16.
        precision: `no`, `bf16` or `fp16`.
        sharded: FSDP2 instead of DDP.
    """
    clip = clip or ClipShape()
    count, kind = parse_gpus(gpus)
    gpu = GPUS[kind]
    choose_parts(model, stage)
    cut = stage.loop.parts(count)
    samples = max(1, round(stage.loop.batch_size / cut))
    plan = StagePlan(name, parts_of(model), tokens_of(model, clip), samples * cut)
    rows = sum(plan.tokens.values()) if stage.objective == "answers" else 0
    frozen = sum((part.total - part.trained) * (2 if low_frozen and _low(part.name) else 4) for part in plan.parts)
    share = count if sharded else 1
    sixteen = precision != "no"
    text = model.config.text_config
    recomputes = stage.loop.gradient_checkpointing
    plan.memory_gib = {
        "weights": (frozen + 4 * plan.trained) / share / GIB, "gradients": 4 * plan.trained / share / GIB,
        "optimizer": 8 * plan.trained / share / GIB,
        "activations": activation_bytes(text, samples * rows, recomputes, sixteen) / GIB,
        "logits": 8 * samples * rows * text.vocab_size / GIB, "overhead": OVERHEAD_GIB,
    }  # fmt: skip
    plan.fits = sum(plan.memory_gib.values()) * FRAGMENTATION <= gpu.memory_gib
    plan.flops = plan.batch * flops_per_sample(model, stage, plan, encoder_positions(model, clip))
    compute = plan.flops / count / (gpu.tflops * (1 if sixteen else 0.5) * 1e12 * EFFICIENCY)
    moved = 0.0
    if count > 1:
        moved = 2 * 4 * plan.trained * (count - 1) / count
        if sharded:
            moved += 2 * (frozen + 4 * plan.trained) * (count - 1) / count * (cut / count)
    plan.step_s = compute + moved / (gpu.link_gb_s * 1e9)
    return plan


def activation_bytes(text: nn.Module, tokens: int, recomputes: bool, sixteen: bool) -> float:
    """Bytes that the language model keeps for the backward pass over `tokens` = samples x rows."""
    scale = 1 if sixteen else 2
    layer = 34 * tokens * text.hidden_size * scale
    if recomputes:
        return 2 * scale * tokens * text.hidden_size * text.num_hidden_layers + layer
    return layer * text.num_hidden_layers


def flops_per_sample(
    model: CuewiseForConditionalGeneration, stage: StageConfig, plan: StagePlan, positions: dict[str, int]
) -> float:
    """Multiply-adds x 2 of one sample, forward and backward."""
    by_name = {part.name: part for part in plan.parts}
    total = 0.0
    for stream, count in positions.items():
        part = by_name.get(f"{stream}.encoder")
        if part is not None:
            total += count * (2 * part.total + (4 * part.total if part.trained else 0))
    others = [part for part in plan.parts if part.name != "llm" and not part.name.endswith(".encoder")]
    total += sum(6 * part.total * max(plan.tokens.get(part.name.split(".")[0], 1), 1) for part in others)
    if stage.objective != "answers":
        return total
    text, llm = model.config.text_config, by_name["llm"]
    rows = sum(plan.tokens.values())
    table = text.vocab_size * text.hidden_size
    active = llm.total - (0 if text.tie_word_embeddings else table)  # looking a row up costs nothing
    learns = min(llm.trained, active)
    passes = 2 * (2 if stage.loop.gradient_checkpointing else 1)
    attention = 4 * rows * rows * text.hidden_size * text.num_hidden_layers / 2  # half of it is masked
    return total + rows * (passes * active + 2 * active + 2 * learns) + attention * (passes / 2 + 2)


def plan_recipe(
    stages: dict[str, StageConfig], model: CuewiseForConditionalGeneration, gpus: str, **options: object
) -> list[StagePlan]:
    """All stages; the adapters of the recipe are added to `model` first, which also checks every scope it names."""
    add_adapters(model, stages, seed=0)
    return [plan_stage(name, stage, model, gpus, **options) for name, stage in stages.items()]


def table(plans: list[StagePlan], gpus: str, clip: ClipShape) -> str:
    """The plan for people."""
    count, kind = parse_gpus(gpus)
    first = plans[0]
    lines = [f"{'part':22} {'parameters':>16}  " + "  ".join(f"{plan.name[:14]:>14}" for plan in plans)]
    for part in first.parts:
        cells = []
        for plan in plans:
            same = next(other for other in plan.parts if other.name == part.name)
            cells.append(f"{'frozen' if not same.trained else f'{same.trained:,}':>14}")
        lines.append(f"{part.name:22} {part.total:>16,}  " + "  ".join(cells))
    shares = [f"{plan.trained / plan.total:>14.2%}" for plan in plans]
    lines.append(f"{'all':22} {first.total:>16,}  " + "  ".join(shares))
    slots = ", ".join(f"{slot} {rows}" for slot, rows in first.tokens.items())
    lines += ["", f"rows of a clip of {clip.seconds:g} s, {clip.frames} frames, {clip.words} words: {slots}; "
                  f"{sum(first.tokens.values())} in all", "",
              f"on {count} x {kind}, each with {GPUS[kind].memory_gib:g} GiB"]  # fmt: skip
    for plan in plans:
        parts = ", ".join(f"{name} {value:.2f}" for name, value in plan.memory_gib.items())
        need = sum(plan.memory_gib.values()) * FRAGMENTATION
        verdict = "fits" if plan.fits else "DOES NOT FIT: more micro_batches, gradient_checkpointing, fsdp2 or GPUs"
        lines.append(f"  {plan.name}: {need:.1f} GiB per process ({parts}), {verdict}; a step of {plan.batch} samples "
                     f"takes {plan.flops / 1e12:.3g} TFLOP and about {plan.step_s:.3g} s")  # fmt: skip
    return "\n".join(lines)


def _low(part: str) -> bool:
    """Parts that `model.dtype` keeps in 16 bit while frozen."""
    return part == "llm" or part.endswith(".encoder")
