"""Self-improvement (Facial-R1, stage 3): a model explains known labels, wrong explanations go back with their errors.

    report = synthesise(rows, SystemWriter(load_system("nano"), root), "round2.jsonl")

The gold label and the gold evidence stand in the prompt; the answer is decoded greedily and kept only if its label,
its action units and its form are exactly right and no cue is contradicted by what was measured. A wrong answer is
written again, at most four times, with the list of what was wrong. What is kept are rows with cues and reasoning, ready
for the next round of supervised tuning.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cuewise.data_recipes.corpora.labels import SAME_STATE
from cuewise.data_recipes.schema import Row, write_jsonl
from cuewise.data_recipes.targets import row_cues
from cuewise.eval.metrics.aus import read_aus
from cuewise.mllm.evidence.check import check_cues
from cuewise.mllm.evidence.types import Measurements
from cuewise.mllm.report import PROBLEM_TEXT, ParsedAnswer, parse
from cuewise.mllm.retry import Outcome, Request, Written, feedback_text, plain_feedback, retry_all
from cuewise.mllm.systems.base import Ask, System
from cuewise.train.rewards.evidence import named_units, think_text

TRIES = 5
TIER = "synthesised"
UNIT_THRESHOLD = 1.0
"""Intensity (0-5) from which a measured action unit belongs to the gold set."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One row to be explained, with what is known about its clip."""

    row: Row
    measurements: Measurements | None = None
    duration_s: float | None = None

    @property
    def units(self) -> set[int]:
        """Gold action units: those of the row's face cues, else those measured from `UNIT_THRESHOLD`."""
        named = {unit for cue in self.row.cues if cue.channel == "face" for unit in named_units(cue.observation)}
        return named or {
            unit for name, value in self.row.aus.items() if value >= UNIT_THRESHOLD for unit in read_aus(name)
        }


@dataclass(slots=True)
class SynthesisReport:
    """How a round went."""

    kept: list[Row] = field(default_factory=list)
    discarded: list[str] = field(default_factory=list)
    """Row ids for which no attempt was right."""

    attempts: Counter = field(default_factory=Counter)
    """Number of attempts -> rows that passed with it."""

    errors: Counter = field(default_factory=Counter)
    """Code of an error -> how often it was made."""

    tokens: int = 0

    def __str__(self) -> str:
        shown = ", ".join(f"{rows} on attempt {attempt}" for attempt, rows in sorted(self.attempts.items()))
        wrong = ", ".join(f"{code} {count}" for code, count in self.errors.most_common())
        return (f"kept {len(self.kept)} rows ({shown or 'none'}), discarded {len(self.discarded)}; "
                f"errors made: {wrong or 'none'}; {self.tokens} tokens")  # fmt: skip


def gold_prompt(subject: Subject) -> str:
    """The question with the right answer in it: label, evidence, form, and what to avoid."""
    row = subject.row
    cues = [f"[{cue.channel}] {cue.observation}" for cue in row_cues(row)]
    lines = [f"The person in this clip is known to feel: {', '.join(row.labels)}.",
             "Explain which cues in the clip show it, one line each, as `[channel start-end] observation => label`, "
             "then one sentence, inside <think> tags; then the label inside <answer> tags."]  # fmt: skip
    if cues:
        lines.append("Evidence: " + "; ".join(cues) + ".")
    if subject.units:
        named = ", ".join(f"AU{unit}" for unit in sorted(subject.units))
        lines.append(f"Name exactly these facial action units: {named}.")
    lines.append("Write what is there, never what is not there.")
    return "\n".join(lines)


