"""Each reader on a small folder in the layout in which its corpus is published, and its refusals."""

from pathlib import Path

import pytest

from cuewise.data_recipes import corpora
from cuewise.data_recipes.corpora import TableError, crema_d, emobank, goemotions, ravdess


def files(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def table(root: Path, name: str, text: str) -> Path:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text, encoding="utf-8")
    return root


def rows(name: str, root: Path, split: str | None = None) -> dict:
    return {row.id: row for row in corpora.read(name, root, split)}


def test_ravdess_folders_are_read_from_the_names_alone(tmp_path):
    files(
        tmp_path,
        "Audio_Speech_Actors_01-24/Actor_12/03-01-05-02-01-02-12.wav",
        "Actor_05/03-01-02-01-02-01-05.wav",
        "Video_Speech_Actor_01/Actor_01/01-01-06-02-02-01-01.mp4",
        "Video_Speech_Actor_01/Actor_01/02-01-06-02-02-01-01.mp4",
        "Audio_Song_Actors_01-24/Actor_12/03-02-05-02-01-02-12.wav",
    )
    got = rows("ravdess", tmp_path)
    assert sorted(got) == ["01-01-06-02-02-01-01", "03-01-02-01-02-01-05", "03-01-05-02-01-02-12"]
    angry = got["03-01-05-02-01-02-12"]
    assert (angry.labels, angry.tier, angry.split, angry.speaker) == (["angry"], "strong", "train", "ravdess_12")
    assert angry.demographics == {"sex": "female"}
    assert angry.transcript == "Kids are talking by the door."
    assert angry.media == {"audio": "Audio_Speech_Actors_01-24/Actor_12/03-01-05-02-01-02-12.wav"}
    assert angry.valence is None and angry.votes == {"words": {"neutral": 1.0}}
    assert (got["03-01-02-01-02-01-05"].labels, got["03-01-02-01-02-01-05"].split) == (["calm"], "test")
    assert "video" in got["01-01-06-02-02-01-01"].media and got["01-01-06-02-02-01-01"].split == "dev"


@pytest.mark.parametrize(
    ("stem", "message"),
    [
        ("03-01-09-01-01-01-12", "emotion '09'; did you mean"),
        ("03-01-05-01-01-01-25", "actor '25'"),
        ("03-01-05", "3 parts"),
    ],
)
def test_ravdess_names_that_cannot_be_say_which_part(tmp_path, stem, message):
    files(tmp_path, f"Actor_12/{stem}.wav")
    with pytest.raises(TableError, match=message):
        rows("ravdess", tmp_path)


def test_the_actors_of_ravdess_stand_in_one_fold_each():
    assert sorted(actor for fold in ravdess.FOLDS for actor in fold) == list(range(1, 25))


def test_openface_files_are_averaged_over_tracked_frames(tmp_path):
    units = [1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45]
    header = "frame, face_id, timestamp, confidence, success, " + ", ".join(f"AU{unit:02d}_r" for unit in units)

    def frame(success, smile):
        return f"1, 0, 0.0, 0.98, {success}, " + ", ".join(str(smile if unit == 12 else 0.25) for unit in units)

    table(
        tmp_path,
        "FacialTracking/01-01-03-01-01-01-12.csv",
        "\n".join([header, frame(1, 1), frame(1, 3), frame(0, 5)]) + "\n",
    )
    row = rows("ravdess_au", tmp_path)["au_01-01-03-01-01-01-12"]
    assert row.aus["AU12"] == 2.0 and row.aus["AU1"] == 0.25 and len(row.aus) == 17
    said = "Measured face actions (mean, 0-5): lip corners up (AU12) 2.00, inner brows raised (AU1) 0.25, "
    assert row.context.startswith(said) and row.context.count("0.25") == 16
    assert row.media == {} and row.labels == ["happy"]
    bad = "\n".join([header, frame(1, 6)])
    table(tmp_path, "FacialTracking/01-01-03-01-01-01-12.csv", bad)
    with pytest.raises(TableError, match=r"line 2, column `AU12_r`: '6' is no number from 0 to 5"):
        rows("ravdess_au", tmp_path)


