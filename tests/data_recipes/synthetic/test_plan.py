"""What is decided about a synthetic clip before it is drawn: splits, shares, cue times, the rule of the final label."""

from collections import Counter

import numpy as np
import pytest

from cuewise.data_recipes.corpora import COMMON_LABELS
from cuewise.data_recipes.synthetic.config import SynthConfig
from cuewise.data_recipes.synthetic.conflict import Carried, conflicting, final, reasoning
from cuewise.data_recipes.synthetic.emotions import emotion_table, spurious_cues, supported_labels
from cuewise.data_recipes.synthetic.plan import ENTANGLED, plan_clip, split_of_seed
from cuewise.data_recipes.synthetic.script import bank, pick, sentences, syllables
from cuewise.mllm.evidence.claims import read_claim
from cuewise.mllm.taxonomy import nearest_common

PLANS = [plan_clip(seed, SynthConfig()) for seed in range(1500)]


def test_a_seed_always_gives_the_same_plan():
    assert plan_clip(17, SynthConfig()) == PLANS[17]
    assert plan_clip(18, SynthConfig()) != PLANS[17]


@pytest.mark.parametrize(("seed", "split"), [(0, "train"), (999_999, "train"), (1_000_000, "dev"), (2_000_000, "test")])
def test_the_seed_gives_the_split(seed, split):
    assert split_of_seed(seed) == split


def test_seeds_outside_the_ranges_are_refused():
    with pytest.raises(ValueError, match="a clip seed lies in 0 to 2999999, got -1"):
        split_of_seed(-1)
    with pytest.raises(ValueError, match="3000000"):
        plan_clip(3_000_000, SynthConfig())


def test_nobody_and_no_sentence_stands_in_two_splits():
    speakers, texts = {}, {}
    for first in (0, 1_000_000, 2_000_000):
        for seed in range(first, first + 400):
            plan = plan_clip(seed, SynthConfig())
            speakers.setdefault(plan.speaker, set()).add(plan.split)
            for sentence in plan.script:
                texts.setdefault(sentence.text, set()).add(plan.split)
    assert all(len(splits) == 1 for splits in (*speakers.values(), *texts.values()))


def test_shares_of_labels_conflicts_and_channels():
    several = [plan for plan in PLANS if len(plan.present) > 1]
    conflicts = sum(bool(conflicting(plan.carried)) for plan in several) / len(several)
    assert conflicts == pytest.approx(0.25, abs=0.04)
    labels = Counter(final(plan.carried).label for plan in PLANS)
    assert set(labels) == set(COMMON_LABELS) and min(labels.values()) > 0.08 * len(PLANS)
    assert sum(len(plan.present) < 3 for plan in PLANS) / len(PLANS) == pytest.approx(0.3, abs=0.04)


def test_without_conflict_share_nothing_disagrees():
    plans = [plan_clip(seed, SynthConfig(conflict_share=0.0, absent_share=0.0)) for seed in range(300)]
    assert not any(conflicting(plan.carried) for plan in plans)
    always = [plan_clip(seed, SynthConfig(conflict_share=0.85, absent_share=0.0)) for seed in range(300)]
    assert sum(bool(conflicting(plan.carried)) for plan in always) > 0.75 * len(always)


def test_cue_times_lie_in_the_clip_and_are_long_enough_to_be_measured():
    for plan in PLANS:
        assert 4.0 <= plan.duration_s <= 6.0
        for cue in plan.cues:
            assert 0 <= cue.start < cue.end <= plan.duration_s + 1e-9
            length = cue.end - cue.start
            if cue.whole:
                assert length == plan.duration_s and cue.cue().start is None
            elif cue.kind.channel == "face":
                step = plan.duration_s / 16
                assert length >= 1.1 - 1e-6 and length / step >= 3.4 and (plan.duration_s - length) / step >= 8
            else:
                assert 0.8 <= length <= 1.7 and cue.start >= 0.1


def test_a_channel_has_one_to_three_cues_of_the_emotion_it_carries():
    for plan in PLANS:
        for one in plan.carried:
            cues = [cue for cue in plan.cues if cue.kind.channel == one.channel]
            if one.channel == "words":
                assert cues == [] and (one.strength == 0) == (one.label == "neutral")
                continue
            assert 1 <= len(cues) <= 3
            for cue in cues:
                assert one.label in supported_labels(one.channel, cue.kind.attribute, cue.kind.direction)
                assert cue.degree in cue.kind.degrees
            attributes = [cue.kind.attribute for cue in cues]
            assert len(set(attributes)) == len(attributes)
            if one.channel == "voice":
                assert all(len(family & set(attributes)) < 2 for family in ENTANGLED)


