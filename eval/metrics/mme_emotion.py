"""MME-Emotion: recognition (Rec), reasoning (Rea) and chain-of-thought (CoT) scores from judged steps.

A judge scores the steps of an answer, ``<score>Step 1: 1/1, Step 2: 0/1, ... Step N: c/g</score>``; the last step is
the prediction. Rec is the last step's score, Rea the mean of the others (0 when there are none), CoT their weighted
sum. Overall numbers are pooled over samples, not the mean of the tasks. The published scorer skips samples whose score
string cannot be read; here they count as 0 unless ``drop_unparsed`` asks for comparability.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .base import MetricInputError, check_pair, mean

_STEP = re.compile(r"Step\s*(\d+)\s*:\s*(\d+(?:\.\d+)?)\s*/\s*(\d+(?:\.\d+)?)", re.IGNORECASE)
_BLOCK = re.compile(r"<\s*score\s*>(.*?)(?:<\s*/\s*score\s*>|$)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Steps:
    """Scores of the steps of one answer, the prediction last."""

    scores: tuple[float, ...]

    @property
    def rec(self) -> float:
        return self.scores[-1]

    @property
    def rea(self) -> float:
        """Mean of the reasoning steps; 0 for an answer that only names a label."""
        return mean(self.scores[:-1]) if len(self.scores) > 1 else 0.0


def parse_steps(reply: str) -> Steps | None:
    """Step scores of a judge's reply; None unless steps 1..N are all there, each with 0 <= c <= g."""
    block = _BLOCK.search(reply) if isinstance(reply, str) else None
    found = _STEP.findall(block.group(1)) if block else []
    if [int(number) for number, _, _ in found] != list(range(1, len(found) + 1)) or not found:
        return None
    pairs = [(float(part), float(whole)) for _, part, whole in found]
    if any(whole <= 0 or part > whole for part, whole in pairs):
        return None
    return Steps(tuple(part / whole for part, whole in pairs))


def mme_emotion(
    tasks: Sequence[str], replies: Sequence[Any], alpha: float = 0.5, drop_unparsed: bool = False
) -> dict[str, Any]:
    """Rec, Rea, CoT and mean number of steps, per task and pooled; `replies` are judge replies or lists of step scores.

    Always read Rec beside CoT: an answer without steps has Rea 0 by construction.
    """
    check_pair(tasks, replies)
    steps = [_steps(index, reply) for index, reply in enumerate(replies)]
    rows = [(str(task), step) for task, step in zip(tasks, steps) if step is not None or not drop_unparsed]
    names = sorted({task for task, _ in rows})
    return {
        **_scores([step for _, step in rows], alpha),
        "parse_rate": mean(float(step is not None) for step in steps), "averaging": "pooled over samples",
        "tasks": {name: _scores([step for task, step in rows if task == name], alpha) for name in names},
    }  # fmt: skip


def label_steps(gt: Sequence[str], pred: Sequence[str]) -> dict[str, float]:
    """The last step of a multi-label task: recall as published (`rec_recall`), with the precision and F1 it hides."""
    truth, named = set(gt), set(pred)
    if not truth:
        raise MetricInputError("`gt` must name at least one label")
    hits = len(truth & named)
    precision, recall = hits / len(named) if named else 0.0, hits / len(truth)
    return {"rec_recall": recall, "precision": precision, "f1": 2 * hits / (len(truth) + len(named))}


def graded_sentiment(gt: str, pred: str) -> dict[str, float]:
    """Fine-grained sentiment by one rule: the exact grade, and the polarity alone as a second number."""
    return {"exact": float(_folded(gt) == _folded(pred)), "polarity": float(_polarity(gt) == _polarity(pred))}


def _scores(steps: list[Steps | None], alpha: float) -> dict[str, float]:
    rec = mean(step.rec if step else 0.0 for step in steps)
    rea = mean(step.rea if step else 0.0 for step in steps)
    read = [len(step.scores) for step in steps if step]
    return {"n": len(steps), "rec": rec, "rea": rea, "cot": alpha * rec + (1 - alpha) * rea, "avg_steps": mean(read)}


def _steps(index: int, reply: Any) -> Steps | None:
    if reply is None or isinstance(reply, str):
        return parse_steps(reply or "")
    if isinstance(reply, (list, tuple)) and all(isinstance(s, (int, float)) and 0 <= s <= 1 for s in reply):
        return Steps(tuple(map(float, reply))) if reply else None
    raise MetricInputError(
        f"`pred`[{index}] must be a judge reply or a list of step scores in [0, 1], got {reply!r:.80}"
    )


def _folded(label: str) -> str:
    return " ".join(str(label).lower().replace("-", " ").replace("_", " ").split())


def _polarity(label: str) -> str:
    words = _folded(label).split()
    return next((word for word in words if word in ("positive", "negative", "neutral")), " ".join(words))
