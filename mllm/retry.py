"""Bounded retry: write, verify, say what was wrong, write again. For synthesis, serving, evaluation.

The verifier is anything that returns what is wrong with an answer (form, cues against measurements, confidence below a
threshold). Feedback may be plain, or in the changing tones of HEART; without any the loop is plain resampling, the
baseline that a feedback has to beat at the same number of tokens.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")
Feedback = Callable[[Sequence[str], int], str]
"""(what was wrong, number of the next attempt from 1) -> text to add to the prompt."""

TONES = {
    "surprise": "Unexpected! Look again:", "joy": "Nearly there, and worth finishing:",
    "sadness": "It would be a pity to leave it like this:", "fear": "Careful, this would mislead somebody:",
    "anger": "No, this has to be put right:", "disgust": "An answer like this is not acceptable:",
}  # fmt: skip
"""Opening words by tone, one for each basic emotion, in the order in which they are tried."""


@dataclass(frozen=True, slots=True)
class Written:
    """One answer of the model and what it cost."""

    text: str
    tokens: int = 0
    failed: bool = False
    """There is no answer, for a reason that is not the answer's: nothing is tried after it, and any other counts more.
    """


@dataclass(frozen=True, slots=True)
class Request(Generic[Item]):
    """What is to be written, and what was wrong with the attempt before."""

    item: Item
    attempt: int = 0
    feedback: str | None = None
    before: str | None = None


@dataclass(slots=True)
class Outcome(Generic[Item]):
    """All attempts at one item."""

    item: Item
    attempts: list[Written] = field(default_factory=list)
    errors: list[list[str]] = field(default_factory=list)
    """What was wrong with each attempt; empty for one that passed, or failed."""

    @property
    def failed(self) -> bool:
        """Whether the last attempt has no answer."""
        return bool(self.attempts) and self.attempts[-1].failed

    @property
    def passed(self) -> bool:
        return bool(self.errors) and not self.errors[-1] and not self.failed

    @property
    def text(self) -> str:
        """The last answer."""
        return self.attempts[-1].text if self.attempts else ""

    @property
    def tokens(self) -> int:
        return sum(attempt.tokens for attempt in self.attempts)

    @property
    def best(self) -> int:
        """The attempt with the fewest errors, the first of several; one that failed only where there is no other."""
        return min(range(len(self.errors)), key=lambda place: (self.attempts[place].failed, len(self.errors[place])))

    def is_open(self, tries: int, token_budget: int | None = None) -> bool:
        """Whether another attempt is due: none has passed or failed, and there is room for one."""
        within = token_budget is None or self.tokens < token_budget
        return not self.passed and not self.failed and len(self.attempts) < tries and within

    def request(self, feedback: Feedback | None) -> Request[Item]:
        """The next attempt."""
        if not self.attempts or feedback is None:
            return Request(self.item, len(self.attempts))
        return Request(self.item, len(self.attempts), feedback(self.errors[-1], len(self.attempts)), self.text)

    def add(self, written: Written, errors: Sequence[str]) -> None:
        """What an attempt gave, and what is wrong with it."""
        self.attempts.append(written)
        self.errors.append(list(errors))


def plain_feedback(errors: Sequence[str], attempt: int) -> str:
    """What was wrong, one line each."""
    return "The last answer was wrong:\n" + "\n".join(f"- {error}" for error in errors)


def toned_feedback(errors: Sequence[str], attempt: int) -> str:
    """The same in a tone that changes from attempt to attempt (HEART)."""
    tone = list(TONES.values())[(attempt - 1) % len(TONES)]
    return tone + "\n" + "\n".join(f"- {error}" for error in errors)


FEEDBACKS: dict[str, Feedback | None] = {"plain": plain_feedback, "varied": toned_feedback, "none": None}
"""Tone of an option -> feedback; `none` asks again without saying why."""


def feedback_text(request: Request) -> str | None:
    """What is added to the prompt of an attempt: the answer before and what was wrong with it."""
    return f"Your last answer:\n{request.before}\n{request.feedback}" if request.feedback else None


def retry_all(
    items: Sequence[Item], write: Callable[[list[Request[Item]]], Sequence[Written]],
    verify: Callable[[Item, str], list[str]], *, tries: int = 5, feedback: Feedback | None = plain_feedback,
    token_budget: int | None = None,
) -> list[Outcome[Item]]:  # fmt: skip
    """Outcomes in the order of the items; each round writes all that have not passed in one call.

    Args:
        write: answers to a list of requests, in order.
        verify: what is wrong with an answer; nothing when it passes.
        tries: attempts per item at most; after an attempt that passes there is none.
        feedback: None asks again without saying why (plain resampling).
        token_budget: an item gets no further attempt once its answers cost this many tokens.
    """
    if tries < 1:
        raise ValueError(f"tries must be >= 1, got {tries}")
    outcomes = [Outcome(item) for item in items]
    while open_ones := [one for one in outcomes if one.is_open(tries, token_budget)]:
        requests = [one.request(feedback) for one in open_ones]
        answers = list(write(requests))
        if len(answers) != len(requests):
            raise ValueError(f"`write` gave {len(answers)} answers to {len(requests)} requests")
        for one, answer in zip(open_ones, answers):
            one.add(answer, verify(one.item, answer.text))
    return outcomes


def against_resampling(
    items: Sequence[Item], write: Callable[[list[Request[Item]]], Sequence[Written]],
    verify: Callable[[Item, str], list[str]], *, token_budget: int, feedback: Feedback = toned_feedback,
) -> dict[str, dict[str, float]]:  # fmt: skip
    """Told what was wrong, and plain resampling, both at the same token budget per item: share that passed, tokens.

    An answer must cost at least a token, or resampling would never end.
    """
    found = {}
    for name, say in (("feedback", feedback), ("resampling", None)):
        done = retry_all(items, write, verify, tries=token_budget, feedback=say, token_budget=token_budget)
        found[name] = {"passed": sum(one.passed for one in done) / max(len(done), 1),
                       "tokens": sum(one.tokens for one in done),
                       "attempts": sum(len(one.attempts) for one in done)}  # fmt: skip
    return found
