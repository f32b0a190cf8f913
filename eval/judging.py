"""What a judge adds to answers before they are measured: labels of free text, scored steps, overlaps, lists of cues.

Every raw reply is kept in the run's folder (`judge/`), by content, so that a run that goes on asks nothing twice.
"""

from collections.abc import Sequence
from pathlib import Path

from cuewise.eval.judges.base import Judge, JudgeError
from cuewise.eval.judges.load import load_judge
from cuewise.eval.judges.protocols import ask_all, cue_lists, extract_labels, step_scores
from cuewise.eval.measures import Record
from cuewise.eval.suites.suite import Dataset, Suite, SuiteError

NEEDS_JUDGE = frozenset({"mme_emotion", "emer"})
"""Measures that cannot be made without a judge."""

LABEL_TRUTHS = frozenset({"labels", "label", "multilabel", "vote_winner", "votes", "conflict", "cues", "reasoning",
                          "task_label", "sentiment"})  # fmt: skip


def check_judge(suite: Suite, judge: str | None) -> None:
    """Raise SuiteError when a suite needs a judge and none is named, or when the one named does not exist."""
    wanted = sorted({name for dataset in suite.datasets.values() for name in dataset.metrics} & NEEDS_JUDGE)
    if wanted and not judge:
        raise SuiteError(f"suite {suite.name}: metric {wanted[0]} needs a judge; give --judge local:FOLDER, "
                         "openai:MODEL@URL, or stub (rules, only to try things out)")  # fmt: skip
    if judge is None:
        return
    kind, _, place = judge.partition(":")
    if kind in ("local", "system") and place:
        if kind == "local" and not Path(place).is_dir():
            raise SuiteError(f"judge {judge}: there is no folder {place}; models are not downloaded here")
        return  # loading weights is left to the moment they are needed
    try:
        load_judge(judge).close()
    except JudgeError as error:
        raise SuiteError(str(error)) from None


def judge_records(dataset: Dataset, records: Sequence[Record], judge: Judge) -> None:
    """Fill in what the judge says about the answers of one data set."""
    if dataset.truth in LABEL_TRUTHS:
        extract(records, judge)
    if "mme_emotion" in dataset.metrics:
        score_steps(records, judge)
    if "emer" in dataset.metrics:
        overlaps(records, judge)
    if "emocue360" in dataset.metrics:
        list_cues(records, judge)


def extract(records: Sequence[Record], judge: Judge) -> None:
    """Labels of answers that are not in our format; where the judge fails, the rules' reading stays."""
    free = [record for record in records if record.answer.form == "unparsed" and record.answer.text.strip()]
    found = extract_labels(judge, [record.answer.text for record in free], [record.id for record in free])
    for record, labels in zip(free, found):
        if labels is not None:
            record.answer.labels = list(labels)
            record.answer.read_by = "judge" if labels else "unread"


def score_steps(records: Sequence[Record], judge: Judge) -> None:
    """Each answer taken apart into steps, then each step scored; None where there is no answer or the judge failed."""
    _, scores = step_scores(judge, [r.answer.text for r in records], [r.gt["labels"] for r in records])
    for record, found in zip(records, scores):
        record.judged["steps"] = found


def overlaps(records: Sequence[Record], judge: Judge) -> None:
    """EMER: how far the clues and the labels of an answer agree with the reference, 1 to 10."""
    ids = [record.id for record in records]
    pairs = [{"reference": record.gt["reasoning"], "prediction": record.answer.text} for record in records]
    for record, reply in zip(records, ask_all(judge, "clue_overlap", pairs, ids)):
        record.judged["clue_overlap"] = reply.value
    lists = [{"reference": record.gt["labels"], "prediction": record.answer.labels} for record in records]
    for record, reply in zip(records, ask_all(judge, "label_overlap", lists, ids)):
        record.judged["label_overlap"] = reply.value


def list_cues(records: Sequence[Record], judge: Judge) -> None:
    """Cue lists of answers that have none of their own."""
    free = [record for record in records if not record.answer.cues and record.answer.text.strip()]
    for record, found in zip(free, cue_lists(judge, [record.answer.text for record in free])):
        record.judged["cues"] = found
