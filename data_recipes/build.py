"""`cuewise data build`: one corpus, read in the layout it lies in, becomes a file of rows."""

import os
from collections import Counter
from pathlib import Path

from cuewise.data_recipes.corpora import CORPORA, get
from cuewise.data_recipes.schema import write_jsonl

__all__ = ["CORPORA", "build"]


def build(corpus: str, root: str | Path, out: str | Path, split: str | None = None) -> str:
    """Read `corpus` below `root` and write its rows to `out` (.jsonl); returns a summary for people.

    Media paths in the file are relative to the folder of `out`, so that file and media may move together.
    """
    root, out = Path(root), Path(out)
    known = get(corpus)
    if out.is_dir():
        raise ValueError(f"{out} is a folder; give the name of the rows file, e.g. {out / (corpus + '.jsonl')}")
    base = Path(os.path.relpath(root.resolve(), out.resolve().parent))
    counts: Counter[str] = Counter()

    def rows():
        for row in known.read(root, split):
            counts[row.split or "no split"] += 1
            yield row.model_copy(update={"media": {kind: (base / path).as_posix() for kind, path in row.media.items()}})

    total = write_jsonl(rows(), out)
    parts = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    allowed = "may be used for products" if known.product_use else "not for products"
    return f"{out}: {total} rows of {known.title} ({parts}); licence {known.licence}, {allowed}"
