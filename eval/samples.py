"""The samples of a data set: rows from a reader, a file of rows, or synthetic clips, each with what is shown of it.

Everything is checked before the first sample is asked: rows that lack the truth, ids that repeat, media that are
missing. Problems are collected, so that a user sees all of them at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cuewise.data_recipes.corpora import TableError, read
from cuewise.data_recipes.schema import Row
from cuewise.eval.conditions import changed_clip, under_conditions
from cuewise.eval.multiple_choice import option_order, presented
from cuewise.eval.scoring import read_jsonl
from cuewise.eval.suites.suite import Dataset, SuiteError
from cuewise.eval.truths import truth_of
from cuewise.mllm.clip import Clip


@dataclass(frozen=True, slots=True)
class Roots:
    """Where data sets lie: one folder that holds them all, and single ones by name."""

    root: Path | None = None
    named: dict[str, Path] = field(default_factory=dict)

    @classmethod
    def parse(cls, given: list[str]) -> "Roots":
        """From `ROOT` and `NAME=PATH` words, in any order."""
        root, named = None, {}
        for word in given:
            name, sign, path = word.partition("=")
            if sign and not Path(word).exists():
                named[name] = Path(path)
            elif root is not None:
                raise SuiteError(f"--data: two roots, {root} and {word}; name the data sets as NAME=PATH")
            else:
                root = Path(word)
        return cls(root, named)

    def of(self, name: str, dataset: Dataset) -> Path:
        """Folder of a data set. Raises SuiteError when nobody said where it is."""
        folder = dataset.source.folder or name
        if name in self.named:
            return self.named[name]
        if self.root is None:
            raise SuiteError(f"data set `{name}`: say where it lies with --data ROOT (holding {folder}/) or "
                             f"--data {name}=PATH")  # fmt: skip
        return self.root / folder


@dataclass(slots=True)
class Sample:
    """One question with its truth. `clip` is None until a synthetic sample is made."""

    dataset: str
    id: str
    gt: Any = None
    groups: dict[str, str] = field(default_factory=dict)
    clip: Clip | None = None
    question: str | None = None
    statement: str | None = None
    synthetic_seed: int | None = None
    condition: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        return self.dataset, self.id


def samples_of(
    name: str, dataset: Dataset, roots: Roots, *, limit: int = 0, media_needed: bool = True
) -> list[Sample]:
    """All samples of a data set in order, or `limit` of them evenly spread. Raises SuiteError."""
    source = dataset.source
    if source.synthetic:
        count = min(limit or source.synthetic, source.synthetic)
        seeds = range(source.first_seed, source.first_seed + count)
        return under_conditions([Sample(name, f"synthetic-{seed}", synthetic_seed=seed) for seed in seeds], dataset)
    root = roots.of(name, dataset)
    samples: list[Sample] = []
    problems: list[str] = []
    seen: set[str] = set()
    for row in rows_of(name, dataset, root):
        if row.id in seen:
            problems.append(f"{root}: id {row.id!r} stands there twice; ids must be unique")
            continue
        seen.add(row.id)
        try:
            sample = sample_of(name, dataset, row, root)
        except SuiteError as error:
            problems += error.problems
            continue
        if sample is not None:
            samples.append(sample)
    if limit and limit < len(samples):
        samples = [samples[i * len(samples) // limit] for i in range(limit)]
    if media_needed:
        problems += [line for sample in samples if (line := missing_media(sample))]
    if not samples and not problems:
        problems.append(f"{root}: no sample of data set `{name}` is left (split {source.split or 'any'})")
    if problems:
        raise SuiteError(*problems)
    return under_conditions(samples, dataset)


def rows_of(name: str, dataset: Dataset, root: Path) -> Iterator[Row]:
    """The rows of a listed source. Raises SuiteError."""
    source = dataset.source
    try:
        if source.corpus:
            yield from read(source.corpus, root, source.split)
            return
        path = root / source.rows
        if not path.is_file():
            raise SuiteError(f"data set `{name}`: {path} is missing; write the corpus as rows there, see "
                             "docs/evaluation.md")  # fmt: skip
        yield from (row for row in listed_rows(path) if source.split in (None, row.split))
    except (TableError, ValueError, OSError) as error:
        raise error if isinstance(error, SuiteError) else SuiteError(f"data set `{name}`: {error}") from None


def listed_rows(path: Path) -> list[Row]:
    """All rows of a JSONL file; every line that is none is one problem. Raises SuiteError."""
    problems: list[str] = []
    rows: list[Row] = []
    for line in read_jsonl(path, problems):
        try:
            rows.append(Row.model_validate(line.values))
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            where = ".".join(map(str, first["loc"]))
            problems.append(f"{path}:{line.number}: field `{where}`: {first['msg']}")
    if problems:
        raise SuiteError(*problems)
    return rows


def sample_of(name: str, dataset: Dataset, row: Row, root: Path) -> Sample | None:
    """A sample from its row; None when the protocol leaves the row out."""
    truth = truth_of(row, dataset, f"data set `{name}`")
    if truth is None:
        return None
    question = presented(row, option_order(row, dataset.option_seed)) if row.options else row.instruction
    return Sample(name, row.id, truth, groups_of(row), shown_clip(row, dataset, root), question,
                  row.statement.text if row.statement else None)  # fmt: skip


def groups_of(row: Row) -> dict[str, str]:
    """What a report may slice by: speaker, language, tier, task, dialogue, demographics; missing ones left out."""
    groups = {"speaker": row.speaker, "language": row.language, "tier": row.tier, "task": row.task,
              "dialogue": row.dialogue.id if row.dialogue else None, **row.demographics}  # fmt: skip
    return {name: str(value) for name, value in groups.items() if value is not None}


def shown_clip(row: Row, dataset: Dataset, root: Path) -> Clip | None:
    """The clip with what the data set does not show taken off it; None when nothing is left."""
    show = set(dataset.show)
    if not show & {"voice", "face", "scene"}:
        row = row.model_copy(update={"media": {}, "span": None})
    elif not show & {"face", "scene"}:
        sound = row.media.get("audio") or row.media.get("video")
        row = row.model_copy(update={"media": {"audio": sound} if sound else {}})
    if "words" not in show:
        row = row.model_copy(update={"transcript": None, "words": []})
    if "context" not in show:
        row = row.model_copy(update={"context": None})
    if not row.media and not row.transcript and not row.words:
        return None
    return row.clip(root)


def missing_media(sample: Sample) -> str | None:
    """One line when there is nothing to show, or a file is not there."""
    if sample.clip is None:
        return f"data set `{sample.dataset}`: {sample.id!r} has no media here and no words"
    for path in (sample.clip.path, sample.clip.audio):
        if isinstance(path, str | Path) and not Path(path).is_file():
            return f"data set `{sample.dataset}`: {sample.id!r}: {path} is missing"
    return None


def made(sample: Sample, dataset: Dataset) -> Sample:
    """A sample with what is made on the spot: a synthetic clip with its truth, pictures under a condition."""
    sample = _synthesised(sample, dataset)
    condition = dataset.conditions.get(sample.condition or "")
    if condition is None or not condition.changes_pictures or sample.clip is None:
        return sample
    return replace(sample, clip=changed_clip(sample.clip, condition, sample.id))


def _synthesised(sample: Sample, dataset: Dataset) -> Sample:
    if sample.synthetic_seed is None:
        return sample
    from cuewise.data_recipes.synthetic.corpus import make_clip
    from cuewise.mllm.media.types import SAMPLE_RATE_HZ

    clip = make_clip(sample.synthetic_seed)
    row, words = clip.row, "words" in dataset.show
    picture = clip.frames if {"face", "scene"} & set(dataset.show) else None
    sound = clip.samples if "voice" in dataset.show else None
    shown = Clip(
        frames=picture, fps=clip.fps if picture is not None else None, samples=sound,
        sample_rate=SAMPLE_RATE_HZ if sound is not None else None, transcript=row.transcript if words else None,
        words=list(row.words) if words else [], id=sample.id,
    ) if picture is not None or sound is not None or (words and row.transcript) else None  # fmt: skip
    groups = sample.groups | groups_of(row) | {"channels": "+".join(name for name, there in (
        ("face", clip.frames is not None), ("voice", clip.samples is not None), ("words", bool(row.transcript)))
        if there)}  # fmt: skip
    return replace(sample, gt=truth_of(row, dataset, "synthetic"), groups=groups, clip=shown)
