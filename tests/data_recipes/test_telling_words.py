"""Telling words: the planted ones are found, common ones are not, and cues quote the text."""

from cuewise.data_recipes.schema import Row
from cuewise.data_recipes.telling_words import add_word_cues, telling_words


def rows() -> list[Row]:
    texts = {
        "sadness": "the rain and the grief came", "joy": "the rain and a wonderful day", "neutral": "the rain fell",
    }  # fmt: skip
    return [Row(id=f"{label}{i}", corpus="t", labels=[label], transcript=f"{text} {i}")
            for label, text in texts.items() for i in range(40)]  # fmt: skip


def test_planted_words_tell_their_label_and_shared_words_tell_nothing():
    found = telling_words(rows())
    assert "grief" in found["sad"] and "wonderful" in found["happy"]
    assert not {"the", "rain"} & (found["sad"].keys() | found["happy"].keys())
    assert "neutral" not in found


def test_cues_quote_a_word_of_the_text_and_support_its_labels():
    done = {row.id: row for row in add_word_cues(rows())}
    cue = done["joy3"].cues[0]
    assert cue.observation.strip('"') in done["joy3"].transcript and cue.supports == ["joy"]
    assert done["neutral3"].cues == []
