"""Every conformance vector of the published metrics and of the answer format."""

import pytest
from conformance import assert_same, vectors

from cuewise.eval.metrics.base import plain
from cuewise.eval.metrics.registry import metric

CASES = vectors("mer_unibench.jsonl") + vectors("answer_format.jsonl")


def test_no_vector_is_lost():
    assert len(vectors("mer_unibench.jsonl")) == 310
    assert len({case["id"] for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_vector(case):
    result = metric(case["metric"]).compute(case["gt"], case["pred"])
    assert_same(plain(result), case["expected"])
