"""The doctor names what is wrong with a rows file."""

import numpy as np
import pytest
from scipy.io import wavfile

from cuewise.data_recipes.doctor import examine
from cuewise.data_recipes.schema import Dialogue, Row, write_jsonl
from cuewise.mllm.report import Cue, Word


@pytest.fixture
def sound(tmp_path):
    samples = (0.3 * np.sin(2 * np.pi * 150 * np.arange(16000) / 16000) * 32767).astype(np.int16)
    wavfile.write(tmp_path / "ok.wav", 16000, samples)
    return "ok.wav"


def row(key="a", **values) -> Row:
    return Row(**{"id": key, "corpus": "emodb", "split": "train", "labels": ["happy"], "transcript": "Hi", **values})


def messages(tmp_path, *rows):
    path = tmp_path / "rows.jsonl"
    write_jsonl(rows, path)
    report = examine(path)
    return {finding.message for finding in report.errors}, {finding.message for finding in report.warnings}, report


def test_a_clean_file_passes_and_is_counted(tmp_path, sound):
    errors, warnings, report = messages(
        tmp_path, row("a", media={"audio": sound}, speaker="s1", language="de"), row("b", split="dev", speaker="s2")
    )
    assert errors == warnings == set() and report.status == 0
    assert report.counts["split"] == {"train": 1, "dev": 1} and report.counts["speakers"] == {"train": 1, "dev": 1}
    assert "2 rows" in str(report) and "label: happy 2" in str(report)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"media": {"audio": "none.wav"}}, "media file missing"),
        ({"span": (2.0, 1.0)}, "span does not go forward"),
        ({"cues": [Cue(channel="voice", start=2, end=1, observation="x")]}, "cue times do not go forward"),
        ({"cues": [Cue(channel="voice", start=2, observation="x")]}, "only one of start and end"),
        ({"cues": [Cue(channel="voice", observation="a => b")]}, "cannot be written as a line"),
        ({"aus": {"AU1": 7.0}}, "action unit outside 0-5"),
        ({"votes": {"voice": {"happy": -1}}}, "negative number of votes"),
        ({"labels": ["Happy!"]}, "does not survive being written"),
        ({"transcript": None}, "neither media nor words"),
    ],
)
def test_what_breaks_training_is_an_error(tmp_path, values, message):
    errors, _, report = messages(tmp_path, row(**values))
    assert any(message in error for error in errors) and report.status == 2


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"labels": ["teapot"]}, "label without a common label"),
        ({"labels": []}, "nothing to learn"),
        ({"words": [Word(text="b", start=1, end=2), Word(text="a", start=0, end=1)]}, "word times out of order"),
        ({"sentiment": 3.0}, "sentiment outside"),
    ],
)
def test_what_is_worth_a_look_is_a_warning(tmp_path, values, message):
    errors, warnings, report = messages(tmp_path, row(**values))
    assert errors == set() and any(message in warning for warning in warnings) and report.status == 0


def test_duplicate_ids_and_leaks_between_splits_are_errors(tmp_path):
    errors, _, report = messages(
        tmp_path, row("a", speaker="s1"), row("a", speaker="s1", split="dev"),
        row("m1", corpus="meld", speaker="x", dialogue=Dialogue(id="d", turn=0)),
        row("m2", corpus="meld", speaker="x", dialogue=Dialogue(id="d", turn=1), split="dev"),
    )  # fmt: skip
    assert errors == {"id used more than once", "speaker in more than one split", "dialogue in more than one split"}
    assert "'s1' in dev and train" in str(report)


def test_characters_of_a_series_may_speak_in_every_split(tmp_path):
    errors, _, _ = messages(
        tmp_path, row("m1", corpus="meld", speaker="x"), row("m2", corpus="meld", speaker="x", split="dev")
    )
    assert errors == set()


def test_unreadable_and_cut_media_are_found(tmp_path, sound):
    (tmp_path / "bad.wav").write_bytes(b"RIFF....WAVEfmt nothing")
    late = Cue(channel="voice", start=0.5, end=3.0, observation="pitch clearly higher")
    errors, _, report = messages(
        tmp_path, row("a", media={"audio": "bad.wav"}), row("b", media={"audio": sound}, cues=[late])
    )
    assert errors == {"media file cannot be read", "cue ends after the clip"}
    assert "b 3 s of 1.00 s" in str(report)


def test_lines_that_are_no_rows_are_counted_with_their_numbers(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(row().model_dump_json() + '\n{"id": "x"}\nnot json\n\n{"id": "y", "corpus": "c", "labels": 3}\n')
    report = examine(path)
    assert report.rows == 1 and report.status == 2
    text = str(report)
    assert "line 2" in text and "line 3" in text and "line 5" in text and "corpus: Field required" in text


def test_no_rows_and_no_file_are_errors(tmp_path):
    (tmp_path / "rows.jsonl").write_text("")
    assert examine(tmp_path / "rows.jsonl").status == 2
    with pytest.raises(ValueError, match="no such file"):
        examine(tmp_path / "none.jsonl")
