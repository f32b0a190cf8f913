"""Confidence that means something: one temperature and one abstention threshold, fitted on validation clips.

The temperature divides the fused class logits before the softmax (Guo et al. 2017, arXiv:1706.04599). The threshold is
where `unsure` begins: below it, validation answers were right less than `ABSTAIN_ACCURACY` of the time.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from cuewise.data_recipes.corpora import COMMON_LABELS
from cuewise.mllm.modeling import CuewiseForConditionalGeneration
from cuewise.mllm.processing import CuewiseProcessor
from cuewise.train.examples import Example

ABSTAIN_ACCURACY = 0.25
TEMPERATURES = torch.logspace(-1, 1, 201)
MIN_BELOW = 20
"""Validation clips that must lie below a threshold before its accuracy is believed."""


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature of 0.1 to 10 with the lowest cross-entropy. logits [n, L], labels int [n]."""
    losses = [torch.nn.functional.cross_entropy(logits / value, labels) for value in TEMPERATURES]
    return float(TEMPERATURES[int(torch.stack(losses).argmin())])


def fit_abstention(confidence: Tensor, correct: Tensor) -> float:
    """The highest threshold below which answers were right less than `ABSTAIN_ACCURACY`; 0 when there is none."""
    order = confidence.argsort()
    ordered, right = confidence[order], correct[order].float()
    accuracy_below = right.cumsum(0) / torch.arange(1, len(right) + 1)
    good = [i for i in range(MIN_BELOW - 1, len(right)) if accuracy_below[i] < ABSTAIN_ACCURACY]
    return round(float(ordered[good[-1]]), 3) if good else 0.0


@torch.inference_mode()
def calibrate(
    model: CuewiseForConditionalGeneration, processor: CuewiseProcessor, examples: Sequence[Example], batch: int = 16
) -> dict[str, float]:
    """Fit on the labelled examples and store the result in the model's config; returns what was found."""
    own = tuple(model.config.heads_config.labels)
    if own != COMMON_LABELS:
        raise ValueError(f"calibration compares readings with the common labels ({', '.join(COMMON_LABELS)}), but "
                         f"heads.labels of this model is {', '.join(own) or 'empty'}")  # fmt: skip
    labelled = [(example, shares) for example in examples if (shares := example.shares("all")) is not None]
    if not labelled:
        raise ValueError("calibration needs validation examples with labels; none of them has one")
    model.eval()
    logits = torch.cat([
        model.encode_batch(processor.collate([example.tensors for example, _ in labelled[i : i + batch]])).logits
        for i in range(0, len(labelled), batch)
    ])  # fmt: skip
    labels = torch.stack([shares for _, shares in labelled]).argmax(1)
    temperature = fit_temperature(logits, labels)
    confidence, answer = (logits / temperature).softmax(-1).max(-1)
    threshold = fit_abstention(confidence, answer == labels)
    model.config.calibration = {"temperature": round(temperature, 4), "abstain_below": threshold}
    return {
        "temperature": temperature, "abstain_below": threshold, "n": len(labels),
        "accuracy": float((answer == labels).float().mean()), "confidence": float(confidence.mean()),
        "unsure_share": float((confidence < threshold).float().mean()),
    }  # fmt: skip
