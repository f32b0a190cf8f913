"""Closed label sets: UAR, WAR, F1, several labels at once, and distributions of votes."""

from typing import Any

from cuewise.eval.metrics.base import MetricInputError
from cuewise.eval.metrics.bootstrap import class_statistics
from cuewise.eval.metrics.classification import confusion, folds
from cuewise.eval.metrics.distributions import distribution_scores
from cuewise.eval.metrics.multilabel import multilabel
from cuewise.eval.metrics.sentiment import sentiment
from cuewise.eval.reading import Answer, answered_class, class_names, class_of
from cuewise.eval.suites.suite import Dataset
from cuewise.mllm.taxonomy import sentiment as word_sentiment

from .base import Measured, Record, mean_measure, subset_statistic

AVERAGING = {
    "uar": "macro over classes present in the truth", "war": "mean over samples",
    "weighted_f1": "over classes, weighted by support", "macro_f1": "macro over classes present in the truth",
}  # fmt: skip


def classes(records: list[Record], dataset: Dataset, names: tuple[str, ...]) -> list[Measured]:
    """UAR, WAR and F1 of the first label. An answer outside the classes is wrong."""
    order = class_names(dataset)
    gt, pred = [record.gt for record in records], [answered_class(record.answer, dataset) for record in records]
    table = confusion(gt, pred, order)
    values = {"uar": table.uar, "war": table.war, "weighted_f1": table.weighted_f1, "macro_f1": table.macro_f1()}
    statistics = class_statistics(gt, pred, order)
    correct = tuple(float(g == p) for g, p in zip(gt, pred))
    parts = {"classes": order, "confusion": [list(row) for row in table.rows], "outside_classes": list(table.other),
             "recall": dict(zip(order, table.recalls))}  # fmt: skip
    return [Measured(name, values[name], table.n, AVERAGING[name], True, correct, statistics[name],
                     parts=parts if name == names[0] else {}) for name in names]  # fmt: skip


def fold_measures(records: list[Record], dataset: Dataset) -> list[Measured]:
    """UAR and WAR as mean over the folds, which papers mix with the pooled numbers."""
    order = class_names(dataset)
    by_fold: dict[str, list[Record]] = {}
    for record in records:
        by_fold.setdefault(record.groups.get(dataset.folds or "", "1"), []).append(record)
    rows = [by_fold[name] for name in sorted(by_fold)]
    found = folds([[r.gt for r in row] for row in rows],
                  [[answered_class(r.answer, dataset) for r in row] for row in rows], order)  # fmt: skip
    return [Measured(f"{metric}_mean_of_folds", found["mean_of_folds"][metric], found["n"],
                     f"mean over {found['folds']} folds", parts={"per_fold": found["per_fold"]} if metric == "uar"
                     else {}) for metric in ("uar", "war")]  # fmt: skip


def multilabel_measures(records: list[Record], dataset: Dataset) -> list[Measured]:
    """Macro and micro F1 and Jaccard of several labels of a closed set."""
    pred = [sorted({c for word in r.answer.labels if (c := class_of(word, dataset))}) for r in records]
    order = class_names(dataset)

    def part(key: str) -> Any:
        return lambda pairs: multilabel([g for g, _ in pairs], [p for _, p in pairs], order)[key]

    pairs = [(record.gt, p) for record, p in zip(records, pred)]
    found = multilabel([g for g, _ in pairs], pred, order)
    lengths = {"labels_per_sample": found["labels_per_sample"]}
    samples = tuple(len(set(g) & set(p)) / len(set(g) | set(p)) if g or p else 1.0 for g, p in pairs)
    return [
        Measured("multilabel_f1_macro", found["f1_macro"], len(pairs), "macro over classes", True, (),
                 subset_statistic(pairs, part("f1_macro")), cheap=False, parts=lengths),
        Measured("multilabel_f1_micro", found["f1_micro"], len(pairs), "pooled over labels", True, (),
                 subset_statistic(pairs, part("f1_micro")), cheap=False),
        mean_measure("jaccard", samples),
    ]  # fmt: skip


