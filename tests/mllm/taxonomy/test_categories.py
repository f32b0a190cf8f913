"""The closed label lists and their policy flags."""

import pytest

from cuewise.mllm.taxonomy import LABELS, flagged, policy_flag, voice_categories, voice_category


def test_the_eight_common_labels_keep_their_order():
    assert LABELS == ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")


def test_forty_categories_of_which_four_are_sensitive():
    categories = voice_categories()
    assert len(categories) == 40
    assert {name: flag for name, flag in categories.items() if flag} == {
        "Intoxication/Altered States of Consciousness": "substance",
        "Malevolence/Malice": "hostile_intent",
        "Pain": "health",
        "Sexual Lust": "sexual",
    }


@pytest.mark.parametrize("label", ["Lust", "sexual lust", " HORNY ", "drunk", "Malice", "pain", "in pain"])
def test_sensitive_words_are_flagged_in_any_spelling(label):
    assert flagged(label) and policy_flag(label)


@pytest.mark.parametrize("label", [*LABELS, "excited", "love", "ashamed", ""])
def test_ordinary_words_are_not_flagged(label):
    assert not flagged(label) and policy_flag(label) is None


def test_free_words_find_their_category():
    assert voice_category("Hopeless") == "Helplessness"
    assert voice_category("angry") == "Anger"
    assert voice_category("table") is None
