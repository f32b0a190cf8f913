"""Each cue's own share in the cue score of its answer, for the tokens that wrote it.

Eight answers of a group differ in several cues each and in what they conclude, so one number for a whole answer says
little about any of them: with rewards for the label among them, answers with fewer cues can win. What a cue is worth by
itself can be told: the credit that is lost without it, less half the score F of the answer. This has the sign of what
the score loses without the cue, (2 / (K + W - 1)) of it, but does not shrink with the number of cues: above zero, one
more cue of the kind would raise the score; below, it only costs precision. A token earns what its cue and all cues
after it are worth, since with a cue that is left out of the order those before it are lost as well.

Shapes: K known cues, W written ones, T tokens.
"""

from collections.abc import Sequence

import numpy as np

from cuewise.eval.metrics.cues import match_credit
from cuewise.mllm.report import Cue, parse

FLAWS = frozenset({"bad_time", "too_many_labels"})
"""Problems of a line that is still read as a cue."""


def contributions(known: Sequence[Cue], written: Sequence[Cue | None], duration_s: float | None = None) -> list[float]:
    """[W] credit that is lost without each written cue, less half the F of `eval.metrics.cues.known_cue_score`.

    None stands for a cue that is written and matches nothing.
    """
    if not known or not written:
        return [0.0] * len(written)
    credit = np.array([[match_credit(truth, cue, duration_s) if cue else 0.0 for cue in written] for truth in known])
    whole = _matched(credit)
    half = whole / sum(credit.shape)
    return [whole - _matched(np.delete(credit, index, 1)) - half for index in range(len(written))]


def _matched(credit: np.ndarray) -> float:
    """Credit of the best one-to-one match, from credits [K, W]."""
    from scipy.optimize import linear_sum_assignment

    return float(credit[linear_sum_assignment(credit, maximize=True)].sum())


def cue_lines(text: str, duration_s: float | None = None) -> list[tuple[int, int, Cue | None]]:
    """(start, end, cue) of every line of an answer that is read as a cue, in characters; None for one with a problem."""
    found, start = [], 0
    for line in text.split("</think>")[0].split("\n"):
        read = parse(f"<think>\n{line}\n</think>", duration_s)
        if len(read.cues) == 1:
            found.append((start, start + len(line), None if FLAWS.intersection(read.problems) else read.cues[0]))
        start += len(line) + 1
    return found


def token_credit(
    text: str, pieces: Sequence[bytes], known: Sequence[Cue], duration_s: float | None = None
) -> list[float | None]:
    """[T] what the cue that each token helps to write and those after it contribute, None for tokens of no cue.

    The token that begins no further cue gets 0: whether to go on is judged by what the cues are worth.

    Args:
        text: the answer as its tokens wrote it.
        pieces: bytes of each token.
        known: the cues of the clip; without any, no token has a value.
    """
    if not known:
        return [None] * len(pieces)
    lines = cue_lines(text, duration_s)
    worth = contributions(known, [cue for _, _, cue in lines], duration_s)
    worth = [sum(worth[index:]) for index in range(len(worth))]
    spans = [(len(text[:start].encode()), len(text[:end].encode())) for start, end, _ in lines]
    values: list[float | None] = []
    place, index, stopped = 0, 0, False
    for piece in pieces:
        while index < len(spans) and spans[index][1] <= place:
            index += 1
        begun = index < len(spans) and spans[index][0] < place + len(piece)
        values.append(worth[index] if begun else None)
        if spans and not begun and not stopped and place + len(piece) > spans[-1][1] + 1:
            values[-1], stopped = 0.0, True
        place += len(piece)
    return values
