"""What each cue is worth beside what the other answers of its group wrote there, for the tokens that wrote it.

Eight answers of a group differ in several cues each and in what they conclude, so one number for a whole answer says
little about any of them: with rewards for the label among them, answers with fewer cues can win. Writing cues is a walk
instead: every cue pays the credit that it adds to those before it (a cue written twice adds nothing), less a price,
half of what answers to this clip score on average. Above that price one more cue raises the score F, below it only
costs precision. After i cues, going on as this answer did is worth what all further cues pay; the tokens that say what
cue i is learn from how that compares with the other answers that got as far, and so does the token that writes no
further cue, which pays 0.

The tokens of a cue's time learn from time alone: from the credit that the cue's match has with this time, less what it
would have with the times that other cues of the group give to the same known cue. Where a cue matches nothing, its time
says nothing and its tokens learn nothing, or the digits would drift.

A line with a problem, such as a time after the clip's end, pays nothing: read as a cue of the whole clip, it would
often earn more than a time that is a guess, and answers would lose their form for it.

Shapes: G answers, K known cues, W written ones, T tokens.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cuewise.eval.metrics.cues import match_credit
from cuewise.mllm.report import Cue, parse

FLAWS = frozenset({"bad_time", "too_many_labels"})
"""Problems of a line that is still read as a cue."""

_END_OF_CUES = re.compile(rb"<\s*/\s*think\s*>", re.IGNORECASE)


class CueLine(NamedTuple):
    """A line of an answer that is read as a cue. Places are bytes of the answer."""

    start: int
    end: int
    when: tuple[int, int]
    """What follows the channel inside the brackets, the closing one included: the time, or that there is none."""

    cue: Cue
    flawed: bool

    def credit(self, known: Cue, duration_s: float | None) -> float:
        """Credit of the match with a known cue; 0 for a flawed line."""
        return 0.0 if self.flawed else match_credit(known, self.cue, duration_s)


def cue_lines(answer: bytes, duration_s: float | None = None) -> list[CueLine]:
    """Every line of an answer that is read as a cue."""
    found, start = [], 0
    for raw in _END_OF_CUES.split(answer, maxsplit=1)[0].split(b"\n"):
        line = raw.decode(errors="replace")
        read = parse(f"<think>\n{line}\n</think>", duration_s)
        if len(read.cues) == 1:
            closed = raw.index(b"]")
            named = re.match(rb"[^\[]*\[\s*[^\s:,\]]+", raw)
            when = (start + min(named.end() if named else closed, closed), start + closed + 1)
            found.append(CueLine(start, start + len(raw), when, read.cues[0], bool(FLAWS.intersection(read.problems))))
        start += len(raw) + 1
    return found


def going_on(
    known: Sequence[Cue], answers: Sequence[Sequence[CueLine]], duration_s: float | None = None
) -> list[list[float]]:
    """[G][W + 1] what an answer's cues from each on pay together; 0 after the last.

    Cues pay the matched credit of `eval.metrics.cues.known_cue_score` that they add, less half the answers' mean F.
    """
    found = [_credit_of_first(known, lines, duration_s) for lines in answers]
    scores = [2 * credit[-1] / (len(known) + len(lines)) for credit, lines in zip(found, answers)]
    price = float(np.mean(scores)) / 2
    return [
        [credit[-1] - before - price * (len(credit) - 1 - index) for index, before in enumerate(credit)]
        for credit in found
    ]


def _credit_of_first(known: Sequence[Cue], lines: Sequence[CueLine], duration_s: float | None) -> list[float]:
    """[W + 1] credit of the best one-to-one match of the first 0, 1, … W cues."""
    from scipy.optimize import linear_sum_assignment

    credit = np.array([[line.credit(truth, duration_s) for line in lines] for truth in known])
    total = [0.0]
    for count in range(1, len(lines) + 1):
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


def timing(
    known: Sequence[Cue], answers: Sequence[Sequence[CueLine]], duration_s: float | None = None
) -> list[list[float]]:
    """[G][W] credit of each cue's match, less its mean with the times of others that match the same known cue."""
    from scipy.optimize import linear_sum_assignment

    shares = [[0.0] * len(lines) for lines in answers]
    together: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for number, lines in enumerate(answers):
        credit = np.array([[match_credit(truth, line.cue, duration_s) for line in lines] for truth in known])
        for truth, place in zip(*linear_sum_assignment(credit, maximize=True)) if lines else ():
            if credit[truth, place] > 0:
                together[int(truth)].append((number, int(place)))
    for truth, places in together.items():
        matched = [answers[number][place] for number, place in places]
        for (number, place), own in zip(places, matched):
            others = [line._replace(cue=own.cue.model_copy(update={"start": line.cue.start, "end": line.cue.end}))
                      .credit(known[truth], duration_s) for line in matched if line is not own]  # fmt: skip
            if others:
                shares[number][place] = own.credit(known[truth], duration_s) - float(np.mean(others))
    return shares


def group_credit(
    answers: Sequence[Sequence[bytes]], known: Sequence[Cue], duration_s: float | None = None
) -> list[list[float | None]]:
    """[G][T] the share of every token of a group's answers; None for tokens that neither write a cue nor end the cues.

    Args:
        answers: bytes of each answer's tokens.
        known: the cues of the clip; without any, no token has a share.
    """
    if not known:
        return [[None] * len(pieces) for pieces in answers]
    lines = [cue_lines(b"".join(pieces), duration_s) for pieces in answers]
    shares = beside_others(going_on(known, lines, duration_s))
    return [_by_token(*one) for one in zip(answers, lines, shares, timing(known, lines, duration_s), strict=True)]


def _by_token(
    pieces: Sequence[bytes], lines: Sequence[CueLine], shares: Sequence[float], times: Sequence[float]
) -> list[float | None]:
    """[T] the share of the cue, or of its time, that a token helps to write; the last share for the one that stops."""
    values: list[float | None] = []
    place, index, stopped = 0, 0, False
    last = lines[-1].end + 1 if lines else 0
    for piece in pieces:
        while index < len(lines) and lines[index].end <= place:
            index += 1
        line = lines[index] if index < len(lines) else None
        if line is not None and line.start < place + len(piece):
            begin, end = line.when
            values.append(times[index] if begin <= place < end else shares[index])
        elif not stopped and place + len(piece) > last:
            values.append(shares[-1])
            stopped = True
        else:
            values.append(None)
        place += len(piece)
    return values
