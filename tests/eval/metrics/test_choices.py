"""Letters, yes/no and Correct/Incorrect."""

import pytest

from cuewise.eval.metrics.base import MetricInputError
from cuewise.eval.metrics.choices import emorealm, read_judgment, read_letter, read_yes_no, statements


@pytest.mark.parametrize(
    ("text", "letter"),
    [("B", "B"), ("b.", "B"), ("(C)", "C"), ("C) the raised voice", "C"), ("The answer is D.", "D"),
     ("Answer: A", "A"), ("**B**", "B"), ("I choose option C because the voice shakes", "C"),
     ("<answer>d</answer>", "D"), ("B: the smile", "B"), ("A calm face is shown", None), ("I don't know", None),
     ("", None), ("E", None)],
)  # fmt: skip
def test_letters_are_found_in_many_styles(text, letter):
    assert read_letter(text) == letter


def test_yes_no_and_judgments():
    assert [read_yes_no(t) for t in ("Yes.", "no, it is not", "<answer>No</answer> yes", "maybe", "notable")] == [
        "yes", "no", "no", None, None,
    ]  # fmt: skip
    assert [read_judgment(t) for t in ("Correct.", "INCORRECT", "It is not correct", "who knows")] == [
        True, False, False, None,
    ]  # fmt: skip


def yes_no(*answers):
    return [{"task": "stress", "answer": answer} for answer in answers]


def test_always_yes_scores_0_and_shows_its_bias():
    task = emorealm(yes_no("yes", "yes", "no", "no"), ["Yes"] * 4)["tasks"]["stress"]
    assert (task["accuracy"], task["acc_yes"], task["acc_no"], task["balanced_hm"], task["yes_rate"]) == (
        0.5,
        1,
        0,
        0,
        1,
    )


def test_average_is_over_tasks_and_unreadable_is_wrong():
    gt = [{"task": "basic", "answer": "A", "kind": "true"}, *yes_no("yes", "no", "no")]
    result = emorealm(gt, ["(A)", "yes", "no", "hm"])
    assert result["average"] == pytest.approx((1 + 2 / 3) / 2)
    assert result["tasks"]["stress"]["unreadable_rate"] == pytest.approx(1 / 3)
    assert result["tasks"]["basic"]["kinds"] == {"true": 1} and "acc_yes" not in result["tasks"]["basic"]


def test_statements_count_yes_bias_and_giving_up():
    gt = [{"correct": True, "dimension": "polarity"}, {"correct": False, "dimension": "polarity"},
          {"correct": False, "dimension": "scene"}]  # fmt: skip
    result = statements(gt, ["Correct", "Correct", "I cannot say"])
    assert result["accuracy"] == pytest.approx(1 / 3) and result["positive_ratio"] == pytest.approx(2 / 3)
    assert result["give_up_ratio"] == pytest.approx(1 / 3) and result["gt_positive_ratio"] == pytest.approx(1 / 3)
    assert result["dimensions"]["polarity"] == {"n": 2, "accuracy": 0.5}


def test_wrong_rows_are_named():
    with pytest.raises(MetricInputError, match=r"`gt`\[0\] must be"):
        emorealm([{"task": "x"}], ["A"])
    with pytest.raises(MetricInputError, match=r"`gt`\[0\] must be"):
        statements([{"correct": "yes"}], ["Correct"])
