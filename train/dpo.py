"""DPO: `cuewise train RECIPE` with a recipe of `kind: dpo`; AVEm-DPO, MM-RLHF's dynamic beta and CUT are options.

Each pair is one packed row ``[prompt | chosen | rejected …]``, with ``[prompt of another clip | chosen]`` behind it
where the input is compared too. docs/preference.md has the formulas.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Generator, Tensor, nn

from cuewise.data_recipes.preferences import KINDS
from cuewise.mllm.adapters.lora import LoraScope
from cuewise.mllm.media_tokens import MediaTokens
from cuewise.mllm.modeling import CuewiseForConditionalGeneration
from cuewise.mllm.processing import CuewiseProcessor
from cuewise.mllm.shared_prefix import VARLEN, use_kernel
from cuewise.train.critique import unlikelihood_loss
from cuewise.train.examples import Example, SourceConfig
from cuewise.train.grpo import run_recipe
from cuewise.train.loop import LoopConfig, run_stage
from cuewise.train.media_gate import watched
from cuewise.train.packing import pack_answers
from cuewise.train.parallel import Parallel
from cuewise.train.policy_losses import (
    avem_prompt_loss,
    avem_response_loss,
    dpo_loss,
    dynamic_beta,
    token_logprobs,
)
from cuewise.train.preference_pairs import Pair, Prompter, Shown, make_pairs, shares
from cuewise.train.recipe_config import RecipeConfig
from cuewise.train.reference import Reference
from cuewise.train.rewards import RewardConfig, RewardSample, score
from cuewise.train.rewards.base import Entry
from cuewise.train.rewards.readers import check_readers, load_readers

STAGE = "dpo"


@dataclass(kw_only=True, slots=True)
class PreferenceConfig:
    method: Literal["dpo", "avem", "cut"] = "dpo"
    """`dpo` compares the chosen answer with each rejected one; `avem` is AVEm-DPO; `cut` learns from a judgment of each
    rejected answer which of its tokens were wrong."""

    kind: Literal["sigmoid", "hinge", "ipo", "robust"] = "sigmoid"
    """Form of the `dpo` loss."""

    beta: float = 0.1
    smoothing: float = 0.0
    """Share of swapped labels that `robust` expects."""

    dynamic: float = 0.0
    """beta grows up to 1 + this factor with the rated margin of a pair (MM-RLHF: 0.5); needs `rewards`."""

    dynamic_rate: float = 0.5
    input_weight: float = 1.0
    """`avem`: weight of the comparison of inputs."""

    text_weight: float = 0.2
    """`avem`: how strongly what the text alone explains is taken off (gamma)."""

    kind_weights: dict[str, float] = field(default_factory=dict)
    """`avem`: relative weight of each kind of rejected answer; by default all alike."""

    blame: float = 1.1
    """`cut`: a token is wrong that grows by more than this factor once the judgment is read."""

    blame_weight: float = 1.0
    """`cut`: weight of making wrong tokens unlikely."""

    noise: bool = False
    """Rejected inputs hold noise instead of the stream of another clip."""

    sft_weight: float = 0.0
    """Weight of the next-token loss of the chosen answer, mean over its tokens, beside the preference loss (MM-RLHF:
    0.25)."""

    def __post_init__(self) -> None:
        if not self.beta > 0:
            raise ValueError(f"preference.beta must be > 0, got {self.beta:g}")
        if not 0 <= self.smoothing < 0.5:
            raise ValueError(f"preference.smoothing is a share in [0, 0.5), got {self.smoothing:g}")
        for name in ("dynamic", "dynamic_rate", "input_weight", "text_weight", "blame_weight", "sft_weight"):
            if getattr(self, name) < 0:
                raise ValueError(f"preference.{name} must be >= 0, got {getattr(self, name):g}")
        if any(weight < 0 for weight in self.kind_weights.values()):
            raise ValueError("preference.kind_weights must be >= 0")
        for name in ("dynamic", "sft_weight"):
            if self.method == "cut" and getattr(self, name):
                raise ValueError(f"preference.{name} does nothing with method: cut, which has no beta and learns every "
                                 "chosen answer by its likelihood; leave it out, or use dpo or avem")  # fmt: skip


@dataclass(kw_only=True, slots=True)
class DPOConfig(RecipeConfig):
    """The model of `init` is also the reference."""

    kind: Literal["dpo"] = "dpo"
    sources: dict[str, SourceConfig]
    requires: list[str] = field(default_factory=list)
    """Streams that every clip must have; one without is an error."""

    corruptions: list[str] = field(default_factory=lambda: list(KINDS))
    """Kinds of rejected answers; see `data_recipes.preferences`."""

    per_row: int = 2
    """Rejected answers of each clip, of different kinds."""

    trains: list[str] = field(default_factory=list)
    """Scopes that learn in full."""

    adapters: dict[str, LoraScope] = field(default_factory=dict)
    """Scopes that learn through LoRA; the reference is the model with the adapter switched off."""

    preference: PreferenceConfig = field(default_factory=PreferenceConfig)
    rewards: dict[str, Entry] = field(default_factory=dict)
    """Rewards that rate the answers of a pair for the dynamic beta, each total in [0, 1] times `rating_scale`."""

    readers: dict[str, str] = field(default_factory=dict)
    """What a reward needs -> the model it reads with, as in GRPO."""

    rating_scale: float = 5.0
    loop: LoopConfig
    """`batch_size` counts clips, each with all its rejected answers."""

    def __post_init__(self) -> None:
        if not self.trains and not self.adapters:
            raise ValueError("a DPO recipe must train something: name scopes in `trains` or `adapters`")
        if self.preference.dynamic and not self.rewards:
            raise ValueError("preference.dynamic needs `rewards` that rate the answers; name some, e.g. cue_grounding")
        if self.rewards:
            check_readers(RewardConfig(rewards=self.rewards), self.readers)


@dataclass(slots=True)
class PairBatch:
    """Pairs of one micro-batch, as prompts, with what the reference says about them."""

    ids: list[str]
    pairs: list[Pair]
    kinds: list[str]
    own: list[Shown]
    elsewhere: list[Shown | None]
    reference: list[Tensor]
    """Per pair float [1 + rejected + elsewhere]: summed log-probabilities under the reference."""

    blind: list[Tensor]
    """Per pair float [1 + rejected]: the same without media; empty where it is not needed."""

    weight: float
    """What the loss is a mean over, so that the cut of a step into micro-batches changes nothing: rejected answers
    (`dpo`), clips (`avem`), tokens of the answers (`cut`)."""

    judged: list[Shown] = field(default_factory=list)
    """`cut`: every rejected answer behind a judgment of it."""


class Preferences:
    """Batches for the loop. What the reference says about a pair never changes, so it is computed once."""

    def __init__(
        self, model: Any, processor: CuewiseProcessor, pairs: Sequence[Pair], config: DPOConfig, size: int,
        parallel: Parallel | None = None,
    ):  # fmt: skip
        if not pairs:
            raise ValueError("no clip gives a preference pair; use other `corruptions` or sources with cues")
        self.model, self.processor, self.pairs, self.config, self.size = model, processor, list(pairs), config, size
        self.prompter, self.reference = Prompter(processor, config.requires), Reference(model)
        self.cache: dict[str, tuple[Tensor, Tensor]] = {}
        self.avem = config.preference.method == "avem"
        lost = [(pair.id, pair.lost[0]) for pair in pairs if pair.lost]
        if lost and self.avem and config.preference.input_weight > 0:
            raise ValueError(f"the rejected inputs of {len(lost)} of {len(pairs)} pairs name rows that no source has, "
                             f"e.g. {lost[0][0]!r} names {lost[0][1]!r}; add the source they are in, take all of its "
                             "rows, or set preference.input_weight=0")  # fmt: skip
        self.parallel = parallel
        """Whose precision the loss is computed in, so that the reference is read in it too; float32 without."""

    def __call__(self, step: int, generator: Generator) -> PairBatch:
        picks = torch.randint(len(self.pairs), (self.size,), generator=generator).tolist()
        return self.batch([self.pairs[pick] for pick in picks])

    def batch(self, pairs: Sequence[Pair]) -> PairBatch:
        """These pairs with everything the loss needs."""
        if self.config.preference.method == "cut":
            own = [self.prompter.own(pair, list(pair.rejected)) for pair in pairs]
            judged = [self.prompter.judged(pair, kind) for pair in pairs for kind in pair.rejected]
            tokens = sum(len(answer) for one in own for answer in one.prompt.answers)
            ids = [pair.id for pair in pairs]
            return PairBatch(ids, list(pairs), [], own, [None] * len(own), [], [], tokens, judged)
        own, elsewhere, said = [], [], []
        for pair in pairs:
            one, other = self.shown(pair)
            if pair.id not in self.cache:
                self.cache[pair.id] = self.asked_once(one, other)
            own.append(one)
            elsewhere.append(other)
            said.append(self.cache[pair.id])
        kinds = list(dict.fromkeys(kind for pair in pairs for kind in pair.rejected))
        weight = len(pairs) if self.avem else sum(len(pair.rejected) for pair in pairs)
        return PairBatch([pair.id for pair in pairs], list(pairs), kinds, own, elsewhere, [x for x, _ in said],
                         [x for _, x in said], weight)  # fmt: skip

    def shown(self, pair: Pair) -> tuple[Shown, Shown | None]:
        """The pair's prompt, and the prompt of its rejected input where the loss compares inputs."""
        noise = torch.Generator().manual_seed(self.config.seed) if self.config.preference.noise else None
        wanted = self.avem and self.config.preference.input_weight > 0
        return self.prompter.own(pair, list(pair.rejected)), self.prompter.elsewhere(pair, noise) if wanted else None

    def asked_once(self, own: Shown, elsewhere: Shown | None) -> tuple[Tensor, Tensor]:
        """Summed log-probabilities of a pair's answers under the reference, with and without media."""
        training = self.model.training
        self.model.eval()
        try:
            with self.reference.on(), nullcontext() if self.parallel is None else self.parallel.autocast():
                shown = [own, *([] if elsewhere is None else [elsewhere])]
                said, _, _ = answer_sums(self.model, self.processor, shown, "reference")
                blind = torch.zeros(0)
                if self.avem and self.config.preference.text_weight > 0:
                    blind, _, _ = answer_sums(self.model, self.processor, [self.prompter.blind(own)], "text prior")
            return said, blind
        finally:
            self.model.train(training)


