"""A table of your own clips: every mistake is named with its line, its value and the nearest valid one."""

import pytest
from media_samples import audio_file

from cuewise.data_recipes.schema import read_jsonl
from cuewise.train.own_clips import OwnClipsConfig, OwnClipsError, rows_of


def clips(folder, table: str, count: int = 4) -> OwnClipsConfig:
    for i in range(count):
        audio_file(folder, "wav", seconds=0.5, hz=200 + 20 * i).rename(folder / f"{i}.wav")
    (folder / "labels.csv").write_text(table, encoding="utf-8")
    return OwnClipsConfig(csv=str(folder / "labels.csv"), dev_share=0.0)


def test_a_table_becomes_rows_with_absolute_paths(tmp_path):
    config = clips(tmp_path, "file,label,transcript,speaker\n0.wav,happy; surprised,we won,anna\n1.wav,Sadness,,bo\n")
    rows = list(read_jsonl(rows_of(config, tmp_path / "out")["train"]))
    assert [row.labels for row in rows] == [["happy", "surprised"], ["sadness"]]
    assert rows[0].transcript == "we won" and rows[1].transcript is None and rows[1].speaker == "bo"
    assert rows[0].media == {"audio": str(tmp_path / "0.wav")} and rows[0].split == "train"


def test_columns_may_have_other_names_and_speakers_stay_together(tmp_path):
    lines = "".join(f"{i % 4}.wav,happy,p{i % 4}\n" for i in range(4))
    config = clips(tmp_path, "clip,emotion,who\n" + lines)
    config.file, config.label, config.speaker, config.dev_share = "clip", "emotion", "who", 0.5
    files = rows_of(config, tmp_path / "out")
    speakers = {split: {row.speaker for row in read_jsonl(path)} for split, path in files.items()}
    assert set(speakers) == {"train", "dev"} and not speakers["train"] & speakers["dev"]


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        ("file,label\n00.wav,sad\n", {}, r"line 2, column `file`: .*00\.wav does not exist; did you mean `0\.wav`"),
        ("file,label\n0.wav,\n", {}, "line 2, column `label`: the label is empty"),
        ("file,label\n0.wav,hapy\n", {}, "line 2, column `label`: unknown emotion 'hapy'; did you mean `happy`"),
        ("file,label\n0.wav,happy\n", {"needs": ["face"]}, r"0\.wav has no pictures, but data\.needs asks for face"),
        ("file,label\n0.wav,happy\n", {"needs": ["words"]}, r"0\.wav has no transcript"),
        ("file,lable\n0.wav,happy\n", {}, "column `label` is missing; did you mean `lable`"),
        ("file,label\n", {}, "no clips below the header"),
        ("file,label,split\n0.wav,happy,test\n", {}, "split 'test' must be train or dev"),
        ("file,label,speaker,split\n0.wav,sad,a,train\n1.wav,sad,a,dev\n", {}, "speaker 'a' is in train and in dev"),
        ("file,label\nlabels.csv,sad\n", {}, r"line 2, column `file`: .*labels\.csv"),
    ],
)
def test_every_mistake_is_named(tmp_path, table, options, message):
    config = clips(tmp_path, table)
    for name, value in options.items():
        setattr(config, name, value)
    with pytest.raises(OwnClipsError, match=message):
        rows_of(config, tmp_path / "out")


def test_all_wrong_lines_are_told_at_once(tmp_path):
    table = "file,label\n" + "".join(f"{i}.wav,happpy\n" for i in range(4)) + "gone.wav,sad\n"
    with pytest.raises(OwnClipsError) as told:
        rows_of(clips(tmp_path, table), tmp_path / "out")
    assert str(told.value).count("happpy") == 4 and "gone.wav" in str(told.value)


def test_a_table_that_is_not_there_and_a_stream_that_does_not_exist():
    with pytest.raises(OwnClipsError, match=r"data\.csv: none\.csv: no such file; write a table"):
        rows_of(OwnClipsConfig(csv="none.csv"), None)
    with pytest.raises(ValueError, match="names `audio`; streams are face, voice, words"):
        OwnClipsConfig(csv="x.csv", needs=["audio"])
