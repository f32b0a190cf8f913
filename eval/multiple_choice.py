"""Multiple-choice rows whose options may be shown in any order: the letter follows the content.

A row holds its options in `options` and the text of the right one as its label. With a seed, each row's options are
shown in an order drawn from the seed and the row's id; a system that reads them scores the same under every seed, and
one that likes a letter does not.
"""

import random
from collections.abc import Sequence

from cuewise.data_recipes.schema import Row

LETTERS = "ABCDEFGH"


def option_order(row: Row, seed: int | None) -> list[int]:
    """Numbers of the options in the order in which they are shown; as written without a seed. Raises ValueError."""
    count = len(row.options)
    if not 2 <= count <= len(LETTERS) or len(set(row.options)) < count:
        raise ValueError(f"row {row.id!r}: 2 to {len(LETTERS)} different options are needed, got {row.options}")
    order = list(range(count))
    if seed is not None:
        random.Random(f"{seed}/{row.id}").shuffle(order)
    return order


def right_letter(row: Row, order: Sequence[int]) -> str:
    """The letter of the right option. Raises ValueError unless the row's label is one of its options."""
    if not row.labels or row.labels[0] not in row.options:
        raise ValueError(f"row {row.id!r}: its label {row.labels[:1]} is none of its options")
    return LETTERS[list(order).index(row.options.index(row.labels[0]))]


def presented(row: Row, order: Sequence[int]) -> str:
    """The question with its lettered options."""
    lines = [f"{letter}) {row.options[number]}" for letter, number in zip(LETTERS, order)]
    return "\n".join([row.instruction or "Which one is right?", *lines, "Answer with the letter."])
