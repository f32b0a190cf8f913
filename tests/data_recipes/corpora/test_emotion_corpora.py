"""EMER, CPED, EmotionTalk, EMOTIC, EmoSet, BAH, SEWA, EmoNet-Voice and EmoLLMs on small folders of their layouts."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from cuewise.data_recipes import corpora
from cuewise.data_recipes.corpora import TableError, cped, emer, emonet_voice, emotic
from cuewise.eval.metrics.regression import regression
from cuewise.mllm.taxonomy import LEVEL1_IDS, normalise, valence_arousal, voice_categories, wheel_table


def write(root: Path, name: str, text: str | list | dict) -> Path:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    body = text if isinstance(text, str) else json.dumps(text, ensure_ascii=False)
    (root / name).write_text(body, encoding="utf-8")
    return root


def rows(name: str, root: Path, split: str | None = None) -> dict:
    return {row.id: row for row in corpora.read(name, root, split)}


def test_emer_in_both_layouts(tmp_path):
    write(tmp_path, "v1/gt-eng.csv", "names,emotions,subtitles,reasons\n"
          's1,angry,"You, again!","Brows are low, the voice is loud."\n'
          "s2,surprise,Oh.,Eyes wide.\ns3,happy,Yes.,A smile.\n")  # fmt: skip
    text = ("In the video the man smiles. His voice is high and fast. The subtitle says he won. "
            "Therefore he is happy.")  # fmt: skip
    write(tmp_path, "v2/final-EMER-reason.csv", f'name,chinese,english\ns1,x,"{text}"\ns8,y,Short.\ns9,z,A. B.\n')
    write(tmp_path, "clips/s1.avi", "x")
    got = rows("emer", tmp_path)
    assert len(got) == 6 and got["s1_v1"].labels == ["angry"] and got["s2_v1"].labels == ["surprised"]
    assert got["s1_v1"].transcript == "You, again!" and got["s1_v1"].media == {"video": "clips/s1.avi"}
    assert got["s1_v2"].labels == [] and got["s8_v2"].media == {} and got["s1_v2"].reasoning == text
    found = emer.parts(text)
    assert list(found) == ["visual", "acoustic", "textual", "conclusion"]
    assert found["acoustic"] == "His voice is high and fast." and found["conclusion"] == "Therefore he is happy."
    assert emer.parts("He frowns. He shouts.")["conclusion"] == "He shouts."
    write(tmp_path, "v2/final-EMER-reason.csv", "names,chinese,english\ns1,x,A smile.\n")
    assert rows("emer", tmp_path)["s1_v2"].reasoning == "A smile."
    write(tmp_path, "v1/gt-eng.csv", "names,emotions,subtitles,reasons\ns1,angri,x,y\n")
    with pytest.raises(TableError, match=r"line 2, column `emotions`: unknown value 'angri'; did you mean `angry`"):
        rows("emer", tmp_path)


def cped_line(**values: str) -> str:
    base = {"TV_ID": "27", "Dialogue_ID": "27_000", "Utterance_ID": "27_000_000", "Speaker": "A", "Gender": "female",
            "Age": "young", "Neuroticism": "low", "Extraversion": "high", "Openness": "high",
            "Agreeableness": "unknown", "Conscientiousness": "high", "Scene": "car",
            "FacePosition_LU": "488_14", "FacePosition_RD": "654_204",
            "Sentiment": "neutral", "Emotion": "neutral", "DA": "answer", "Utterance": "好了没事了"}  # fmt: skip
    return ",".join((base | values)[name] for name in cped.COLUMNS)


def test_cped_keeps_personality_turns_and_the_face_box(tmp_path):
    lines = [cped_line(), cped_line(Utterance_ID="27_000_001", Speaker="B", Emotion="astonished", Sentiment="positive",
                                    FacePosition_LU="-1_-1"),
             cped_line(Utterance_ID="x", Emotion="negative-other")]  # fmt: skip
    write(tmp_path, "CPED/train_split.csv", "\n".join([",".join(cped.COLUMNS), *lines]) + "\n")
    got = rows("cped", tmp_path)
    first, second, third = got.values()
    assert first.person_box == (488, 14, 654, 204) and second.person_box is None
    assert (second.labels, second.sentiment, second.dialogue.turn) == (["surprised"], 1.0, 1)
    assert third.labels == [] and first.demographics["extraversion"] == "high"
    assert "agreeableness" not in first.demographics and first.transcript == "好了没事了" and first.language == "zh"
    with pytest.raises(TableError, match="no rows of split `test`"):
        rows("cped", tmp_path, "test")


def test_emotiontalk_joins_the_modalities_and_keeps_rows_that_lack_one(tmp_path):
    def rated(emotion: str, *votes: str, **more: str) -> dict:
        return {"data": [{"emotion": v} for v in votes], "emotion_result": emotion, "speaker_id": "03", **more}

    place = "json/G00001/G00001_02/{}.json"
    write(tmp_path, "Text/" + place.format("G00001_02_01_001"), rated("neutral", "neutral", "happy", content="你好"))
    write(tmp_path, "Audio/" + place.format("G00001_02_01_001"), rated("happy", "happy", "happy"))
    write(tmp_path, "Multimodal/" + place.format("G00001_02_01_001"), rated("surprise", "surprise"))
    write(tmp_path, "Audio/json/G00003/G00003_01_01_002.json", rated("sad", "sad", content="再见"))
    write(tmp_path, "Audio/wav/G00001/G00001_02_01_001.wav", "x")
    got = rows("emotiontalk", tmp_path)
    full, lone = got["G00001_02_01_001"], got["G00003_01_01_002"]
    assert full.labels == ["surprised"] and full.votes["words"] == {"neutral": 1.0, "happy": 1.0}
    assert full.media == {"audio": "Audio/wav/G00001/G00001_02_01_001.wav"} and full.dialogue.turn == 1
    assert (lone.labels, lone.split, lone.media, lone.transcript) == (["sad"], "test", {}, "再见")
    assert set(lone.votes) == {"voice"} and full.split == "train"


def person(**values):
    base = {"body_bbox": np.array([-5.0, 10, 60, 90]), "gender": "Female", "age": "Adult",
            "annotations_categories": {"categories": np.array(["Happiness", "Engagement"], dtype=object)},
            "annotations_continuous": {"valence": 10.0, "arousal": 1.0, "dominance": 5.5}}  # fmt: skip
    return base | values


def test_emotic_reads_the_matlab_file_one_row_a_person(tmp_path):
    rated = [{"valence": 4.0, "arousal": 5.0, "dominance": 6.0}, {"valence": 6.0, "arousal": 5.0, "dominance": 6.0}]
    second = person(combined_categories=np.array(["Fear"], dtype=object), annotations_continuous=np.array(rated),
                    combined_continuous={"valence": 5.0, "arousal": 5.0, "dominance": 6.0})  # fmt: skip
    image = {"folder": "mscoco/images", "filename": "a.jpg", "image_size": {"n_col": 50, "n_row": 80}}
    savemat(tmp_path / "Annotations.mat", {
        "train": [{**image, "person": [person(), person(body_bbox=np.array([60.0, 0, 70, 9]))]}],
        "val": [{**image, "filename": "b.jpg", "person": second}],
    })  # fmt: skip
    write(tmp_path, "emotic/mscoco/images/a.jpg", "x")
    got = rows("emotic", tmp_path)
    one, outside, two = got.values()
    assert one.labels == ["happiness", "engagement"] and (one.valence, one.arousal, one.dominance) == (1.0, -1.0, 0.0)
    assert one.person_box == (0.0, 10.0, 50.0, 80.0) and outside.person_box is None
    assert one.media == {"image": "emotic/mscoco/images/a.jpg"} and two.media == {}
    assert (two.labels, two.split) == (["fear"], "dev") and two.valence == pytest.approx(-0.5 / 4.5)
    assert emotic.resize_box(one.person_box, (50, 80), (100, 40)) == (0.0, 5.0, 100.0, 40.0)
    assert len(emotic.CATEGORIES) == 26


def test_emoset_rows_say_what_the_viewer_feels(tmp_path):
    write(tmp_path, "train.json", [["awe", "image/awe/awe_1.jpg", "annotation/awe/awe_1.json"],
                                   ["fear", "image/fear/fear_2.jpg", "annotation/none.json"]])  # fmt: skip
    write(tmp_path, "annotation/awe/awe_1.json",
          {"emotion": "awe", "brightness": 0.6, "colorfulness": 0.3, "scene": "mountain",
           "object": ["Tree", "Lake"]})  # fmt: skip
    got = rows("emoset", tmp_path)
    assert got["awe_1"].context == "Picture: brightness 0.6; colorfulness 0.3; scene mountain; object Tree, Lake."
    assert {row.task for row in got.values()} == {"evoked"} and got["fear_2"].context is None
    write(tmp_path, "train.json", [["joy", "a.jpg", "b.json"]])
    with pytest.raises(TableError, match="entry 0: unknown emotion 'joy'"):
        rows("emoset", tmp_path)


def test_bah_videos_with_frame_labels_as_segments(tmp_path):
    write(tmp_path, "split/train.txt", "video_path,label,transcript\np1/q3.mp4,1,I want to, but\np2/q1.mp4,0,Yes.\n")
    frames = "frame,label,fps\n" + "".join(f"{i},{int(3 <= i < 6)},25\n" for i in range(8))
    write(tmp_path, "p1/q3.frames.csv", frames)
    got = rows("bah", tmp_path)
    one, two = got["p1/q3"], got["p2/q1"]
    assert one.labels == ["hesitant"] and one.transcript == "I want to, but" and one.speaker == "bah_p1"
    assert [(f.start, f.end, f.label) for f in one.frame_labels] == [(0.12, 0.24, "hesitant")]
    assert two.labels == [] and two.frame_labels == []
    write(tmp_path, "split/train.txt", "p1/q3.mp4,2,x\n")
    with pytest.raises(TableError, match="line 1, column `label`: must be 0 or 1, got '2'"):
        rows("bah", tmp_path)


@pytest.mark.parametrize("header", ["", "name;timeStamp;arousal;valence;liking\n"])
def test_sewa_traces_keep_gaps(tmp_path, header):
    body = "'x';0.0;0.1;-0.2;0\n'x';0.1;0.3;;0\n'x';0.2;0.5;0.4;0\n"
    write(tmp_path, "labels/Train_DE_01.csv", header + body)
    write(tmp_path, "labels/Devel_CN_02.csv", body)
    got = rows("sewa", tmp_path)
    row = got["Train_DE_01"]
    assert [f.valence for f in row.frame_labels] == [-0.2, None, 0.4] and row.frame_labels[-1].end == pytest.approx(0.3)
    assert row.valence == pytest.approx(0.1) and row.arousal == pytest.approx(0.3)
    assert (row.language, row.demographics, got["Devel_CN_02"].split) == ("de", {"culture": "DE"}, "dev")


def test_emonet_voice_has_40_categories_and_intensities_from_0_to_10(tmp_path):
    assert len(voice_categories()) == 40
    table = wheel_table("cuewise2026")
    mapped = {name: any(table.value(normalise(name), i) for i in LEVEL1_IDS) for name in voice_categories()}
    assert all(known or valence_arousal(name) is not None for name, known in mapped.items())
    lines = [{"audio": "a.wav", "emotion": "Anger", "ratings": [2, 1, 0]},
             {"emotion": "Sexual Lust", "ratings": [0, 0, 1]},
             {"audio": "c.wav", "emotion": "Anger", "ratings": [2, 2]}]  # fmt: skip
    write(tmp_path, "bench.jsonl", "\n".join(map(json.dumps, lines)))
    one, two, three = rows("emonet_voice", tmp_path).values()
    assert (one.labels, one.chosen, one.tier) == (["anger"], "5.000", None)
    assert (two.labels, two.tier) == ([], "sexual") and three.chosen == "10.000"
    assert regression([5.0, 10.0], [5.0, 10.0])["pearson"] == pytest.approx(1.0)
    with pytest.raises(ValueError, match="ratings must be 0"):
        emonet_voice.intensity([3])
    write(tmp_path, "bench.jsonl", json.dumps({"emotion": "Angre", "ratings": [1]}))
    with pytest.raises(TableError, match="unknown category 'Angre'; did you mean `Anger`"):
        rows("emonet_voice", tmp_path)


def test_emollms_targets_are_checked_against_their_range(tmp_path):
    intensity = "Assign a numerical value between 0 (least E) and 1 (most E) to represent the intensity of emotion E."
    ordinal = "Categorize the text into an ordinal class that best characterizes the writer's mental state."
    several = "Identify the presence of one or more of the given emotions (anger, joy)."
    entries = [{"instruction": intensity, "input": "so happy", "output": "0.896"},
               {"instruction": ordinal, "input": "bad", "output": "-3: very negative emotional state can be inferred"},
               {"instruction": several, "input": "well", "output": "joy, anger"}]  # fmt: skip
    write(tmp_path, "train.json", entries)
    one, two, three = rows("emollms", tmp_path).values()
    assert (one.task, one.chosen, one.labels) == ("intensity", "0.896", [])
    assert (two.task, two.valence) == ("valence_class", -1.0) and three.labels == ["joy", "anger"]
    write(tmp_path, "train.json", [{"instruction": intensity, "output": "1.7"}])
    with pytest.raises(TableError, match=r"entry 0: '1\.7' is no intensity from 0 to 1"):
        rows("emollms", tmp_path)
