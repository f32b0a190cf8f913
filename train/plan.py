"""What a recipe needs on given GPUs: parameters, tokens, memory, step time. No weight is ever allocated.

Formulas (docs/training.md explains them), for one process of N:

    weights      frozen parameters x (2 in bfloat16, else 4) + trained parameters x 4
    gradients    4 x trained, optimizer 8 x trained (AdamW, float32); FSDP2 divides all three by N
    buckets      4 x trained under DDP with N > 1, in which it gathers gradients
    activations  a s b h (34 + 2 L) with recomputation, 34 a s b h L without (Korthikanti et al. 2022,
                 arXiv:2205.05198, less the attention matrix, which fused kernels do not keep); a = 1 in 16 bit, 2 in
                 32; 34 a s b h L also for every encoder that learns, with its own s, h and L
    logits       16 bytes x predicted tokens of a micro-batch x vocabulary (padded logits, their gradient and
                 log-softmax in float32)
    reference    4 x trained, where what learns in full is kept as it was
    rollout      8 L h_kv bytes per token of the prompts and answers of a process (keys and values in float32), as far
                 as it is more than activations and logits, which come after it
    FLOPs        tokens x (2 P forward + 2 P backward through P + 2 P_trained), + 2 P with recomputation;
                 2 s^2 h L per sample for attention (twice that backwards); 2 P_enc per state of a frozen encoder;
                 2 P per token of a pass without gradient: rollouts, the old policy, the reference
    time         FLOPs / (peak x efficiency) + bytes moved / bandwidth

with s tokens per sample, b samples, h width, L layers, P parameters of the language model. Only packed rows of policies
have fewer predicted tokens than tokens; an answer there sees its prompt and itself.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from torch import nn

from cuewise.mllm.modeling import CuewiseForConditionalGeneration
from cuewise.train.curriculum import StageConfig
from cuewise.train.loop import LoopConfig
from cuewise.train.stages import choose_parts

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


@dataclass(frozen=True, slots=True)
class Group:
    """A part of a row: a prompt, and equally long answers that each see it and themselves."""

    prompt: int
    answers: int = 0
    length: int = 0

    @property
    def written(self) -> int:
        return self.answers * self.length

    @property
    def rows(self) -> int:
        return self.prompt + self.written

    @property
    def pairs(self) -> float:
        """Pairs of positions of which one sees the other."""
        return self.prompt**2 / 2 + self.written * (self.prompt + self.length / 2)


@dataclass(kw_only=True, slots=True)
class Work:
    """What one sample of a step computes."""

    tokens: dict[str, int]
    """Slot -> rows, as in the plan."""

    row: Sequence[Group]
    """What the loss is taken on; empty where the language model does not run."""

    predicted: int
    """Positions of it that have logits."""

    clips: int = 1
    """Clips whose media is encoded with the loss."""

    aside: float = 0.0
    """FLOPs without gradient: rollouts, the old policy, the reference."""

    keys: float = 0.0
    """Bytes of keys and values while answers are written."""

    keeps_reference: bool = False
    """What is trained in full is also kept as it was."""


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
    """weights, gradients, optimizer, buckets, activations, logits, overhead and what else there is: per process."""

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
    choose_parts(model, stage)
    tokens = tokens_of(model, clip)
    row = [Group(sum(tokens.values()))] if runs_llm(stage) else []
    work = Work(tokens=tokens, row=row, predicted=sum(group.rows for group in row))
    return plan_work(name, work, stage.loop, model, gpus, low_frozen=low_frozen, precision=precision, sharded=sharded,
                     clip=clip)  # fmt: skip


def plan_work(
    name: str, work: Work, loop: LoopConfig, model: CuewiseForConditionalGeneration, gpus: str = "1xH100", *,
    low_frozen: bool = False, precision: str = "bf16", sharded: bool = False, clip: ClipShape,
) -> StagePlan:  # fmt: skip
    """Numbers of a loop whose samples need `work`; what learns in `model` is chosen."""
    count, kind = parse_gpus(gpus)
    gpu = GPUS[kind]
    cut = loop.parts(count)
    samples = max(1, round(loop.batch_size / cut))
    plan = StagePlan(name, parts_of(model), work.tokens, samples * cut)
    positions = encoder_positions(model, clip)
    frozen = sum((part.total - part.trained) * (2 if low_frozen and _low(part.name) else 4) for part in plan.parts)
    share = count if sharded else 1
    sixteen = precision != "no"
    text = model.config.text_config
    rows = samples * sum(group.rows for group in work.row)
    kept = (activation_bytes(text, rows, loop.gradient_checkpointing, sixteen)
            + encoder_bytes(model, positions, samples * work.clips, sixteen))  # fmt: skip
    logits = 16 * samples * work.predicted * text.vocab_size
    plan.memory_gib = {
        "weights": (frozen + 4 * plan.trained) / share / GIB, "gradients": 4 * plan.trained / share / GIB,
        "optimizer": 8 * plan.trained / share / GIB,
        "buckets": 4 * plan.trained / GIB if count > 1 and not sharded else 0.0,
        "activations": kept / GIB, "logits": logits / GIB, "overhead": OVERHEAD_GIB,
    }  # fmt: skip
    if work.keeps_reference:
        plan.memory_gib["reference"] = 4 * plan.trained / GIB
    if work.keys:
        plan.memory_gib["rollout"] = max(0.0, work.keys * plan.batch / count - kept - logits) / GIB
    plan.fits = sum(plan.memory_gib.values()) * FRAGMENTATION <= gpu.memory_gib
    plan.flops = plan.batch * flops_per_sample(model, loop, plan, work, positions)
    compute = plan.flops / count / (gpu.tflops * (1 if sixteen else 0.5) * 1e12 * EFFICIENCY)
    moved = 0.0
    if count > 1:
        moved = 2 * 4 * plan.trained * (count - 1) / count
        if sharded:
            moved += 2 * (frozen + 4 * plan.trained) * (count - 1) / count * (cut / count)
    plan.step_s = compute + moved / (gpu.link_gb_s * 1e9)
    return plan


def runs_llm(stage: StageConfig) -> bool:
    """Whether the stage runs the language model: to learn from what it writes, or from its states."""
    return stage.objective in ("answers", "conclude", "affect_words")


def encoder_bytes(
    model: CuewiseForConditionalGeneration, positions: dict[str, int], samples: int, sixteen: bool
) -> float:
    """Bytes that encoders that learn keep for the backward pass, by the same formula as the language model's layers.

    Counted are transformers with a config of the library; the convolutions of small encoders keep little.
    """
    total = 0.0
    for name, count in positions.items():
        encoder = model.media.towers[name].encoder
        config = getattr(getattr(encoder, "model", None), "config", None)
        if config is None or not any(weight.requires_grad for weight in encoder.parameters()):
            continue
        layers = getattr(config, "encoder_layers", None) or getattr(config, "num_hidden_layers", 0)
        width = getattr(config, "d_model", None) or getattr(config, "hidden_size", 0)
        total += 34 * samples * count * width * layers * (1 if sixteen else 2)
    return total


def activation_bytes(text: nn.Module, tokens: int, recomputes: bool, sixteen: bool) -> float:
    """Bytes that the language model keeps for the backward pass over `tokens` = samples x rows."""
    scale = 1 if sixteen else 2
    layer = 34 * tokens * text.hidden_size * scale
    if recomputes:
        return 2 * scale * tokens * text.hidden_size * text.num_hidden_layers + layer
    return layer * text.num_hidden_layers


def flops_per_sample(
    model: CuewiseForConditionalGeneration, loop: LoopConfig, plan: StagePlan, work: Work, positions: dict[str, int]
) -> float:
    """Multiply-adds x 2 of one sample, forward and backward."""
    total = work.clips * media_flops(plan.parts, plan.tokens, positions) + work.aside
    if not work.row:
        return total
    products, attention = row_flops(model, plan.parts, work.row, work.predicted)
    forwards = 2 if loop.gradient_checkpointing else 1
    learns = min(_llm(plan.parts).trained / sum(_used(model, plan.parts)), 1.0)
    return total + products * (forwards + 1 + learns) + attention * (forwards + 2)


def media_flops(
    parts: Sequence[Part], tokens: dict[str, int], positions: dict[str, int], learns: bool = True
) -> float:  # fmt: skip
    """Multiply-adds x 2 of encoding one clip, backwards too unless only its rows are wanted."""
    total = 0.0
    for part in parts:
        stream, _, inner = part.name.partition(".")
        if inner == "encoder":
            total += positions.get(stream, 0) * part.total * (6 if learns and part.trained else 2)
        elif part.name != "llm":
            total += max(tokens.get(stream, 1), 1) * part.total * (6 if learns else 2)
    return total


def row_flops(
    model: CuewiseForConditionalGeneration, parts: Sequence[Part], row: Sequence[Group], predicted: int
) -> tuple[float, float]:
    """Multiply-adds x 2 of one pass of the language model over a row: with weights, and of attention."""
    text = model.config.text_config
    body, head = _used(model, parts)
    pairs = sum(group.pairs for group in row)  # half of a square is masked
    products = sum(group.rows for group in row) * body + predicted * head
    return 2.0 * products, 4 * pairs * text.hidden_size * text.num_hidden_layers


def _low(part: str) -> bool:
    """Parts that `model.dtype` keeps in 16 bit while frozen."""
    return part == "llm" or part.endswith(".encoder")


def _llm(parts: Sequence[Part]) -> Part:
    return next(part for part in parts if part.name == "llm")


def _used(model: CuewiseForConditionalGeneration, parts: Sequence[Part]) -> tuple[int, int]:
    """Weights of the language model that every token, and every predicted token, is multiplied with; looking a row of
    the embeddings up costs nothing."""
    text = model.config.text_config
    table = text.vocab_size * text.hidden_size
    return _llm(parts).total - table * (1 if text.tie_word_embeddings else 2), table
