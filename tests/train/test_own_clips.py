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
        ("file,label\n0.wav,sad\n1.wav,sad\n0.wav,sad\n", {}, r"lines 2 and 4: the same file .*0\.wav\) twice; keep"),
        ("file,label,transcript,speaker\n0.wav,sad,we,a\n0.wav,sad,won,b\n", {},
         "lines 2 and 3: the same file .* with another transcript and another speaker; keep one"),
        ("file,label\n0.wav,hapy\n0.wav,happy\n", {}, "'hapy'.*lines 2 and 3: the same file .* another label"),
        ("file,label,actor\n0.wav,sad,a\n", {"speaker": "acter"}, r"data\.speaker names .* did you mean `actor`"),
        ("file,label,text\n0.wav,sad,a\n", {"transcript": "txt"}, r"data\.transcript names .* did you mean `text`"),
        ("file,label,label\n0.wav,sad,happy\n", {}, "2 columns are named `label`"),
        ("file,label,Label\n0.wav,sad,happy\n", {}, r"2 columns are named `label` \(`label`, `Label`; case does not"),
        ("file,label,speakers,Transcripts\n0.wav,sad,a,b\n", {},
         r"`speakers` is not read; did you mean `speaker`\? Rename it, or give data\.speaker=speakers; "
         r"column `Transcripts` .* `transcript`\? Rename it, or give data\.transcript=Transcripts"),
        ("file,label,speaker id\n0.wav,sad,a\n", {}, "`speaker`.* give 'data.speaker=speaker id'; a column that is"),
        ("file,label,spilt\n0.wav,sad,dev\n", {}, "column `spilt` is not read; did you mean `split`"),
        ("", {}, "the table is empty; begin it with a line file,label"),
        ("file,label\nlabels.csv,sad\n", {}, r"line 2, column `file`: .*labels\.csv"),
        ("file,label\n.,sad\n", {}, "line 2, column `file`: .* is a folder, not a file; write one line for each clip"),
        (f"file,label\n{'a' * 300},sad\n", {}, "line 2, column `file`: .*aaa does not exist"),
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


def test_lines_without_a_split_follow_their_speaker(tmp_path):
    table = "file,label,speaker,split\n0.wav,sad,anna,dev\n1.wav,sad,ANNA,\n2.wav,sad,,train\n3.wav,sad,bo,train\n"
    config = clips(tmp_path, table + "4.wav,sad,Bo,\n", count=5)
    files = rows_of(config, tmp_path / "out")
    assert [(row.id, row.speaker) for row in read_jsonl(files["dev"])] == [("0", "anna"), ("1", "anna")]
    config.dev_share = 0.999
    files = rows_of(config, tmp_path / "out")
    assert [row.id for row in read_jsonl(files["train"])] == ["2", "3", "4"]


HEADER = "file,label,speaker,transcript\n"
OPENS = "line {}: a quote opens here and line {}, which looks like a line of its own, is inside it; is the quote closed"


@pytest.mark.parametrize(
    ("table", "messages"),
    [
        (HEADER + '0.wav,happy,a,"hello\n1.wav,sad,b,x\n2.wav,sad,b,x\n', [OPENS.format(2, 3)]),
        (HEADER + '0.wav,happy,a,"hello\n1.wav,sad,b,x\n2.wav,sad,b,bye"\n', [OPENS.format(2, 3)]),
        (HEADER + '0.wav,happy,a,"hello\n1.wav,sad,b,"hi"\n2.wav,hapy,b,x\n', [OPENS.format(2, 3), "'hapy'"]),
        (HEADER + '0.wav,happy,a,"hello\ngone.wav,sad,b,bye"\n', [OPENS.format(2, 3), "line 3.*gone.wav does not"]),
        (HEADER + '0.wav,happy,"a\n\n1.wav,sad,b",x\n', [OPENS.format(2, 4)]),
        (HEADER + '0.wav,happy,"a\na","hello\n1.wav,sad,b,x"\n', [OPENS.format(3, 4)]),
        (HEADER + '0.wav,sad,b,x\n1.wav,happy,a,"hello\n\n', ["line 3: the quote that opens here is never closed"]),
        (HEADER + '0.wav,sad,b,"5"" tall" she\n1.wav,hapy,a,x\n', ["line 2: ' she' follows the quoted text", "'hapy'"]),
        ('file,label,"speaker\n0.wav,sad,b\n1.wav,sad,a"\n', [OPENS.format(1, 2)]),
        ("transcript,label,file\nhello,sad,0.wav\n\"well\nhello,sad,1.wav\n", [OPENS.format(3, 4)]),
    ],
)
@pytest.mark.parametrize(("separator", "newline"), [(",", "\n"), (";", "\r\n"), ("\t", "\r")])
def test_a_quote_that_is_not_closed_hides_no_clip(tmp_path, table, messages, separator, newline):
    config = clips(tmp_path, "")
    (tmp_path / "labels.csv").write_bytes(table.replace(",", separator).replace("\n", newline).encode())
    with pytest.raises(OwnClipsError, match=f".*{'.*'.join(messages)}") as told:
        rows_of(config, tmp_path / "out")
    assert str(told.value).count("labels.csv, line ") == len(messages)


