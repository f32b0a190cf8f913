"""Names of metrics -> functions, imported only when used, so that scoring one file loads one family."""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import Any, Literal

from .base import MetricInputError, Score


@dataclass(frozen=True, slots=True)
class Metric:
    """One entry of the registry. `target` is ``module:function`` below `cuewise.eval.metrics`."""

    name: str
    target: str
    per: Literal["sample", "dataset", "run"]
    """What one call scores: a single gt and pred, two lists of samples, or whole runs per data set."""
    gt_kind: str
    """What one ground truth is: labels, label, label_list, text, number, flag, units, json."""
    pred_kind: str
    summary: str
    options: tuple[tuple[str, Any], ...] = ()
    beside: str | None = None
    """Our own variant, always printed beside this published metric."""
    key: str | None = None
    """Name of the result of a function that reads `pred` alone and returns one plain value."""

    def compute(self, gt: Any, pred: Any) -> dict[str, Any]:
        """Result as plain values; raises MetricInputError for input the metric cannot read."""
        module, _, name = self.target.partition(":")
        function: Callable[..., Any] = getattr(import_module(f"{__package__}.{module}"), name)
        if self.key is not None:
            return {self.key: function(pred)}
        result = function(gt, pred, **dict(self.options))
        return result.as_dict() if isinstance(result, Score) else result


def _table(*metrics: Metric) -> dict[str, Metric]:
    return {entry.name: entry for entry in metrics}


METRICS = _table(
    Metric("parse_labels", "labels:parse_labels", "sample", "labels", "labels",
           "label value -> list of labels", key="labels"),
    Metric("clean_llm_output", "labels:clean_llm_output", "sample", "labels", "labels",
           "extraction answer -> label text", key="text"),
    Metric("map_labels", "labels:map_labels", "sample", "labels", "labels",
           "labels -> wheel words", key="maps"),
    Metric("ew_sample", "ew:ew_sample", "sample", "labels", "labels",
           "emotion-wheel set scores of one sample, in full"),
    Metric("ew_dataset", "ew:ew_dataset", "dataset", "labels", "labels",
           "emotion-wheel set scores (OV-MER, OV-MERD+, MER2025)", beside="ew_dataset_cuewise2026"),
    Metric("ew_dataset_mer2026", "ew:ew_dataset", "dataset", "labels", "labels",
           "the same in profile mer2026 (MER2026 track 2)", options=(("profile", "mer2026"),),
           beside="ew_dataset_cuewise2026"),
    Metric("ew_dataset_cuewise2026", "ew:ew_dataset", "dataset", "labels", "labels",
           "the same in our repaired profile", options=(("profile", "cuewise2026"),)),
    Metric("hit_rate", "hits:hit_rate", "dataset", "labels", "labels",
           "hit rate over five wheels (MER2023, MER2024, MELD, IEMOCAP)", beside="hit_rate_cuewise2026"),
    Metric("hit_rate_cuewise2026", "hits:repaired_hit_rate", "dataset", "labels", "labels",
           "hit rate in our repaired profile"),
    Metric("hit_or_not", "hits:hit_or_not", "sample", "labels", "labels",
           "does one sample hit, per wheel and in any"),
    Metric("sentiment", "sentiment:sentiment", "dataset", "number", "text",
           "binary sentiment WAF and accuracy (MOSI, MOSEI, SIMS)"),
    Metric("discrete6", "sentiment:discrete6", "dataset", "label", "label",
           "six-class WAF and accuracy (MER track 1)"),
    Metric("unibench_run", "unibench:unibench_run", "run", "labels", "labels",
           "nine data sets, best checkpoint each, as published"),
    Metric("parse_answer", "answers:parse_answer", "sample", "labels", "labels",
           "an answer in our format, parsed and checked"),
    Metric("classification", "classification:classification", "dataset", "label", "label",
           "UAR, WAR, weighted and macro F1"),
    Metric("multilabel", "multilabel:multilabel", "dataset", "label_list", "label_list",
           "several labels per sample: F1, Jaccard, exact match"),
    Metric("mean_average_precision", "multilabel:mean_average_precision", "dataset", "label_list", "json",
           "mAP from label scores"),
    Metric("distribution", "distributions:distribution_scores", "dataset", "json", "json",
           "KL, JS, all-inclusive F1, n-best"),
    Metric("compound", "compound:compound", "dataset", "label", "label",
           "seven compound expressions (C-EXPR)"),
    Metric("regression", "regression:regression", "dataset", "number", "number",
           "CCC, Pearson, MAE, RMSE"),
    Metric("sentiment_regression", "regression:sentiment_regression", "dataset", "number", "number",
           "scores in [-3, 3]: MAE, correlation, 7-class and 2-class accuracy (MOSI, MOSEI)"),
    Metric("refusals", "refusals:refusals", "dataset", "text", "text",
           "answers that decline, for harmless questions"),
    Metric("modality_obedience", "modality:modality_obedience", "dataset", "json", "label",
           "retrieved modality against the one asked for, and the query's own"),
    Metric("calibration", "calibration:calibration", "dataset", "number", "number",
           "right or wrong against confidence: ECE, Brier, AUC"),
    Metric("au_f1", "aus:au_f1", "dataset", "units", "units",
           "facial action units: macro and micro F1"),
    Metric("rouge", "rouge:rouge", "dataset", "text", "text",
           "ROUGE-1, 2, L of reasoning, unstemmed"),
    Metric("rouge_stemmed", "rouge:rouge_stemmed", "dataset", "text", "text",
           "the same with Porter stems, as published (rouge-score)", beside="rouge"),
    Metric("emocue360", "emocue:emocue360_offline", "dataset", "json", "json",
           "cue lists matched by the offline embedder (EmoCue-360), floor, strict variant"),
    Metric("label_overlap", "emer:label_overlap", "dataset", "labels", "labels",
           "set F1 of emotion words by root (EMER without a judge)"),
    Metric("mme_emotion", "mme_emotion:mme_emotion", "dataset", "label", "text",
           "task names and judge replies: Rec, Rea, CoT"),
    Metric("ca_mer", "conflict:ca_mer", "dataset", "json", "labels",
           "conflict subsets, label sets, audio-minus-video gap"),
    Metric("ca_mer_strict", "conflict:ca_mer_strict", "dataset", "json", "labels",
           "conflict subsets, one label of nine"),
    Metric("emorealm", "choices:emorealm", "dataset", "json", "text",
           "letters and yes/no per task, with yes-bias"),
    Metric("statements", "choices:statements", "dataset", "json", "text",
           "Correct / Incorrect judgments (MVEI)"),
    Metric("doubly_right", "reasons:doubly_right", "dataset", "flag", "flag",
           "right answer, right reason: the four cells"),
)  # fmt: skip


def metric(name: str) -> Metric:
    """The metric of that name; the error names the nearest one."""
    if name in METRICS:
        return METRICS[name]
    near = get_close_matches(str(name), METRICS, n=1)
    hint = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(METRICS)}"
    raise MetricInputError(f"unknown metric {name!r}; {hint}")
