"""Metrics as suites name them: records in, numbers with n, averaging, direction and something to resample out.

The formulas are those of `cuewise.eval.metrics`; nothing is computed a second way here.
"""

from collections.abc import Sequence
from difflib import get_close_matches
from functools import partial

from cuewise.eval.suites.suite import Dataset, SuiteError

from . import classes, conditions, evidence, judged, numbers, protocols, wheels
from .base import Measure, Measured, Record, interval_of, mean_measure

__all__ = ["MEASURES", "Measure", "Measured", "Record", "interval_of", "mean_measure", "measure_all"]

MEASURES: dict[str, Measure] = {
    "uar": partial(classes.classes, names=("uar",)), "war": partial(classes.classes, names=("war",)),
    "weighted_f1": partial(classes.classes, names=("weighted_f1",)),
    "macro_f1": partial(classes.classes, names=("macro_f1",)),
    "folds": classes.fold_measures, "multilabel": classes.multilabel_measures, "votes": classes.votes,
    "sentiment": classes.sentiments,
    "ew_level1": partial(wheels.ew, level=1), "ew_level2": partial(wheels.ew, level=2),
    "ew_level1_mer2026": partial(wheels.ew, level=1, profile="mer2026"),
    "m_avg": wheels.m_avg, "hit_rate": wheels.hits, "label_overlap": wheels.overlap,
    "ccc": partial(numbers.affect, metric="ccc"), "pearson": partial(numbers.affect, metric="pearson"),
    "mae": partial(numbers.affect, metric="mae"), "rmse": partial(numbers.affect, metric="rmse"),
    "calibration": numbers.calibration, "condition_spread": conditions.spread,
    "ccc_by_cluster": numbers.affect_by_cluster, "refusal_rate": evidence.refusal,
    "well_formed": evidence.form, "support": evidence.support, "cue_f1": evidence.known_cues,
    "cue_grounding": evidence.grounding,
    "rouge_l": evidence.reasons,
    "ca_mer": protocols.conflict, "ca_mer_strict": protocols.conflict_strict, "emorealm": protocols.choices,
    "statements": protocols.judgments,
    "mme_emotion": judged.mme, "emer": judged.emer, "emocue360": judged.emocue,
}  # fmt: skip


def measure_all(records: Sequence[Record], dataset: Dataset) -> list[Measured]:
    """All metrics of a data set, in its order; a repaired variant that two published ones share stands once."""
    found: dict[str, Measured] = {}
    for name in dataset.metrics:
        for measured in measure_of(name)(list(records), dataset):
            found.setdefault(measured.name, measured)
    return list(found.values())


def measure_of(name: str) -> Measure:
    """The measure of that name; the error names the nearest one."""
    if name in MEASURES:
        return MEASURES[name]
    near = get_close_matches(name, MEASURES, n=1)
    hint = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(MEASURES)}"
    raise SuiteError(f"unknown metric `{name}`; {hint}")
