"""What the answers claim: form, cues checked against measurements, and cues against known ones."""

from typing import Any

from cuewise.eval.metrics.base import NAN, f_of, ratio
from cuewise.eval.metrics.cues import cue_counts, known_cue_score
from cuewise.eval.metrics.evidence import evidence_support
from cuewise.eval.metrics.refusals import is_refusal
from cuewise.eval.metrics.rouge import rouge
from cuewise.eval.suites.suite import Dataset
from cuewise.mllm.report import Cue

from .base import Measured, Record, mean_measure, subset_statistic


def form(records: list[Record], dataset: Dataset) -> list[Measured]:
    """Share of answers without any problem of form."""
    return [mean_measure("well_formed", [float(record.answer.well_formed) for record in records])]


def refusal(records: list[Record], dataset: Dataset) -> list[Measured]:
    """Share of answers that decline; one that names emotions in our form or as a list has answered."""
    answers = [record.answer for record in records]
    declined = [float(is_refusal(one.text) and not (one.labels and one.read_by in ("tags", "list"))) for one in answers]
    return [mean_measure("refusal_rate", declined, higher_is_better=False)]


def support(records: list[Record], dataset: Dataset) -> list[Measured]:
    """Share of checked claims that the measurements support, and of cues that claim anything checkable."""
    samples = [record.answer.cues for record in records]
    found = evidence_support(samples)

    def part(key: str) -> Any:
        return lambda rows: evidence_support(rows)[key]

    parts = {key: found[key] for key in ("n_cues", "n_claims", "n_verdicts", "cues_per_sample", "channels")}
    return [
        Measured("support_rate", found["support_rate"], found["n_verdicts"], "pooled over checked claims", True, (),
                 subset_statistic(samples, part("support_rate")), cheap=False, parts=parts, unit="claims"),
        Measured("checkable_rate", found["checkable_rate"], found["n_cues"], "pooled over cues", True, (),
                 subset_statistic(samples, part("checkable_rate")), cheap=False, unit="cues"),
    ]  # fmt: skip


def known_cues(records: list[Record], dataset: Dataset) -> list[Measured]:
    """F1 of claimed cues against the known cues of the clip: channel, attribute and direction must agree.

    A cue that claims nothing in the closed vocabulary counts as written and not found.
    """
    counts = [cue_counts([Cue.model_validate(cue) for cue in r.gt["cues"]], r.answer.cues) for r in records]

    def f1(rows: list[tuple[int, int, int]]) -> float:
        hits, written, known = (sum(row[k] for row in rows) for k in range(3))
        return f_of(ratio(hits, written), ratio(hits, known)) if known else NAN

    hits, written, known = (sum(row[k] for row in counts) for k in range(3))
    parts = {"precision": ratio(hits, written), "recall": ratio(hits, known), "cues_written": written,
             "cues_known": known}  # fmt: skip
    samples = tuple(f1([row]) if row[2] else None for row in counts)
    return [Measured("cue_f1", f1(counts), known, "pooled over cues", True, samples,
                     subset_statistic(counts, f1), cheap=False, parts=parts, unit="cues")]  # fmt: skip


def grounding(records: list[Record], dataset: Dataset) -> list[Measured]:
    """Graded match with the known cues: degree, time and supported emotion make the credit of a match."""
    samples = []
    for record in records:
        known = [Cue.model_validate(cue) for cue in record.gt["cues"]]
        samples.append(known_cue_score(known, record.answer.cues).f if known else None)
    return [mean_measure("cue_grounding", samples, averaging="mean over samples of F per sample")]


def reasons(records: list[Record], dataset: Dataset) -> list[Measured]:
    """ROUGE-L of the reasoning against the reference description."""
    written = [_reasoning(record) for record in records]
    found = [rouge([record.gt["reasoning"]], [text])["rougeL"] for record, text in zip(records, written)]
    return [mean_measure("rouge_l", found, stemmed=False)]


def _reasoning(record: Record) -> str:
    answer = record.answer
    if answer.form != "explained":
        return answer.text
    return " ".join([*(cue.observation for cue in answer.cues), answer.reasoning]).strip()
