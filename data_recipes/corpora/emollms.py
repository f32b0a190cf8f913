"""EmoLLMs (AAID): affect tasks in text as instructions, numbers and classes written as text.

``{train,val,test}.json`` or ``.jsonl``: rows `instruction, input, output` and `task` where given. `chosen` is the
answer to the row's own `instruction`; an output that is no number of its task's range is an error of the file. Labels
are given for the emotion classes alone. MIT; Liu Z. et al. (2024), KDD.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cuewise.data_recipes.corpora.splits import keep_split
from cuewise.data_recipes.corpora.tables import TableError
from cuewise.data_recipes.numbers import SCALES, read_number
from cuewise.data_recipes.schema import Row

LICENCE = "MIT"
SOURCE = "EmoLLMs, Liu et al. (2024)"
FILES = {"train": ("train",), "dev": ("val", "valid", "dev"), "test": ("test",)}
TASKS = (
    ("vad", re.compile(r"\b(valence, arousal|VAD)\b", re.I)),
    ("valence_class", re.compile(r"ordinal class.*(mental state|sentiment)", re.I | re.S)),
    ("intensity_class", re.compile(r"ordinal class", re.I)),
    ("valence", re.compile(r"valence intensity", re.I)),
    ("intensity", re.compile(r"intensity of emotion", re.I)),
    ("sentiment_strength", re.compile(r"sentiment strength", re.I)),
    ("emotions", re.compile(r"one or more of the given emotions", re.I)),
)
"""Task -> what its instruction says, tried in order; anything else is ``other``."""


def read(root: Path, split: str | None = None) -> Iterator[Row]:
    """Rows of the files that are there."""
    there = {}
    for ours, stems in FILES.items():
        names = [f"{stem}{ending}" for stem in stems for ending in (".json", ".jsonl")]
        path = next((root / name for name in names if (root / name).is_file()), None)
        if path is not None:
            there[ours] = path
    if not there:
        raise TableError(f"{root}: none of train, val, test (.json or .jsonl) is there")
    rows = (row for ours, path in there.items() if split in (None, ours) for row in _rows(path, ours))
    yield from keep_split(rows, split, root)


def task_of(instruction: str) -> str:
    """The task of an instruction."""
    return next((name for name, pattern in TASKS if pattern.search(instruction)), "other")


def _rows(path: Path, split: str) -> Iterator[Row]:
    text = path.read_text(encoding="utf-8")
    whole = text.lstrip().startswith("[")
    entries = json.loads(text) if whole else map(json.loads, filter(str.strip, text.split("\n")))
    for number, entry in enumerate(entries):
        missing = [key for key in ("instruction", "output") if not str(entry.get(key, "")).strip()]
        if missing:
            raise TableError(f"{path}, entry {number}: `{missing[0]}` is missing or empty")
        yield _row(path, number, entry, split)


def _row(path: Path, number: int, entry: dict[str, Any], split: str) -> Row:
    instruction, output = str(entry["instruction"]).strip(), str(entry["output"]).strip()
    task = task_of(f"{entry.get('task', '')} {instruction}")
    values: dict[str, float] = {}
    if task in SCALES and task != "vad":
        value = read_number(output, SCALES[task])
        if value is None:
            low, high = SCALES[task].low, SCALES[task].high
            raise TableError(f"{path}, entry {number}: {output!r} is no {task} from {low:g} to {high:g}")
        if task in ("valence", "valence_class"):
            values = {"valence": 2 * SCALES[task].to_unit(value) - 1}
    labels = [] if task != "emotions" else [word.strip().lower() for word in output.split(",") if word.strip()]
    labels = ["neutral" if word.startswith("neutral") else word for word in labels]
    return Row(
        id=f"{split}_{number}", corpus="emollms", split=split, transcript=str(entry.get("input") or "").strip() or None,
        language="en", labels=labels, task=task, instruction=instruction, chosen=output, licence=LICENCE, source=SOURCE,
        **values,
    )  # fmt: skip
