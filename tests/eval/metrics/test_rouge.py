"""ROUGE by hand."""

import pytest

from cuewise.eval.metrics.base import MetricInputError
from cuewise.eval.metrics.rouge import longest_common, rouge, rouge_stemmed, tokens


def test_longest_common_subsequence():
    assert longest_common("abcbdab", "bdcaba") == 4
    assert longest_common("", "abc") == 0


def test_scores_by_hand():
    result = rouge(["The lip corners rise."], ["the lips rise, corners rise"])
    # shared words: the, rise, corners = 3 of 4 and of 5; shared pairs: corners rise = 1 of 3 and of 4
    assert result["rouge1"] == pytest.approx(2 * 3 / 9) and result["rouge2"] == pytest.approx(2 / 7)
    assert result["rougeL"] == pytest.approx(2 * 3 / 9)


def test_identical_text_scores_1_and_empty_answers_0():
    assert rouge(["a b c"], ["A b, c!"])["rougeL"] == 1
    assert rouge(["a b c"], [""])["rouge1"] == 0


def test_stemmer_applies_to_long_words_only():
    assert tokens("Smiles was seen", lambda word: word[:4]) == ["smil", "was", "seen"]
    assert rouge(["smiling"], ["smiles"], lambda word: word[:4])["rougeL"] == 1


def test_published_stems_bring_word_forms_together_and_leave_the_default_alone():
    pytest.importorskip("rouge_score", reason="comes with the eval extra")
    gt, pred = ["She is smiling happily."], ["She smiled, happy"]
    assert rouge_stemmed(gt, pred)["rouge1"] == pytest.approx(2 * 2 / 7)  # she and smile; happili is not happi
    assert rouge(gt, pred)["rouge1"] == pytest.approx(2 * 1 / 7)
    plain = ["the lip corners rise", "a b c"]
    assert rouge_stemmed(plain, plain[::-1])["rougeL"] == rouge(plain, plain[::-1])["rougeL"] == 0
    with pytest.raises(MetricInputError, match="must be text"):
        rouge_stemmed(["a"], [None])


def test_without_the_library_the_message_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "rouge_score", None)
    monkeypatch.setitem(sys.modules, "rouge_score.rouge_scorer", None)
    with pytest.raises(MetricInputError, match=r"install cuewise\[eval\]"):
        rouge_stemmed(["a"], ["a"])
