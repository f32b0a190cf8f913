"""Recipes: overrides, inheritance, clear errors, and one that trains a model which can be loaded and asked."""

import json

import pytest
from media_samples import audio_file

from cuewise.data_recipes.schema import Row, write_jsonl
from cuewise.mllm.clip import Clip
from cuewise.mllm.pipeline import Analyzer
from cuewise.train.examples import SourceError
from cuewise.train.sft import main, merged, read_recipe

LOOP = "{steps: 2, batch_size: 2, warmup_steps: 1, log_every: 1, save_every: 1}"


def write_recipe(folder, **changes) -> str:
    values = {"rows": "rows.jsonl", "trains": "[voice, words]"} | changes
    path = folder / "mine.yaml"
    path.write_text(f"""
name: mine
out: {folder}/runs
cache: {folder}/cache
data_root: {folder}
workers: 1
vocabulary: {{size: 400}}
sources:
  mine: {{kind: rows, folder: {values["rows"]}}}
stages:
  heads:
    objective: heads
    trains: {values["trains"]}
    loop: {LOOP}
    mixture: {{weights: {{mine: 1.0}}}}
  answers:
    trains: [llm, fusion]
    loop: {LOOP}
    mixture: {{weights: {{mine: 1.0}}, explained_share: 0.0}}
""")
    return str(path)


def test_shipped_recipes_are_read_and_the_research_variant_changes_only_what_it_says():
    nano, research = read_recipe("nano", []), read_recipe("nano-research", ["stages.answers.loop.steps=7"])
    assert list(nano.stages) == list(research.stages)
    assert set(research.sources) - set(nano.sources) == {"ravdess", "nemo"}
    assert research.stages["face"] == nano.stages["face"]
    assert research.stages["answers"].loop.steps == 7 != nano.stages["answers"].loop.steps


def test_merged_changes_group_by_group():
    assert merged({"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"b": 3}, "d": [2]}) == {"a": {"b": 3, "c": 2}, "d": [2]}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["stages.answers.loop.stepz=3"], r"did you mean `stages\.answers\.loop\.steps`"),
        (["stages.answers.mixture.weights={ravdes: 1}"], "draws from `ravdes`"),
        (["seed=soon"], "`seed` must be int"),
    ],
)
def test_a_wrong_option_is_named(overrides, message):
    with pytest.raises(ValueError, match=message):
        read_recipe("nano", overrides)


def test_an_unknown_recipe_names_the_shipped_ones():
    with pytest.raises(ValueError, match="nano, nano-research"):
        read_recipe("nanno", [])


@pytest.mark.slow
def test_a_folder_of_clips_and_rows_becomes_a_model_that_answers(tmp_path):
    for i in range(3):
        audio_file(tmp_path, "wav", seconds=1.0, hz=180 + 40 * i).rename(tmp_path / f"{i}.wav")
    rows = [Row(id=str(i), corpus="mine", media={"audio": f"{i}.wav"}, labels=["happy" if i else "sad"],
                transcript="so it is") for i in range(3)]  # fmt: skip
    write_jsonl(rows, tmp_path / "rows.jsonl")
    folder = main(write_recipe(tmp_path))
    log = [json.loads(line) for line in (tmp_path / "runs/mine/checkpoints/log.jsonl").read_text().splitlines()]
    assert [line["stage"] for line in log] == ["heads", "heads", "answers", "answers"]
    assert log[-1]["answers/media_rows"] > 0
    with Analyzer.load(folder) as analyzer:
        report = analyzer.analyze(Clip(path=tmp_path / "0.wav"), form="direct")
    assert report.streams["voice"].present and report.distribution
    assert main(write_recipe(tmp_path)) == folder  # everything is there, nothing is trained again



@pytest.mark.slow
def test_a_missing_file_is_named_with_source_and_row(tmp_path):
    write_jsonl([Row(id="x", corpus="mine", media={"audio": "gone.wav"}, labels=["sad"])], tmp_path / "gone.jsonl")
    with pytest.raises(SourceError, match=r"source 'mine', row 'x': .*gone\.wav"):
        main(write_recipe(tmp_path, rows="gone.jsonl"))


def test_a_part_that_does_not_exist_is_named(tmp_path):
    write_jsonl([Row(id="t", corpus="mine", transcript="so it is", labels=["sad"])], tmp_path / "rows.jsonl")
    with pytest.raises(ValueError, match="unknown scope `voices`"):
        main(write_recipe(tmp_path, trains="[voices]"))