def check_answer(subject: Subject, text: str) -> list[str]:
    """What is wrong with a synthesised answer, as ``code: sentence``; nothing when it matches exactly."""
    answer = parse(text, subject.duration_s)
    errors = [f"{code}: {PROBLEM_TEXT[code]}" for code in answer.problems]
    if answer.form == "direct":
        errors.append("no_think: there is no reasoning inside <think> tags")
    errors += _label_errors(subject.row, answer)
    errors += _unit_errors(subject.units, answer)
    if subject.measurements is not None:
        for cue in check_cues(answer.cues, subject.measurements):
            if cue.check is not None and cue.check.verdict == "contradicted":
                errors.append(f"contradicted: {cue.observation!r} is contradicted by the clip ({cue.check.why})")
    return errors


def synthesise(
    subjects: Sequence[Row | Subject], write: Callable[[list[Request[Subject]]], Sequence[Written]],
    out: str | Path | None = None, *, tries: int = TRIES,
) -> SynthesisReport:  # fmt: skip
    """One round: rows explained by a model, kept where exactly right, written to `out` as JSONL.

    Rows without a label are an error: there is nothing to condition on.
    """
    listed = [one if isinstance(one, Subject) else Subject(one) for one in subjects]
    for one in listed:
        if not one.row.labels:
            raise ValueError(f"row {one.row.id!r} has no label; synthesis explains known labels")
    report = SynthesisReport()
    for outcome in retry_all(listed, write, check_answer, tries=tries, feedback=plain_feedback):
        report.tokens += outcome.tokens
        report.errors.update(error.partition(":")[0] for errors in outcome.errors for error in errors)
        if outcome.passed:
            report.attempts[len(outcome.attempts)] += 1
            report.kept.append(_kept(outcome))
        else:
            report.discarded.append(outcome.item.row.id)
    if out is not None:
        write_jsonl(report.kept, out)
    return report


class SystemWriter:
    """Any system as the writer of a round. A failed reply counts as an empty answer and is asked again."""

    def __init__(self, system: System, root: str | Path = ".", *, max_tokens: int | None = None):
        self.system, self.root, self.max_tokens = system, Path(root), max_tokens

    def __call__(self, requests: list[Request[Subject]]) -> list[Written]:
        return [Written(reply.text, reply.usage.get("completion_tokens", 0))
                for reply in self.system.answer(self.ask(request) for request in requests)]  # fmt: skip

    def ask(self, request: Request[Subject]) -> Ask:
        """The ask of a request; a retry shows the answer before and its errors."""
        row = request.item.row
        prompt = gold_prompt(request.item)
        if said := feedback_text(request):
            prompt += f"\n{said}"
        clip = row.clip(self.root) if row.media or row.transcript else None
        return Ask(id=f"{row.id}#{request.attempt}", clip=clip, prompt=prompt, max_tokens=self.max_tokens)


def _label_errors(row: Row, answer: ParsedAnswer) -> list[str]:
    wanted, said = ({SAME_STATE.get(label, label) for label in labels} for labels in (row.labels, answer.labels))
    if said == wanted or not answer.labels:
        return []
    return [f"label: the answer is {', '.join(answer.labels)} but must be {', '.join(row.labels)}"]


def _unit_errors(units: set[int], answer: ParsedAnswer) -> list[str]:
    if not units:
        return []
    said = named_units(think_text(answer))
    errors = []
    if missing := units - said:
        errors.append(f"missing_units: {_named(missing)} is shown but not named")
    if extra := said - units:
        errors.append(f"extra_units: {_named(extra)} is named but not shown")
    return errors


def _named(units: set[int]) -> str:
    return ", ".join(f"AU{unit}" for unit in sorted(units))


def _kept(outcome: Outcome[Subject]) -> Row:
    subject = outcome.item
    answer = parse(outcome.text, subject.duration_s)
    cues = check_cues(answer.cues, subject.measurements) if subject.measurements is not None else answer.cues
    update: Mapping[str, object] = {"cues": [cue.model_copy(update={"check": None}) for cue in cues],
                                    "reasoning": answer.reasoning or None, "tier": TIER}  # fmt: skip
    return subject.row.model_copy(update=dict(update))
