"""Questions with fixed answers: EmoReAlM (letters and yes/no) and MVEI statements (Correct / Incorrect)."""

import re
from collections.abc import Sequence
from typing import Any

from .base import MetricInputError, check_pair, f_of, mean, ratio

_YES_NO = re.compile(r"\b(yes|no)\b", re.IGNORECASE)
_TAGGED = re.compile(r"<\s*answer\s*>\s*(.*?)\s*(?:<|$)", re.IGNORECASE | re.DOTALL)
_LETTER_FORMS = (
    re.compile(r"^\W*([A-H])\W*$", re.IGNORECASE),
    re.compile(r"(?:answer|option|choice|choose|select)(?:\s+is|\s*[:=])?\s*[*(\[\"']*([A-H])\b(?!')", re.IGNORECASE),
    re.compile(r"^\W*([A-H])\s*[).:,\]-]", re.IGNORECASE),
    re.compile(r"[(\[*]([A-H])[)\]*]"),
    re.compile(r"^([A-H])\b(?!')(?!\s+[a-z])"),
)
_JUDGMENT = re.compile(r"\b(incorrect|not\s+correct|correct)\b", re.IGNORECASE)


def read_letter(text: str, options: int = 4) -> str | None:
    """The option letter an answer names; None when there is none among the first `options` letters.

    >>> [read_letter(t) for t in ("B", "(c) smile", "The answer is D.", "A calm face")]
    ['B', 'C', 'D', None]
    """
    tagged = _TAGGED.search(text)
    body = (tagged.group(1) if tagged else text).strip()
    for form in _LETTER_FORMS:
        found = form.search(body)
        if found:
            letter = found.group(1).upper()
            return letter if ord(letter) - ord("A") < options else None
    return None


def read_yes_no(text: str) -> str | None:
    """``yes`` or ``no``, whichever is written first; None when neither is."""
    tagged = _TAGGED.search(text)
    found = _YES_NO.search(tagged.group(1) if tagged else text)
    return found.group(1).lower() if found else None


def read_judgment(text: str) -> bool | None:
    """True for Correct, False for Incorrect or Not correct, None when neither word is there."""
    found = _JUDGMENT.search(text)
    return None if found is None else found.group(1).lower() == "correct"


def emorealm(gt: Sequence[dict[str, Any]], pred: Sequence[str]) -> dict[str, Any]:
    """EmoReAlM: `gt` rows are ``{"task", "answer"}`` (a letter, or yes/no), optionally ``kind`` and ``options``.

    For yes/no tasks the published code calls the accuracies on yes- and no-items precision and recall; here they are
    `acc_yes`, `acc_no` and `balanced_hm` (their harmonic mean, so that always-yes scores 0). `average` is the mean of
    the task accuracies. An unreadable answer is wrong.
    """
    check_pair(gt, pred)
    tasks: dict[str, list[tuple[str, str | None, str | None]]] = {}
    for index, (row, answer) in enumerate(zip(gt, pred)):
        if not isinstance(row, dict) or not isinstance(row.get("answer"), str) or not isinstance(row.get("task"), str):
            raise MetricInputError(f"`gt`[{index}] must be {{task, answer}}, got {row!r:.80}")
        tasks.setdefault(row["task"], []).append((_key(row["answer"]), _read(row, answer), row.get("kind")))
    result = {name: _task(rows) for name, rows in sorted(tasks.items())}
    return {"n": len(gt), "average": mean(task["accuracy"] for task in result.values()),
            "averaging": "mean over tasks", "tasks": result}  # fmt: skip


def statements(gt: Sequence[dict[str, Any]], pred: Sequence[str]) -> dict[str, Any]:
    """MVEI statement judgment: `gt` rows are ``{"correct": bool, "dimension": str}``.

    Accuracy per dimension and in total (pooled), `positive_ratio` (share answered Correct; half the items are) and
    `give_up_ratio` (neither word written; counts as wrong).
    """
    check_pair(gt, pred)
    rows: dict[str, list[bool]] = {}
    said = []
    for index, (row, answer) in enumerate(zip(gt, pred)):
        if not isinstance(row, dict) or not isinstance(row.get("correct"), bool):
            raise MetricInputError(f"`gt`[{index}] must be {{correct: true|false, dimension}}, got {row!r:.80}")
        said.append(read_judgment(answer) if isinstance(answer, str) else None)
        rows.setdefault(str(row.get("dimension", "all")), []).append(said[-1] is row["correct"])
    return {
        "n": len(gt), "accuracy": mean(float(hit) for hits in rows.values() for hit in hits),
        "averaging": "pooled over statements",
        "positive_ratio": mean(float(word is True) for word in said),
        "give_up_ratio": mean(float(word is None) for word in said),
        "gt_positive_ratio": mean(float(row["correct"]) for row in gt),
        "dimensions": {name: {"n": len(hits), "accuracy": mean(map(float, hits))} for name, hits in rows.items()},
    }  # fmt: skip


def _key(answer: str) -> str:
    answer = answer.strip()
    return answer.lower() if answer.lower() in ("yes", "no") else answer.upper()


def _read(row: dict[str, Any], answer: Any) -> str | None:
    if not isinstance(answer, str):
        return None
    return read_yes_no(answer) if _key(row["answer"]) in ("yes", "no") else read_letter(answer, row.get("options", 4))


def _task(rows: list[tuple[str, str | None, str | None]]) -> dict[str, Any]:
    hits = [float(answer == truth) for truth, answer, _ in rows]
    result: dict[str, Any] = {"n": len(rows), "accuracy": mean(hits),
                              "unreadable_rate": mean(float(answer is None) for _, answer, _ in rows)}  # fmt: skip
    if {truth for truth, _, _ in rows} <= {"yes", "no"}:
        yes = mean(hit for hit, row in zip(hits, rows) if row[0] == "yes")
        no = mean(hit for hit, row in zip(hits, rows) if row[0] == "no")
        said_yes = sum(answer == "yes" for _, answer, _ in rows)
        result |= {"acc_yes": yes, "acc_no": no, "balanced_hm": f_of(yes, no), "yes_rate": ratio(said_yes, len(rows))}
    kinds = sorted({kind for _, _, kind in rows if kind})
    if kinds:
        result["kinds"] = {kind: mean(hit for hit, row in zip(hits, rows) if row[2] == kind) for kind in kinds}
    return result
