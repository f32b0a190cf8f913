"""Answers asked for again while something is wrong with them, within a request's attempts, tokens and time."""

import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from cuewise.mllm.question import Answer
from cuewise.mllm.retry import FEEDBACKS, Outcome, Written, feedback_text
from cuewise.mllm.verify import report_errors
from cuewise.serve.errors import ApiError
from cuewise.serve.job import Job
from cuewise.serve.settings import Retry

if TYPE_CHECKING:
    from cuewise.mllm.stages import Work

Once = Callable[[Job, "Work", float], AsyncIterator[str | Answer]]
"""(job, encoded clip, when it was taken) -> pieces of one answer, then the answer."""

_LOG = logging.getLogger("cuewise.serve")


async def attempts(job: Job, work: "Work", taken: float, once: Once, retry: Retry) -> AsyncIterator[str | Answer]:
    """The first answer that passes, or the one with the fewest errors; its text comes whole, when that is decided.

    An attempt that cannot be made ends them: an answer before it counts, else its error is raised. `usage` counts the
    tokens of all attempts; `retries` in `timing_ms` is the time of the other ones.
    """
    outcome: Outcome[Job] = Outcome(job)
    answers: list[Answer] = []
    spent, before = dict(work.spent_ms), 0.0
    while not answers or outcome.is_open(job.question.tries, retry.token_budget):
        began, number = time.perf_counter(), len(answers)
        said = feedback_text(outcome.request(FEEDBACKS[retry.tone]))
        question = replace(job.question, addition=said, seed=job.question.seed + number)
        turn = replace(job, question=question, id=f"{job.id}-{number}" if number else job.id)
        again = work.again(question, taken)
        again.spent_ms = {**spent, **({"retries": before} if number else {})}
        try:
            answer = await _last(once(turn, again, taken))
        except ApiError as error:
            if not answers:
                raise
            _LOG.warning("attempt %d of %s failed (%s); an answer before it is given", number + 1, job.id, error.code)
            break
        answers.append(answer)
        written = Written(answer.report.text, answer.usage["completion_tokens"])
        outcome.add(written, report_errors(answer.report, question, retry.min_confidence))
        before += (time.perf_counter() - began) * 1000
    best = answers[outcome.best]
    best.usage |= {"completion_tokens": outcome.tokens, "attempts": number + 1}
    if number:
        timing, total = best.report.timing_ms, (time.perf_counter() - taken) * 1000
        later = total - timing["total"]
        timing |= {"retries": round(timing.get("retries", 0.0) + later, 2), "total": round(total, 2)}
    yield best.report.text
    yield best


async def _last(pieces: AsyncIterator[str | Answer]) -> Answer:
    """The answer that ends a stream of pieces."""
    async with aclosing(pieces) as stream:
        async for piece in stream:
            if isinstance(piece, Answer):
                return piece
    raise ApiError("internal", "the answer ended without a report")
