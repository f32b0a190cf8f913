"""ROUGE by hand."""

import pytest

from cuewise.eval.metrics.rouge import longest_common, rouge, tokens


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