def test_emodb_wav_folder(tmp_path):
    got = rows("emodb", files(tmp_path, "wav/03a01Fa.wav", "wav/16b10Lb.wav", "wav/13a07Wd.wav"))
    assert (got["03a01Fa"].labels, got["03a01Fa"].split, got["03a01Fa"].media) == (
        ["happy"],
        "train",
        {"audio": "wav/03a01Fa.wav"},
    )
    assert (got["16b10Lb"].labels, got["16b10Lb"].split) == (["bored"], "test")
    assert got["13a07Wd"].labels == ["angry"] and got["13a07Wd"].demographics == {"sex": "female", "age": 32}
    assert got["13a07Wd"].transcript.startswith("In sieben Stunden") and got["13a07Wd"].language == "de"
    with pytest.raises(TableError, match=r"17a01Fa\.wav.*speaker '17'"):
        rows("emodb", files(tmp_path, "wav/17a01Fa.wav"))


def test_nemo_table_with_its_stray_blanks(tmp_path):
    table(
        tmp_path,
        "data.tsv",
        "file_id\temotion\traw_text\tnormalized_text\tspeaker_id\tgender\tage\n"
        'WR0_surprised_64.wav\tsurprised\tUcho "wykrywa.\tucho wykrywa\t        WR0\tmale\t23\n'
        "MK0_fear_3.wav\tfear\tChodźmy.\tchodźmy\t        MK0\tfemale\tNA\n",
    )
    got = rows("nemo", tmp_path)
    row = got["WR0_surprised_64"]
    assert (row.speaker, row.split, row.labels, row.language) == ("nemo_WR0", "train", ["surprised"], "pl")
    assert row.media == {"audio": "samples/WR0_surprised_64.wav"} and row.demographics == {"sex": "male", "age": 23}
    assert row.transcript == 'Ucho "wykrywa.'
    assert got["MK0_fear_3"].split == "test" and got["MK0_fear_3"].demographics["age"] is None
    table(
        tmp_path,
        "data.tsv",
        "file_id\temotion\traw_text\tspeaker_id\tgender\tage\nWR0_x_1.wav\tsurprized\ta\tWR0\tmale\t2\n",
    )
    with pytest.raises(
        TableError, match=r"data\.tsv, line 2, column `emotion`: unknown value 'surprized'; did you mean `surprised`"
    ):
        rows("nemo", tmp_path)


PEOPLE = '"ActorID","Age","Sex","Race","Ethnicity"\n1001,51,"Male","Caucasian","Not Hispanic"\n'
VOTES = '"","A","D","F","H","N","S","fileName","numResponses","agreement","emoVote"\n'


def crema(root: Path, *votes: str) -> Path:
    table(root, "VideoDemographics.csv", PEOPLE)
    return table(root, "processedResults/tabulatedVotes.csv", VOTES + "".join(vote + "\n" for vote in votes))


def vote(row_id: str, counts: str, clip: str = "1001_IEO_HAP_LO") -> str:
    return f'"{row_id}",{counts},"{clip}",9,0.6,"N"'


def test_crema_d_votes_are_sorted_into_channels_by_the_row_id(tmp_path):
    crema(tmp_path, vote("100002", "0,0,0,3,6,0"), vote("200002", "0,0,0,8,1,0"), vote("300002", "1,0,0,7,1,0"))
    files(tmp_path, "AudioWAV/1001_IEO_HAP_LO.wav")
    row = rows("crema_d", tmp_path)["1001_IEO_HAP_LO"]
    assert row.votes == {
        "voice": {"happy": 3, "neutral": 6},
        "face": {"happy": 8, "neutral": 1},
        "all": {"angry": 1, "happy": 7, "neutral": 1},
        "words": {"neutral": 1},
    }
    assert (row.labels, row.tier, row.split, row.speaker) == (["happy"], "LO", "train", "crema_d_1001")
    assert row.media == {"audio": "AudioWAV/1001_IEO_HAP_LO.wav"} and row.demographics["age"] == 51
    assert crema_d.conflict_subset(row) == "video-aligned"