def votes(records: list[Record], dataset: Dataset) -> list[Measured]:
    """JS and KL of the class distribution against votes, the all-inclusive F1 and best-2 accuracy.

    A system without class probabilities stands for its labels with equal shares; no label at all means an even
    distribution, which is what it knows.
    """
    order = class_names(dataset)
    gt, pred, n_given = [], [], 0
    for record in records:
        gt.append({c: v for label, v in record.gt.items() if (c := class_of(label, dataset))})
        row, given = answer_distribution(record.answer, dataset)
        pred.append(row)
        n_given += given
    pairs = list(zip(gt, pred))

    def part(key: str) -> Any:
        return lambda rows: distribution_scores([g for g, _ in rows], [p for _, p in rows], order)[key]

    found = distribution_scores(gt, pred, order)
    shown = {"with_class_probabilities": n_given}
    return [
        Measured("js", found["js"], len(pairs), "mean over samples, nats", False, (),
                 subset_statistic(pairs, part("js")), cheap=False, scale="plain", parts=shown),
        Measured("kl", found["kl"], len(pairs), "mean over samples, nats", False, (),
                 subset_statistic(pairs, part("kl")), cheap=False, scale="plain"),
        Measured("all_inclusive_f1", found["all_inclusive_f1_macro"], len(pairs), "macro over classes", True, (),
                 subset_statistic(pairs, part("all_inclusive_f1_macro")), cheap=False),
        Measured("best_2", found["best_2"], len(pairs), "mean over samples", True, (),
                 subset_statistic(pairs, part("best_2")), cheap=False),
    ]  # fmt: skip


def answer_distribution(answer: Answer, dataset: Dataset) -> tuple[dict[str, float], bool]:
    """Shares over the closed set, and whether the system gave them itself."""
    shares: dict[str, float] = {}
    for label, share in answer.distribution.items():
        name = class_of(label, dataset)
        if name is not None:
            shares[name] = shares.get(name, 0.0) + share
    if sum(shares.values()) > 0:
        return shares, True
    named = {c for word in answer.labels if (c := class_of(word, dataset))}
    return dict.fromkeys(sorted(named) or class_names(dataset), 1.0), False


def sentiment_word(answer: Answer) -> str:
    """positive, negative or neutral: the answer's own word, else what most of its emotion words say."""
    words = [word for word in answer.labels if word in ("positive", "negative", "neutral", "mixed")]
    if words:
        return words[0]
    signs = [word_sentiment(label) for label in answer.labels]
    positive, negative = signs.count("positive"), signs.count("negative")
    return "neutral" if positive == negative else "positive" if positive > negative else "negative"


def sentiments(records: list[Record], dataset: Dataset) -> list[Measured]:
    """Binary WAF and ACC over non-zero scores; the word comes from the answer or from its emotions' valence.

    The published protocol asks a language model for the word; `word` in the parts says which rule was used here.
    """
    kept = [record for record in records if record.gt != 0]
    gt = ["positive" if record.gt > 0 else "negative" for record in kept]
    pred = ["positive" if sentiment_word(record.answer) == "positive" else "negative" for record in kept]
    if not kept:
        raise MetricInputError("no ground-truth score differs from 0, so sentiment is undefined")
    exact = sentiment([record.gt for record in kept], [sentiment_word(record.answer) for record in kept])
    hits = {record.id: float(g == p) for record, g, p in zip(kept, gt, pred)}
    samples = tuple(hits.get(record.id) for record in records)
    index = {record.id: i for i, record in enumerate(kept)}
    statistics = class_statistics(gt, pred, ("negative", "positive"))
    positions = [index.get(record.id, -1) for record in records]

    def over(name: str) -> Any:
        import numpy as np

        places = np.array(positions)

        def statistic(indices: Any) -> float:
            drawn = places[indices]
            drawn = drawn[drawn >= 0]
            return statistics[name](drawn) if drawn.size else float("nan")

        return statistic

    parts = {"word": "stated, else from the valence of the emotion words; neutral counts as negative, as published"}
    return [
        Measured("sentiment_waf", exact["waf"], exact["n"], "over two classes, weighted by support", True, samples,
                 over("weighted_f1"), parts=parts),
        Measured("sentiment_acc", exact["acc"], exact["n"], "mean over samples", True, samples, over("war")),
    ]  # fmt: skip
