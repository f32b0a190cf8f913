"""A lexicon file: its forms, its range, words by their base form, and faults that name the line."""

import pytest

from cuewise.mllm.taxonomy.lexicon import LexiconError, base_forms, lexicon_at, read_lexicon


def write(folder, text: str):
    path = folder / "lexicon.tsv"
    path.write_text(text)
    return path


def test_values_are_brought_to_one_range(tmp_path):
    unit = read_lexicon(write(tmp_path, "word\tvalence\tarousal\tdominance\njoy\t1.0\t0.5\t0.0\n\nsad;0.1;0.2;0.3\n"))
    assert unit.places == {"joy": (1.0, 0.0, -1.0), "sad": pytest.approx((-0.8, -0.6, -0.4))}
    signed = read_lexicon(write(tmp_path, "joy,0.9,0.5,0.1\nsad,-0.8,-0.2,0\n"))
    assert signed.places["joy"] == (0.9, 0.5, 0.1)


def test_words_are_found_by_their_base_form_and_place_in_the_text(tmp_path):
    lexicon = read_lexicon(write(tmp_path, "cry\t0\t0.5\t0.5\nsmile\t1\t0.5\t0.5\nstop\t0.5\t1\t0.5\n"))
    spans = lexicon.spans("She cries, then: Smiling! table stopped")
    assert [(begin, end) for begin, end, _ in spans] == [(4, 9), (17, 24), (32, 39)]
    assert spans[0][2][0] == -1.0 and spans[1][2][0] == 1.0
    assert "hop" in base_forms("hopped") and base_forms("sad") == ["sad"]


@pytest.mark.parametrize(
    ("text", "message"),
    [("joy\t1\t0\t0\nsad\tlow\t0\t0", "line 2: needs a word and three numbers"),
     ("joy\t1\t0\t7", "line 1: values lie in"), ("word,valence,arousal,dominance\n", "holds no word")],
)  # fmt: skip
def test_a_broken_file_names_its_line(tmp_path, text, message):
    with pytest.raises(LexiconError, match=message):
        read_lexicon(write(tmp_path, text))


def test_an_absent_file_is_no_lexicon_and_said_once(tmp_path, caplog):
    lexicon_at.cache_clear()
    assert lexicon_at(None) is None
    gone = str(tmp_path / "gone.tsv")
    assert lexicon_at(gone) is None and lexicon_at(gone) is None
    assert len(caplog.records) == 1 and "there is no lexicon" in caplog.text
