"""Whole published protocols: conflict subsets, questions with fixed answers, statements."""

from typing import Any

from cuewise.eval.metrics.base import NAN
from cuewise.eval.metrics.choices import emorealm, statements
from cuewise.eval.metrics.conflict import SUBSETS, ca_mer, ca_mer_strict
from cuewise.eval.reading import answered_class
from cuewise.eval.suites.suite import Dataset

from .base import Measured, Record, subset_statistic


def conflict(records: list[Record], dataset: Dataset) -> list[Measured]:
    """CA-MER by label sets: each subset, the conflict mean and the audio-minus-video gap."""
    rows = [(record.gt, record.answer.labels) for record in records]
    return _conflict(rows, "ca_mer", lambda g, p: ca_mer(g, p), "avg")


def conflict_strict(records: list[Record], dataset: Dataset) -> list[Measured]:
    """The strict protocol: one label of the closed set per clip; an answer outside it is wrong."""
    classes = list(dataset.classes)
    rows = []
    for record in records:
        named = answered_class(record.answer, dataset)
        rows.append((record.gt, [named] if named else []))
    return _conflict(rows, "ca_mer_strict", lambda g, p: ca_mer_strict(g, p, classes), "accuracy")


def _conflict(rows: list[tuple[Any, Any]], name: str, score: Any, key: str) -> list[Measured]:
    found = score([g for g, _ in rows], [p for _, p in rows])
    counts = {subset: found[subset]["n"] for subset in SUBSETS}
    measured = []
    for subset in SUBSETS:
        inside = [row for row in rows if row[0]["subset"] == subset]
        places = [i for i, row in enumerate(rows) if row[0]["subset"] == subset]
        value = found[subset][key] if inside else NAN
        measured.append(Measured(f"{name}_{subset}", value, counts[subset], "mean over clips", True, (),
                                 _within(rows, places, score, subset, key), cheap=False,
                                 parts={k: v for k, v in found[subset].items() if k != "n"}))  # fmt: skip
    for label, part in (("conflict", "conflict"), ("gap_audio_minus_video", "gap_audio_minus_video")):
        measured.append(Measured(
            f"{name}_{label}", found[part], counts["video_aligned"] + counts["audio_aligned"],
            "mean of two subsets" if label == "conflict" else "difference of two subset means", True, (),
            subset_statistic(rows, lambda drawn, part=part: score([g for g, _ in drawn], [p for _, p in drawn])[part]),
            cheap=False, parts={"subset_sizes": counts},
        ))  # fmt: skip
    return measured


def _within(rows: list[tuple[Any, Any]], places: list[int], score: Any, subset: str, key: str) -> Any:
    inside = set(places)

    def value(drawn: list[tuple[Any, Any]]) -> float:
        return score([g for g, _ in drawn], [p for _, p in drawn])[subset][key]

    statistic = subset_statistic(rows, value)
    return lambda indices: statistic([i for i in indices if i in inside]) if inside else NAN


def choices(records: list[Record], dataset: Dataset) -> list[Measured]:
    """EmoReAlM: accuracy averaged over tasks, with yes-bias per task in the parts."""
    rows = [(record.gt, record.answer.text) for record in records]

    def value(drawn: list[tuple[Any, Any]]) -> float:
        return emorealm([g for g, _ in drawn], [p for _, p in drawn])["average"]

    found = emorealm([g for g, _ in rows], [p for _, p in rows])
    return [Measured("emorealm", found["average"], found["n"], "mean over tasks", True, (),
                     subset_statistic(rows, value), cheap=False, parts={"tasks": found["tasks"]})]  # fmt: skip


def judgments(records: list[Record], dataset: Dataset) -> list[Measured]:
    """Statement judgment: accuracy, and the two ratios without which it cannot be read."""
    rows = [(record.gt, record.answer.text) for record in records]

    def part(key: str) -> Any:
        return lambda drawn: statements([g for g, _ in drawn], [p for _, p in drawn])[key]

    found = statements([g for g, _ in rows], [p for _, p in rows])
    parts = {"dimensions": found["dimensions"], "gt_positive_ratio": found["gt_positive_ratio"]}
    return [
        Measured("statement_accuracy", found["accuracy"], found["n"], "pooled over statements", True, (),
                 subset_statistic(rows, part("accuracy")), cheap=False, parts=parts),
        Measured("positive_ratio", found["positive_ratio"], found["n"], "share of answers; half are true",
                 False, (), subset_statistic(rows, part("positive_ratio")), cheap=False),
        Measured("give_up_ratio", found["give_up_ratio"], found["n"], "share of answers", False, (),
                 subset_statistic(rows, part("give_up_ratio")), cheap=False),
    ]  # fmt: skip
