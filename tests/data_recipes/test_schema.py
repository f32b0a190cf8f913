"""Rows survive their file, missing stays missing, and files appear whole."""

import pytest

from cuewise.data_recipes.schema import Row, read_jsonl, write_jsonl
from cuewise.mllm.report import Cue, Word


def test_rows_survive_their_file(tmp_path):
    rows = [
        Row(id="a", corpus="c", labels=["happy"], valence=0.0, words=[Word(text="Grüße", start=0.0, end=0.5)],
            cues=[Cue(channel="face", start=0.0, end=1.0, observation="lip corners clearly up (AU12)")]),
        Row(id="b", corpus="c", split="dev", media={"video": "b.mp4"}, span=(1.0, 2.0)),
    ]  # fmt: skip
    assert write_jsonl(rows, tmp_path / "deep" / "rows.jsonl") == 2
    assert list(read_jsonl(tmp_path / "deep" / "rows.jsonl")) == rows


def test_missing_is_null_and_not_zero():
    row = Row(id="a", corpus="c")
    assert row.valence is None and row.arousal is None and row.sentiment is None and row.transcript is None
    assert Row(id="a", corpus="c", valence=0.0).model_dump_json(exclude_defaults=True) != row.model_dump_json(
        exclude_defaults=True
    )


def test_a_broken_writer_leaves_no_half_file(tmp_path):
    def rows():
        yield Row(id="a", corpus="c")
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        write_jsonl(rows(), tmp_path / "rows.jsonl")
    assert not (tmp_path / "rows.jsonl").exists()


def test_broken_lines_name_file_and_line(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"id": "a", "corpus": "c"}\n{"id": "b", "corpus": "c", "valence": 2}\n')
    with pytest.raises(ValueError, match=r"rows\.jsonl, line 2"):
        list(read_jsonl(tmp_path / "rows.jsonl"))


def test_clip_of_a_row():
    video = Row(id="v", corpus="c", media={"video": "v.mp4", "audio": "a.wav"}, span=(1.0, 2.0), transcript="Hi").clip(
        "/data"
    )
    assert (str(video.path), str(video.audio), video.start, video.end) == ("/data/v.mp4", "/data/a.wav", 1.0, 2.0)
    sound = Row(id="s", corpus="c", media={"audio": "a.wav"}).clip("/data")
    assert str(sound.path) == "/data/a.wav" and sound.audio is None
