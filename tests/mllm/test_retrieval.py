"""Parts of long texts: whole, ended by sentences, and the one that speaks of the question is found."""

import pytest
from long_texts import EVIDENCE, long_text

from cuewise.mllm.retrieval import TextIndex, chunks, nearest_chunks, relevant


@pytest.mark.parametrize("words", [10, 25, 60])
def test_parts_lose_no_word_and_end_with_sentences(words):
    parts = chunks(long_text(), words)
    assert " ".join(parts).split() == long_text().split()
    assert all(len(part.split()) <= words for part in parts)
    if words >= 25:
        assert all(part.endswith(".") for part in parts)
    assert chunks("one two three four five", 2) == ["one two", "three four", "five"] and chunks("", 5) == []


@pytest.mark.parametrize("place", [0, 7, 39])
def test_the_planted_passage_is_found_wherever_it_stands(place):
    parts = chunks(long_text(place), 30)
    nearest = nearest_chunks(parts, "Why did Mira cry about her brother's letter?", 2)
    assert EVIDENCE in parts[nearest[0]]
    assert EVIDENCE in relevant(long_text(place), "Mira and the letter", 400)


def test_a_query_that_shares_no_word_gives_the_first_parts_and_short_texts_stay():
    parts = chunks(long_text(), 30)
    assert nearest_chunks(parts, "Zug", 3) == [0, 1, 2] and nearest_chunks(parts[:1], "x", 5) == [0]
    assert relevant(EVIDENCE, "anything", 500) == EVIDENCE
    assert len(relevant(long_text(), "Mira", 300)) <= 300
    assert TextIndex([]).ranked("x") == []
    with pytest.raises(ValueError, match="words >= 1"):
        chunks("x", 0)
