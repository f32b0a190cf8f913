"""`cuewise data make`, `describe` and `explain`: rows of rows on the command line, with media that is still found."""

import json

import pytest

from cuewise.__main__ import main
from cuewise.data_recipes.made import MADE, make
from cuewise.data_recipes.schema import Row, read_jsonl, write_jsonl
from cuewise.mllm.report import Cue
from cuewise.mllm.systems.base import Reply

GOOD, BAD = "I never thought we would win this game.", "uh uh uh uh uh uh"
CUE = Cue(channel="voice", observation="pitch clearly higher", supports=["happy"])


def rows() -> list[Row]:
    shown = [
        Row(id=f"r{i}", corpus="c", split="train", labels=[label], transcript=GOOD if i % 2 else BAD, cues=[CUE],
            aus={"AU12": 3.0}, media={"audio": f"a{i}.wav"})
        for i, label in enumerate(("happy", "happy", "sad", "angry"))
    ]  # fmt: skip
    felt = Row(id="v", corpus="c", labels=["amused"], task="evoked", context="The cat slips.", transcript="Look.")
    return [*shown, felt]


@pytest.fixture
def source(tmp_path):
    (tmp_path / "in").mkdir()
    write_jsonl(rows(), tmp_path / "in" / "rows.jsonl")
    return tmp_path / "in" / "rows.jsonl"


@pytest.mark.parametrize("kind", MADE)
def test_each_kind_is_made_and_its_media_is_found_from_the_new_file(kind, source, tmp_path, capsys):
    out = tmp_path / "out" / "deep" / f"{kind}.jsonl"
    assert main(["data", "make", kind, str(source), str(out)]) == 0
    made = list(read_jsonl(out))
    assert made and f"{len(made)} rows of {kind} from 5 rows" in capsys.readouterr().out
    for row in made:
        assert all((out.parent / path).resolve().parent == source.parent for path in row.media.values())
    told = {
        "statements": lambda row: row.statement is not None, "preferences": lambda row: row.chosen != row.rejected,
        "text": lambda row: not row.media and "AU12" in row.context, "features": lambda row: row.media,
        "route": lambda row: bool(row.media) == (row.id.partition(":")[0] in ("r0", "r2")),
        "three_part": lambda row: row.chosen.startswith("Key Observations"),
        "viewers": lambda row: row.chosen == "The viewer feels amused because the cat slips.",
        "unique": lambda row: row.id in ("r0", "r1", "v"),
    }  # fmt: skip
    assert all(told[kind](row) for row in made)


def test_the_voice_is_measured_where_it_is_asked_for(tmp_path):
    import numpy as np
    import soundfile

    times = np.arange(48000) / 16000
    pitch = np.where(times < 1.5, 140.0, 320.0)
    voice = sum(np.sin(k * 2 * np.pi * np.cumsum(pitch) / 16000) / k for k in range(1, 9))
    soundfile.write(tmp_path / "a.wav", 0.1 * voice, 16000)
    write_jsonl([Row(id="a", corpus="c", labels=["happy"], media={"audio": "a.wav"})], tmp_path / "rows.jsonl")
    with pytest.raises(ValueError, match=r"no row of .* gives text"):
        make("text", tmp_path / "rows.jsonl", tmp_path / "text.jsonl")
    make("text", tmp_path / "rows.jsonl", tmp_path / "text.jsonl", measured=True)
    assert "pitch strongly higher at 1.5" in next(read_jsonl(tmp_path / "text.jsonl")).context


def test_an_unknown_kind_names_the_nearest(source, tmp_path, capsys):
    assert main(["data", "make", "statement", str(source), str(tmp_path / "x.jsonl")]) == 2
    assert "did you mean `statements`" in capsys.readouterr().err


def test_a_system_explains_known_labels_and_what_is_right_is_kept(source, tmp_path, capsys, monkeypatch):
    class Explainer:
        """Right for happy rows, without reasoning for the others."""

        def answer(self, asks):
            for ask in asks:
                happy = "to feel: happy" in ask.prompt
                text = "<think>\n[face] lip corners up (AU12) => happy\nShe is glad.\n</think>\n" if happy else ""
                yield Reply(id=ask.id, text=f"{text}<answer>{'happy' if happy else 'x'}</answer>", usage={})

    monkeypatch.setattr("cuewise.mllm.systems.base.load_system", lambda spec: Explainer())
    out = tmp_path / "deep" / "kept.jsonl"
    assert main(["data", "explain", str(source), str(out), "--tries", "2"]) == 0
    kept = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["id"] for row in kept] == ["r0", "r1"] and kept[0]["media"] == {"audio": "../in/a0.wav"}
    assert "kept 2 rows" in capsys.readouterr().out


def test_systems_describe_clips_and_a_crowd_decides(source, tmp_path, capsys, monkeypatch):
    class Sayer:
        def __init__(self, name):
            self.name = name

        def answer(self, asks):
            for ask in asks:
                feels = next((label for label in ("sad", "angry") if f"feel {label}" in (ask.prompt or "")), "happy")
                said = {"see": "A wide smile.", "hear": "A high voice.", "crowd": "<answer>happy</answer>",
                        "join": f"{'The corners of the mouth are up and the voice is high. ' * 5}So: {feels}."}
                assert (ask.clip is None) == (self.name == "join") == ("Seen: A wide smile." in (ask.prompt or ""))
                yield Reply(id=ask.id, text=said[self.name], usage={})

    monkeypatch.setattr("cuewise.mllm.systems.base.load_system", Sayer)
    out = tmp_path / "out.jsonl"
    asked = ["data", "describe", str(source), str(out), "--see", "see", "--hear", "hear", "--join", "join"]
    assert main([*asked, "--crowd", "crowd"]) == 0
    assert capsys.readouterr().out.startswith("kept 2 rows, dropped 2 (the crowd disagrees 2)")
    kept = list(read_jsonl(out))
    assert [row.id for row in kept] == ["r0", "r1"] and kept[0].reasoning.endswith("So: happy.")
    assert kept[0].media == {"audio": "in/a0.wav"} and kept[0].tier == "reviewed"
