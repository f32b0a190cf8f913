"""Retrieved demonstrations are near, and never the query or its dialogue."""

import pytest

from cuewise.data_recipes.retrieval import Demonstrations, demonstrations_text
from cuewise.data_recipes.schema import Dialogue, Row


def row(name: str, text: str, dialogue: str | None = None, label: str = "happy") -> Row:
    place = Dialogue(id=dialogue, turn=0) if dialogue else None
    return Row(id=name, corpus="c", transcript=text, labels=[label], dialogue=place)


ROWS = [
    row("a", "What a lovely surprise party", "d1"), row("b", "The party was a surprise to me", "d2", "surprised"),
    row("c", "I lost my keys again", "d3", "angry"), row("d", "What a lovely party", "d1"),
    row("e", "what a LOVELY surprise party", "d4"), row("f", "My keys are gone", "d3", "sad"),
]  # fmt: skip


def test_the_nearest_share_the_rare_words():
    found = Demonstrations(ROWS).nearest(row("q", "Where are my keys?", label="sad"), count=2)
    assert [one.id for one in found] == ["f", "c"]
    assert demonstrations_text(found[:1]) == '"My keys are gone" -> sad'


@pytest.mark.parametrize("query", ROWS, ids=lambda one: one.id)
def test_never_the_query_its_dialogue_or_a_copy_of_it(query):
    for count in (1, 3, 10):
        for found in Demonstrations(ROWS).nearest(query, count):
            assert found.id != query.id and found.dialogue.id != query.dialogue.id
            assert found.transcript.lower() != query.transcript.lower()


def test_nothing_in_common_gives_nothing_and_an_empty_index_is_refused():
    assert Demonstrations(ROWS).nearest(row("q", "Zug um Zug")) == []
    with pytest.raises(ValueError, match="rows with a transcript and a label"):
        Demonstrations([Row(id="x", corpus="c")])
