"""Bounded retry: stops on success or budget, says what was wrong, and is not called when the first answer passes."""

import pytest

from cuewise.mllm.retry import (
    TONES,
    Outcome,
    Request,
    Written,
    against_resampling,
    feedback_text,
    plain_feedback,
    retry_all,
    toned_feedback,
)


class Learner:
    """Writes a number one higher each time it is told why; without feedback it stays where it is."""

    def __init__(self):
        self.requests: list[Request] = []

    def __call__(self, requests):
        self.requests += requests
        return [Written(str(int(r.before) + 1 if r.before is not None else 0), tokens=10) for r in requests]


def at_least(item: int, text: str) -> list[str]:
    return [] if int(text) >= item else [f"{text} is less than {item}"]


def test_items_stop_at_their_success_and_the_hopeless_ones_after_all_tries():
    learner = Learner()
    easy, middle, never = retry_all([0, 2, 99], learner, at_least, tries=5)
    assert (easy.passed, len(easy.attempts)) == (True, 1)
    assert (middle.passed, len(middle.attempts), middle.text) == (True, 3, "2")
    assert (never.passed, len(never.attempts), never.tokens) == (False, 5, 50)
    assert middle.errors == [["0 is less than 2"], ["1 is less than 2"], []]
    assert [r.attempt for r in learner.requests if r.item == 0] == [0]
    second = next(r for r in learner.requests if r.attempt == 1)
    assert second.feedback == "The last answer was wrong:\n- 0 is less than 2"


def test_feedback_beats_resampling_at_the_same_number_of_tokens():
    told = retry_all([2] * 4, Learner(), at_least, tries=9, token_budget=40)
    blind = retry_all([2] * 4, Learner(), at_least, tries=9, token_budget=40, feedback=None)
    assert sum(one.passed for one in told) == 4 and sum(one.passed for one in blind) == 0
    assert all(one.tokens <= 40 for one in (*told, *blind)) and blind[0].tokens == 40


def test_both_ways_are_compared_at_the_same_tokens():
    found = against_resampling([2] * 4, Learner(), at_least, token_budget=40)
    assert found["feedback"] == {"passed": 1.0, "tokens": 120, "attempts": 12}
    assert found["resampling"] == {"passed": 0.0, "tokens": 160, "attempts": 16}


def test_the_best_attempt_has_the_fewest_errors_and_the_next_one_is_told_of_the_last():
    outcome = Outcome("item")
    assert outcome.request(plain_feedback) == Request("item")
    for text, errors in (("a", ["x", "y"]), ("b", ["x"]), ("c", ["z"])):
        outcome.add(Written(text, 5), errors)
    assert outcome.best == 1 and outcome.is_open(4) and not outcome.is_open(3) and not outcome.is_open(9, 15)
    again = outcome.request(plain_feedback)
    assert feedback_text(again) == "Your last answer:\nc\nThe last answer was wrong:\n- z"
    assert feedback_text(outcome.request(None)) is None


def test_an_attempt_that_failed_never_counts_more_than_an_answer_and_ends_the_attempts():
    def fails_second(requests):
        return [Written("0", 10) if r.attempt == 0 else Written("", failed=True) for r in requests]

    (one,) = retry_all([2], fails_second, lambda item, text: at_least(item, text) if text else [], tries=5)
    assert len(one.attempts) == 2 and one.best == 0 and not one.passed
    (lost,) = retry_all([2], lambda requests: [Written("", failed=True)], lambda *_: [], tries=5)
    assert len(lost.attempts) == 1 and lost.best == 0 and not lost.passed


def test_tones_change_from_attempt_to_attempt_and_say_the_same_errors():
    texts = [toned_feedback(["too low"], attempt) for attempt in range(1, len(TONES) + 2)]
    assert len(set(texts)) == len(TONES) == 6 and texts[0] == texts[-1]
    assert all(text.endswith("- too low") for text in [*texts, plain_feedback(["too low"], 1)])


def test_a_writer_that_loses_answers_is_an_error():
    with pytest.raises(ValueError, match="`write` gave 0 answers to 1 requests"):
        retry_all([1], lambda requests: [], at_least)
    with pytest.raises(ValueError, match="tries must be >= 1, got 0"):
        retry_all([1], Learner(), at_least, tries=0)
