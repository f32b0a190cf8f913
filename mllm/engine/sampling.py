"""From the logits of one row to one token: what holds it, penalties, temperature, top-k, top-p, a draw of its own."""

from collections.abc import Mapping

import torch
from torch import Tensor

from cuewise.mllm.engine.base import SamplingParams
from cuewise.mllm.engine.grammar import Matcher
from cuewise.mllm.engine.verbatim import QuoteMatcher


def choose(
    logits: Tensor, params: SamplingParams, generator: torch.Generator, matcher: Matcher | QuoteMatcher | None = None,
    counts: Mapping[int, int] | None = None,
) -> tuple[int, float | None]:  # fmt: skip
    """Token id and, when asked for, its log-probability under the plain model, from float logits [vocabulary].

    Raises ValueError when the model gave no finite logits, or the grammar allows no token.
    """
    logits = logits.float().cpu()
    if not torch.isfinite(logits.max()):
        raise ValueError("the model gave no finite logits for the next token")
    wanted = logits
    if matcher is not None:
        wanted = matcher.constrain(wanted)
    if counts:
        wanted = penalised(wanted, counts, params.presence_penalty, params.frequency_penalty)
    if params.temperature == 0:
        token = int(wanted.argmax())
    else:
        probabilities = filtered(wanted / params.temperature, params.top_k, params.top_p).softmax(-1)
        token = int(torch.multinomial(probabilities, 1, generator=generator))
    return token, float(logits[token] - logits.logsumexp(-1)) if params.logprobs else None


def penalised(logits: Tensor, counts: Mapping[int, int], presence: float, frequency: float) -> Tensor:
    """Logits [vocabulary] lowered for tokens the answer holds already, by the formula of OpenAI's API."""
    ids = torch.tensor(list(counts))
    times = torch.tensor(list(counts.values()), dtype=logits.dtype)
    return logits.index_add(0, ids, -(presence + frequency * times))


def filtered(logits: Tensor, top_k: int, top_p: float) -> Tensor:
    """Logits [vocabulary] with everything outside top-k and the top-p nucleus at minus infinity."""
    if 0 < top_k < logits.shape[-1]:
        logits = logits.masked_fill(logits < logits.topk(top_k).values[-1], -torch.inf)
    if top_p < 1:
        ordered, order = logits.sort(descending=True)
        probability = ordered.softmax(-1)
        outside = probability.cumsum(-1) - probability >= top_p
        logits = logits.masked_fill(outside.scatter(0, order, outside), -torch.inf)
    return logits


def choose_plain(logits: Tensor, wants_logprob: bool) -> list[tuple[int, float | None]]:
    """Most likely token, and its log-probability when wanted, of every row of logits [rows, vocabulary].

    Rows without finite logits give token -1.
    """
    tokens = logits.argmax(-1)
    peaks = logits.gather(-1, tokens[:, None])[:, 0].float()
    found = tokens.masked_fill(~torch.isfinite(peaks), -1).tolist()
    if not wants_logprob:
        return [(token, None) for token in found]
    return list(zip(found, (peaks - logits.float().logsumexp(-1)).tolist()))
