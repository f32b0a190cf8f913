"""Support rate: shares of claims, and what keeps it honest."""

import math

import pytest

from cuewise.eval.metrics.base import MetricInputError
from cuewise.eval.metrics.evidence import evidence_support
from cuewise.mllm.report import Check, Claim, Cue


def cue(channel, verdict):
    claim = None if verdict is None else Claim(attribute="pitch", direction="higher")
    return Cue(channel=channel, observation="x", claim=claim, check=None if verdict is None else Check(verdict=verdict))


SAMPLES = [
    [cue("voice", "supported"), cue("voice", "contradicted"), cue("face", "not_measurable"), cue("words", None)],
    [cue("face", "supported")],
    [],
]


def test_rates_by_hand():
    result = evidence_support(SAMPLES)
    assert (result["n_cues"], result["n_claims"], result["n_verdicts"]) == (5, 4, 3)
    assert result["support_rate"] == pytest.approx(2 / 3) and result["contradiction_rate"] == pytest.approx(1 / 3)
    assert result["coverage"] == 0.75 and result["checkable_rate"] == 0.8
    assert result["cues_per_sample"] == pytest.approx(5 / 3)
    assert result["support_rate_mean_of_samples"] == 0.75 and result["n_scored_samples"] == 2
    assert result["channels"]["face"]["support_rate"] == 1 and math.isnan(result["channels"]["scene"]["support_rate"])


def test_stored_reports_score_like_live_ones():
    stored = [[c.model_dump() for c in row] for row in SAMPLES]
    assert str(evidence_support(stored)) == str(evidence_support(SAMPLES))


def test_claiming_nothing_is_undefined_not_perfect():
    result = evidence_support([[cue("words", None)]])
    assert math.isnan(result["support_rate"]) and result["checkable_rate"] == 0


def test_unknown_verdicts_are_refused():
    with pytest.raises(MetricInputError, match="known verdict"):
        evidence_support([[{"channel": "voice", "check": {"verdict": "maybe"}}]])
