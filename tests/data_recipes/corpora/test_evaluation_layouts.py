"""Readers of corpora that are only evaluated on, each on a small folder in the layout of its release."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from cuewise.data_recipes import corpora
from cuewise.data_recipes.corpora import TableError, unibench


def write(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def rows(name: str, root: Path, split: str | None = None) -> dict:
    return {row.id: row for row in corpora.read(name, root, split)}


def dfew(root: Path, first: int = 1) -> Path:
    lists = {f"EmoLabel_DataSplit/test(single-labeled)/set_{fold}.csv":
             f"video_name,label\n{fold},{first}\n{fold + 10},{first + 6}\n" for fold in range(1, 6)}  # fmt: skip
    votes = "1happy,2sad,3neutral,4angry,5surprise,6disgust,7fear,order,label\n7,0,3,0,0,0,0,1,1\n"
    return write(root, **lists, **{"Annotation/annotation.csv": votes, "Clip/original/part_1/1.mp4": "x"})


@pytest.mark.parametrize("first", [1, 0])
def test_dfew_folds_cover_the_corpus_and_labels_may_count_from_zero(tmp_path, first):
    got = rows("dfew", dfew(tmp_path, first))
    assert len(got) == 10
    assert (got["00001"].labels, got["00011"].labels) == (["happy"], ["fearful"])
    assert got["00001"].votes == {"all": {"happy": 7.0, "neutral": 3.0}} and not got["00002"].votes
    assert got["00001"].media == {"video": "Clip/original/part_1/1.mp4"} and got["00001"].tier == "fold 1"
    assert list(rows("dfew", tmp_path, "fold 3")) == ["00003", "00013"]


def test_dfew_says_which_list_is_missing(tmp_path):
    (dfew(tmp_path) / "EmoLabel_DataSplit/test(single-labeled)/set_4.csv").unlink()
    with pytest.raises(TableError, match="fold 4"):
        rows("dfew", tmp_path)


def test_mafw_lines_carry_captions_or_not(tmp_path):
    write(tmp_path, **{
        "Train & Test Set/single/no_caption/set_1/test.txt": "00025.mp4 anger\n",
        "Train & Test Set/single/no_caption/set_2/test.txt": "00031.mp4\thelplessness\t她叹气\tShe sighs.\n",
        "Train & Test Set/compound/no_caption/set_1/test.txt": "00099.mp4 anger_disgust\n",
        "data/clips/00025.mp4": "x",
    })  # fmt: skip
    got = rows("mafw", tmp_path)
    assert {key: (row.labels, row.tier) for key, row in got.items()} == {
        "00025": (["anger"], "fold 1"), "00031": (["helplessness"], "fold 2")}  # fmt: skip
    assert got["00025"].media == {"video": "data/clips/00025.mp4"} and got["00031"].reasoning == "她叹气"
    write(tmp_path, **{"Train & Test Set/single/no_caption/set_1/test.txt": "00025.mp4 angre\n"})
    with pytest.raises(TableError, match="line 1: unknown label 'angre'; did you mean `anger`"):
        rows("mafw", tmp_path)


def test_ferv39k_lists_are_checked_against_the_folders(tmp_path):
    write(tmp_path, **{"test_All.csv": "Crisis/Angry/0001 0\nDailyLife/Surprise/7 6\n",
                       "2_ClipsforFaceCrop/Crisis/Angry/0001.mp4": "x"})  # fmt: skip
    got = rows("ferv39k", tmp_path, "test")
    assert got["Crisis/Angry/0001"].media == {"video": "2_ClipsforFaceCrop/Crisis/Angry/0001.mp4"}
    assert (got["DailyLife/Surprise/7"].labels, got["DailyLife/Surprise/7"].tier) == (["surprised"], "DailyLife")
    write(tmp_path, **{"test_All.csv": "Crisis/Angry/0001 3\n"})
    with pytest.raises(TableError, match="lies under 'Angry' but is labelled 'happy'"):
        rows("ferv39k", tmp_path)


def test_iemocap_joins_labels_texts_and_sound(tmp_path):
    write(tmp_path, **{
        "Session5/dialog/EmoEvaluation/Ses05F_impro01.txt":
            "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n"
            "[6.29 - 8.23]\tSes05F_impro01_F000\tang\t[1.5000, 4.0000, 3.0000]\nC-E2:\tAnger;\t()\n"
            "[9.00 - 9.90]\tSes05F_impro01_M000\txxx\t[2.5, 2.5, 2.5]\n",
        "Session5/dialog/transcriptions/Ses05F_impro01.txt": "Ses05F_impro01_F000 [006.29-008.23]: Excuse me.\n",
        "Session5/sentences/wav/Ses05F_impro01/Ses05F_impro01_F000.wav": "x",
    })  # fmt: skip
    got = rows("iemocap", tmp_path, "session 5")
    row = got["Ses05F_impro01_F000"]
    assert list(got) == ["Ses05F_impro01_F000"]
    assert (row.labels, row.transcript, row.speaker) == (["angry"], "Excuse me.", "iemocap_5F")
    assert (row.valence, row.arousal, row.dominance) == (-0.75, 0.5, 0.0)
    assert row.media == {"audio": "Session5/sentences/wav/Ses05F_impro01/Ses05F_impro01_F000.wav"}


def test_sentiment_corpora_keep_their_scale(tmp_path):
    write(tmp_path, **{"label.csv": "video_id,clip_id,text,label,mode\nabc,3,so good,2.4,test\nabc,4,bad,-1.2,valid\n",
                       "Raw/abc/3.mp4": "x"})  # fmt: skip
    got = rows("mmsa", tmp_path)
    assert (got["abc/3"].sentiment, got["abc/3"].valence) == (2.4, pytest.approx(0.8))
    assert (got["abc/4"].split, got["abc/4"].media) == ("dev", {})
    write(tmp_path, **{"label.csv": "video_id,clip_id,text,label,mode\nabc,3,so good,0.8,test\n"})
    assert rows("mmsa", tmp_path)["abc/3"].valence == pytest.approx(0.8)


def archive(path: Path, table: dict, key: str = "test1_corpus") -> Path:
    np.savez_compressed(path, **{key: np.array(table, dtype=object)})
    return path


def test_published_label_archives_become_tables(tmp_path):
    table = {"Ses05F_1": {"emo": 3, "val": -10}, "Ses01F_1": {"emo": 0, "val": -10}}
    count = unibench.convert_labels(archive(tmp_path / "l.npz", table, "whole_corpus"), "whole", tmp_path / "iemocap",
                                    unibench.IEMOCAP_WORDS, prefix="5")  # fmt: skip
    write(tmp_path / "iemocap", **{"subtitles.csv": "name,english\nSes05F_1,I said no.\n", "video/Ses05F_1.avi": "x"})
    got = rows("unibench", tmp_path / "iemocap")
    assert count == 1 and got["Ses05F_1"].labels == ["anger"]
    assert (got["Ses05F_1"].transcript, got["Ses05F_1"].media) == ("I said no.", {"video": "video/Ses05F_1.avi"})
    scores = {"a": {"emo": 0, "val": np.float64(-1.5)}, "b": {"emo": 0, "val": 0.0}}
    unibench.convert_labels(archive(tmp_path / "s.npz", scores, "test_corpus"), "test", tmp_path / "mosi")
    assert [row.sentiment for row in rows("unibench", tmp_path / "mosi").values()] == [-1.5, 0.0]
    write(tmp_path / "ov", **{"labels.csv": "name,openset\nx,\"['happy', 'warm']\"\ny,[]\n"})
    assert [row.labels for row in rows("unibench", tmp_path / "ov").values()] == [["happy", "warm"], ["neutral"]]


class Harmful:
    def __reduce__(self):
        return print, ("run",)


def test_a_label_archive_cannot_run_anything(tmp_path, capsys):
    path = archive(tmp_path / "bad.npz", {"a": Harmful()})
    with pytest.raises(TableError, match="no plain data"):
        unibench.convert_labels(path, "test1", tmp_path / "out")
    assert capsys.readouterr().out == "" and pickle.loads(pickle.dumps({"a": 1})) == {"a": 1}
    assert not (tmp_path / "out").exists()
