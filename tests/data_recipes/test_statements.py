"""Statements come in pairs that differ in the planned words alone; always yes is right half of the time."""

import re

import pytest

from cuewise.data_recipes.schema import Row
from cuewise.data_recipes.statements import DIMENSIONS, pair_of, statements
from cuewise.data_recipes.synthetic.config import SynthConfig
from cuewise.data_recipes.synthetic.plan import plan_clip, stream
from cuewise.data_recipes.synthetic.planned import planned_row
from cuewise.eval.metrics.choices import statements as score
from cuewise.mllm.evidence.claims import opposite, read_claim
from cuewise.mllm.report import Cue
from cuewise.mllm.taxonomy import same_core, sentiment


def crowd(row: Row, number: int) -> Row:
    """The row with votes of a crowd in which a second reading has fewer."""
    other = "angry" if row.labels[0] != "angry" else "sad"
    return row.model_copy(update={"votes": {**row.votes, "all": {row.labels[0]: 6.0, other: float(number % 6)}}})


PLANNED = [crowd(planned_row(plan_clip(seed, SynthConfig())), seed) for seed in range(120)]
ROWS = list(statements(PLANNED))
PAIRS = list(zip(ROWS[::2], ROWS[1::2]))


def test_every_dimension_is_there_in_pairs():
    assert {row.task for row in ROWS} == set(DIMENSIONS)
    for right, wrong in PAIRS:
        assert right.statement.correct and not wrong.statement.correct and right.task == wrong.task
        assert right.id.removesuffix(":right") == wrong.id.removesuffix(":wrong")


def words(text: str) -> list[str]:
    return re.findall(r"\w+|\S", text)


def test_a_negative_differs_from_its_positive_only_in_the_planned_way():
    for right, wrong in PAIRS:
        a, b = right.statement.text, wrong.statement.text
        assert a != b
        if right.task == "subjectivity":
            assert sorted(words(a)) == sorted(words(b))  # the same words, two of them exchanged
            continue
        start = next(i for i, (x, y) in enumerate(zip(words(a), words(b))) if x != y)
        end = next(i for i, (x, y) in enumerate(zip(words(a)[::-1], words(b)[::-1])) if x != y)
        middle = [words(text)[start : len(words(text)) - end] for text in (a, b)]
        if right.task == "polarity":
            assert set(map(tuple, middle)) == {("positive",), ("negative",)}
            assert middle[0][0] == sentiment(right.labels[0])
        elif right.task == "emotion":
            assert " ".join(middle[0]) in right.labels
            assert not any(same_core(" ".join(middle[1]), label) for label in right.labels)


def test_scene_statements_turn_a_known_cue_around_or_quote_what_is_not_said():
    seen = 0
    for right, wrong in PAIRS:
        if right.task != "scene":
            continue
        channel = re.match(r"In the (\w+), ", right.statement.text)
        if channel:
            a, b = (read_claim(channel[1], row.statement.text) for row in (right, wrong))
            assert b == opposite(channel[1], a)
            assert (channel[1], a) in [(c.channel, read_claim(c.channel, c.observation)) for c in right.cues]
            seen += 1
        else:
            quotes = [re.search('"(.+)"', row.statement.text)[1] for row in (right, wrong)]
            assert quotes[0].lower() in right.transcript.lower() and quotes[1] not in right.transcript.lower()
    assert seen > 20


def test_always_yes_is_right_in_half_and_its_bias_is_seen():
    gt = [{"correct": row.statement.correct, "dimension": row.task} for row in ROWS]
    found = score(gt, ["Correct"] * len(gt))
    assert found["accuracy"] == 0.5 and found["positive_ratio"] == 1.0
    assert {d: found["dimensions"][d]["accuracy"] for d in DIMENSIONS} == dict.fromkeys(DIMENSIONS, 0.5)


def test_rows_that_say_too_little_give_no_pair():
    neutral = Row(id="n", corpus="c", labels=["neutral"])
    mixed = Row(id="m", corpus="c", labels=["happy", "sad"])
    tied = Row(id="t", corpus="c", labels=["happy"], votes={"all": {"happy": 2, "sad": 2}})
    odd = Row(id="o", corpus="c", cues=[Cue(channel="voice", observation="a friendly tone of speech")])
    assert {row.id.split(":")[0]: row.task for row in statements([odd])} == {}
    assert pair_of(neutral, "polarity", stream(0, "p")) is None and pair_of(mixed, "polarity", stream(0, "p")) is None
    assert pair_of(tied, "subjectivity", stream(0, "p")) is None and pair_of(odd, "scene", stream(0, "p")) is None


def test_sentiment_of_the_corpus_goes_before_that_of_the_words():
    row = Row(id="s", corpus="c", labels=["surprised"], sentiment=-0.6)
    assert pair_of(row, "polarity", stream(0, "p")).right == ("negative",)


def test_the_same_seed_gives_the_same_statements_and_names_are_checked():
    assert list(statements(PLANNED[:9])) == list(statements(PLANNED[:9]))
    assert list(statements(PLANNED[:9], seed=3)) != list(statements(PLANNED[:9]))
    with pytest.raises(ValueError, match="unknown dimension `emotoin`; did you mean `emotion`"):
        next(statements([], dimensions=["emotoin"]))
