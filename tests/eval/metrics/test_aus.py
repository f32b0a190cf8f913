"""Action units: parsing, F1, reward vectors."""

import pytest

from cuewise.eval.metrics.aus import au_f1, au_reward, read_aus


@pytest.mark.parametrize(
    ("gt", "pred", "reward"),
    [({6, 12, 25}, {6, 12}, 0.6), ({6, 12}, {4}, -1), ({6, 12}, {6, 12}, 1), (set(), {4}, 0), ({6}, set(), -1)],
)
def test_reward_vectors(gt, pred, reward):
    assert au_reward(gt, pred) == pytest.approx(reward)


def test_macro_leaves_units_without_truth_out_and_micro_counts_them():
    result = au_f1([[6, 12], [12]], [[12], [12, 4]])
    assert result["f1_per_unit"] == {"AU6": 0, "AU12": 1}
    assert result["f1_macro"] == 0.5 and result["f1_micro"] == pytest.approx(4 / 6)


def test_units_are_read_from_text_and_names():
    assert read_aus("AU 6, au12 and AU04; AU123 is none") == {4, 6, 12}
    assert au_f1([["AU12"]], ["lip corners up (AU12)"])["f1_micro"] == 1
