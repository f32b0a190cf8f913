"""What is read out of a reply: our format, lists, free text, and the class a word names."""

import pytest

from cuewise.eval.reading import answered_class, class_of, exact_class, free_labels, read_answer
from cuewise.eval.suites.suite import Dataset, Source

MELD = Dataset(
    source=Source(rows="rows.jsonl"), truth="label", metrics=["uar"],
    classes={"neutral": [], "surprise": ["surprised"], "fear": ["fearful"], "sadness": ["sad"], "joy": ["happy"],
             "disgust": ["disgusted"], "anger": ["angry"]},
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "labels", "read_by"),
    [
        ("<answer>happy, proud</answer>", ["happy", "proud"], "tags"),
        ("[happy, 'Proud']", ["happy", "proud"], "list"),
        ("Output: anger.", ["anger"], "list"),
        ("The speaker seems furious; he is not sad, and never happy.", ["furious"], "words"),
        ("Her emotional state is hard to tell from a frame like this one.", [], "unread"),
        ("他很高兴，因为他赢了比赛，他笑着跑向他的朋友们并且和他们拥抱在一起。" * 5, [], "unread"),
        ("", [], "unread"),
        ("<answer></answer> happy", [], "unread"),
    ],
)
def test_labels_and_how_they_were_found(text, labels, read_by):
    answer = read_answer(text)
    assert (answer.labels, answer.read_by) == (labels, read_by)


def test_our_tags_are_never_searched_for_words_again():
    answer = read_answer("<think>\n[voice] pitch clearly lower => sad\n</think>\n<answer></answer>")
    assert answer.labels == [] and answer.problems == ["empty_answer"] and not answer.well_formed


def test_the_stored_report_brings_confidence_and_checked_cues():
    report = {"duration": 2.0, "confidence": 0.4, "distribution": {"happy": 1.0}, "valence": 0.5, "arousal": None,
              "cues": [{"channel": "voice", "observation": "pitch clearly higher",
                        "check": {"verdict": "supported"}}]}  # fmt: skip
    answer = read_answer("<answer>happy</answer><confidence>0.9</confidence>", report)
    assert (answer.confidence, answer.valence, answer.arousal) == (0.4, 0.5, None)
    assert answer.cues[0].check.verdict == "supported" and answer.well_formed


@pytest.mark.parametrize(
    ("word", "name"),
    [("joy", "joy"), ("Happy", "joy"), ("happiness", "joy"), ("furious", "anger"), ("calm", "neutral"),
     ("afraid", "fear"), ("table", None), ("", None)],
)  # fmt: skip
def test_a_word_names_the_class_it_is_nearest_to(word, name):
    assert class_of(word, MELD) == name


def test_a_truth_is_never_guessed():
    assert exact_class("fearful", MELD) == "fear" and exact_class("furious", MELD) is None


def test_only_the_first_label_is_the_answer_to_a_closed_question():
    assert answered_class(read_answer("<answer>table, happy</answer>"), MELD) is None
    assert answered_class(read_answer("<answer>sad, happy</answer>"), MELD) == "sadness"


def test_free_text_is_bounded():
    labels, _ = free_labels("happy sad angry " * 2000)
    assert labels == ["happy", "sad", "angry"]
