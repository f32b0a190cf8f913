"""Weights of an ensemble from runs of its members on validation data; never on the data that it is then scored on."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml

from cuewise.eval.report import read_samples
from cuewise.eval.suites.suite import SuiteError
from cuewise.mllm.late_fusion import search_weights
from cuewise.mllm.taxonomy import LABELS, nearest_common


def fit_ensemble(
    runs: Sequence[str | Path], members: Sequence[str], out: str | Path, *, draws: int = 1000, seed: int = 0
) -> float:
    """Write the ensemble file of these members; returns the mean recall of its weights on the runs' samples.

    Args:
        runs: folders of `cuewise eval`, one per member, in their order, over the same validation samples.
    Raises SuiteError where the runs do not share their samples, or hold no class probabilities.
    """
    if len(runs) != len(members) or len(members) < 2:
        raise SuiteError(f"an ensemble needs a run for each of two or more members, got {len(runs)} runs and "
                         f"{len(members)} members")  # fmt: skip
    found = [{(sample.dataset, sample.id): sample for sample in read_samples(Path(run))} for run in runs]
    shared = sorted(set.intersection(*map(set, found)))
    usable = [key for key in shared if _truth(found[0][key].gt) and all(_shares(run[key].parsed) for run in found)]
    if not usable:
        raise SuiteError("the runs share no sample with a common label and class probabilities of every member; run "
                         "the same suite with each of them")  # fmt: skip
    probabilities = np.array([[_shares(run[key].parsed) for key in usable] for run in found])
    truth = [LABELS.index(_truth(found[0][key].gt)) for key in usable]
    weights, recall = search_weights(probabilities, truth, draws=draws, seed=seed)
    table = {label: [round(float(w), 4) for w in weights[:, place]] for place, label in enumerate(LABELS)}
    named = ", ".join(map(str, runs))
    note = f"# weights found on {len(usable)} samples of {named}; mean recall {recall:.3f}\n"
    Path(out).write_text(note + yaml.safe_dump({"members": list(members), "weights": table}, sort_keys=False))
    return recall


def _truth(gt: object) -> str | None:
    word = gt[0] if isinstance(gt, list) and gt else gt
    return nearest_common(word) if isinstance(word, str) else None


def _shares(parsed: dict) -> list[float] | None:
    given = parsed.get("distribution") or {}
    shares = [float(given.get(label, 0.0)) for label in LABELS]
    return [share / sum(shares) for share in shares] if sum(shares) > 0 else None
