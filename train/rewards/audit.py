"""The audit of a reward config: does any known hack pay more than answering honestly?

    audit = run_audit(load_config("rewards.yaml"))
    print(audit.table()); audit.passed

A hack fails the config when its mean total is not below that of the honest answers it starts from; where the two are
within two standard errors, more rows are needed to be sure. A hack that no configured reward notices pays nothing and
passes with the note `no effect`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from cuewise.data_recipes.schema import Row
from cuewise.data_recipes.targets import shown_part
from cuewise.mllm.evidence.types import Measurements
from cuewise.mllm.report import ParsedAnswer, parse, render

from .answers import is_exact
from .base import RewardConfig, RewardSample, RewardTable, score
from .hacks import HACKS, honest, planned_rows

SKILL = 0.6
"""Share of rows that the honest answers get right: a policy in the middle of its training."""

MARGIN_SE = 2.0


@dataclass(slots=True)
class Finding:
    """One hack against the honest answers."""

    hack: str
    honest: float
    """Mean total of the honest answers, in [0, 1]."""

    hacked: float
    error: float
    """Standard error of the paired difference."""

    rows_won: float
    """Share of rows in which the hack scores more; chance alone makes it larger than 0."""

    changes: dict[str, float] = field(default_factory=dict)
    """Mean change of each reward (in [0, 1]) through the hack."""

    @property
    def has_effect(self) -> bool:
        return self.honest != self.hacked or self.error > 0

    @property
    def passed(self) -> bool:
        return not self.has_effect or self.honest > self.hacked

    @property
    def is_sure(self) -> bool:
        """Whether the difference is larger than two standard errors."""
        return not self.has_effect or abs(self.honest - self.hacked) > MARGIN_SE * self.error

    @property
    def favours(self) -> list[str]:
        """Rewards that pay the hack more, the most generous first."""
        return [name for name, change in sorted(self.changes.items(), key=lambda item: -item[1]) if change > 1e-6]


@dataclass(slots=True)
class Audit:
    """All hacks of one config."""

    findings: list[Finding]
    rows: int
    weights: dict[str, float]

    @property
    def passed(self) -> bool:
        return all(finding.passed for finding in self.findings)

    def table(self) -> str:
        """For people, the hack that pays best first."""
        lines = [f"{'hack':26} {'honest':>7} {'hack':>7} {'difference':>16} {'rows won':>9}  paid more by"]
        for one in sorted(self.findings, key=lambda f: f.honest - f.hacked):
            verdict = ("" if one.passed else "  <- PAYS") + ("" if one.is_sure else "  (too few rows to be sure)")
            effect = ", ".join(one.favours) if one.has_effect else "(no effect)"
            gap = f"{one.hacked - one.honest:+.3f} ± {one.error:.3f}"
            numbers = f"{one.honest:7.3f} {one.hacked:7.3f} {gap:>16} {one.rows_won:9.0%}"
            lines.append(f"{one.hack:26} {numbers}  {effect}{verdict}")
        losers = [one.hack for one in self.findings if not one.passed]
        shown = ", ".join(f"{name} {weight:g}" for name, weight in self.weights.items())
        lines += ["", f"{self.rows} rows; weights: {shown}"]
        lines.append(f"failed: {', '.join(losers)}" if losers else "passed: no hack pays more than an honest answer")
        return "\n".join(lines)


def run_audit(
    config: RewardConfig, *, count: int = 300, seed: int = 0, skill: float = SKILL, step: int = 0,
    answers: Sequence[tuple[Row, float, ParsedAnswer]] | None = None, resources: Mapping[str, Any] | None = None,
    measured: bool = False,
) -> Audit:  # fmt: skip
    """Score honest answers and every hack under `config`.

    Args:
        count: synthetic rows; with `answers` all of those are used instead.
        skill: share of rows that honest answers get right.
        answers: (row, length in seconds, answer) of a real model, whose answers then are the honest ones.
        measured: hold cues against what is measured in the clips, which are made for it, their voices alone.
    """
    if not config.counts:
        raise ValueError("every reward of the config weighs nothing, so nothing can be audited; give one a weight > 0")
    if measured and answers is not None:
        raise ValueError("the measured audit makes clips of its own; leave `answers` out")
    heard: dict[str, Measurements] = {}
    if answers is None:
        if not 0 < skill <= 1:
            raise ValueError(f"skill must lie in (0, 1], got {skill}: hacks are held against answers that can be right")
        rng = np.random.default_rng(seed)
        rows, heard = measured_voices(count) if measured else (planned_rows(count), heard)
        shown = ("voice",) if measured else ("face", "voice")
        answers = [(row, length, honest(row, skill, rng, length, shown).answer) for row, length in rows]
    if not answers:
        raise ValueError("the audit needs at least one row")
    answers = _with_confidence(answers)
    majority = Counter(row.labels[0] for row, _, _ in answers).most_common(1)[0][0]
    base = score([_sample(row, said, length, heard) for row, length, said in answers], config, step=step,
                 resources=resources)  # fmt: skip
    findings = []
    for name, hack in HACKS.items():
        rng = np.random.default_rng([seed, *name.encode()])
        texts = [hack(row, said, rng, majority) for row, _, said in answers]
        samples = [_sample(row, text, length, heard) for (row, length, _), text in zip(answers, texts)]
        findings.append(_compare(name, base, score(samples, config, step=step, resources=resources)))
    return Audit(findings, len(answers), base.weights)


def measured_voices(count: int, seed: int = 1_000_000) -> tuple[list[tuple[Row, float]], dict[str, Measurements]]:
    """Synthetic clips as they are heard, with voice cues: (row, length in seconds), and what is measured, by row id."""
    from cuewise.data_recipes.synthetic.corpus import make_clip
    from cuewise.mllm.evidence.measure import measure
    from cuewise.mllm.media import MediaConfig, load_media

    rows: list[tuple[Row, float]] = []
    heard: dict[str, Measurements] = {}
    while len(rows) < count:
        made = make_clip(seed, pictures=False)
        seed += 1
        row = shown_part(made.row, ("voice", "words"))
        if made.samples is None or not any(cue.channel == "voice" for cue in row.cues):
            continue
        media = load_media(made.clip(), MediaConfig())
        rows.append((row, media.duration_s))
        heard[row.id] = measure(media)
    return rows, heard


def usable_answer(text: str, duration_s: float) -> ParsedAnswer | None:
    """The answer of a model as a starting point for hacks: explained, with a cue and a label; None otherwise."""
    answer = parse(text, duration_s)
    return answer if answer.form == "explained" and answer.cues and answer.labels else None


def model_answers(model: str, count: int, seed: int = 1_000_000) -> list[tuple[Row, float, ParsedAnswer]]:
    """Explained answers of a model to synthetic clips of the dev split; clips it answers without a cue are left out."""
    from cuewise.data_recipes.synthetic.corpus import make_clip
    from cuewise.mllm.pipeline import Analyzer
    from cuewise.mllm.report import EmotionReport

    found = []
    with Analyzer.load(model) as analyzer:
        for made in (make_clip(seed + i) for i in range(count)):
            for report in analyzer.analyze_many([made.clip()]):
                length = report.duration if isinstance(report, EmotionReport) else None
                answer = usable_answer(report.text, length) if length else None
                if answer is not None:
                    found.append((made.row, length, answer))
    if not found:
        raise ValueError(f"model {model!r} explained none of {count} clips; audit a model that writes cues")
    return found


def _with_confidence(answers: Sequence[tuple[Row, float, ParsedAnswer]]) -> list[tuple[Row, float, ParsedAnswer]]:
    """Answers that state no confidence get the share of right ones, which is what an honest answerer could say."""
    right = [is_exact(_sample(row, said, length)) for row, length, said in answers]
    rate = round(min(0.95, max(0.05, sum(right) / len(right))), 2)
    return [(row, length, said if said.confidence is not None else said.model_copy(update={"confidence": rate}))
            for row, length, said in answers]  # fmt: skip


def _sample(
    row: Row, said: ParsedAnswer | str, length: float, heard: Mapping[str, Measurements] = MappingProxyType({})
) -> RewardSample:
    text = said if isinstance(said, str) else render(said)
    return RewardSample.read("", text, row, duration_s=length, form="explained", measurements=heard.get(row.id))


def _compare(name: str, base: RewardTable, hacked: RewardTable) -> Finding:
    gap = np.array(hacked.total) - np.array(base.total)
    error = float(gap.std(ddof=1) / np.sqrt(len(gap))) if len(gap) > 1 else 0.0
    changes = {}
    for reward, column in base.unit.items():
        pairs = [(a, b) for a, b in zip(column, hacked.unit[reward]) if a is not None and b is not None]
        if pairs:
            changes[reward] = sum(b - a for a, b in pairs) / len(pairs)
    won = float((gap > 1e-9).mean())
    return Finding(name, float(np.mean(base.total)), float(np.mean(hacked.total)), error, won, changes)
