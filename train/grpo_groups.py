"""Groups: prompts are drawn, answered, scored and compared; what is left to learn becomes batches for the loop.

Shapes: N prompts, G answers to each, B answers that are learnt from, T tokens of the longest, R rewards.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Generator, Tensor

from cuewise.data_recipes.targets import shown_part
from cuewise.mllm.engine.base import Completion
from cuewise.mllm.engine.detokenize import byte_table, token_bytes
from cuewise.mllm.engine.verbatim import held_tokens
from cuewise.mllm.media_tokens import MediaTokens
from cuewise.mllm.processing import CuewiseProcessor
from cuewise.mllm.prompts import build, spoken, text_of
from cuewise.mllm.question import OPENING
from cuewise.mllm.tensors import ClipTensors
from cuewise.train.advantages import EPSILON, advantages, has_spread, overlong_penalty
from cuewise.train.cue_credit import group_credit
from cuewise.train.data import Mixture, drop_streams
from cuewise.train.examples import Example, only_channel
from cuewise.train.grpo_config import AlarmConfig, GRPOConfig
from cuewise.train.loop import TrainingError
from cuewise.train.media_gate import check_streams, expected_rows, watched
from cuewise.train.packing import PackedRow, Prompted, pack_answers
from cuewise.train.policy_losses import token_logprobs
from cuewise.train.reference import Reference
from cuewise.train.rewards import RewardSample, score
from cuewise.train.rewards.readers import load_readers
from cuewise.train.rollout import RolloutEngine, answer_tokens, roll_out

log = logging.getLogger(__name__)
OVERLONG = "overlong"


@dataclass(slots=True)
class Asked:
    """One prompt on its way: what is shown, and its group of answers."""

    example: Example | None
    """None where there is no clip, as in a talk."""

    clip: ClipTensors
    prompt: Prompted
    text: str
    """The prompt for readers, media as ``[face]``."""

    said: str | None = None
    """What answers quote word by word."""

    completions: list[Completion] = field(default_factory=list)
    rewards: dict[str, list[float | None]] = field(default_factory=dict)
    """Reward -> value in [0, 1] of every answer, None where it does not apply."""

    advantage: list[float] = field(default_factory=list)
    credit: list[list[float | None]] = field(default_factory=list)
    """Of every token that writes a cue, in place of the advantage of its answer; None elsewhere."""


@dataclass(slots=True)
class GroupBatch:
    """What one micro-batch learns from."""

    ids: list[str]
    prompts: list[Prompted]
    streams: dict[str, Tensor]
    """Raw streams of the prompts where their encoding trains; otherwise empty, and the prompts carry their rows."""

    row: PackedRow | None
    """None when no group has anything to teach."""

    advantage: Tensor
    """[B], or [B, T] where tokens have a share of their own."""

    mask: Tensor
    """bool [B, T]."""

    weight: float
    """What the loss is divided by, and how much the micro-batch counts: the tokens to learn from, or all answers that
    were asked for, those of flat groups and cut ones included."""

    stats: dict[str, float]
    rows: list[dict[str, Any]]
    old_logp: Tensor | None = None
    """[B, T], where answers are learnt from more than once."""

    reference: Tensor | None = None
    """[B, T], where there is a KL term."""

    def table(self) -> list[dict[str, Any]]:
        """Every answer of the step with its rewards, for the sample tables."""
        return self.rows


class Alarms:
    """Shouts, or stops the run, when a number is out of bounds for some steps in a row."""

    def __init__(self, config: AlarmConfig):
        self.config, self.misses, self.checked = config, defaultdict(int), {}
        self.step = -1

    def check(self, name: str, value: float, low: float, high: float, ids: Sequence[str]) -> None:
        """Count a number of this step; of several micro-batches the first counts."""
        if self.step >= 0 and self.checked.get(name) == self.step:
            return
        self.checked[name] = self.step
        self.misses[name] = 0 if low <= value <= high else self.misses[name] + 1
        if not self.misses[name] or self.misses[name] % self.config.patience:
            return
        text = (f"{name} is {value:.4g} for {self.misses[name]} steps, outside [{low:g}, {high:g}]; samples of this "
                f"step: {', '.join(dict.fromkeys(ids))}")  # fmt: skip
        if self.config.action == "stop":
            raise TrainingError(f"{text}. Set alarms.action=warn to go on")
        log.warning(text)


class Groups:
    """Gives the loop its batches; a step's groups are sampled together and reused for `policy.updates` steps.

    Args:
        parts: micro-batches of a step on this process.
        size: prompts of one micro-batch.
        autocast: the precision in which the loss is taken.
    """

    def __init__(
        self, model: Any, processor: CuewiseProcessor, mixture: Mixture, engine: RolloutEngine, config: GRPOConfig, *,
        reference: Reference | None = None, parts: int = 1, size: int = 1,
        autocast: Callable[[], AbstractContextManager] = nullcontext,
    ):  # fmt: skip
        self.model, self.processor, self.mixture, self.engine = model, processor, mixture, engine
        self.config, self.reference, self.parts, self.size = config, reference, parts, size
        self.autocast, self.silent = autocast, set()
        check_streams("requires", config.requires, processor.plan)
        self.alarms, self.scoring = Alarms(config.alarms), config.scoring
        self.readers = load_readers(config.readers, model.device)
        self.opening = processor.text_ids(OPENING[config.rollout.form])
        self.end = processor.plan.tokens.end
        self.pieces = byte_table(processor.tokenizer)
        if self.pieces is None and config.policy.cue_credit:
            raise ValueError("policy.cue_credit finds the tokens of a cue by their bytes, but this tokenizer is not "
                             "byte-level; set it to 0")  # fmt: skip
        self.media_trains = any(weight.requires_grad for weight in model.media.parameters())
        self._step, self._ready, self._given = -1, [], 0

    def __call__(self, step: int, generator: Generator) -> GroupBatch:
        self.alarms.step = step
        if step != self._step:
            if step % self.config.policy.updates == 0 or not self._ready:
                self._ready = self.sample(step, generator)
            self._step, self._given = step, 0
        batch = self._ready[self._given]
        self._given += 1
        return batch

    def sample(self, step: int, generator: Generator) -> list[GroupBatch]:
        """The batches of one step."""
        rollout, count = self.config.rollout, self.parts * self.size
        asked = self.answered(count, step, generator)
        drawn, flat = len(asked), 0
        kept = [one for one in asked if self.spread(one, step)]
        flat += len(asked) - len(kept)
        for _ in range(rollout.tries if rollout.no_spread == "resample" else 0):
            if len(kept) >= count:
                break
            more = self.answered(count - len(kept), step, generator)
            drawn, asked = drawn + len(more), [*asked, *more]
            fresh = [one for one in more if self.spread(one, step)]
            flat, kept = flat + len(more) - len(fresh), [*kept, *fresh]
        self._weigh(asked, step)
        ids = [one.prompt.id for one in asked]
        stats = self._stats(asked) | {"groups/no_spread": flat / drawn, "groups/used": float(len(kept))}
        config = self.config.alarms
        self.alarms.check("groups/no_spread", flat / drawn, 0.0, config.no_spread_above, ids)
        self.alarms.check("answers/truncated", stats["answers/truncated"], 0.0, config.truncated_above, ids)
        learnt = asked if rollout.no_spread == "keep" else kept
        rows = [row for one in asked for row in self._rows(one)]
        return self._batches([learnt[i * self.size : (i + 1) * self.size] for i in range(self.parts)], ids, stats, rows)

    def _batches(
        self, parts: Sequence[Sequence[Asked]], ids: list[str], stats: dict[str, float], rows: list[dict[str, Any]]
    ) -> list[GroupBatch]:
        """The batches of a step, each with the numbers of the whole step."""
        batches = [self._batch(part, ids, stats, rows if i == 0 else []) for i, part in enumerate(parts)]
        stats["tokens"] = float(sum(batch.mask.sum() for batch in batches))
        return batches

    def answered(self, count: int, step: int, generator: Generator) -> list[Asked]:
        """`count` prompts with their answers and rewards. Media is encoded once per prompt."""
        rollout = self.config.rollout
        asked = [self.ask(example, generator) for example in self.mixture.draw(count, generator)]
        self._encode(asked)
        seeds = torch.randint(2**31 - 2**12, (count,), generator=generator).tolist()
        found = roll_out(self.model, self.engine, [one.prompt for one in asked], rollout.group, rollout.sampling, seeds,
                         [one.said for one in asked])  # fmt: skip
        for one, completions in zip(asked, found, strict=True):
            one.completions = completions
            one.prompt.answers = [answer_tokens(completion, self.end) for completion in completions]
        self._score(asked, step)
        if self.config.policy.cue_credit:
            self._credit(asked)
        return asked

    def ask(self, example: Example, generator: Generator) -> Asked:
        """The prompt of an example: the one that serving and supervised tuning write, with the answer's opening."""
        rollout = self.config.rollout
        whole = self.processor.with_context(example.tensors, example.row.context)
        expected_rows(self.processor.plan, whole, self.config.requires, example.row.id)
        clip = drop_streams(example.tensors, rollout.stream_dropout, generator, always=only_channel(example.row))
        example = replace(example, row=shown_part(example.row, [*clip.streams]))
        row, clip = example.row, self.processor.with_context(clip, example.row.context)
        expected = expected_rows(self.processor.plan, clip)
        said = "words" in clip.streams
        parts = build(
            clip.streams, rollout.form, transcript=row.transcript if said else None, words=row.words if said else (),
            context=row.context, duration_s=example.duration_s or None,
        )  # fmt: skip
        ids = self.processor.prompt_ids(parts, self.processor.plan.num_tokens(clip.lengths))
        prompt = Prompted(id=row.id, prompt=[*ids, *self.opening], expected=expected)
        words = spoken(row.transcript, row.words) if said and rollout.form == "explained" else ""
        return Asked(example, clip, prompt, text_of(parts), words or None)

    @torch.no_grad()
    def _encode(self, asked: Sequence[Asked]) -> None:
        training = self.model.training
        self.model.eval()
        shown = [one for one in asked if one.clip.streams]
        if shown:
            media = self.model.encode(self.processor.collate([one.clip for one in shown], self.model.device))
            for one, tokens in zip(shown, media, strict=True):
                one.prompt.media = tokens
        self.model.train(training)

    def _score(self, asked: Sequence[Asked], step: int) -> None:
        rollout, policy = self.config.rollout, self.config.policy
        samples = [
            RewardSample.read(
                one.text, OPENING[rollout.form] + completion.text, one.example.row, form=rollout.form,
                duration_s=one.example.duration_s or None, n_tokens=len(completion.token_ids),
                truncated=completion.finish_reason == "length",
            )
            for one in asked for completion in one.completions
        ]  # fmt: skip
        units = score(samples, self.scoring, step=step, resources=self.readers).unit
        if policy.overlong_weight:
            lengths = torch.tensor([sample.n_tokens for sample in samples])
            penalty = overlong_penalty(lengths, rollout.limit, policy.overlong_buffer)
            units[OVERLONG] = (1 + penalty).tolist()
        for index, one in enumerate(asked):
            here = slice(index * rollout.group, (index + 1) * rollout.group)
            one.rewards = {name: column[here] for name, column in units.items()}

    def spread(self, one: Asked, step: int) -> bool:
        """Whether the answers of a group earn differently, by what counts at this step."""
        names = list(one.rewards)
        counts = self._weights(names, step) > 0
        credited = any(value for row in one.credit for value in row)
        return credited or bool(counts.any() and has_spread(self._tensor([one])[counts]))

    def _tensor(self, asked: Sequence[Asked]) -> Tensor:
        """[R, N, G] with NaN where a reward does not apply."""
        names = list(asked[0].rewards)
        values = [[[float("nan") if v is None else v for v in one.rewards[name]] for one in asked] for name in names]
        return torch.tensor(values, dtype=torch.float64)

    def _weights(self, names: Sequence[str], step: int) -> Tensor:
        weights = self.scoring.weights(step) | {OVERLONG: self.config.policy.overlong_weight}
        return torch.tensor([weights[name] for name in names], dtype=torch.float64)

    def _weigh(self, asked: Sequence[Asked], step: int) -> None:
        if not asked:
            return
        weights = self._weights(list(asked[0].rewards), step)
        found = advantages(self._tensor(asked), weights, self.config.policy.advantage)
        for one, values in zip(asked, found.tolist(), strict=True):
            one.advantage = values
        shares = torch.tensor([value for one in asked for row in one.credit for value in row if value])
        scale = self.config.policy.cue_credit / (float(shares.square().mean().sqrt()) + EPSILON) if len(shares) else 0.0
        for one in asked:
            one.credit = [[None if value is None else scale * value for value in row] for row in one.credit]

    def _credit(self, asked: Sequence[Asked]) -> None:
        """Give each cue's tokens its share in the cue score."""
        for one in asked:
            known, length = (one.example.row.cues, one.example.duration_s or None) if one.example else ([], None)
            pieces = [[token_bytes(self.pieces, token) for token in done.token_ids] for done in one.completions]
            one.credit = group_credit(pieces, known, length)

    def _stats(self, asked: Sequence[Asked]) -> dict[str, float]:
        """Every reward alone, before weighting, and how long the answers are."""
        stats: dict[str, float] = {}
        for name in asked[0].rewards:
            known = [value for one in asked for value in one.rewards[name] if value is not None]
            if known:
                stats[f"reward/{name}"] = sum(known) / len(known)
            elif name not in self.silent:
                self.silent.add(name)
                log.warning("reward %s scored none of the answers of a step: no row of the step has what it is held "
                            "against; its weight does nothing there (docs/rewards.md says what it needs)", name)
        done = [completion for one in asked for completion in one.completions]
        stats["answers/tokens"] = sum(len(completion.token_ids) for completion in done) / len(done)
        stats["answers/truncated"] = sum(completion.finish_reason == "length" for completion in done) / len(done)
        return stats

    def _rows(self, one: Asked) -> list[dict[str, Any]]:
        opening = OPENING[self.config.rollout.form]
        return [
            {"id": one.prompt.id, "answer": opening + completion.text, "tokens": len(completion.token_ids),
             "finish_reason": completion.finish_reason, "advantage": one.advantage[i] if one.advantage else None,
             **{f"reward/{name}": values[i] for name, values in one.rewards.items()}}
            for i, completion in enumerate(one.completions)
        ]  # fmt: skip

    def _batch(
        self, asked: Sequence[Asked], ids: list[str], stats: dict[str, float], rows: list[dict[str, Any]]
    ) -> GroupBatch:
        by_tokens = self.config.policy.mean == "tokens"
        # A dialogue can have more replies than one.
        answers = float(max(self.size * self.config.rollout.group, sum(len(one.completions) for one in asked)))
        if not asked:
            weight = 1e-6 if by_tokens else answers
            return GroupBatch(ids, [], {}, None, torch.zeros(0), torch.zeros(0, 0), weight, stats, rows)
        prompts = [one.prompt for one in asked]
        row = pack_answers(prompts).to(self.model.device)
        mask = row.mask()
        done = [completion for one in asked for completion in one.completions]
        if self.config.policy.truncated == "mask":
            whole = torch.tensor([completion.finish_reason != "length" for completion in done], device=mask.device)
            mask = mask & whole.unsqueeze(1)
        # What the transcript chose in a quotation, the policy would hardly have written, and is not to learn from.
        said = [one.said for one in asked for _ in one.completions]
        for index, (words, one) in enumerate(zip(said, done, strict=True)):
            held = torch.tensor(held_tokens(words, self.processor.tokenizer, one.token_ids), dtype=torch.bool)
            mask[index, : len(held)] &= ~held.to(mask.device)
        advantage = torch.tensor([value for one in asked for value in one.advantage], device=mask.device).float()
        if self.config.policy.cue_credit:
            advantage = _with_credit(advantage, [row for one in asked for row in one.credit], mask.shape[1])
        shown = [one.clip for one in asked]
        streams = self.processor.collate(shown, self.model.device) if self.media_trains else {}
        weight = max(float(mask.sum()), 1e-6) if by_tokens else answers
        batch = GroupBatch([p.id for p in prompts], prompts, streams, row, advantage, mask, weight, stats, rows)
        with torch.no_grad():
            if self.config.policy.updates > 1:
                batch.old_logp = self._logprobs(batch, "old policy")
            if self.reference is not None:
                with self.reference.on():
                    batch.reference = self._logprobs(batch, "reference")
        return batch

    def _logprobs(self, batch: GroupBatch, stage: str) -> Tensor:
        training = self.model.training
        self.model.eval()
        try:
            with self.autocast():
                logits = answer_logits(self.model, batch, stage)[0]
            return batch.row.by_answer(token_logprobs(logits, batch.row.targets, self.config.rollout.temperature))
        finally:
            self.model.train(training)


def _with_credit(advantage: Tensor, credit: Sequence[Sequence[float | None]], length: int) -> Tensor:
    """[B] -> [B, T]: a token's own share where it has one, else the advantage of its answer."""
    own = torch.full((len(advantage), length), torch.nan)
    for row, values in zip(own, credit, strict=True):
        row[: len(values)] = torch.tensor([torch.nan if value is None else value for value in values])
    own = own.to(advantage.device)
    return torch.where(own.isnan(), advantage.unsqueeze(1), own)


def answer_logits(model: Any, batch: GroupBatch, stage: str) -> tuple[Tensor, int]:
    """Logits [N, V] of a batch's answers from one packed row, and the media rows that reached the language model."""
    prompts = batch.prompts
    if batch.streams:
        media = iter(model.encode(batch.streams))
        prompts = [replace(prompt, media=next(media)) for prompt in prompts]
    with watched(stage, model, batch.row, prompts) as counted:
        out = model(**batch.row.inputs, media_tokens=[prompt.media or MediaTokens() for prompt in prompts])
    return out.logits[0], sum(counted.values())
