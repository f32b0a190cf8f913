"""CA-MER and its open counterpart: what a system follows when channels disagree.

A clip is *video-aligned* when the joint label equals the face's and not the voice's, *audio-aligned* in the mirror
case, *consistent* when all three agree. Two protocols exist and give different numbers, so both are named:
`ca_mer` (label sets, semantic matching, averaged over clips) and `ca_mer_strict` (one label, nine classes).
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

from .base import MetricInputError, check_pair, mean, ratio
from .emer import roots
from .labels import parse_labels

Alignment = Literal["consistent", "video_aligned", "audio_aligned", "emergent", "all_different", "tie_or_missing"]
SUBSETS = ("video_aligned", "audio_aligned", "consistent")
STRICT_LABELS = ("angry", "happy", "surprise", "fear", "sad", "worry", "neutral", "doubt", "contempt")


def alignment(voice: str | None, face: str | None, joint: str | None) -> Alignment:
    """Which channel the joint label follows. Labels are winning votes; None (or a tie written ``A:N``) is a tie.

    >>> alignment("anger", "neutral", "neutral"), alignment("anger", "anger", "neutral")
    ('video_aligned', 'emergent')
    """
    if any(not label or ":" in label for label in (voice, face, joint)):
        return "tie_or_missing"
    if voice == face:
        return "consistent" if joint == face else "emergent"
    if joint == face:
        return "video_aligned"
    return "audio_aligned" if joint == voice else "all_different"


def ca_mer(
    gt: Sequence[dict[str, Any]], pred: Sequence[Any], reduce: Callable[[Any], list[str]] = roots
) -> dict[str, Any]:
    """Published protocol: per clip Acc = |P and G|/|P|, Recall = |P and G|/|G|, Avg = their mean, averaged over clips.

    `gt` rows are ``{"subset": ..., "labels": ...}``. `reduce` maps a label value to comparable words; the published
    protocol matches with a language model, ours with the spelling table, which is stricter.
    """
    rows = _by_subset(gt, pred)
    result: dict[str, Any] = {"matching": getattr(reduce, "__name__", "custom"), "averaging": "mean over clips"}
    for subset, clips in rows.items():
        accs, recalls, invalid = [], [], 0
        for labels, answer in clips:
            truth, named = set(reduce(labels)), set(reduce(answer))
            invalid += not named
            accs.append(ratio(len(truth & named), len(named)))
            recalls.append(ratio(len(truth & named), len(truth)))
        acc, recall = mean(accs), mean(recalls)
        result[subset] = {"n": len(clips), "acc": acc, "recall": recall, "avg": (acc + recall) / 2,
                          "invalid_rate": ratio(invalid, len(clips), float("nan"))}  # fmt: skip
    return result | _summary({subset: result[subset]["avg"] for subset in SUBSETS})


def ca_mer_strict(
    gt: Sequence[dict[str, Any]], pred: Sequence[Any], labels: Sequence[str] = STRICT_LABELS
) -> dict[str, Any]:
    """Strict protocol: exactly one label of nine per clip; an invalid answer is wrong."""
    rows = _by_subset(gt, pred)
    result: dict[str, Any] = {"averaging": "mean over clips"}
    for subset, clips in rows.items():
        answers = [_single(answer, labels) for _, answer in clips]
        hits = [float(answer is not None and answer == _single(truth, labels)) for (truth, _), answer in
                zip(clips, answers)]  # fmt: skip
        result[subset] = {"n": len(clips), "accuracy": mean(hits),
                          "invalid_rate": mean(float(answer is None) for answer in answers)}  # fmt: skip
    return result | _summary({subset: result[subset]["accuracy"] for subset in SUBSETS})


def _summary(values: dict[str, float]) -> dict[str, float]:
    """`gap` > 0 means the system trusts the voice more than the face."""
    return {
        "conflict": (values["video_aligned"] + values["audio_aligned"]) / 2,
        "overall": mean(values.values()),
        "gap_audio_minus_video": values["audio_aligned"] - values["video_aligned"],
    }


def _by_subset(gt: Sequence[dict[str, Any]], pred: Sequence[Any]) -> dict[str, list[tuple[Any, Any]]]:
    check_pair(gt, pred)
    rows: dict[str, list[tuple[Any, Any]]] = {subset: [] for subset in SUBSETS}
    for index, (row, answer) in enumerate(zip(gt, pred)):
        if not isinstance(row, dict) or row.get("subset") not in SUBSETS or "labels" not in row:
            raise MetricInputError(
                f"`gt`[{index}] must be {{subset, labels}} with subset one of {', '.join(SUBSETS)}, got {row!r:.80}"
            )
        rows[row["subset"]].append((row["labels"], answer))
    return rows


def _single(value: Any, labels: Sequence[str]) -> str | None:
    named = parse_labels(value)
    word = named[0].strip().lower() if len(named) == 1 else None
    return word if word in labels else None