def answer_sums(
    model: Any, processor: CuewiseProcessor, shown: Sequence[Shown], stage: str
) -> tuple[Tensor, Tensor, int]:
    """Summed log-probabilities [A] of all answers in order, their lengths [A], and the media rows that were seen."""
    logp, mask, media_rows = answer_logprobs(model, processor, shown, stage)
    return logp.sum(1), mask.sum(1).to(logp), media_rows


def answer_logprobs(
    model: Any, processor: CuewiseProcessor, shown: Sequence[Shown], stage: str
) -> tuple[Tensor, Tensor, int]:
    """Log-probabilities [A, T] of all answers in order, which are of a token, and the media rows that were seen."""
    streams = processor.collate([one.clip for one in shown], model.device) if any(
        one.clip.streams for one in shown
    ) else {}  # fmt: skip
    media = model.encode(streams) if streams else [MediaTokens()] * len(shown)
    prompts = [replace(one.prompt, media=tokens) for one, tokens in zip(shown, media, strict=True)]
    row = pack_answers(prompts).to(model.device)
    with watched(stage, model, row, prompts) as counted:
        logits = model(**row.inputs, media_tokens=[prompt.media for prompt in prompts]).logits[0]
    return row.by_answer(token_logprobs(logits, row.targets)), row.mask(), sum(counted.values())