def test_meaningless_actions_speak_for_none_of_the_emotions_and_are_no_cues():
    spurious = [plan for plan in PLANS if plan.spurious]
    assert len(spurious) > 0.1 * len(PLANS)
    for plan in spurious:
        kind = plan.spurious.kind
        assert not {one.label for one in plan.carried} & set(
            supported_labels(kind.channel, kind.attribute, kind.direction)
        )
        assert plan.spurious not in plan.cues and plan.spurious in plan.shown(kind.channel)


def test_every_planned_cue_is_read_back_as_its_claim():
    for plan in PLANS[:300]:
        for planned in plan.cues:
            cue = planned.cue()
            assert read_claim(cue.channel, cue.observation) == cue.claim


def one(channel: str, label: str, strength: int) -> Carried:
    return Carried(channel, label, strength)


@pytest.mark.parametrize(
    ("carried", "winner"),
    [
        ([one("face", "happy", 1), one("voice", "sad", 3)], "voice"),
        ([one("face", "happy", 2), one("voice", "sad", 2)], "face"),
        ([one("voice", "sad", 2), one("words", "happy", 2)], "voice"),
        ([one("face", "happy", 1), one("voice", "happy", 1), one("words", "sad", 2)], "words"),
        ([one("face", "neutral", 0), one("words", "sad", 2)], "words"),
        ([one("face", "neutral", 0), one("voice", "neutral", 0)], "face"),
    ],
)
def test_the_strongest_channel_names_the_emotion_then_face_voice_words(carried, winner):
    assert final(carried).channel == winner


def test_conflict_is_disagreement_at_level_one():
    assert conflicting([one("face", "happy", 2), one("voice", "sad", 1)])
    assert not conflicting([one("face", "happy", 2), one("voice", "calm", 1)])
    assert not conflicting([one("face", "happy", 2), one("words", "neutral", 0)])


def test_reasoning_is_short_varied_and_ends_with_the_label():
    texts = set()
    for plan in PLANS:
        winner = final(plan.carried)
        text = reasoning(np.random.default_rng(plan.seed), plan.carried, winner)
        assert text.rstrip(".").split()[-1].strip(",") == winner.label, text
        assert len(text) < 160 and "\n" not in text and text[0].isupper()
        for first, second in conflicting(plan.carried):
            assert first.label in text and second.label in text
        texts.add(text)
    assert len(texts) > 150


def test_the_emotion_table_covers_the_labels_and_says_what_a_cue_supports():
    table = emotion_table()
    assert tuple(table) == COMMON_LABELS
    assert supported_labels("face", "lip corners", "up") == ["calm", "happy"]
    assert supported_labels("voice", "loudness", "higher") == ["happy", "angry"]
    assert supported_labels("voice", "tremor", "falling") == []
    for label, entry in table.items():
        for words in entry.related:
            assert words and all(nearest_common(word) == label for word in words), (label, words)
    assert spurious_cues("face") and spurious_cues("voice")


def test_the_bank_has_hundreds_of_sentences_with_marked_phrases():
    assert len(bank()) >= 300
    for sentence in bank():
        assert "{" not in sentence.text and (sentence.phrase is None) == (sentence.label == "neutral")
        assert sentence.phrase is None or sentence.phrase in sentence.text
        assert 4 <= syllables(sentence.text, sentence.language) <= 18
    assert len({sentence.text for sentence in bank()}) == len(bank())
    for split in ("train", "dev", "test"):
        for label in COMMON_LABELS:
            assert sentences(split, "en", label), (split, label)


def test_picked_sentences_carry_the_wanted_emotion_once():
    rng = np.random.default_rng(0)
    for _ in range(50):
        chosen = pick(rng, "test", "de", "sad", 2)
        assert sorted(sentence.label for sentence in chosen) == ["neutral", "sad"]
        assert {sentence.split for sentence in chosen} == {"test"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"min_seconds": 5.0, "max_seconds": 4.0}, "in order; got 5.0 and 4.0"),
        ({"size": 255}, "even number from 96, got 255"),
        ({"labels": ["hapy"]}, "unknown emotion 'hapy'; did you mean `happy`"),
        ({"conflict_share": 2.0}, "conflict_share"),
        ({"fps": 2.0}, "synth.fps must lie in 8 to 60"),
    ],
)
def test_wrong_options_say_what_is_wrong(values, message):
    with pytest.raises(ValueError, match=message):
        SynthConfig(**values)
