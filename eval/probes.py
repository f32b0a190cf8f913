"""Where in a language model an emotion can be read: a linear probe on the hidden states of every layer.

    texts = keyword_free(rows)                                       # rows whose words do not name the emotion
    states = hidden_states(model, processor, [row.transcript for row in texts])
    layer_probes(states, [row.labels[0] for row in texts])

A probe is ridge regression onto the classes, by cross-validation; beside each accuracy stands that of the same probe on
shuffled labels, which is chance. Rows that name an emotion are left out, or the probe would find the word.

Shapes: L layers (the embeddings first), N texts, D channels.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from cuewise.data_recipes.schema import Row
from cuewise.eval.metrics.reasons import inflections
from cuewise.mllm.taxonomy import listed

_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
FOLDS, RIDGE = 5, 10.0


def keyword_free(rows: Iterable[Row]) -> list[Row]:
    """Rows with a label and a transcript in which no form of that label and no other word of emotion stands."""
    kept = []
    for row in rows:
        if not row.labels or not row.transcript:
            continue
        words = {word.lower() for word in _WORD.findall(row.transcript)}
        named = set().union(*(inflections(label) for label in row.labels))
        if not words & named and not any(map(listed, words)):
            kept.append(row)
    return kept


def hidden_states(model: Any, processor: Any, texts: Sequence[str], batch: int = 16) -> np.ndarray:
    """[L, N, D]: mean over the tokens of each text, in every layer of one of our models' language models."""
    import torch

    rows = []
    ids = [processor.text_ids(text) for text in texts]
    with torch.inference_mode():
        for start in range(0, len(ids), batch):
            part = ids[start : start + batch]
            longest = max(map(len, part))
            padded = torch.tensor([row + [0] * (longest - len(row)) for row in part], device=model.device)
            mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in part], device=model.device)
            out = model.language_model(input_ids=padded, attention_mask=mask, output_hidden_states=True)
            weight = mask[None, :, :, None].float() / mask.sum(1)[None, :, None, None]
            rows.append((torch.stack(out.hidden_states).float() * weight).sum(2).cpu().numpy())
    return np.concatenate(rows, 1)


def layer_probes(
    states: np.ndarray, labels: Sequence[str], *, folds: int = FOLDS, ridge: float = RIDGE, seed: int = 0
) -> list[dict[str, float]]:
    """Per layer: accuracy of the probe, and on shuffled labels."""
    shuffled = list(np.random.default_rng(seed).permutation(np.asarray(labels, dtype=object)))
    return [{"layer": layer, "accuracy": probe_accuracy(one, labels, folds=folds, ridge=ridge, seed=seed),
             "shuffled": probe_accuracy(one, shuffled, folds=folds, ridge=ridge, seed=seed)}
            for layer, one in enumerate(states)]  # fmt: skip


def probe_accuracy(
    states: np.ndarray, labels: Sequence[str], *, folds: int = FOLDS, ridge: float = RIDGE, seed: int = 0
) -> float:
    """Cross-validated accuracy of ridge regression from states [N, D] onto classes, scaled by each training part."""
    names = sorted(set(labels))
    if len(states) != len(labels) or len(names) < 2 or len(labels) < 2 * folds:
        raise ValueError(f"a probe needs one label per state, two classes and {2 * folds} samples, got {len(states)} "
                         f"states, {len(labels)} labels and {len(names)} classes")  # fmt: skip
    truth = np.array([names.index(label) for label in labels])
    part = np.random.default_rng(seed).permutation(len(labels)) % folds
    hits = 0
    for fold in range(folds):
        train, test = part != fold, part == fold
        mean, scale = states[train].mean(0), states[train].std(0) + 1e-6
        x = np.concatenate([(states - mean) / scale, np.ones((len(states), 1))], 1)
        gram = x[train].T @ x[train] + ridge * np.eye(x.shape[1])
        weights = np.linalg.solve(gram, x[train].T @ np.eye(len(names))[truth[train]])
        hits += int(((x[test] @ weights).argmax(1) == truth[test]).sum())
    return hits / len(labels)
