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
        ("file,label,speaker,split\n0.wav,sad,a,train\n1.wav,sad,a,dev\n", {}, "lines 2 and 3: speaker 'a' is in"),
        ("file,label,speaker,split\n0.wav,sad,Anna,train\n1.wav,sad,anna ,dev\n", {}, "'Anna' is in train and in dev"),
        ("file,label,split\n0.wav,sad,train\n./0.wav,sad,dev\n", {}, r"lines 2 and 3: the same file .* another split"),
        ("file,label\n1.wav,sad\n0.wav,sad\n0.wav,happy\n", {}, r"lines 3 and 4: the same file .* another label"),
        ("file,label,actor\n0.wav,sad,a\n", {"speaker": "acter"}, r"data\.speaker names .* did you mean `actor`"),
        ("file,label,text\n0.wav,sad,a\n", {"transcript": "txt"}, r"data\.transcript names .* did you mean `text`"),
        ("file,label,label\n0.wav,sad,happy\n", {}, "2 columns are named `label`"),
        ("", {}, "the table is empty; begin it with a line file,label"),
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


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_table_is_read_as_spreadsheets_save_it(tmp_path, separator, encoding):
    config = clips(tmp_path, "")
    lines = ["File,LABEL,transcript,Speaker", '0.wav,happy,"we, at; last,\nwon",Zoë', ",,,", "", "1.wav,sad,,bo"]
    table = "\n".join(line if line.startswith("0") else line.replace(",", separator) for line in lines)
    table = table.replace("0.wav,happy,", separator.join(("0.wav", "happy", ""))).replace('",Z', f'"{separator}Z')
    (tmp_path / "labels.csv").write_bytes(table.encode(encoding))
    rows = list(read_jsonl(rows_of(config, tmp_path / "out")["train"]))
    assert [(row.id, row.labels, row.speaker) for row in rows] == [("0", ["happy"], "Zoë"), ("1", ["sad"], "bo")]
    assert rows[0].transcript == "we, at; last,\nwon"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("file,label\n0.wav,happy\n".encode("utf-16-le"), "this is not text in UTF-8; save the table as CSV in UTF-8"),
        (b"PK\x03\x04\0\0", "this is a spreadsheet, not a CSV file; save"),
        (b"\xff\xfef\0i", "damaged UTF-16 text at byte 4; save"),
    ],
)
def test_a_file_that_is_no_table_is_named_for_what_it_is(tmp_path, data, message):
    config = clips(tmp_path, "", count=0)
    (tmp_path / "labels.csv").write_bytes(data)
    with pytest.raises(OwnClipsError, match=message):
        rows_of(config, tmp_path / "out")


def test_a_line_with_too_many_fields_hides_no_other_mistake(tmp_path):
    table = "file,label,transcript\n0.wav,happy,we won, at last\n1.wav,hapy,x\n"
    with pytest.raises(OwnClipsError, match=r"line 2: 4 fields .* put quotes around .* comma.*line 3.*'hapy'"):
        rows_of(clips(tmp_path, table), tmp_path / "out")


@pytest.mark.parametrize("word", ["none", "other", "unknown", "n/a"])
def test_a_word_that_is_no_emotion_gets_no_silly_suggestion(tmp_path, word):
    with pytest.raises(OwnClipsError, match=rf"unknown emotion '{word}'; use e\.g\. neutral"):
        rows_of(clips(tmp_path, f"file,label\n0.wav,{word}\n"), tmp_path / "out")


def test_lines_without_a_split_follow_their_speaker_and_their_file(tmp_path):
    table = ("file,label,speaker,split\n0.wav,sad,anna,dev\n1.wav,sad,ANNA,\n2.wav,sad,,train\n2.wav,sad,,\n"
             "3.wav,sad,bo,train\n0.wav,sad,anna,\n")  # fmt: skip
    config = clips(tmp_path, table)
    files = rows_of(config, tmp_path / "out")
    assert [(row.id, row.speaker) for row in read_jsonl(files["dev"])] == [("0", "anna"), ("1", "anna"), ("0", "anna")]
    config.dev_share = 0.999
    files = rows_of(config, tmp_path / "out")
    assert [row.id for row in read_jsonl(files["train"])] == ["2", "2", "3"]


def test_a_table_that_is_not_there_and_a_stream_that_does_not_exist():
    with pytest.raises(OwnClipsError, match=r"data\.csv: none\.csv: no such file; write a table"):
        rows_of(OwnClipsConfig(csv="none.csv"), None)
    with pytest.raises(ValueError, match="names `audio`; streams are face, voice, words"):
        OwnClipsConfig(csv="x.csv", needs=["audio"])
