"""Evidence support rate: do the measurements bear out what the cues of an answer claim?"""

from collections.abc import Iterable, Sequence
from typing import Any

from cuewise.mllm.report import CHANNELS, Cue

from .base import NAN, MetricInputError, mean, ratio


def evidence_support(samples: Sequence[Iterable[Cue | dict[str, Any]]]) -> dict[str, Any]:
    """Shares over all cues of all samples, and per channel.

    `support_rate` and `contradiction_rate` are shares of the claims that got a verdict, `coverage` is the share of
    claims that got one, `checkable_rate` the share of cues that claim anything checkable. A system that claims
    nothing cannot be refuted: always read `checkable_rate` and `cues_per_sample` beside the support rate.
    """
    cues = [[_verdict(index, cue) for cue in row] for index, row in enumerate(samples)]
    every = [entry for row in cues for entry in row]
    result = _rates(every) | {"n_samples": len(cues), "cues_per_sample": ratio(len(every), len(cues), NAN)}
    per_sample = [_rates(row)["support_rate"] for row in cues]
    scored = [value for value in per_sample if value == value]
    result |= {
        "averaging": "pooled over cues", "support_rate_mean_of_samples": mean(scored), "n_scored_samples": len(scored),
        "channels": {channel: _rates([entry for entry in every if entry[0] == channel]) for channel in CHANNELS},
    }  # fmt: skip
    return result


def _rates(entries: list[tuple[str, str | None]]) -> dict[str, Any]:
    claims = [verdict for _, verdict in entries if verdict is not None]
    judged = [verdict for verdict in claims if verdict != "not_measurable"]
    return {
        "n_cues": len(entries), "n_claims": len(claims), "n_verdicts": len(judged),
        "checkable_rate": ratio(len(claims), len(entries), NAN), "coverage": ratio(len(judged), len(claims), NAN),
        "support_rate": ratio(judged.count("supported"), len(judged), NAN),
        "contradiction_rate": ratio(judged.count("contradicted"), len(judged), NAN),
    }  # fmt: skip


def _verdict(index: int, cue: Cue | dict[str, Any]) -> tuple[str, str | None]:
    """(channel, verdict); None for a cue that claims nothing checkable."""
    if isinstance(cue, Cue):
        return cue.channel, cue.check.verdict if cue.check else None
    if isinstance(cue, dict) and isinstance(cue.get("channel"), str):
        check = cue.get("check")
        verdict = check.get("verdict") if isinstance(check, dict) else None
        if verdict in (None, "supported", "contradicted", "not_measurable"):
            return cue["channel"], verdict
    raise MetricInputError(f"sample {index}: a cue needs a channel and a check with a known verdict, got {cue!r:.80}")
