"""Does a retriever obey an instruction that names a modality, or does it return what looks like the query? (MMEB-V3)"""

from collections.abc import Sequence
from typing import Any

from .base import MetricInputError, check_pair, mean


def modality_obedience(gt: Sequence[dict[str, str]], pred: Sequence[str]) -> dict[str, Any]:
    """Modalities that were returned against those asked for.

    Args:
        gt: per query ``{"asked": modality, "query": modality of the query itself}``.
        pred: modality of the first thing that was retrieved.

    `obeyed` is the share that has the asked modality. `query_bias`, over queries that ask for another modality than
    their own, is the share returned in the query's modality: 0 for who obeys, 1 for who returns more of the same.
    """
    check_pair(gt, pred)
    for index, row in enumerate(gt):
        if not isinstance(row, dict) or not all(isinstance(row.get(key), str) for key in ("asked", "query")):
            raise MetricInputError(f"`gt`[{index}] must be {{asked, query}}, got {row!r:.80}")
    across = [(row, found) for row, found in zip(gt, pred) if row["asked"] != row["query"]]
    asked = sorted({row["asked"] for row in gt})
    return {
        "n": len(gt), "n_across": len(across),
        "obeyed": mean(float(found == row["asked"]) for row, found in zip(gt, pred)),
        "query_bias": mean(float(found == row["query"]) for row, found in across),
        "by_modality": {name: mean(float(found == name) for row, found in zip(gt, pred) if row["asked"] == name)
                        for name in asked},
    }  # fmt: skip
