"""The journal keeps whole blocks and nothing else."""

import json

import pytest

from cuewise.eval.journal import Journal
from cuewise.eval.suites.suite import SuiteError


def lines(*ids: str) -> list[dict]:
    return [{"dataset": "d", "id": name, "text": f"é {name}"} for name in ids]


def test_blocks_come_back_in_any_order(tmp_path):
    journal = Journal(tmp_path / "j.jsonl")
    journal.append(1, lines("c"))
    journal.append(0, lines("a", "b"))
    assert Journal(tmp_path / "j.jsonl").done == {0: lines("a", "b"), 1: lines("c")}


@pytest.mark.parametrize("cut", range(1, 120, 7))
def test_a_torn_block_is_cut_off_and_whole_ones_stay(tmp_path, cut):
    path = tmp_path / "j.jsonl"
    journal = Journal(path)
    journal.append(0, lines("a", "b"))
    whole = path.stat().st_size
    journal.append(1, lines("c", "d"))
    raw = path.read_bytes()
    path.write_bytes(raw[: max(len(raw) - cut, whole)])
    again = Journal(path)
    assert again.done == {0: lines("a", "b")} and path.stat().st_size == whole
    again.append(1, lines("c", "d"))
    assert path.read_bytes() == raw


def test_zeros_after_a_crash_of_the_machine_are_cut_off(tmp_path):
    path = tmp_path / "j.jsonl"
    Journal(path).append(0, lines("a"))
    whole = path.read_bytes()
    path.write_bytes(whole + b"\0" * 50 + b"\n")
    assert Journal(path).done == {0: lines("a")} and path.read_bytes() == whole


def test_a_file_that_is_no_journal_is_refused(tmp_path):
    path = tmp_path / "j.jsonl"
    path.write_text(json.dumps({"id": "a"}) + "\n")
    with pytest.raises(SuiteError, match="no line of a journal"):
        Journal(path)
