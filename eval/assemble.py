"""From a journal to results: lines become records, records numbers, numbers `results.json` and the samples table.

A pure function of the suite, the config and the journal, so that a run that was interrupted ends with the same bytes as
one that was not.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cuewise.eval.asking import RunConfig
from cuewise.eval.embedders import EmbedderError
from cuewise.eval.journal import Line
from cuewise.eval.judges.base import JudgeError
from cuewise.eval.judges.load import load_judge
from cuewise.eval.judging import judge_records
from cuewise.eval.measures import Measured, Record, interval_of, measure_all
from cuewise.eval.measures.conditions import condition_notes
from cuewise.eval.measures.gaps import gap_notes
from cuewise.eval.measures.numbers import right
from cuewise.eval.metrics.base import MetricInputError, mean, plain
from cuewise.eval.metrics.choices import read_judgment, read_letter, read_yes_no
from cuewise.eval.reading import Answer, answered_class, read_answer
from cuewise.eval.report import write_report
from cuewise.eval.report.figures_data import build_figures
from cuewise.eval.report.results import DatasetResult, Metric, Results, ResultsError, results_from
from cuewise.eval.report.samples import SampleRecord
from cuewise.eval.samples import Sample
from cuewise.eval.suites.suite import Dataset, Suite, SuiteError
from cuewise.mllm.systems.facts import versions

JUDGE_FOLDER = "judge"
PACKAGES = ("cuewise", "torch", "transformers", "numpy")
SINGLE_LABEL_TRUTHS = ("label", "labels", "vote_winner", "cues", "reasoning", "multilabel")


def write_run(
    folder: Path, suite: Suite, config: RunConfig, system: dict[str, Any], config_hash: str, lines: Sequence[Line]
) -> Results:
    """All files of a finished run, each written whole."""
    records = {name: [record_of(line) for line in lines if line["dataset"] == name] for name in suite.datasets}
    judge = _judged(folder, suite, config, records)
    measured = {name: _measured(name, records[name], suite.datasets[name]) for name in suite.datasets}
    samples = sample_records(suite, lines, records, measured)
    results = results_of(suite, config, system, config_hash, lines, records, measured, samples, judge)
    write_report(folder, results, samples)
    return results


def _judged(
    folder: Path, suite: Suite, config: RunConfig, records: dict[str, list[Record]]
) -> dict[str, Any] | None:
    """Let the judge read the answers, with its replies kept in the folder; what it is, or None without one."""
    if config.judge is None:
        return None
    try:
        with load_judge(config.judge, cache=folder / JUDGE_FOLDER) as judge:
            for name, rows in records.items():
                judge_records(suite.datasets[name], rows, judge)
            return plain(judge.describe())
    except JudgeError as error:
        raise SuiteError(str(error)) from None


def record_of(line: Line) -> Record:
    """A journal line as a scorable record."""
    error = line["error"]["code"] if line["error"] else None
    return Record(line["id"], line["gt"], read_answer(line["text"], line["report"], error), line["groups"])


def _measured(name: str, records: list[Record], dataset: Dataset) -> list[Measured]:
    try:
        return measure_all(records, dataset)
    except (MetricInputError, EmbedderError) as error:
        raise SuiteError(f"data set `{name}`: {error}") from None


def rehearse(name: str, dataset: Dataset, samples: Sequence[Sample]) -> None:
    """Score empty answers, so that a truth which no metric can read is told before anything is asked.

    Synthetic samples have their truth only once they are made. Raises SuiteError.
    """
    listed = [Record(sample.id, sample.gt, Answer(), sample.groups) for sample in samples if sample.gt is not None]
    if not listed:
        return
    for option in ("cluster", "folds"):
        group = getattr(dataset, option)
        lacking = [record.id for record in listed if group and group not in record.groups]
        if lacking and (option == "folds" or len(lacking) == len(listed)):
            there = ", ".join(sorted({key for record in listed for key in record.groups})) or "none"
            raise SuiteError(f"data set `{name}`: {option} `{group}` is no group of {len(lacking)} of {len(listed)} "
                             f"rows, e.g. {lacking[0]!r}; groups there: {there}")  # fmt: skip
    _measured(name, listed, dataset)


def readable(record: Record, dataset: Dataset) -> bool:
    """Whether the answer could be read at all: a label, or what the question of the protocol asks for."""
    text = record.answer.text
    if dataset.truth == "statement":
        return read_judgment(text) is not None
    if dataset.truth == "choice":
        yes_no = str(record.gt["answer"]).lower() in ("yes", "no")
        return (read_yes_no(text) if yes_no else read_letter(text, record.gt.get("options", 4))) is not None
    return bool(record.answer.labels)


def results_of(
    suite: Suite, config: RunConfig, system: dict[str, Any], config_hash: str, lines: Sequence[Line],
    records: dict[str, list[Record]], measured: dict[str, list[Measured]], samples: list[SampleRecord],
    judge: dict[str, Any] | None = None,
) -> Results:  # fmt: skip
    """The typed results."""
    datasets = [dataset_result(name, records[name], suite.datasets[name], measured[name]) for name in suite.datasets]
    datasets += [d for mean_of in suite.means if (d := _mean_result(mean_of.name, mean_of.of, datasets)) is not None]
    primary = next((d for d in datasets if d.name == suite.primary.dataset), None)
    metric = primary and next((m for m in primary.metrics if m.name == suite.primary.metric), None)
    everyone = [record for rows in records.values() for record in rows]
    good = sum(readable(record, suite.datasets[name]) for name, rows in records.items() for record in rows)
    dataset = suite.datasets.get(suite.primary.dataset)
    present = {d.name for d in datasets}
    values = {
        "schema": "cuewise-results-1", "suite": suite.name, "system": system, "config_hash": config_hash,
        "created_with": versions(*PACKAGES), "seed": config.seed, "selection_rule": config.selection,
        "n": len(lines), "answered": sum(line["error"] is None for line in lines),
        "errors": dict(Counter(line["error"]["code"] for line in lines if line["error"])),
        "parse_rate": good / len(lines) if lines else 0.0,
        "problems": dict(Counter(code for record in everyone for code in record.answer.problems)),
        "judge": judge, "embedder": _embedder(suite),
        "datasets": [d.model_dump(by_alias=True) for d in datasets],
        "primary": {"dataset": suite.primary.dataset, "metric": suite.primary.metric},
        "baselines": [
            {"system": b.system, "dataset": b.dataset, "metric": b.metric, "value": b.value, "source": b.source,
             "comparable": b.comparable, "note": b.note, "n": b.n, "averaging": b.averaging,
             "selection_rule": b.selection} for b in suite.baselines if b.dataset in present
        ],
        "figures": build_figures(
            samples, metric, suite.primary.dataset, columns=dataset.slices if dataset else None,
            speaker=(dataset.cluster if dataset else None) or "speaker", seed=config.seed,
        ).model_dump(),
        "notes": [*suite.notes, *_reading_notes(everyone), *condition_notes(records, suite),
                  *gap_notes(records, suite, config.seed)],
    }  # fmt: skip
    try:
        return results_from(values, f"suite {suite.name}")
    except ResultsError as error:
        raise SuiteError(f"{error}; mend the suite and start again, the answers are kept") from None


def _embedder(suite: Suite) -> str | None:
    """The embedder that made numbers of this run; None when none did."""
    used = sorted({d.embedder for d in suite.datasets.values() if "emocue360" in d.metrics})
    return ", ".join(used) or None


def dataset_result(name: str, records: list[Record], dataset: Dataset, measured: list[Measured]) -> DatasetResult:
    """One data set with its numbers and their intervals."""
    return DatasetResult(
        name=name, n=len(records), parse_rate=mean(float(readable(r, dataset)) for r in records) if records else 0.0,
        metrics=[_metric(found, records, dataset) for found in measured],
    )  # fmt: skip


def _metric(found: Measured, records: list[Record], dataset: Dataset) -> Metric:
    return Metric(
        name=found.name, value=found.value if found.n else None, n=found.n, unit=found.unit, averaging=found.averaging,
        direction="higher is better" if found.higher_is_better else "lower is better", scale=found.scale,
        parts=plain(found.parts), beside=found.beside, **interval_of(found, records, dataset),
    )  # fmt: skip


def _mean_result(name: str, of: dict[str, str], datasets: list[DatasetResult]) -> DatasetResult | None:
    """The plain mean over data sets, null as soon as one of them is undefined; None when the run lacks one."""
    found = {d.name: m for d in datasets for m in d.metrics if of.get(d.name) == m.name}
    if set(found) != set(of):
        return None
    values = [metric.value for metric in found.values()]
    value = None if any(v is None for v in values) else mean(values)
    metric = Metric(
        name="mean", value=value, n=len(of), unit="data sets", averaging="plain mean over data sets",
        direction="higher is better", parts={"of": of},
    )  # fmt: skip
    whole = [d for d in datasets if d.name in of]
    n = sum(d.n for d in whole)
    return DatasetResult(name=name, n=n, parse_rate=sum(d.parse_rate * d.n for d in whole) / n, metrics=[metric])


def sample_records(
    suite: Suite, lines: Sequence[Line], records: dict[str, list[Record]], measured: dict[str, list[Measured]]
) -> list[SampleRecord]:
    """Every sample with what it scored, in journal order."""
    columns = sorted({name for line in lines for name in line["groups"]})
    rows: list[SampleRecord] = []
    at = Counter()
    for line in lines:
        name = line["dataset"]
        index, dataset = at[name], suite.datasets[name]
        at[name] += 1
        record = records[name][index]
        scores = {found.name: found.samples[index] for found in measured[name] if found.samples}
        if dataset.truth in SINGLE_LABEL_TRUTHS:
            scores["right"] = float(right(record, dataset))
        rows.append(SampleRecord(
            id=line["id"], dataset=name, gt=line["gt"], prompt=line["prompt"], text=line["text"],
            parsed=parsed_part(record, dataset), scores=scores,
            error=None if line["error"] is None else f"{line['error']['code']}: {line['error']['message']}",
            groups={column: line["groups"].get(column) for column in columns}, finish_reason=line["finish_reason"],
            prompt_tokens=line["usage"].get("prompt_tokens"), completion_tokens=line["usage"].get("completion_tokens"),
        ))  # fmt: skip
    return rows


def parsed_part(record: Record, dataset: Dataset) -> dict[str, Any]:
    """What was read from an answer."""
    answer = record.answer
    found = {
        "labels": answer.labels, "read_by": answer.read_by, "form": answer.form, "confidence": answer.confidence,
        "problems": answer.problems, "distribution": answer.distribution, "valence": answer.valence,
        "arousal": answer.arousal, "cues": [cue.model_dump(mode="json") for cue in answer.cues],
    }  # fmt: skip
    return found | ({"class": answered_class(answer, dataset)} if dataset.classes else {})


def _reading_notes(records: list[Record]) -> list[str]:
    """How labels were read from the answers, when not all of them were in our format."""
    ways = Counter(record.answer.read_by for record in records)
    if set(ways) <= {"tags"}:
        return []
    named = {"tags": "our answer format", "list": "a plain list of words", "words": "emotion words in free text",
             "judge": "free text, by the judge", "unread": "no label found, counted as wrong"}  # fmt: skip
    return ["Labels were read from: " + "; ".join(f"{named[way]} {count}" for way, count in ways.most_common())]