def pair_loss(
    model: Any, processor: CuewiseProcessor, batch: PairBatch, config: PreferenceConfig
) -> tuple[Tensor, dict[str, Tensor | float]]:
    """Preference loss of the pairs of a batch."""
    if config.method == "cut":
        return _cut(model, processor, batch, config)
    shown = [one for pair in zip(batch.own, batch.elsewhere) for one in pair if one is not None]
    sums, lengths, media_rows = answer_sums(model, processor, shown, "loss")
    scores = sums - torch.cat(batch.reference).to(sums)
    per_pair = scores.split([len(reference) for reference in batch.reference])
    chosen = torch.stack([scores[0] for scores in per_pair])
    beta: Tensor | float = config.beta
    if config.dynamic:
        margins = torch.tensor([pair.margin for pair in batch.pairs]).to(scores)
        beta = dynamic_beta(margins, config.beta, config.dynamic, config.dynamic_rate)
    if config.method == "avem":
        loss, stats = _avem(batch, per_pair, chosen, beta, config)
    else:
        owner = [i for i, pair in enumerate(batch.pairs) for _ in pair.rejected]
        rejected = torch.cat([scores[1 : 1 + len(p.rejected)] for scores, p in zip(per_pair, batch.pairs)])
        tokens = lengths.split([len(reference) for reference in batch.reference])
        counts = (torch.stack([t[0] for t in tokens])[owner],
                  torch.cat([t[1 : 1 + len(p.rejected)] for t, p in zip(tokens, batch.pairs)]))  # fmt: skip
        loss, stats = dpo_loss(
            chosen[owner], rejected, beta[owner] if isinstance(beta, Tensor) else beta, kind=config.kind,
            smoothing=config.smoothing, lengths=counts,
        )  # fmt: skip
    if config.sft_weight:
        first = [sum(len(reference) for reference in batch.reference[:i]) for i in range(len(batch.pairs))]
        counts = torch.tensor([1 if config.method == "avem" else len(pair.rejected) for pair in batch.pairs]).to(sums)
        loss = loss - config.sft_weight * (counts * sums[first] / lengths[first]).sum() / counts.sum()
    expects = any(one.prompt.expected for one in shown)
    return loss, stats | ({"media_rows": media_rows / len(shown)} if expects else {}) | {
        "beta": beta.mean() if isinstance(beta, Tensor) else beta
    }


