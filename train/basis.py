"""What decides the weights of a stage: options and rows. Checkpoints carry it, so that no changed run gets old weights.

A basis is {name: value}, e.g. ``stages.heads.loop.lr: 0.01`` and ``rows of mine: 3f2a…``. A recipe leaves what it is
about in two files of its run folder: `recipe.json`, the resolved options, and `ROWS`, digests of each source and of the
weights that it starts from.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cuewise.train.examples import Example
    from cuewise.train.loop import LoopConfig

Basis = dict[str, str]

ROWS = "rows.json"

NOT_OF_RECIPE = ("name", "out", "data_root", "cache", "workers", "hardware", "states_cache", "data", "validation",
                 "stored", "alarms", "stages", "sources")  # fmt: skip
NOT_OF_STAGE = ("validation", "packed")
NOT_OF_LOOP = ("log_every", "sample_every", "save_every", "keep_last", "save", "evaluate_every", "micro_batches",
               "gradient_checkpointing")  # fmt: skip
"""Where files lie, what is logged, kept and looked at, and how work is cut: a run may go on with other ones."""

SHOWN = 3
DIGESTS = ("rows of ", "weights of ")
"""What the names of digests begin with: their values say nothing to people."""

PIECE, PIECES = 1 << 20, 1024
"""A file of weights up to 1 GiB is looked at whole, of a larger one so many pieces of so many bytes, spread evenly."""


class ChangedRunError(ValueError):
    """A checkpoint of this name was trained on other data or with other options."""


@contextmanager
def recorded(
    config: Any, run: Path, *, writes: bool = True, first: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """The resolved options of a run in its folder; what stood there before comes back when the run is refused, or fails
    before it has left a checkpoint.

    Of several processes one writes.

    Args:
        first: adds to the options, and may write rows into the folder `data` of the run.
    """
    kept = _checkpoints(run)
    files = (run / "recipe.json", run / ROWS, *(run / "data").glob("*.jsonl"))
    before = {file: file.read_bytes() for file in files if file.is_file()}
    try:
        first()
        if writes:
            run.mkdir(parents=True, exist_ok=True)
            written = json.dumps(asdict(config), indent=1, default=str) + "\n"
            (run / "recipe.json").write_text(written, encoding="utf-8")
        yield
    except Exception:
        if before and writes and _checkpoints(run) == kept:
            for file in (run / "data").glob("*.jsonl"):
                file.unlink()
            for file, content in before.items():
                file.write_bytes(content)
        raise


def _checkpoints(run: Path) -> dict[Path, int]:
    """Files of the run's checkpoints, with their times of change."""
    return {file: file.stat().st_mtime_ns for file in (run / "checkpoints").rglob("*.pt")}


def basis_of(run: Path, stage: str, loop: "LoopConfig", seed: int) -> Basis:
    """The basis of one stage of the recipe whose run folder is `run`; without a recipe there, loop and seed alone."""
    recipe, told = _read(run / "recipe.json"), _read(run / ROWS)
    rows, init = told.get("sources", {}), told.get("init")
    stages = recipe.get("stages") or {}
    alone = {"loop": asdict(loop), "seed": seed}
    if stage in stages:
        names = [*stages][: [*stages].index(stage) + 1]
        drawn = {source for name in names for source in stages[name]["mixture"]["weights"]}
        values = _without(recipe, NOT_OF_RECIPE) | {"stages": {name: _without(stages[name], NOT_OF_STAGE)
                                                              for name in names}}  # fmt: skip
    elif recipe and not stages:
        drawn = {*rows}
        values = _without(recipe, NOT_OF_RECIPE) | {"sources": recipe.get("sources")} | alone
    else:
        return dict(_flat(alone))
    values |= {f"rows of {source}": digest for source, digest in rows.items() if source in drawn}
    return dict(_flat(values | {"weights of init": init}))


def write_rows(sources: "Mapping[str, Sequence[Example]]", run: Path, init: Path | None = None) -> None:
    """Leave the digests of each source, and of the model folder that the run starts from, in the run folder."""
    digests = {"sources": {name: rows_digest(examples) for name, examples in sources.items()},
               "init": init and weights_digest(init)}  # fmt: skip
    (run / ROWS).write_text(json.dumps(digests, indent=1) + "\n", encoding="utf-8")


def weights_digest(folder: Path) -> str:
    """Changes with the files of weights in a folder: their names, sizes, and up to `PIECES` of each."""
    total = hashlib.blake2b(digest_size=12)
    for file in sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin")]):
        size = file.stat().st_size
        total.update(f"{file.name} {size}\n".encode())
        with file.open("rb") as content:
            for place in range(0, size, max(PIECE, size // PIECES)):
                content.seek(place)
                total.update(content.read(PIECE))
    return total.hexdigest()


def rows_digest(examples: "Sequence[Example]") -> str:
    """Changes with the rows, their order, and what was measured in their media; not with where the media lie."""
    total = hashlib.blake2b(digest_size=12)
    for example in examples:
        total.update(example.row.model_dump_json(exclude_defaults=True, exclude={"media"}).encode())
        for name, stream in sorted(example.tensors.streams.items()):
            if name not in ("words", "context"):  # ids of the tokenizer; their text is in the row
                total.update(name.encode())
                total.update(stream.values.contiguous().numpy())
    return total.hexdigest()


def changes(old: Basis, new: Basis) -> str:
    """What differs, in words, at most `SHOWN` values; empty when nothing does. A digest that an older version did not
    take is no difference."""
    names = [name for name in sorted(old.keys() | new.keys())
             if old.get(name) != new.get(name) and (name in old or not name.startswith(DIGESTS))]  # fmt: skip
    told = [name if name.startswith(DIGESTS) else f"{name} was {old.get(name, 'not set')}, now "
            f"{new.get(name, 'not set')}" for name in names[:SHOWN]]  # fmt: skip
    return "; ".join(told) + (f" … and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _without(values: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in names}


def _flat(values: dict[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """(dotted name, value as JSON) of all that is set; what is off or empty is as if it did not exist yet."""
    for key, value in values.items():
        if path.endswith("loop.") and key in NOT_OF_LOOP:
            continue
        if isinstance(value, dict):
            yield from _flat(value, f"{path}{key}.")
        elif value:
            name = f"{path}{key}"
            yield name, value if name.startswith(DIGESTS) else json.dumps(value, default=str)
