"""Files of predictions: every usable form is read, every unusable one named."""

import json

import pytest

from cuewise.eval.predictions import PredictionsSystem
from cuewise.eval.suites.suite import SuiteError
from cuewise.mllm.systems.base import Ask


def ask(*ids: str) -> list[Ask]:
    return [Ask(id=name, clip=None, prompt="?") for name in ids]


def write(tmp_path, name: str, text: str) -> PredictionsSystem:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return PredictionsSystem(path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.csv", "id,label,confidence\na,happy,0.7\nb,,\n"),
        ("p.tsv", "name\tpred\tconfidence\na\thappy\t0.7\nb\t\t\n"),
        ("p.jsonl", '{"id": "a", "labels": ["happy"], "confidence": 0.7}\n{"id": "b", "labels": []}'),
    ],
)
def test_tables_of_labels(tmp_path, name, text):
    system = write(tmp_path, name, text)
    replies = list(system.answer(ask("set/a", "set/b", "set/c")))
    assert [reply.text for reply in replies] == ["<answer>happy</answer>", "", ""]
    assert [reply.error and reply.error.code for reply in replies] == [None, None, "no_prediction"]
    assert system.extras("set/a") == {"confidence": 0.7} and system.extras("set/b") == {}


def test_the_same_id_in_two_data_sets_is_told_apart(tmp_path):
    rows = [{"id": "one/a", "text": "happy"}, {"id": "a", "text": "sad"}]
    system = write(tmp_path, "p.jsonl", "\n".join(map(json.dumps, rows)))
    assert [reply.text for reply in system.answer(ask("one/a", "two/a"))] == ["happy", "sad"]


def test_the_description_pins_the_file(tmp_path):
    first = write(tmp_path, "p.csv", "id,label\na,happy\n").describe()
    second = write(tmp_path, "p.csv", "id,label\na,sad\n").describe()
    assert first["kind"] == "predictions" and first["sha256"] != second["sha256"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.csv", "", "no rows"),
        ("p.csv", "id,score\na,1\n", "needs an `id` column and `text` or `labels`; columns: id, score"),
        ("p.csv", "label\nhappy\n", "needs an `id` column"),
        ("p.csv", "id,label\na,happy\na,sad\n", "3: id 'a' stands there twice"),
        ("p.csv", "id,label\n,happy\n", "2: missing id"),
        ("p.csv", "id,label,confidence\na,happy,sure\n", "confidence must be a number from 0 to 1, got 'sure'"),
        ("p.csv", "id,label,valence\na,happy,-2\n", "valence must be a number from -1 to 1"),
        ("p.jsonl", '{"id": "a", "text": 3}', "text must be a string, got 3"),
        ("p.jsonl", '{"id": "a", "labels": [3]}', "a label must be a string"),
        ("p.jsonl", '{"id": "a", "labels": ["x"], "distribution": "none"}', "distribution must be a JSON object"),
        ("p.jsonl", '{"id": "a"', "not valid JSON"),
        ("p.txt", "x", "give .csv, .tsv or .jsonl"),
    ],
)
def test_unusable_files_are_refused(tmp_path, name, text, message):
    with pytest.raises(SuiteError) as caught:
        write(tmp_path, name, text)
    assert message in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SuiteError, match=r"gone\.csv: cannot be read"):
        PredictionsSystem(tmp_path / "gone.csv")
