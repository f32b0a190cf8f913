"""From the logits of one row to one token: temperature, top-k, top-p, drawn with the request's own generator."""

import torch
from torch import Tensor

from cuewise.mllm.engine.base import SamplingParams


def choose(logits: Tensor, params: SamplingParams, generator: torch.Generator) -> tuple[int, float]:
    """Token id and its log-probability under the plain model, from float logits [vocabulary]."""
    logits = logits.float().cpu()
    if not torch.isfinite(logits).any() or torch.isnan(logits).any():
        raise ValueError("the model gave no finite logits for the next token")
    logp = torch.log_softmax(logits, -1)
    if params.temperature == 0:
        token = int(logits.argmax())
    else:
        probabilities = filtered(logits / params.temperature, params.top_k, params.top_p).softmax(-1)
        token = int(torch.multinomial(probabilities, 1, generator=generator))
    return token, float(logp[token])


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
