"""Which truths a measure can be held against, what else it needs of a data set, and which numbers it gives.

Checked before anything is asked: a suite that pairs a metric with a truth it cannot read would otherwise fail when all
answers are there.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from cuewise.eval.suites.suite import Dataset, Suite

ONE_CLASS = ("label", "vote_winner")
WORDS = ("labels", "label", "multilabel", "vote_winner", "cues", "reasoning", "task_label", "conflict")
NEEDS_CLASSES = ("label", "multilabel")
SHOWN = ("face", "voice", "words", "scene", "context")


@dataclass(frozen=True, slots=True)
class Fit:
    truths: tuple[str, ...]
    """Truths the measure reads; empty: any, because it looks at the answers alone."""

    gives: tuple[str, ...]
    """Names of the numbers, in the order in which the measure gives them."""

    needs: tuple[str, ...] = ()
    """Options of the data set that must be filled."""


def _set_score(name: str, level: int) -> Fit:
    return Fit(WORDS, (name, f"ew_level{level}_cuewise2026"))


def _conflict(name: str) -> tuple[str, ...]:
    parts = ("video_aligned", "audio_aligned", "consistent", "conflict", "gap_audio_minus_video")
    return tuple(f"{name}_{part}" for part in parts)


FITS: dict[str, Fit] = {
    **{name: Fit(ONE_CLASS, (name,), ("classes",)) for name in ("uar", "war", "weighted_f1", "macro_f1")},
    "folds": Fit(ONE_CLASS, ("uar_mean_of_folds", "war_mean_of_folds"), ("classes", "folds")),
    "multilabel": Fit(("multilabel",), ("multilabel_f1_macro", "multilabel_f1_micro", "jaccard"), ("classes",)),
    "votes": Fit(("votes",), ("js", "kl", "all_inclusive_f1", "best_2"), ("classes",)),
    "sentiment": Fit(("sentiment",), ("sentiment_waf", "sentiment_acc")),
    "ew_level1": _set_score("ew_level1", 1), "ew_level2": _set_score("ew_level2", 2),
    "ew_level1_mer2026": _set_score("ew_level1_mer2026", 1),
    "m_avg": Fit(WORDS, ("m_avg",)), "hit_rate": Fit(WORDS, ("hit_rate", "hit_rate_cuewise2026")),
    "label_overlap": Fit(WORDS, ("label_overlap",)),
    **{name: Fit(("valence_arousal",), (f"{name}_valence", f"{name}_arousal"))
       for name in ("ccc", "pearson", "mae", "rmse")},
    "calibration": Fit(WORDS, ("ece", "brier", "auc")),
    "condition_spread": Fit(WORDS, ("condition_spread",), ("conditions",)),
    "ccc_by_cluster": Fit(("valence_arousal",), ("ccc_by_cluster_valence", "ccc_by_cluster_arousal"), ("cluster",)),
    "refusal_rate": Fit((), ("refusal_rate",)),
    "well_formed": Fit((), ("well_formed",)), "support": Fit((), ("support_rate", "checkable_rate")),
    "cue_f1": Fit(("cues",), ("cue_f1",)), "cue_grounding": Fit(("cues",), ("cue_grounding",)),
    "rouge_l": Fit(("reasoning",), ("rouge_l",)),
    "ca_mer": Fit(("conflict",), _conflict("ca_mer")),
    "ca_mer_strict": Fit(("conflict",), _conflict("ca_mer_strict"), ("classes",)),
    "emorealm": Fit(("choice",), ("emorealm",)),
    "statements": Fit(("statement",), ("statement_accuracy", "positive_ratio", "give_up_ratio")),
    "mme_emotion": Fit(("task_label",), ("mme_rec", "mme_rea", "mme_cot")),
    "emer": Fit(("reasoning",), ("emer_clue_overlap", "emer_label_overlap")),
    "emocue360": Fit(("cues",), ("emocue360_visual", "emocue360_auditory", "emocue360_emotional")),
}  # fmt: skip
"""One entry per measure of `MEASURES`."""


def misfits(suite: Suite, truths: tuple[str, ...]) -> list[str]:
    """One line per metric, truth or name of a suite that cannot come to a number; `truths` are those that exist."""
    problems = [line for name, dataset in suite.datasets.items() for line in _dataset(name, dataset, truths)]
    if problems:
        return problems
    given = {name: [out for metric in dataset.metrics for out in FITS[metric].gives]
             for name, dataset in suite.datasets.items()}  # fmt: skip
    for mean in suite.means:
        problems += [_no_number(f"mean {mean.name}", dataset, metric, given) for dataset, metric in mean.of.items()
                     if metric not in given.get(dataset, ())]  # fmt: skip
    given |= {mean.name: ["mean"] for mean in suite.means}
    if suite.primary.metric not in given[suite.primary.dataset]:
        problems.append(_no_number("primary", suite.primary.dataset, suite.primary.metric, given))
    return problems


def _dataset(name: str, dataset: Dataset, truths: tuple[str, ...]) -> Iterator[str]:
    where = f"data set `{name}`"
    if dataset.truth not in truths:
        yield f"{where}: unknown truth `{dataset.truth}`; {_hint(dataset.truth, truths)}"
        return
    if dataset.truth in NEEDS_CLASSES and not dataset.classes:
        yield f"{where}: truth `{dataset.truth}` is a class of a closed set; name the set with `classes`"
    if not dataset.metrics:
        yield f"{where}: no metrics; name at least one, e.g. {_some(dataset.truth)}"
    for shown in dataset.show:
        if shown not in SHOWN:
            yield f"{where}: unknown part `{shown}` to show; {_hint(shown, SHOWN)}"
    for metric in dict.fromkeys(dataset.metrics):
        if dataset.metrics.count(metric) > 1:
            yield f"{where}: metric `{metric}` is named twice; name it once"
        fit = FITS.get(metric)
        if fit is None:
            yield f"{where}: unknown metric `{metric}`; {_hint(metric, tuple(FITS))}"
        elif fit.truths and dataset.truth not in fit.truths:
            yield (f"{where}: metric `{metric}` needs truth {' or '.join(fit.truths)}, not `{dataset.truth}`; metrics "
                   f"for that: {_some(dataset.truth)}")  # fmt: skip
        else:
            for need in fit.needs:
                if not getattr(dataset, need) and not (need == "classes" and dataset.truth in NEEDS_CLASSES):
                    yield f"{where}: metric `{metric}` needs the option `{need}`"


def _some(truth: str) -> str:
    return ", ".join(metric for metric, fit in FITS.items() if truth in fit.truths) or "well_formed, support"


def _no_number(where: str, dataset: str, metric: str, given: dict[str, list[str]]) -> str:
    if dataset not in given:
        return f"{where}: there is no data set `{dataset}`; {_hint(dataset, tuple(given))}"
    return f"{where}: data set `{dataset}` gives no number `{metric}`; {_hint(metric, tuple(given[dataset]))}"


def _hint(word: str, known: tuple[str, ...]) -> str:
    near = get_close_matches(word, known, n=1)
    return f"did you mean `{near[0]}`?" if near else f"known: {', '.join(known)}"
