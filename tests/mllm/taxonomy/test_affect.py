"""Valence, arousal, angle, sentiment, nearest label and agreement of emotion words."""

from itertools import combinations

import pytest
from shared_data import shared_dir

from cuewise.mllm.taxonomy import (
    LABELS,
    circumplex_angle,
    circumplex_similarity,
    nearest_common,
    same_core,
    sentiment,
    valence_arousal,
    voice_categories,
    wheel_table,
)
from cuewise.mllm.taxonomy.wheels import data_lines


def test_every_table_row_is_well_formed_and_every_wheel_word_has_one():
    rows = [line.split("|") for line in data_lines("affect.txt")]
    words = [row[0] for row in rows]
    assert words == sorted(set(words))
    for _, valence, arousal, common in rows:
        assert -1 <= float(valence) <= 1 and -1 <= float(arousal) <= 1
        assert common in (*LABELS, "-")
    wheel_words = {word for lookup in wheel_table().lookups.values() for word in lookup}
    assert wheel_words <= set(words)


def test_common_labels_are_their_own_nearest_and_lie_in_their_quadrant():
    assert [nearest_common(label) for label in LABELS] == list(LABELS)
    assert [sentiment(label) for label in LABELS] == [
        "neutral", "positive", "positive", "negative", "negative", "negative", "negative", "neutral",
    ]  # fmt: skip
    assert valence_arousal("angry")[1] > 0 > valence_arousal("sad")[1]


@pytest.mark.parametrize(
    ("word", "label"),
    [("furious", "angry"), ("JOY", "happy"), ("Surprise ", "surprised"), ("sadness", "sad"), ("fear", "fearful"),
     ("worried", "fearful"), ("neutral", "neutral"), ("contempt", "disgust"), ("table", None), ("", None)],
)  # fmt: skip
def test_nearest_common_label(word, label):
    assert nearest_common(word) == label


def test_every_voice_category_has_a_place():
    assert [name for name in voice_categories() if valence_arousal(name) is None] == []


def test_unknown_words_have_no_value():
    assert valence_arousal("table") is None
    assert sentiment("table") is None
    assert circumplex_angle("table") is None
    assert circumplex_similarity("table", "joy", 6) is None


def test_circumplex_similarities_of_the_published_angles():
    assert circumplex_similarity("fear", "anger", 6) == pytest.approx(0.3090, abs=5e-5)
    assert circumplex_similarity("joy", "excitement", 6) == pytest.approx(0.8090, abs=5e-5)
    assert circumplex_similarity("sadness", "frustration", 6) == pytest.approx(0.3090, abs=5e-5)
    assert circumplex_similarity("joy", "sadness", 6) == 0
    assert circumplex_similarity("joy", "neutral", 7) == pytest.approx(1 / 7)


def test_angles_without_a_published_value_come_from_valence_and_arousal():
    assert circumplex_angle("neutral") is None
    assert 90 < circumplex_angle("terrified") < 180
    assert 0 < circumplex_angle("thrilled") < 90


def test_only_calm_agrees_with_another_common_label():
    assert [pair for pair in combinations(LABELS, 2) if same_core(*pair)] == [("neutral", "calm"), ("calm", "happy")]


def test_agreement_is_symmetric_and_knows_synonyms():
    assert same_core("furious", "anger") and same_core("anger", "furious")
    assert same_core("terrified", "fearful") and same_core("joy", "happy")
    assert not same_core("happy", "sad") and not same_core("table", "happy")
    assert same_core("Table", "table ")


def test_valence_agrees_with_a_lexicon_of_human_ratings():
    """Editorial values against ten raters per word; the lexicon is optional development data."""
    lexicon = shared_dir("data", "vader_lexicon", "vader_lexicon.txt").read_text(encoding="utf-8")
    ratings = dict(line.split("\t")[:2] for line in lexicon.splitlines() if line)
    words = [line.split("|")[0] for line in data_lines("affect.txt")]
    pairs = [(valence_arousal(w)[0], float(ratings[w])) for w in words if w in ratings]
    assert len(pairs) > 200
    agree = sum((ours > 0) == (theirs > 0) for ours, theirs in pairs if ours and theirs)
    assert agree / len(pairs) > 0.95
