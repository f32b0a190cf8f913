"""The truth of a sample: which part of a `Row` a data set is scored against, as plain JSON values.

A row that lacks the part is an error that names it; nothing is filled in.
"""

from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

from cuewise.data_recipes.corpora.crema_d import conflict_subset, winner
from cuewise.data_recipes.schema import Row
from cuewise.eval.multiple_choice import option_order, right_letter
from cuewise.eval.reading import class_names, exact_class
from cuewise.eval.suites.suite import Dataset, SuiteError

Truth = Callable[[Row, Dataset], Any]
CONFLICT_NAMES = {"consistent": "consistent", "video-aligned": "video_aligned", "audio-aligned": "audio_aligned"}


def labels(row: Row, dataset: Dataset) -> list[str]:
    """All emotion words of the row."""
    return list(row.labels)


def label(row: Row, dataset: Dataset) -> str | None:
    """The row's one label as a class of the closed set."""
    return exact_class(row.labels[0], dataset) if row.labels else None


def multilabel(row: Row, dataset: Dataset) -> list[str]:
    """The row's labels as classes of the closed set."""
    found = [exact_class(word, dataset) for word in row.labels]
    return sorted({name for name in found if name is not None})


def sentiment(row: Row, dataset: Dataset) -> float | None:
    """The signed sentiment score."""
    return row.sentiment


def valence_arousal(row: Row, dataset: Dataset) -> list[float | None] | None:
    """[valence, arousal] in [-1, 1]; a part may be null."""
    return None if row.valence is None and row.arousal is None else [row.valence, row.arousal]


def votes(row: Row, dataset: Dataset) -> dict[str, float] | None:
    """What annotators said about all channels together, as label -> count."""
    return dict(row.votes["all"]) if row.votes.get("all") else None


def vote_winner(row: Row, dataset: Dataset) -> str | None:
    """The label most annotators gave to all channels together; null on a tie."""
    return winner(row.votes.get("all", {}))


def statement(row: Row, dataset: Dataset) -> dict[str, Any] | None:
    """{correct, dimension} of a statement to judge."""
    return row.statement and {"correct": row.statement.correct, "dimension": row.task or "all"}


def choice(row: Row, dataset: Dataset) -> dict[str, Any] | None:
    """{task, answer, kind, options} of a question with a fixed answer: a letter of A to H, or yes or no.

    A row with `options` has the text of the right one as its label; its letter follows the order they are shown in.
    """
    if not row.labels:
        return None
    if row.options:
        try:
            letter = right_letter(row, option_order(row, dataset.option_seed))
        except ValueError as error:
            raise SuiteError(str(error)) from None
        return {"task": row.task or "all", "answer": letter, "kind": row.tier, "options": max(4, len(row.options))}
    answer = row.labels[0]
    if answer.lower() not in ("yes", "no") and not (len(answer) == 1 and answer.upper() in "ABCDEFGH"):
        raise SuiteError(f"row {row.id!r}: a fixed answer is a letter from A to H, or yes or no, got {answer!r:.40}")
    found = {"task": row.task or "all", "answer": answer, "kind": row.tier}
    if len(answer) == 1:
        found["options"] = max(4, "ABCDEFGH".index(answer.upper()) + 1)
    return found


def task_label(row: Row, dataset: Dataset) -> dict[str, Any] | None:
    """{task, labels} of a question that a judge scores."""
    return {"task": row.task or "all", "labels": list(row.labels)} if row.labels else None


def conflict(row: Row, dataset: Dataset) -> dict[str, Any] | None:
    """{subset, labels}: which channel the joint vote follows; null outside the three subsets.

    Rows that carry the subset in `tier` (CA-MER itself) are taken at their word.
    """
    if row.tier in CONFLICT_NAMES.values() and not row.votes:
        return {"subset": row.tier, "labels": list(row.labels)}
    subset = CONFLICT_NAMES.get(conflict_subset(row) or "")
    return subset and {"subset": subset, "labels": [winner(row.votes["all"])]}


def cues(row: Row, dataset: Dataset) -> dict[str, Any]:
    """{labels, cues}: the words and the known cues of the row."""
    return {"labels": list(row.labels), "cues": [cue.model_dump(mode="json") for cue in row.cues]}


def reasoning(row: Row, dataset: Dataset) -> dict[str, Any] | None:
    """{labels, reasoning}: the words and the reference description."""
    return row.reasoning and {"labels": list(row.labels), "reasoning": row.reasoning}


TRUTHS: dict[str, Truth] = {
    function.__name__: function
    for function in (
        labels, label, multilabel, sentiment, valence_arousal, votes, vote_winner, statement, choice, task_label,
        conflict, cues, reasoning,
    )
}  # fmt: skip
MAY_BE_MISSING = frozenset({"conflict", "vote_winner", "votes"})
"""Truths whose absence takes a row out of the data set by the protocol (ties, other subsets); elsewhere an error."""


def truth_of(row: Row, dataset: Dataset, where: str) -> Any:
    """The truth of one row; None when the protocol leaves the row out. Raises SuiteError."""
    if dataset.truth not in TRUTHS:
        near = get_close_matches(dataset.truth, TRUTHS, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(TRUTHS)}"
        raise SuiteError(f"{where}: unknown truth `{dataset.truth}`; {hint}")
    value = TRUTHS[dataset.truth](row, dataset)
    if value is None and dataset.truth not in MAY_BE_MISSING and dataset.outside == "refuse":
        seen = f"is labelled {', '.join(row.labels)}" if row.labels else "has no label"
        wanted = f"; classes: {', '.join(class_names(dataset))}" if dataset.classes else ""
        raise SuiteError(f"{where}: row {row.id!r} {seen} and has no `{dataset.truth}`{wanted}")
    return value
