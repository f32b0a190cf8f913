"""ROUGE-1, ROUGE-2 and ROUGE-L F1 of generated reasoning against a reference description."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from .base import MetricInputError, check_pair, f_of, mean, ratio

_WORD = re.compile(r"[^\W_]+")


def tokens(text: str, stem: Callable[[str], str] | None = None) -> list[str]:
    """Lower-case words and numbers; words longer than three letters are stemmed when a stemmer is given."""
    words = _WORD.findall(text.lower())
    return [stem(word) if len(word) > 3 else word for word in words] if stem else words


def rouge_n(reference: Sequence[str], answer: Sequence[str], n: int) -> float:
    """F1 of shared n-grams, counted with multiplicity."""
    grams = [Counter(zip(*(side[i:] for i in range(n)))) for side in (reference, answer)]
    shared = sum((grams[0] & grams[1]).values())
    return f_of(ratio(shared, sum(grams[1].values())), ratio(shared, sum(grams[0].values())))


def rouge_l(reference: Sequence[str], answer: Sequence[str]) -> float:
    """F1 of the longest common subsequence of words.

    >>> rouge_l("the face smiles".split(), "the face clearly smiles".split())
    0.8571428571428571
    """
    shared = longest_common(reference, answer)
    return f_of(ratio(shared, len(answer)), ratio(shared, len(reference)))


def longest_common(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(b) + 1)
    for x in a:
        diagonal = 0
        for j, y in enumerate(b, 1):
            diagonal, row[j] = row[j], diagonal + 1 if x == y else max(row[j], row[j - 1])
    return row[-1]


def rouge(gt: Sequence[str], pred: Sequence[str], stem: Callable[[str], str] | None = None) -> dict[str, Any]:
    """Mean ROUGE-1, ROUGE-2, ROUGE-L F1 over samples. Without `stem` words are compared as they are.

    The published figures of this field use a Porter stemmer: pass one to compare with them.
    """
    _check_texts(gt, pred)
    pairs = [(tokens(g, stem), tokens(p, stem)) for g, p in zip(gt, pred)]
    return {
        "n": len(pairs), "stemmed": stem is not None,
        "rouge1": mean(rouge_n(g, p, 1) for g, p in pairs),
        "rouge2": mean(rouge_n(g, p, 2) for g, p in pairs),
        "rougeL": mean(rouge_l(g, p) for g, p in pairs),
    }  # fmt: skip


def rouge_stemmed(gt: Sequence[str], pred: Sequence[str]) -> dict[str, Any]:
    """Mean ROUGE-1, ROUGE-2, ROUGE-L F1 by the rouge-score library with its Porter stemmer, as published.

    It keeps letters a to z and digits only, so that text in other scripts scores 0. Raises MetricInputError without
    the library.
    """
    _check_texts(gt, pred)
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError as error:
        raise MetricInputError("stemmed ROUGE needs the package rouge-score; install cuewise[eval]") from error
    names = ("rouge1", "rouge2", "rougeL")
    scorer = RougeScorer(list(names), use_stemmer=True)
    scored = [scorer.score(reference, answer) for reference, answer in zip(gt, pred)]
    return {"n": len(scored), "stemmed": True, **{name: mean(one[name].fmeasure for one in scored) for name in names}}


def _check_texts(gt: Sequence[str], pred: Sequence[str]) -> None:
    check_pair(gt, pred)
    for name, side in (("gt", gt), ("pred", pred)):
        for index, text in enumerate(side):
            if not isinstance(text, str):
                raise MetricInputError(f"`{name}`[{index}] must be text, got {text!r:.80}")
