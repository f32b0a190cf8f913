"""The corpora registry, label names and tables."""

import pytest

from cuewise.data_recipes import corpora
from cuewise.data_recipes.corpora import COMMON_LABELS, common_label, goemotions
from cuewise.data_recipes.corpora.tables import TableError, fix_windows_1252, read_table
from cuewise.mllm import taxonomy


def test_common_labels_are_the_eight_of_the_taxonomy():
    assert taxonomy.LABELS == COMMON_LABELS
    assert len(COMMON_LABELS) == 8


@pytest.mark.parametrize(
    ("word", "label"),
    [("joy", "happy"), ("annoyance", "angry"), ("Anger", "angry"), ("happiness", "happy"), ("calm", "calm"),
     ("nervousness", "fearful"), ("grief", "sad"), ("realization", "surprised"), ("neutral", "neutral"),
     ("disgust", "disgust"), ("bored", None), ("teapot", None)],
)  # fmt: skip
def test_words_have_a_common_label_where_one_exists(word, label):
    assert common_label(word) == label


def test_every_goemotions_word_has_a_common_label():
    assert {common_label(word) for word in goemotions.LABELS} <= set(COMMON_LABELS)


def test_corpora_for_products_are_those_without_share_alike_or_non_commercial_terms():
    usable = {name for name, corpus in corpora.CORPORA.items() if corpus.product_use}
    assert usable == {"emodb", "goemotions", "london_faces"}
    assert all(corpus.licence for corpus in corpora.CORPORA.values())
    assert {name for name, corpus in corpora.CORPORA.items() if corpus.evaluation_only} == {
        "meld", "emobank", "dfew", "mafw", "ferv39k", "iemocap", "mmsa", "unibench"}  # fmt: skip


def test_unknown_corpus_names_the_nearest():
    with pytest.raises(ValueError, match="did you mean `ravdess`"):
        corpora.get("ravdes")


def test_missing_folder_says_what_to_give(tmp_path):
    with pytest.raises(TableError, match="no such folder; give the folder in which EMO-DB was unpacked"):
        next(corpora.read("emodb", tmp_path / "none"))


@pytest.mark.parametrize(
    ("broken", "fixed"),
    [("it\x92s", "it’s"), ("\x93so\x94 \x85", "“so” …"), ("itâ€™s", "it’s"), ("â€œsoâ€\x9d", "“so”"), ("cafÃ©", "café"),
     ("naïve – fine", "naïve – fine"), ("Âge", "Âge")],
)  # fmt: skip
def test_windows_1252_accidents_are_repaired_and_good_text_is_left_alone(broken, fixed):
    assert fix_windows_1252(broken) == fixed


def test_table_errors_name_file_line_and_column(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('a,b\n1,"x\ny"\n2\n', encoding="utf-8")
    lines = read_table(path, ("a", "b"))
    first = next(lines)
    assert first == {"a": "1", "b": "x\ny"}
    assert first.number == 2
    with pytest.raises(TableError, match=r"t\.csv, line 4: 1 fields where the header has 2"):
        next(lines)
    with pytest.raises(
        TableError, match=r"column `bee` is missing; did you mean `b`\?|column `bee` is missing; known: a, b"
    ):
        next(read_table(path, ("bee",)))
    with pytest.raises(TableError, match=r"line 2, column `b`: 'x\\ny' is no number"):
        first.number_in("b", 0, 1)


def test_bytes_that_are_not_utf8_are_read_as_windows_1252_line_by_line(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("a\nit’s\n".encode() + b"it\x92s\n")
    assert [line["a"] for line in read_table(path, ("a",))] == ["it’s", "it’s"]
