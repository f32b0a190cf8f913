"""What each cue is worth beside what the other answers of its group wrote there, for the tokens that wrote it.

Eight answers of a group differ in several cues each and in what they conclude, so one number for a whole answer says
little about any of them: with rewards for the label among them, answers with fewer cues can win. Writing cues is a walk
instead: every cue pays the credit that it adds to those before it (a cue written twice adds nothing), less a price,
half of what answers to this clip score on average. Above that price one more cue raises the score F, below it only
costs precision. After i cues, going on as this answer did is worth what all further cues pay; a token of cue i learns
from how that compares with the other answers that got as far, and so does the token that writes no further cue, which
pays 0.

A line with a problem, such as a time after the clip's end, matches nothing here: read as a cue of the whole clip, it
would often earn more than a time that is a guess, and answers would lose their form for it.

Shapes: G answers, K known cues, W written ones, T tokens.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cuewise.eval.metrics.cues import match_credit
from cuewise.mllm.report import Cue, parse

FLAWS = frozenset({"bad_time", "too_many_labels"})
"""Problems of a line that is still read as a cue."""


class CueLine(NamedTuple):
    """A line of an answer that is read as a cue."""

    start: int
    """Where it begins and ends in the text, in characters."""

    end: int
    cue: Cue | None
    """None for one with a problem."""


def cue_lines(text: str, duration_s: float | None = None) -> list[CueLine]:
    """Every line of an answer that is read as a cue."""
    found, start = [], 0
    for line in text.split("</think>")[0].split("\n"):
        read = parse(f"<think>\n{line}\n</think>", duration_s)
        if len(read.cues) == 1:
            cue = None if FLAWS.intersection(read.problems) else read.cues[0]
            found.append(CueLine(start, start + len(line), cue))
        start += len(line) + 1
    return found


def going_on(
    known: Sequence[Cue], answers: Sequence[Sequence[Cue | None]], duration_s: float | None = None
) -> list[list[float]]:
    """[G][W + 1] what an answer's cues from each on pay together; 0 after the last.

    Cues pay the matched credit of `eval.metrics.cues.known_cue_score` that they add, less half the answers' mean F.
    """
    found = [_credit_of_first(known, written, duration_s) for written in answers]
    scores = [2 * credit[-1] / (len(known) + len(written)) for credit, written in zip(found, answers)]
    price = float(np.mean(scores)) / 2
    return [
        [credit[-1] - before - price * (len(credit) - 1 - index) for index, before in enumerate(credit)]
        for credit in found
    ]


def _credit_of_first(known: Sequence[Cue], written: Sequence[Cue | None], duration_s: float | None) -> list[float]:
    """[W + 1] credit of the best one-to-one match of the first 0, 1, … W cues."""
    from scipy.optimize import linear_sum_assignment

    credit = np.array([[match_credit(truth, cue, duration_s) if cue else 0.0 for cue in written] for truth in known])
    total = [0.0]
    for count in range(1, len(written) + 1):
        first = credit[:, :count]
        total.append(float(first[linear_sum_assignment(first, maximize=True)].sum()))
    return total


def beside_others(values: Sequence[Sequence[float]]) -> list[list[float]]:
    """Each answer's values less the mean of those that the other answers have at the same place, where any has.

    >>> beside_others([[3.0, 1.0, 0.0], [1.0, 0.0]])
    [[2.0, 1.0, 0.0], [-2.0, -1.0]]
    """
    result = []
    for own, answer in enumerate(values):
        others = [row for index, row in enumerate(values) if index != own]
        there = [[row[place] for row in others if place < len(row)] for place in range(len(answer))]
        result.append([value - (sum(seen) / len(seen) if seen else 0.0) for value, seen in zip(answer, there)])
    return result


def group_credit(
    texts: Sequence[str], pieces: Sequence[Sequence[bytes]], known: Sequence[Cue], duration_s: float | None = None
) -> list[list[float | None]]:
    """[G][T] the share of every token of a group's answers; None for tokens that neither write a cue nor end the cues.

    Args:
        texts: the answers as their tokens wrote them.
        pieces: bytes of each answer's tokens.
        known: the cues of the clip; without any, no token has a share.
    """
    if not known:
        return [[None] * len(row) for row in pieces]
    lines = [cue_lines(text, duration_s) for text in texts]
    shares = beside_others(going_on(known, [[line.cue for line in rows] for rows in lines], duration_s))
    return [_by_token(*answer) for answer in zip(texts, pieces, lines, shares, strict=True)]


def _by_token(
    text: str, pieces: Sequence[bytes], lines: Sequence[CueLine], shares: Sequence[float]
) -> list[float | None]:
    """[T] the share of the cue that each token helps to write; the last share for the token that goes on otherwise."""
    spans = [(len(text[: line.start].encode()), len(text[: line.end].encode())) for line in lines]
    values: list[float | None] = []
    place, index, stopped = 0, 0, False
    for piece in pieces:
        while index < len(spans) and spans[index][1] <= place:
            index += 1
        begun = index < len(spans) and spans[index][0] < place + len(piece)
        values.append(shares[index] if begun else None)
        if spans and not begun and not stopped and place + len(piece) > spans[-1][1] + 1:
            values[-1], stopped = shares[-1], True
        place += len(piece)
    return values
