"""One answer being written, the same for every engine: its draws, its text, and when it ends."""

import torch
from torch import Tensor

from cuewise.mllm.engine.base import FinishReason, TokenEvent
from cuewise.mllm.engine.detokenize import Detokenizer
from cuewise.mllm.engine.grammar import Matcher
from cuewise.mllm.engine.sampling import choose
from cuewise.mllm.engine.scheduler import Ticket
from cuewise.mllm.engine.verbatim import QuoteMatcher


class Sample:
    """Sample `number` of a request. Draws come from its own generator, so that neighbours change nothing.

    Args:
        end_ids: token ids that end an answer; they are not part of its text.
        max_length: prompt and answer together, in tokens.
        matcher: the state of what the answer is held to, when there is anything.
    """

    __slots__ = ("counts", "detokenizer", "end_ids", "ended", "generator", "last", "matcher", "number", "room",
                 "ticket", "written")  # fmt: skip

    def __init__(
        self, ticket: Ticket, number: int, detokenizer: Detokenizer, end_ids: frozenset[int], max_length: int,
        matcher: Matcher | QuoteMatcher | None = None,
    ):  # fmt: skip
        request = ticket.request
        self.ticket, self.number, self.detokenizer, self.end_ids = ticket, number, detokenizer, end_ids
        self.generator = torch.Generator().manual_seed(request.sampling.seed + number)
        self.matcher = matcher
        self.room = min(request.sampling.max_tokens, max_length - ticket.length)
        penalised = request.sampling.presence_penalty or request.sampling.frequency_penalty
        self.counts: dict[int, int] | None = {} if penalised else None
        self.written, self.last, self.ended = 0, -1, False

    @property
    def plain(self) -> bool:
        """Greedy and unconstrained: the most likely token is the answer."""
        held = self.matcher is not None and not self.matcher.idle
        return self.ticket.request.sampling.temperature == 0 and not held and self.counts is None

    def choose(self, logits: Tensor) -> tuple[int, float | None]:
        """Next token and its log-probability, from logits [vocabulary]."""
        return choose(logits, self.ticket.request.sampling, self.generator, self.matcher, self.counts)

    def take(self, token: int, logprob: float | None) -> TokenEvent:
        """Write a token."""
        if token in self.end_ids:
            return self.end("stop")
        self.written += 1
        self.last = token
        if self.counts is not None:
            self.counts[token] = self.counts.get(token, 0) + 1
        text = self.detokenizer.push(token)
        if self.detokenizer.stopped:
            return self.end("stop", token, text, logprob)
        if self.matcher is not None and self.matcher.accept(token):
            return self.end("stop", token, text, logprob)
        if self.written >= self.room:
            return self.end("length", token, text, logprob)
        return TokenEvent(self.ticket.request.id, self.number, token, text, logprob)

    def end(
        self, reason: FinishReason, token: int | None = None, text: str = "", logprob: float | None = None,
        error: str | None = None,
    ) -> TokenEvent:  # fmt: skip
        """The last event of this sample."""
        self.ended = True
        self.ticket.left -= 1
        self.ticket.failed |= reason == "error"
        if not self.detokenizer.stopped:
            text += self.detokenizer.flush()
        request = self.ticket.request
        return TokenEvent(request.id, self.number, token, text, logprob, reason, error, self.ticket.timing())


def end_all(ticket: Ticket, reason: FinishReason, error: str | None = None) -> list[TokenEvent]:
    """Last events of a request none of whose samples has begun."""
    ticket.left, ticket.failed = 0, reason == "error"
    timing = ticket.timing()
    return [
        TokenEvent(ticket.request.id, i, None, "", None, reason, error, timing) for i in range(ticket.request.n)
    ]
