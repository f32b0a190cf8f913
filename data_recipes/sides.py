"""Whose emotion a label is: what a person in the clip shows, or what a viewer of it feels. Never both in one target.

Readers of corpora with viewers' labels (pictures and films that evoke something) give their rows the task ``evoked``.
`viewer_answer` makes an instruction of such a row, as in StimuVAR: what viewers feel, and by what.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

from cuewise.data_recipes.schema import Row

Side = Literal["shown", "evoked"]
EVOKED = "evoked"
QUESTION = "What does this make viewers feel, and by what?"


def side_of(row: Row) -> Side:
    """Whose emotion the labels of a row are."""
    return "evoked" if row.task == EVOKED else "shown"


def check_sides(sources: Mapping[str, Iterable[Row]], where: str) -> None:
    """Raise ValueError where the labels of the sources are of both sides; rows without a label have none."""
    first: dict[Side, str] = {}
    for name, rows in sources.items():
        for row in rows:
            if row.labels:
                first.setdefault(side_of(row), f"{name} ({row.id})")
    if len(first) == 2:
        raise ValueError(f"{where} mixes what people show ({first['shown']}) with what viewers feel "
                         f"({first['evoked']}) in one target; train each in a stage of its own, or the viewers' rows "
                         "as replies (`viewer_answer`)")  # fmt: skip


def viewer_answer(row: Row) -> Row:
    """A viewer's row as an instruction with its answer, for the task `reply`. Raises ValueError for another row."""
    if side_of(row) != "evoked" or not row.labels:
        raise ValueError(f"row {row.id!r} does not say what a viewer feels")
    feeling = " and ".join(row.labels)
    why = row.reasoning or row.layers.get("factual") or row.context
    said = f"The viewer feels {feeling} because {_clause(why)}." if why else f"The viewer feels {feeling}."
    return row.model_copy(update={"instruction": QUESTION, "chosen": said})


def _clause(text: str) -> str:
    """A sentence as it goes on after `because`."""
    text = " ".join(text.split()).rstrip(".")
    return text[:1].lower() + text[1:] if text[1:2].islower() else text