@pytest.mark.parametrize(
    "text",
    ["we won,\nat last", "well, yes, I\nsee, you, know, it\n\nall", 'she said ""5,\n1.wav"" is, sad, it',
     "we\u2028won\x85it", "so\nmany words " + "and more " * 40],
)  # fmt: skip
def test_a_transcript_may_have_lines_and_quotes_of_its_own(tmp_path, text):
    table = f'transcript,speaker,file,label\n"{text}",a,0.wav,sad\nx,a,1.wav,happy\n'
    rows = list(read_jsonl(rows_of(clips(tmp_path, table), tmp_path / "out")["train"]))
    assert [row.id for row in rows] == ["0", "1"] and rows[0].transcript == text.replace('""', '"').strip()
    table = f'file,label,speaker,transcript\n0.wav,sad,a,"{text}"\n1.wav,happy,a,x\n'
    (tmp_path / "labels.csv").write_text(table, encoding="utf-8")
    rows = list(read_jsonl(rows_of(OwnClipsConfig(csv=str(tmp_path / "labels.csv")), tmp_path / "out")["train"]))
    assert [row.id for row in rows] == ["0", "1"] and rows[0].transcript == text.replace('""', '"').strip()


def test_lines_are_counted_as_an_editor_does(tmp_path):
    table = 'file,label,transcript\n0.wav,sad,"a\nb"\n1.wav,sad,we\u2028won\n\n2.wav,hapy,x\n'
    with pytest.raises(OwnClipsError, match=r"^[^;]*line 6, column `label`: unknown emotion 'hapy'"):
        rows_of(clips(tmp_path, table), tmp_path / "out")


def test_columns_that_are_not_read_are_told_once(tmp_path, caplog):
    config = clips(tmp_path, "file,label,text,Notes,speaker,speakers,,split\n0.wav,sad,we won,x,a,b,c,train\n")
    rows_of(config, tmp_path / "out")
    [message] = [record.getMessage() for record in caplog.records]
    assert message.endswith("labels.csv: not read: `text`, `Notes`, `speakers`, `column 7`; say with "
                            "data.transcript=COLUMN what is in one")  # fmt: skip
    caplog.clear()
    config.transcript = "text"
    rows_of(config, tmp_path / "out")
    [message] = [record.getMessage() for record in caplog.records]
    assert message.endswith("not read: `Notes`, `speakers`, `column 7`")


def test_facts_about_a_speaker_are_no_misspelt_speaker(tmp_path, caplog):
    rows_of(clips(tmp_path, "file,label,speaker_age,split_date\n0.wav,sad,31,today\n"), tmp_path / "out")
    assert "not read: `speaker_age`, `split_date`" in caplog.messages[0]
    with pytest.raises(OwnClipsError, match="`speaker_id` is not read; did you mean `speaker`"):
        rows_of(clips(tmp_path, "file,label,speaker_id\n0.wav,sad,31\n"), tmp_path / "out")


def test_a_folder_is_no_table(tmp_path):
    (tmp_path / "empty").mkdir()
    clips(tmp_path, "file,label\n0.wav,sad\n")
    (tmp_path / "B.CSV").touch()
    with pytest.raises(OwnClipsError, match=r"this is a folder, not a table; name a table in it: B\.CSV, labels\.csv$"):
        rows_of(OwnClipsConfig(csv=str(tmp_path)), tmp_path / "out")
    with pytest.raises(OwnClipsError, match="this is a folder, not a table; there is no CSV file in it; write a table"):
        rows_of(OwnClipsConfig(csv=str(tmp_path / "empty")), tmp_path / "out")


def test_a_table_that_is_not_there_and_a_stream_that_does_not_exist():
    with pytest.raises(OwnClipsError, match=r"data\.csv: none\.csv: no such file; write a table"):
        rows_of(OwnClipsConfig(csv="none.csv"), None)
    with pytest.raises(ValueError, match="names `audio`; streams are face, voice, words"):
        OwnClipsConfig(csv="x.csv", needs=["audio"])