@pytest.mark.parametrize(
    ("voice", "face", "both", "subset"),
    [
        ("9,0,0,0,0,0", "8,0,0,0,0,1", "7,0,0,0,0,1", "consistent"),
        ("9,0,0,0,0,0", "0,0,0,0,0,9", "8,0,0,0,0,1", "audio-aligned"),
        ("9,0,0,0,0,0", "9,0,0,0,0,0", "0,9,0,0,0,0", "emergent"),
        ("9,0,0,0,0,0", "0,9,0,0,0,0", "0,0,9,0,0,0", "all different"),
        ("4,4,0,0,0,0", "0,9,0,0,0,0", "0,9,0,0,0,0", None),
    ],
)
def test_conflict_subsets(tmp_path, voice, face, both, subset):
    crema(tmp_path, vote("100001", voice), vote("200001", face), vote("300001", both))
    assert crema_d.conflict_subset(rows("crema_d", tmp_path)["1001_IEO_HAP_LO"]) == subset


def test_crema_d_summary_table_keeps_ties(tmp_path):
    table(tmp_path, "VideoDemographics.csv", PEOPLE)
    header = '"","FileName","VoiceVote","VoiceLevel","FaceVote","FaceLevel","MultiModalVote","MultiModalLevel"'
    first = '"2","1001_IEO_HAP_LO","N","71.67","H","57","H","57.38"'
    second = '"7","1001_IEO_SAD_HI","N","60.14","A:F","30.67:51.00","N","63.5"'
    table(tmp_path, "processedResults/summaryTable.csv", "\n".join([header, first, second]))
    got = rows("crema_d", tmp_path)
    assert crema_d.conflict_subset(got["1001_IEO_HAP_LO"]) == "video-aligned"
    assert got["1001_IEO_SAD_HI"].votes["face"] == {"angry": 1, "fearful": 1}
    assert crema_d.conflict_subset(got["1001_IEO_SAD_HI"]) is None


def test_crema_d_refuses_what_it_does_not_know(tmp_path):
    with pytest.raises(TableError, match="row id '400001' must start with"):
        rows("crema_d", crema(tmp_path, vote("400001", "9,0,0,0,0,0")))
    with pytest.raises(TableError, match="a second row of 1001_IEO_HAP_LO for voice"):
        rows("crema_d", crema(tmp_path, vote("100001", "9,0,0,0,0,0"), vote("100009", "9,0,0,0,0,0")))
    with pytest.raises(TableError, match=r"line 2, column `fileName`.*emotion 'HAPP'; did you mean `HAP`"):
        rows("crema_d", crema(tmp_path, vote("100001", "9,0,0,0,0,0", "1001_IEO_HAPP_LO")))


def test_every_actor_of_crema_d_has_one_split():
    splits = [crema_d.split_of(actor) for actor in range(1001, 1092)]
    assert (splits.count("train"), splits.count("dev"), splits.count("test")) == (56, 18, 17)


def meld(root: Path, utterance: bytes, emotion: bytes = b"joy", folder: str = "") -> Path:
    header = b"Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime\n"
    path = root / folder / "train_sent_emo.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        header + b'1,"' + utterance + b'",Rachel,' + emotion + b',positive,3,5,8,21,"00:16:16,059","00:16:21,731"\n'
    )
    return root


def test_meld_tables_with_their_windows_quotes_and_clips(tmp_path):
    files(meld(tmp_path, b"It\x92s great", folder="data/MELD"), "train_splits/dia3_utt5.mp4")
    row = rows("meld", tmp_path)["train_dia3_utt5"]
    assert row.transcript == "It’s great" and row.labels == ["happy"] and row.sentiment == 1.0
    assert row.dialogue.id == "train_3" and row.dialogue.turn == 5 and row.split == "train"
    assert row.media == {"video": "train_splits/dia3_utt5.mp4"} and row.source.endswith("976.059-981.731 s")
    assert rows("meld", meld(tmp_path / "b", "It\x92s".encode()))["train_dia3_utt5"].transcript == "It’s"
    with pytest.raises(TableError, match="column `Emotion`: unknown value 'suprise'; did you mean `surprise`"):
        rows("meld", meld(tmp_path / "c", b"a", b"suprise"))
    with pytest.raises(TableError, match="no rows of split `dev`"):
        rows("meld", tmp_path, "dev")