def _cut(
    model: Any, processor: CuewiseProcessor, batch: PairBatch, config: PreferenceConfig
) -> tuple[Tensor, dict[str, Tensor | float]]:
    """Likelihood of chosen answers and of what a judgment lets stand, unlikelihood of what it blames.

    What is blamed is decided without the noise of training, which moves every token and would pass for the judgment.
    """
    logp, mask, media_rows = answer_logprobs(model, processor, batch.own, "loss")
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            plain, _, _ = answer_logprobs(model, processor, batch.own, "blame")
            judged, _, _ = answer_logprobs(model, processor, batch.judged, "judgment")
    finally:
        model.train(training)
    chosen = torch.tensor([i == 0 for pair in batch.pairs for i in range(1 + len(pair.rejected))], device=logp.device)
    # A chosen answer is judged as it stands, so nothing in it grows and none of its tokens is blamed.
    read = torch.zeros_like(logp)
    read[:, : judged.shape[1]][~chosen] = judged.to(read)
    read[chosen] = plain[chosen]
    loss, stats = unlikelihood_loss(logp, read, mask, threshold=config.blame, weight=config.blame_weight,
                                    plain_logp=plain)  # fmt: skip
    expects = any(one.prompt.expected for one in batch.own)
    return loss, stats | ({"media_rows": media_rows / len(batch.own)} if expects else {})


