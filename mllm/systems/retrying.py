"""Any system, asked again while its answer is malformed or contradicted; the answer with the fewest errors counts.

`usage` counts the tokens of all attempts, so that runs with and without feedback can be compared at what they cost.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from cuewise.mllm.question import Question
from cuewise.mllm.report import PROBLEM_TEXT, parse
from cuewise.mllm.retry import FEEDBACKS, Request, Written, feedback_text, retry_all
from cuewise.mllm.systems.base import Ask, Reply, System
from cuewise.mllm.verify import report_errors

BATCH = 16


class RetryingSystem:
    """A system with a bounded number of attempts.

    Args:
        tone: `plain`, `varied` (HEART) or `none`, which asks again with another seed alone: plain resampling.
        token_budget: an ask gets no further attempt once its answers cost this many tokens.
    """

    def __init__(self, system: System, tries: int, tone: str = "plain", token_budget: int | None = None):
        if tone not in FEEDBACKS:
            raise ValueError(f"option tone must be one of {', '.join(FEEDBACKS)}, got {tone!r}")
        if tries < 2:
            raise ValueError(f"option tries must be >= 2, got {tries}; leave it out to ask once")
        self.system, self.tries, self.tone, self.token_budget = system, tries, tone, token_budget
        self.name = f"{system.name}+retry"

    def describe(self) -> dict[str, Any]:
        return {**self.system.describe(), "tries": self.tries, "tone": self.tone, "token_budget": self.token_budget}

    def answer(self, asks: Iterable[Ask]) -> Iterator[Reply]:
        """Replies in order. After a request that failed there is no further attempt: an answer before it counts, else
        its error."""
        waiting = iter(asks)
        while some := list(islice(waiting, BATCH)):
            yield from self._together(some)

    def _together(self, asks: list[Ask]) -> list[Reply]:
        replies: dict[int, list[Reply]] = {place: [] for place in range(len(asks))}

        def write(requests: list[Request[int]]) -> list[Written]:
            turns = [replace(asks[r.item], addition=_added(asks[r.item], r), seed=asks[r.item].seed + r.attempt)
                     for r in requests]  # fmt: skip
            found = list(self.system.answer(turns))
            for request, reply in zip(requests, found, strict=True):
                replies[request.item].append(reply)
            return [Written(reply.text, reply.usage.get("completion_tokens", 0), failed=reply.error is not None)
                    for reply in found]  # fmt: skip

        def verify(place: int, text: str) -> list[str]:
            return reply_errors(asks[place], replies[place][-1])

        outcomes = retry_all([*replies], write, verify, tries=self.tries, feedback=FEEDBACKS[self.tone],
                             token_budget=self.token_budget)  # fmt: skip
        chosen = []
        for outcome in outcomes:
            reply = replies[outcome.item][outcome.best]
            usage = {**reply.usage, "completion_tokens": outcome.tokens, "attempts": len(outcome.attempts)}
            chosen.append(replace(reply, usage=usage))
        return chosen

    def close(self) -> None:
        self.system.close()


def _added(ask: Ask, request: Request[int]) -> str | None:
    """What stands last: the ask's own addition, then what was wrong before."""
    return "\n".join(filter(None, (ask.addition, feedback_text(request)))) or None


def reply_errors(ask: Ask, reply: Reply) -> list[str]:
    """What is wrong with a reply: of its report, else of its text. A failed request is not the answer's fault."""
    if reply.error is not None or ask.statement is not None or (ask.prompt is not None and reply.report is None):
        return []
    if reply.report is not None:
        return report_errors(reply.report, Question(form=ask.form, statement=ask.statement))
    parsed = parse(reply.text)
    return [PROBLEM_TEXT[code] for code in parsed.problems]
