"""A planted index: who obeys the instruction returns the asked modality, who does not returns more of the query's."""

import numpy as np
import pytest

from cuewise.eval.metrics.base import MetricInputError
from cuewise.eval.metrics.modality import modality_obedience

MODALITIES = ("video", "audio", "text")


def planted() -> tuple[list[dict], np.ndarray, list[str], np.ndarray]:
    """Queries with the modality they ask for, and an index: meaning in four dimensions, modality in three."""
    meaning = np.eye(4)
    index = [np.concatenate([m, 2 * np.eye(3)[k]]) for m in meaning for k in range(3)]
    queries, wanted = [], []
    for i in range(4):
        for own in range(3):
            for asked in range(3):
                queries.append(np.concatenate([meaning[i], 2 * np.eye(3)[asked], 3 * np.eye(3)[own]]))
                wanted.append({"asked": MODALITIES[asked], "query": MODALITIES[own]})
    return wanted, np.stack(index), [MODALITIES[k] for _ in meaning for k in range(3)], np.stack(queries)


@pytest.mark.parametrize(("reads", "obeyed", "bias"), [("instruction", 1.0, 0.0), ("query", 1 / 3, 1.0)])
def test_the_right_modality_is_retrieved_by_who_reads_the_instruction(reads, obeyed, bias):
    wanted, index, kinds, queries = planted()
    part = queries[:, 4:7] if reads == "instruction" else queries[:, 7:] * 2 / 3
    found = (np.concatenate([queries[:, :4], part], 1) @ index.T).argmax(1)
    result = modality_obedience(wanted, [kinds[i] for i in found])
    assert result["obeyed"] == pytest.approx(obeyed) and result["query_bias"] == pytest.approx(bias)
    assert result["n"] == 36 and result["n_across"] == 24 and set(result["by_modality"]) == set(MODALITIES)


def test_the_bias_is_exact_on_four_queries():
    gt = [{"asked": "audio", "query": "text"}] * 3 + [{"asked": "text", "query": "text"}]
    result = modality_obedience(gt, ["text", "audio", "video", "text"])
    assert (result["obeyed"], result["query_bias"]) == (0.5, pytest.approx(1 / 3))
    assert result["by_modality"] == {"audio": pytest.approx(1 / 3), "text": 1.0}
    with pytest.raises(MetricInputError, match=r"must be \{asked, query\}"):
        modality_obedience([{"asked": "audio"}], ["text"])
