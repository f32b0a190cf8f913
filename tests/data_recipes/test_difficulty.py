"""Difficulty of dialogues by the published vectors, and buckets that rise."""

from itertools import pairwise

import pytest

from cuewise.data_recipes.difficulty import Turn, bucket_schedule, buckets, dialogue_difficulty, difficulties
from cuewise.data_recipes.difficulty import weighted_shift as shift
from cuewise.data_recipes.schema import Dialogue, Row
from cuewise.mllm.taxonomy import circumplex_similarity


@pytest.mark.parametrize(
    ("a", "b", "similarity"),
    [("fear", "anger", 0.3090), ("joy", "excitement", 0.8090), ("sadness", "frustration", 0.3090),
     ("joy", "anger", 0.0), ("neutral", "anger", 1 / 7)],
)  # fmt: skip
def test_similarity_on_the_circumplex(a, b, similarity):
    assert circumplex_similarity(a, b, 7) == pytest.approx(similarity, abs=1e-4)
    assert shift(a, b, 7) == pytest.approx(similarity + 0.4, abs=1e-4)


def dialogue(*turns: str) -> list[Turn]:
    return [Turn(*turn.split(":")) for turn in turns]


def test_the_published_dialogue():
    turns = dialogue("A:joy", "B:anger", "A:anger", "B:anger")
    assert dialogue_difficulty(turns, 7) == pytest.approx(0.4667, abs=1e-4)
    # Two more neighbours of different speakers share the emotion anger (similarity 1).
    assert dialogue_difficulty(turns, 7, only_changes=False) == pytest.approx((0.4 + 0.4 + 2 * 1.4 + 2) / 6)


def test_similar_shifts_are_harder_and_none_is_easiest():
    calm = dialogue_difficulty(dialogue("A:joy", "A:joy", "A:joy"), 7)
    far = dialogue_difficulty(dialogue("A:joy", "A:sadness", "A:sadness"), 7)
    near = dialogue_difficulty(dialogue("A:joy", "A:excitement", "A:excitement"), 7)
    assert calm < far < near


def test_rows_are_ordered_by_turn_and_keyed_by_speaker():
    said = [("A", "joy"), ("B", "anger"), ("A", "anger"), ("B", "anger")]
    rows = [Row(id=str(i), corpus="c", speaker=who, labels=[what], dialogue=Dialogue(id="d", turn=i))
            for i, (who, what) in enumerate(said)]  # fmt: skip
    assert difficulties(reversed(rows), 7) == {"d": pytest.approx(0.4667, abs=1e-4)}
    assert difficulties([Row(id="x", corpus="c", labels=["joy"])], 7) == {}


def test_buckets_partition_the_data_in_order():
    scored = [(name, (i * 37) % 11 / 10) for i, name in enumerate("abcdefghijk")]
    value = dict(scored)
    parts = buckets(scored, 3)
    assert [len(part) for part in parts] == [3, 3, 5]
    assert sorted(x for part in parts for x in part) == list("abcdefghijk")
    for low, high in pairwise(parts):
        assert max(value[x] for x in low) <= min(value[x] for x in high)


def test_the_schedule_adds_one_bucket_an_epoch_and_then_takes_all():
    scored = [(i, i / 10) for i in range(10)]
    epochs = bucket_schedule(scored, count=2, epochs=4)
    assert sorted(epochs[0]) == [0, 1, 2, 3, 4] and [len(e) for e in epochs] == [5, 10, 10, 10]
    assert epochs[1] != epochs[2] and sorted(epochs[3]) == list(range(10))


def test_what_cannot_be_ordered_is_refused():
    with pytest.raises(ValueError, match="3 items cannot be put into 4 buckets"):
        buckets([("a", 1), ("b", 2), ("c", 3)], 4)
    with pytest.raises(ValueError, match="no place on the circumplex"):
        shift("joy", "teapot", 7)
