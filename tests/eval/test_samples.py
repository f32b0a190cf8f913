"""Rows become samples: what is shown, what is refused, with every problem at once."""

import json

import pytest

from cuewise.eval.samples import Roots, made, samples_of
from cuewise.eval.suites.suite import Dataset, Source, SuiteError


def dataset(**changes) -> Dataset:
    values = {"source": Source(rows="rows.jsonl"), "truth": "label", "metrics": ["uar"], "classes": ["happy", "sad"]}
    return Dataset(**(values | changes))


def roots(tmp_path, *rows: dict) -> Roots:
    (tmp_path / "d").mkdir(exist_ok=True)
    lines = [json.dumps({"corpus": "c", "labels": ["happy"], "transcript": "yes", "id": f"r{i}"} | row)
             for i, row in enumerate(rows)]  # fmt: skip
    (tmp_path / "d" / "rows.jsonl").write_text("\n".join(lines))
    return Roots.parse([str(tmp_path)])


def test_only_what_the_data_set_shows_reaches_the_clip(tmp_path):
    (tmp_path / "d").mkdir()
    for name in ("a.mp4", "a.wav"):
        (tmp_path / "d" / name).write_bytes(b"x")
    row = {"media": {"video": "a.mp4", "audio": "a.wav"}, "context": "AU12", "words": [{"text": "yes"}]}
    where = roots(tmp_path, row)
    whole = samples_of("d", dataset(), where)[0].clip
    voice = samples_of("d", dataset(show=["voice"]), where)[0].clip
    words = samples_of("d", dataset(show=["words", "context"]), where)[0].clip
    assert whole.path.name == "a.mp4" and whole.transcript == "yes" and whole.context is None
    assert voice.path.name == "a.wav" and voice.transcript is None and voice.words == []
    assert words.path is None and words.audio is None and (words.transcript, words.context) == ("yes", "AU12")


def test_all_problems_are_told_at_once(tmp_path):
    where = roots(tmp_path, {"id": "a"}, {"id": "a"}, {"id": "b", "labels": ["furious"]}, {"id": "c", "labels": []},
                  {"id": "d", "media": {"audio": "gone.wav"}}, {"id": "e", "transcript": None})  # fmt: skip
    with pytest.raises(SuiteError) as caught:
        samples_of("d", dataset(), where)
    problems = "\n".join(caught.value.problems)
    for part in ("id 'a' stands there twice", "'b' is labelled furious", "classes: happy, sad", "'c' has no label",
                 "gone.wav is missing", "'e' has no media here and no words"):  # fmt: skip
        assert part in problems
    assert len(caught.value.problems) == 5


def test_many_problems_stay_readable(tmp_path):
    where = roots(tmp_path, *({"media": {"audio": f"gone{i}.wav"}} for i in range(50)))
    with pytest.raises(SuiteError) as caught:
        samples_of("d", dataset(), where)
    assert len(caught.value.shown) == 21 and caught.value.shown[-1].startswith("... and 30 more")


def test_media_may_be_missing_when_the_answers_come_from_a_file(tmp_path):
    where = roots(tmp_path, {"media": {"audio": "gone.wav"}}, {"transcript": None})
    assert len(samples_of("d", dataset(), where, media_needed=False)) == 2


def test_labels_outside_the_classes_can_be_left_out_by_the_protocol(tmp_path):
    where = roots(tmp_path, {"labels": ["excited"]}, {"labels": ["frustrated"]}, {"labels": ["sad"]})
    config = dataset(classes={"happy": ["excited"], "sad": []}, outside="leave out")
    assert [sample.gt for sample in samples_of("d", config, where)] == ["happy", "sad"]


def test_where_data_lie(tmp_path):
    with pytest.raises(SuiteError, match="--data ROOT \\(holding d/\\) or --data d=PATH"):
        samples_of("d", dataset(), Roots())
    with pytest.raises(SuiteError, match=r"rows\.jsonl is missing"):
        samples_of("d", dataset(), Roots.parse([f"d={tmp_path}/nowhere"]))
    with pytest.raises(SuiteError, match="two roots"):
        Roots.parse([str(tmp_path), str(tmp_path)])


def test_a_broken_row_names_file_and_line(tmp_path):
    where = roots(tmp_path, {})
    (tmp_path / "d" / "rows.jsonl").write_text('{"id": "a", "corpus": "c"}\n{"id": 3\n')
    with pytest.raises(SuiteError, match=r"rows\.jsonl:2: not valid JSON"):
        samples_of("d", dataset(truth="labels", classes={}), where)


def test_synthetic_samples_are_made_with_their_truth(tmp_path):
    config = dataset(source=Source(synthetic=1), truth="cues", classes=[])
    (sample,) = samples_of("synthetic", config, Roots())
    assert sample.gt is None and sample.clip is None
    ready = made(sample, config)
    assert ready.gt["labels"] and ready.clip.id == sample.id and "channels" in ready.groups
