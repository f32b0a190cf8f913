"""Critiques: score an answer after reading a critique of it, learn from what a judgment complains about.

* `CritiqueModel`: MM-RLHF's reward model. A language model writes a critique; the score is read from the state of the
  last token of prompt, answer and critique, so it depends on what the critique says.
* `unlikelihood_loss`: CUT. Tokens that become much likelier once a negative judgment stands in the context are those
  the judgment is about; they get an unlikelihood term, the others keep their likelihood.
* `FollowUpScorer`: FLR. How likely a next turn is after an answer.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from cuewise.data_recipes.schema import Row
from cuewise.data_recipes.targets import row_cues
from cuewise.train.base_model import load

HEAD = "critic.safetensors"
"""What a run of `kind: critic` leaves beside its model: the score."""

CRITIQUE_TOKENS = 48
PAIR_TEMPLATE = "{prompt}\n{answer}\nCritique: {critique}"
JUDGED_TEMPLATE = "{prompt}\nJudgment: {judgment}\n"

Encode = Callable[[str], list[int]]
"""Text -> token ids."""


def unlikelihood_loss(
    logp: Tensor, judged_logp: Tensor, mask: Tensor, *, threshold: float = 1.1, weight: float = 1.0,
    normalizer: float | Tensor | None = None, plain_logp: Tensor | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:  # fmt: skip
    """Likelihood for fitting tokens, unlikelihood ``-log(1 - p)`` for those that the judgment complains about (CUT).

    Args:
        logp: [B, T] log-probabilities of the answer's tokens after the prompt.
        judged_logp: [B, T] the same with the negative judgment in the context; no gradient flows through it.
        mask: bool [B, T], True for answer tokens.
        threshold: a token is blamed when its probability grows by more than this factor.
        weight: of the unlikelihood term.
        normalizer: divisor; by default the answer tokens of this call.
        plain_logp: [B, T] what `judged_logp` is compared with, where `logp` holds the noise of training.
    """
    with torch.no_grad():
        blamed = blamed_tokens(logp if plain_logp is None else plain_logp, judged_logp, mask, threshold)
    kept = mask & ~blamed
    # log1p(-p) has no finite gradient at p = 1; a blamed token is never worth more than about 16 nats.
    against = -torch.log1p(-logp.exp().clamp(max=1 - 1e-7))
    total = mask.sum().clamp(min=1) if normalizer is None else normalizer
    loss = (-(logp * kept).sum() + weight * (against * blamed).sum()) / total
    stats = {"blamed": blamed.sum() / mask.sum().clamp(min=1), "blamed_p": _mean(logp.exp(), blamed),
             "kept_p": _mean(logp.exp(), kept)}  # fmt: skip
    return loss, stats


def blamed_tokens(logp: Tensor, judged_logp: Tensor, mask: Tensor, threshold: float = 1.1) -> Tensor:
    """bool [B, T]: answer tokens whose probability grows by more than `threshold` once the judgment is read."""
    if threshold < 1:
        raise ValueError(f"threshold must be >= 1, got {threshold}: below it tokens that became rarer were blamed")
    return (judged_logp.detach() - logp.detach() > torch.tensor(threshold).log()) & mask


def pair_loss(chosen: Tensor, rejected: Tensor) -> Tensor:
    """Pairwise logistic loss of scores [B]: chosen above rejected."""
    return -functional.logsigmoid(chosen - rejected).mean()


def token_logp(model: nn.Module, prompts: Sequence[list[int]], answers: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
    """Log-probabilities [B, T] of answer tokens after their prompts, and their mask; T is the longest answer.

    `model` maps ``input_ids`` and ``attention_mask`` to an output with ``logits``.
    """
    if any(not prompt for prompt in prompts):
        raise ValueError("every prompt needs at least one token before the answer")
    device = next(model.parameters()).device
    ids, seen = _padded([[*p, *a] for p, a in zip(prompts, answers)], device)
    logits = model(input_ids=ids, attention_mask=seen.long()).logits.float().log_softmax(-1)
    longest = max(map(len, answers))
    rows, mask = [], torch.zeros(len(answers), longest, dtype=torch.bool, device=device)
    for row, (prompt, answer) in enumerate(zip(prompts, answers)):
        places = slice(len(prompt) - 1, len(prompt) - 1 + len(answer))
        said = torch.tensor(answer, device=device).unsqueeze(1)
        rows.append(functional.pad(logits[row, places].gather(1, said)[:, 0], (0, longest - len(answer))))
        mask[row, : len(answer)] = True
    return torch.stack(rows), mask


class CritiqueModel(nn.Module):
    """A causal language model with a score read after the critique. `states_of` gives its last hidden states."""

    def __init__(self, language_model: nn.Module, encode: Encode, hidden_size: int):
        super().__init__()
        self.language_model, self.encode = language_model, encode
        self.head = nn.Linear(hidden_size, 1)

    def forward(self, prompts: Sequence[str], answers: Sequence[str], critiques: Sequence[str]) -> Tensor:
        """Scores [B]."""
        texts = [PAIR_TEMPLATE.format(prompt=p, answer=a, critique=c) for p, a, c in zip(prompts, answers, critiques)]
        ids, seen = _padded([self.encode(text) for text in texts], self.head.weight.device)
        states = self.language_model(
            input_ids=ids, attention_mask=seen.long(), output_hidden_states=True
        ).hidden_states[-1]
        last = states[torch.arange(len(texts)), seen.sum(1) - 1]
        return self.head(last.to(self.head.weight.dtype)).squeeze(-1)

    def loss(
        self, prompts: Sequence[str], chosen: Sequence[tuple[str, str]], rejected: Sequence[tuple[str, str]],
        *, critique_weight: float = 1.0,
    ) -> tuple[Tensor, dict[str, Tensor]]:  # fmt: skip
        """Pairwise logistic loss of the scores plus the language-model loss of the critiques.

        Args:
            chosen, rejected: (answer, its critique) per prompt.
        """
        good = self(prompts, [a for a, _ in chosen], [c for _, c in chosen])
        bad = self(prompts, [a for a, _ in rejected], [c for _, c in rejected])
        both = [*zip(prompts, chosen), *zip(prompts, rejected)]
        heads = [self.encode(PAIR_TEMPLATE.format(prompt=p, answer=a, critique="")) for p, (a, _) in both]
        logp, mask = token_logp(self.language_model, heads, [self.encode(c) for _, (_, c) in both])
        written = -(logp * mask).sum() / mask.sum()
        pairs = pair_loss(good, bad)
        stats = {"pair": pairs.detach(), "critique": written.detach(), "accuracy": (good > bad).float().mean()}
        return pairs + critique_weight * written, stats


class Critic:
    """The resource `critic` of the reward of that name: critiques are written, then the answer is scored by each."""

    def __init__(
        self, model: CritiqueModel, write: Callable[[str, str], Sequence[str]],
        prompt_of: Callable[[Any], str] = lambda sample: sample.prompt,
    ):  # fmt: skip
        self.model, self.write, self.prompt_of = model, write, prompt_of

    @torch.inference_mode()
    def __call__(self, samples: Sequence[Any]) -> list[list[float]]:
        """Scores per sample, one for each critique that ``write(prompt_of(sample), sample.text)`` gives."""
        found = []
        for sample in samples:
            prompt = self.prompt_of(sample)
            critiques = list(self.write(prompt, sample.text))
            many = len(critiques)
            found.append(self.model([prompt] * many, [sample.text] * many, critiques).tolist() if many else [])
        return found


def critic_of(model: Any, processor: Any) -> CritiqueModel:
    """The language model of one of our models with a new score."""
    hidden = model.get_input_embeddings().weight.shape[1]
    return CritiqueModel(model.language_model, processor.text_ids, hidden).to(model.device)


def load_critic(folder: str | Path, device: torch.device | str = "cpu", critiques: int = 1) -> Critic:
    """The critic of a run. Raises ValueError when the folder is not one.

    Args:
        critiques: critiques written about each answer, over which scores are averaged; one is written greedily.
    """
    folder = Path(folder)
    if not (folder / HEAD).is_file():
        raise ValueError(f"{folder} is no critic: it has no {HEAD}; make one with a recipe of kind: critic")
    model, processor = load(str(folder / "model"))
    critic = critic_of(model.to(device).eval(), processor)
    critic.head.load_state_dict(load_file(folder / HEAD))
    return Critic(critic.eval(), lambda known, answer: write(critic, processor, known, answer, critiques),
                  prompt_of=lambda sample: known_facts(sample.row))  # fmt: skip


@torch.inference_mode()
def write(critic: CritiqueModel, processor: Any, known: str, answer: str, count: int = 1, seed: int = 0) -> list[str]:
    """Critiques of one answer, of one sentence each: the likeliest, or `count` that are drawn with a seed."""
    ids = torch.tensor([critic.encode(PAIR_TEMPLATE.format(prompt=known, answer=answer, critique=""))],
                       device=critic.head.weight.device)  # fmt: skip
    draw = {"do_sample": True, "num_return_sequences": count} if count > 1 else {"do_sample": False}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        found = critic.language_model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=CRITIQUE_TOKENS,
            pad_token_id=processor.plan.tokens.end, **draw,
        )  # fmt: skip
    texts = [processor.tokenizer.decode(row[ids.shape[1] :], skip_special_tokens=True) for row in found]
    return [text.partition(".")[0].strip() + "." for text in texts]


def known_facts(row: Row) -> str:
    """What is known about a clip, in words: what is said, which cues it shows, what is felt."""
    parts = [f'Said: "{row.transcript}"'] if row.transcript else []
    cues = [f"[{cue.channel}] {cue.observation}" for cue in row_cues(row)]
    parts += [f"Cues: {'; '.join(cues)}"] if cues else []
    return "\n".join([*parts, f"Felt: {', '.join(row.labels)}"] if row.labels else parts) or "Nothing is known."


class FollowUpScorer:
    """Mean log-probability per token of what is said next; the resource `follow_up` of the reward of that name."""

    def __init__(self, language_model: nn.Module, encode: Encode, batch_size: int = 16):
        self.language_model, self.encode, self.batch_size = language_model, encode, batch_size

    @torch.inference_mode()
    def __call__(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        values: list[float] = []
        for first in range(0, len(pairs), self.batch_size):
            batch = pairs[first : first + self.batch_size]
            logp, mask = token_logp(
                self.language_model, [self.encode(context) for context, _ in batch],
                [self.encode(turn) for _, turn in batch],
            )  # fmt: skip
            values += ((logp * mask).sum(1) / mask.sum(1)).tolist()
        return values


def _padded(rows: Sequence[list[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Token ids [B, L] padded on the right with 0, and which of them are real."""
    longest = max(map(len, rows))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows], device=device)
    seen = torch.tensor([[True] * len(row) + [False] * (longest - len(row)) for row in rows], device=device)
    return ids, seen


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    return (values.detach() * mask).sum() / mask.sum().clamp(min=1)
