"""From a sample to a journal line: how a system is opened, what it is asked, and what is kept of its answer."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cuewise.eval.blocks import Block
from cuewise.eval.journal import Line
from cuewise.eval.metrics.base import plain
from cuewise.eval.predictions import PredictionsSystem
from cuewise.eval.samples import Sample
from cuewise.eval.suites.suite import SELECTION, Suite, SuiteError
from cuewise.mllm.report import EmotionReport
from cuewise.mllm.systems.base import Ask, Reply, System, SystemLoadError, load_system

KEPT = ("duration", "confidence", "unsure", "distribution", "valence", "arousal", "cues", "problems")
"""Fields of a report that scoring or a reader of the samples needs."""


@dataclass(kw_only=True, slots=True)
class RunConfig:
    suite: str
    system: str = "nano"
    """What `load_system` takes; not used with `predictions`."""

    predictions: Path | None = None
    out: Path | None = None
    """Folder of the run; `runs/eval/SUITE-SYSTEM-HASH` when missing."""

    data: list[str] = field(default_factory=list)
    """Data root, and data sets by name (NAME=PATH)."""

    set: list[str] = field(default_factory=list)
    """Overrides of the suite, as `datasets.ravdess.source.split=test`."""

    limit: int = 0
    """Samples per data set, evenly spread; 0 takes all."""

    seed: int = 0
    temperature: float = 0.0
    selection: str = SELECTION
    """How the system under test was chosen; printed with every number."""

    judge: str | None = None
    """What `load_judge` takes: reads free text and scores it where a suite wants a judge."""

    embedder: str | None = None
    """What `load_embedder` takes; the suite's own choice when missing."""

    ray: int = 0
    """Number of Ray workers; 0 runs in this process."""

    options: dict[str, Any] = field(default_factory=dict)
    """Go to the system (`device`, `engine`, ...)."""


def open_system(config: RunConfig) -> System:
    """The system under test. Raises SuiteError."""
    if config.predictions is not None:
        return PredictionsSystem(config.predictions)
    try:
        return load_system(config.system, **config.options)
    except SystemLoadError as error:
        raise SuiteError(str(error)) from error


def answer_block(block: Block, suite: Suite, system: System, config: RunConfig) -> list[Line]:
    """Ask all samples of a block together."""
    asks = [ask_of(sample, suite, config) for sample in block.samples]
    replies = list(system.answer(asks))
    lines = []
    for sample, ask, reply in zip(block.samples, asks, replies, strict=True):
        if reply.id != ask.id:
            raise SuiteError(f"system {system.name} answered {reply.id!r} where {ask.id!r} was asked; replies must "
                             "keep the order of the asks")  # fmt: skip
        extras = system.extras(ask.id) if isinstance(system, PredictionsSystem) else None
        lines.append(line_of(sample, reply, extras))
    return lines


def ask_of(sample: Sample, suite: Suite, config: RunConfig) -> Ask:
    """The question of one sample. Its seed follows from the run's seed and its name alone."""
    dataset = suite.datasets[sample.dataset]
    name = f"{sample.dataset}/{sample.id}"
    seed = int.from_bytes(hashlib.sha256(f"{config.seed}/{name}".encode()).digest()[:4], "big")
    question = sample.question or dataset.question
    return Ask(
        id=name, clip=sample.clip, prompt=question if sample.clip is not None else question or "Which emotions?",
        form=dataset.form, candidates=tuple(dataset.classes) if dataset.candidates else (), statement=sample.statement,
        addition=dataset.conditions[sample.condition].say or None if sample.condition else None,
        max_tokens=dataset.max_tokens, temperature=config.temperature, seed=seed,
    )  # fmt: skip


def line_of(sample: Sample, reply: Reply, extras: dict[str, Any] | None) -> Line:
    """What the journal keeps of one answer; nothing in it depends on the clock."""
    return plain({
        "dataset": sample.dataset, "id": sample.id, "gt": sample.gt, "groups": sample.groups,
        "prompt": reply.prompt, "text": reply.text, "report": report_part(reply.report) or extras,
        "error": None if reply.error is None else {"code": reply.error.code, "message": reply.error.message},
        "finish_reason": reply.finish_reason, "usage": reply.usage,
    })  # fmt: skip


def report_part(report: EmotionReport | None) -> dict[str, Any] | None:
    """The part of a report that is kept."""
    if report is None:
        return None
    found = report.model_dump(mode="json", include=set(KEPT))
    found["channels"] = {name: reading.label for name, reading in report.agreement.channels.items()}
    return found
