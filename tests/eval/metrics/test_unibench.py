"""The nine-data-set run: published and honest selection."""

import math

import pytest
from conformance import vectors

from cuewise.eval.metrics.base import MetricInputError
from cuewise.eval.metrics.unibench import PRIMARY, primary_score, unibench_run, unibench_selected

RUN = next(case for case in vectors("mer_unibench.jsonl") if case["metric"] == "unibench_run")


def test_one_checkpoint_for_all_never_beats_the_best_of_each():
    answers = {name: [checkpoints[0], checkpoints[-1]] for name, checkpoints in RUN["pred"].items()}
    best = unibench_run(RUN["gt"], answers)
    for checkpoint in (0, 1):
        chosen = unibench_selected(RUN["gt"], answers, checkpoint)
        assert chosen["mean"] <= best["mean"]
        assert chosen["best"]["meld"] == primary_score("meld", RUN["gt"]["meld"], answers["meld"][checkpoint])


def test_a_nan_checkpoint_wins_as_published():
    gt = RUN["gt"] | {"ovmerdplus": ["happy"]}
    result = unibench_run(gt, RUN["pred"] | {"ovmerdplus": [["happy"], ["sad"]]})
    assert math.isnan(result["best"]["ovmerdplus"]) and math.isnan(result["mean"])
    assert result["row"][-2:] == ["nan", "nan"]


def test_missing_and_unknown_data_sets_are_named():
    short = {name: RUN["gt"][name] for name in PRIMARY if name != "sims"}
    with pytest.raises(MetricInputError, match="`gt` lacks sims"):
        unibench_run(short, RUN["pred"])
    with pytest.raises(MetricInputError, match="unknown data sets mosi"):
        unibench_run(RUN["gt"] | {"mosi": []}, RUN["pred"])