def _avem(
    batch: PairBatch, per_pair: Sequence[Tensor], chosen: Tensor, beta: Tensor | float, config: PreferenceConfig
) -> tuple[Tensor, dict[str, Tensor | float]]:
    """Response preference with debiasing, plus input preference where a pair has a rejected input."""
    kinds, table = batch.kinds, shares(batch.pairs, batch.kinds, config.kind_weights).to(chosen)
    zero = chosen.new_zeros(())
    rejected, prior = [], []
    for index, pair in enumerate(batch.pairs):
        named = dict(zip(pair.rejected, per_pair[index][1:]))
        rejected.append(torch.stack([named.get(kind, zero) for kind in kinds]))
        said = batch.blind[index].to(chosen)
        prior.append(zero if not len(said) else said[0] - sum(
            table[kinds.index(kind), index] * said[1 + place] for place, kind in enumerate(pair.rejected)
        ))  # fmt: skip
    loss, stats = avem_response_loss(
        chosen, torch.stack(rejected, 1), table, torch.stack(prior), beta=beta, gamma=config.text_weight
    )
    compared = [i for i, other in enumerate(batch.elsewhere) if other is not None]
    if compared:
        other = torch.stack([per_pair[i][-1] for i in compared])
        one = beta[compared] if isinstance(beta, Tensor) else beta
        extra, found = avem_prompt_loss(chosen[compared], other, one)
        share = len(compared) / len(batch.pairs)
        loss, stats = loss + config.input_weight * share * extra, stats | found | {"input_loss": extra.detach()}
    return loss, stats


def rate(
    pairs: Sequence[Pair], rewards: dict[str, Entry], scale: float, readers: dict[str, Any] | None = None
) -> None:
    """Fill in how much better each chosen answer is rated than the mean of its rejected ones."""
    config = RewardConfig(rewards=rewards)
    for pair in pairs:
        texts = [pair.chosen, *pair.rejected.values()]
        samples = [RewardSample.read(pair.id, text, pair.example.row, duration_s=pair.example.duration_s or None)
                   for text in texts]  # fmt: skip
        total = score(samples, config, resources=readers).total
        pair.margin = scale * (total[0] - sum(total[1:]) / len(total[1:]))


def train(config: DPOConfig) -> Path:
    """Run a recipe; returns the folder of the finished model."""

    def run_all(model: Any, processor: Any, sources: dict[str, list[Example]], *rest: Any) -> dict[str, float]:
        return run(model, processor, [example for rows in sources.values() for example in rows], *rest)

    return run_recipe(config, run_all, "the reference needs the whole model")


def run(
    model: CuewiseForConditionalGeneration, processor: CuewiseProcessor, examples: Sequence[Example],
    config: DPOConfig, out: Path, parallel: Parallel | None = None,
) -> dict[str, float]:  # fmt: skip
    """Train a model whose trained parts are chosen; returns the last logged numbers."""
    parallel = parallel or Parallel(config.hardware)
    use_kernel(model.language_model, VARLEN)
    pairs = make_pairs(examples, config.corruptions, seed=config.seed, per_row=config.per_row)
    if config.rewards:
        rate(pairs, config.rewards, config.rating_scale, load_readers(config.readers, model.device))
    batches = Preferences(model, processor, pairs, config, config.loop.micro_size(parallel.size), parallel)

    def loss_fn(trained: nn.Module, batch: PairBatch) -> tuple[Tensor, dict[str, Tensor | float]]:
        return pair_loss(trained, processor, batch, config.preference)

    model.train()
    return run_stage(STAGE, model, batches, loss_fn, config.loop, out / "checkpoints", run_seed=config.seed,
                     parallel=parallel)  # fmt: skip
