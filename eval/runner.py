"""Runs a suite: samples in blocks through a system, every answer into a journal, then one set of results.

The folder of a run holds `run.json` (what is run, written first), `journal.jsonl` (the answers), and at the end
`results.json`, `samples.parquet`, `report.md` and `report.html`, each written whole. A run that was stopped, by Ctrl-C
or kill -9, goes on where it was when it is started again in the same folder; a folder that holds another run is
refused.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cuewise.eval.asking import RunConfig, answer_block, open_system
from cuewise.eval.assemble import rehearse, write_run
from cuewise.eval.blocks import Block, blocks_of, prefetched
from cuewise.eval.journal import Journal, Line
from cuewise.eval.judging import check_judge
from cuewise.eval.measures.fits import misfits
from cuewise.eval.metrics.base import plain
from cuewise.eval.report.files import write_text
from cuewise.eval.samples import Roots, Sample, samples_of
from cuewise.eval.sharding import answer_with_ray
from cuewise.eval.suites.suite import Suite, SuiteError, load_suite
from cuewise.eval.truths import TRUTHS
from cuewise.mllm.systems.base import System

RUN_FILE, JOURNAL_FILE, LOCK_FILE = "run.json", "journal.jsonl", ".lock"
Progress = Callable[[int], None]


@dataclass(slots=True)
class Plan:
    """Everything that is fixed before the first question."""

    config: RunConfig
    suite: Suite
    samples: list[Sample]
    blocks: list[Block]
    description: dict[str, Any]
    folder: Path
    config_hash: str
    """Of everything that decides the answers."""


def plan_suite(config: RunConfig) -> tuple[Suite, list[Sample]]:
    """The suite and its samples, checked: every metric fits its truth and can be made. Raises SuiteError."""
    suite = load_suite(config.suite, config.set)
    if problems := misfits(suite, tuple(TRUTHS)):
        raise SuiteError(*problems)
    check_judge(suite, config.judge)
    for dataset in suite.datasets.values():
        dataset.embedder = config.embedder or dataset.embedder
    roots = Roots.parse(config.data)
    samples: list[Sample] = []
    for name, dataset in suite.datasets.items():
        try:
            found = samples_of(name, dataset, roots, limit=config.limit, media_needed=config.predictions is None)
            rehearse(name, dataset, found)
            samples += found
        except SuiteError as error:
            problems += error.problems
    if problems:
        raise SuiteError(*problems)
    return suite, samples


def run_suite(config: RunConfig, progress: Callable[[int, int], Progress] | None = None) -> Path:
    """Run, or go on with, a suite; returns the folder with its results. Raises SuiteError.

    `progress` is called once with the number of samples and of those already answered; what it returns is called with
    the number of new answers after each block.
    """
    suite, samples = plan_suite(config)
    system = open_system(config)
    try:
        plan = _plan(config, suite, samples, system.describe())
        with locked(plan.folder):
            journal = _open_journal(plan)
            todo = [block for block in plan.blocks if block.number not in journal.done]
            answered = sum(len(lines) for lines in journal.done.values())
            advance = progress(len(samples), answered) if progress else lambda _: None
            for block, lines in answer_blocks(plan, todo, system):
                journal.append(block.number, lines)
                advance(len(lines))
            lines = [line for number in sorted(journal.done) for line in journal.done[number]]
            scored = _digest([plan.config_hash, asdict(suite), config.judge])
            write_run(plan.folder, suite, config, plan.description, scored, lines)
    finally:
        system.close()
    return plan.folder


def answer_blocks(plan: Plan, todo: list[Block], system: System) -> Iterator[tuple[Block, list[Line]]]:
    """Each block with its journal lines: here, or by Ray workers in the order in which they finish."""
    if plan.config.ray:
        yield from answer_with_ray(plan.config, plan.suite, todo)
        return
    for block in prefetched(todo, plan.suite):
        yield block, answer_block(block, plan.suite, system, plan.config)


def _plan(config: RunConfig, suite: Suite, samples: list[Sample], description: dict[str, Any]) -> Plan:
    asked = [[s.dataset, s.id, s.gt, s.question, s.statement, s.synthetic_seed] for s in samples]
    facts = {
        "suite": suite.name, "questions": _questions(suite), "system": description, "limit": config.limit,
        "seed": config.seed, "temperature": config.temperature, "selection": config.selection,
        "samples": hashlib.sha256(json.dumps(plain(asked)).encode()).hexdigest(), "count": len(samples),
    }  # fmt: skip
    digest = _digest(plain(facts))
    name = config.predictions.stem if config.predictions else Path(config.system).name.replace(":", "-").split("@")[0]
    folder = config.out or Path("runs/eval") / f"{suite.name}-{name}-{digest[:6]}"
    plan = Plan(config, suite, samples, blocks_of(samples), description, folder, digest)
    _claim_folder(plan, plain(facts))
    return plan


def _questions(suite: Suite) -> dict[str, Any]:
    """The part of a suite that decides the answers; metrics, slices and baselines may change without asking again."""
    asked = ("source", "show", "question", "form", "max_tokens")
    return {
        name: {key: value for key, value in asdict(dataset).items() if key in asked or (key == "conditions" and value)}
        | {"candidates": list(dataset.classes) if dataset.candidates else None}
        for name, dataset in suite.datasets.items()
    }


def _digest(facts: Any) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _claim_folder(plan: Plan, facts: dict[str, Any]) -> None:
    """Write `run.json`, or find the same run there. Raises SuiteError when another run lives in the folder."""
    path = plan.folder / RUN_FILE
    if path.is_file():
        try:
            there = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise SuiteError(f"{path}: damaged ({error}); give another --out") from None
        if there.get("config_hash") != plan.config_hash:
            differs = [key for key in facts if there.get("facts", {}).get(key) != facts[key]]
            raise SuiteError(f"{plan.folder} holds another run (its {', '.join(differs) or 'config'} differ); give "
                             "another --out, or remove the folder")  # fmt: skip
        return
    try:
        plan.folder.mkdir(parents=True, exist_ok=True)
        if any(plan.folder.iterdir()):
            raise SuiteError(f"{plan.folder} is not empty and holds no run; give another --out")
        text = json.dumps({"config_hash": plan.config_hash, "facts": facts}, ensure_ascii=False, indent=1)
        write_text(path, text + "\n")
    except OSError as error:
        raise SuiteError(f"{plan.folder} cannot be written ({error.strerror})") from None


def _open_journal(plan: Plan) -> Journal:
    journal = Journal(plan.folder / JOURNAL_FILE)
    blocks = {block.number: block for block in plan.blocks}
    for number, lines in journal.done.items():
        wanted = [sample.key for sample in blocks[number].samples] if number in blocks else None
        if wanted != [(line["dataset"], line["id"]) for line in lines]:
            raise SuiteError(f"{journal.path}: block {number} holds other samples than this run asks; the file was "
                             "changed, start again in another folder")  # fmt: skip
    return journal


class locked:  # noqa: N801  # reads as a word in `with locked(folder)`
    """One run at a time in a folder; the lock goes with the process, however it ends."""

    def __init__(self, folder: Path):
        self.path = folder / LOCK_FILE

    def __enter__(self) -> None:
        import fcntl

        self.file = self.path.open("w")
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.file.close()
            raise SuiteError(f"{self.path.parent}: another process runs there right now; wait, or give another "
                             "--out") from None  # fmt: skip

    def __exit__(self, *_: object) -> None:
        self.file.close()
