"""Options in any order: the letter follows the content, so only who reads the content scores the same."""

import json
import re

import pytest

from cuewise.data_recipes.schema import Row
from cuewise.eval.metrics.choices import emorealm
from cuewise.eval.multiple_choice import option_order, presented, right_letter
from cuewise.eval.samples import Roots, samples_of
from cuewise.eval.suites.suite import SuiteError, load_suite

ANSWERS = ["She is proud", "She is ashamed", "She is bored", "She is relieved"]
SEEDS = (None, 1, 2, 3)


def rows(count: int = 40) -> list[Row]:
    same = {"corpus": "eicap", "instruction": "How does B feel?", "options": ANSWERS}
    return [Row(id=f"q{i}", transcript=f"A: it went well.\nB: turn {i}", task=["one", "two"][i % 2],
                labels=[ANSWERS[i * 7 % 4]], **same) for i in range(count)]  # fmt: skip


@pytest.fixture
def roots(tmp_path) -> Roots:
    (tmp_path / "eicap").mkdir()
    lines = [row.model_dump_json(exclude_defaults=True) for row in rows()]
    (tmp_path / "eicap" / "rows.jsonl").write_text("\n".join(lines))
    return Roots.parse([str(tmp_path)])


def by_content(question: str, transcript: str) -> str:
    """Reads the options and knows three quarters of the answers, whatever their letters."""
    turn = int(transcript.rsplit(" ", 1)[1])
    wanted = ANSWERS[turn * 7 % 4 if turn % 4 else (turn * 7 + 1) % 4]
    return re.search(rf"([A-H])\) {wanted}", question)[1]


def accuracies(roots: Roots, answer) -> list[float]:
    found = []
    for seed in SEEDS:
        option = f"datasets.eicap.option_seed={'null' if seed is None else seed}"
        dataset = load_suite("eicap", [option]).datasets["eicap"]
        samples = samples_of("eicap", dataset, roots)
        said = [answer(sample.question, sample.clip.transcript) for sample in samples]
        found.append(emorealm([sample.gt for sample in samples], said)["average"])
    return found


def test_shuffling_leaves_who_reads_the_content_where_they_were_and_moves_who_likes_a_letter(roots):
    assert accuracies(roots, by_content) == [0.75] * len(SEEDS)
    lovers = accuracies(roots, lambda question, _: "A")
    assert len(set(lovers)) > 1 and all(share < 0.5 for share in lovers)


def test_the_letter_follows_the_right_option_and_every_option_is_shown_once():
    for row in rows(8):
        for seed in SEEDS:
            order = option_order(row, seed)
            shown = presented(row, order)
            assert f"{right_letter(row, order)}) {row.labels[0]}" in shown and sorted(order) == [0, 1, 2, 3]
            assert all(shown.count(answer) == 1 for answer in ANSWERS) and option_order(row, seed) == order
    assert option_order(rows(1)[0], None) == [0, 1, 2, 3]
    assert len({tuple(option_order(row, 1)) for row in rows()}) > 5


@pytest.mark.parametrize(
    ("change", "message"),
    [({"options": ["a"]}, "2 to 8 different options"), ({"options": ["a", "a"]}, "2 to 8 different options"),
     ({"labels": ["She is late"]}, "is none of its options")],
)  # fmt: skip
def test_rows_without_a_right_option_are_named(tmp_path, change, message):
    (tmp_path / "rows.jsonl").write_text(json.dumps(rows(1)[0].model_dump(exclude_defaults=True) | change))
    dataset = load_suite("eicap").datasets["eicap"]
    with pytest.raises(SuiteError, match=message):
        samples_of("eicap", dataset, Roots(None, {"eicap": tmp_path}))