def test_goemotions_filtered_split(tmp_path):
    labels = "\n".join(goemotions.LABELS)
    table(tmp_path, "data/emotions.txt", labels + "\n")
    table(tmp_path, "data/train.tsv", 'He said "no\t2,17\teebbqej\nFine.\t27\ted00q6i\n')
    table(tmp_path, "data/test.tsv", "Oh\t26\tx1\n")
    got = rows("goemotions", tmp_path)
    assert got["eebbqej"].labels == ["anger", "joy"] and got["eebbqej"].transcript == 'He said "no'
    assert got["ed00q6i"].labels == ["neutral"] and got["x1"].split == "test"
    assert list(rows("goemotions", tmp_path, "test")) == ["x1"]
    table(tmp_path, "data/train.tsv", "a\t28\tx\n")
    with pytest.raises(TableError, match=r"train\.tsv, line 1, column `labels`: '28' is no label number from 0 to 27"):
        rows("goemotions", tmp_path)
    table(tmp_path, "data/emotions.txt", labels.replace("anger", "anger2"))
    with pytest.raises(TableError, match="line 3: the 28 labels are not those"):
        rows("goemotions", tmp_path)


def test_goemotions_raw_ratings_become_votes(tmp_path):
    def rating(*words):
        return "Well,t1,a,s,l,p,1,3,False,".replace("Well", '"Well, well"') + ",".join(
            "1" if w in words else "0" for w in goemotions.LABELS
        )

    header = "text,id,author,subreddit,link_id,parent_id,created_utc,rater_id,example_very_unclear," + ",".join(
        goemotions.LABELS
    )
    table(tmp_path, "goemotions_1.csv", "\n".join([header, rating("joy", "love"), rating("love")]) + "\n")
    table(tmp_path, "goemotions_2.csv", "\n".join([header, rating("joy", "love", "anger")]) + "\n")
    row = rows("goemotions", tmp_path)["t1"]
    assert row.labels == ["love", "joy"] and row.votes == {"words": {"love": 3, "joy": 2, "anger": 1}}
    assert row.split is None and row.transcript == "Well, well"


def test_emobank_scale_is_exact_at_its_ends(tmp_path):
    assert [emobank.scale(rating) for rating in (1.0, 2.0, 3.0, 4.0, 5.0)] == [-1.0, -0.5, 0.0, 0.5, 1.0]
    table(tmp_path, "corpus/emobank.csv", 'id,split,V,A,D,text\na,test,1,5,3.0,"Hi, you"\n')
    row = rows("emobank", tmp_path)["a"]
    assert (row.valence, row.arousal, row.dominance, row.labels, row.split) == (-1.0, 1.0, 0.0, [], "test")
    table(tmp_path, "corpus/emobank.csv", "id,split,V,A,D,text\na,test,0,5,3.0,Hi\n")
    with pytest.raises(TableError, match=r"emobank\.csv, line 2, column `V`: '0' is no number from 1 to 5"):
        rows("emobank", tmp_path)


def test_london_face_folders_have_no_split(tmp_path):
    files(tmp_path, "neutral_front/001_03.jpg", "smiling_front/001_08.jpg", "smiling_front/173_08.jpg")
    table(
        tmp_path,
        "london_faces_info.csv",
        "face_id,face_age,face_gender,face_eth\nX001,24,female,white\nX173,NA,male,black\n",
    )
    got = rows("london_faces", tmp_path)
    assert got["001_neutral"].labels == ["neutral"] and got["001_smiling"].labels == ["happy"]
    assert got["001_smiling"].media == {"image": "smiling_front/001_08.jpg"} and got["001_smiling"].split is None
    assert got["001_smiling"].demographics == {"age": 24.0, "sex": "female", "ethnicity": "white"}
    assert got["173_smiling"].demographics["age"] is None
    with pytest.raises(TableError, match="no rows of split `train`; it has none"):
        rows("london_faces", tmp_path, "train")


@pytest.mark.parametrize("name", ["meld", "goemotions", "emodb", "ravdess", "london_faces", "ravdess_au"])
def test_an_empty_folder_is_an_error_not_an_empty_corpus(tmp_path, name):
    with pytest.raises(TableError, match=r"no rows|none of|neither"):
        rows(name, tmp_path)
