"""Recipes: overrides, inheritance, clear errors, and one that trains a model which can be loaded and asked."""

import json
from types import SimpleNamespace

import pytest
from media_samples import audio_file
from tiny import tiny_media, tiny_model, tiny_processor

from cuewise.data_recipes.schema import Row, write_jsonl
from cuewise.mllm.clip import Clip
from cuewise.mllm.media import MediaConfig
from cuewise.mllm.pipeline import Analyzer
from cuewise.train import sft
from cuewise.train.examples import Example, SourceError
from cuewise.train.own_clips import OwnClipsError
from cuewise.train.sft import RECIPES, finish, main, merged, read_recipe, recipe_values
from cuewise.train.tracking import read_tables

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


@pytest.mark.parametrize("name", sorted(path.stem for path in RECIPES.glob("*.yaml")))
def test_shipped_recipes_are_read(name):
    needs = ["data.csv=x.csv"] if name == "finetune" else []
    values = recipe_values(name)
    own = "kind" not in values and "sources" in values
    if own or needs:  # recipes of supervised tuning; others have their own readers
        assert read_recipe(name, needs).stages


def test_a_recipe_that_extends_another_changes_only_what_it_says(tmp_path):
    (tmp_path / "mine.yaml").write_text("extends: nano\nname: mine\nstages: {answers: {loop: {lr: 0.5}}}\n")
    nano, mine = read_recipe("nano", []), read_recipe(str(tmp_path / "mine.yaml"), ["stages.answers.loop.steps=7"])
    assert list(nano.stages) == list(mine.stages) and nano.sources == mine.sources
    assert mine.stages["answers"].loop.steps == 7 and mine.stages["answers"].loop.lr == 0.5
    assert mine.stages["answers"].loop.batch_size == nano.stages["answers"].loop.batch_size


def test_merged_changes_group_by_group():
    assert merged({"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"b": 3}, "d": [2]}) == {"a": {"b": 3, "c": 2}, "d": [2]}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["stages.answers.loop.stepz=3"], r"did you mean `stages\.answers\.loop\.steps`"),
        (["stages.answers.mixture.weights={ravdes: 1}"], "draws from `ravdes`"),
        (["seed=soon"], "`seed` must be int"),
        (["stages.anwers.loop.steps=3"], r"there is no `anwers`; did you mean `answers`"),
        (["stages.more={trains: [llm], loop: {steps: 1}}"], r"`stages\.more` needs `mixture`"),
        (["stages.answers.validation=[foo]"], "validated on `foo`, but `validation` has synthetic_dev"),
        (["stages.answers.mixture.label_weight=-1"], "label_weight must be > 0"),
        (["stages.answers.head_weight=-1"], "head_weight must be >= 0"),
    ],
)
def test_a_wrong_option_is_named(overrides, message):
    with pytest.raises(ValueError, match=message):
        read_recipe("nano", overrides)


def test_a_source_may_be_added_whose_name_is_near_another():
    added = read_recipe("nano", ["sources.emodb2.corpus=emodb", "sources.emodb2.split=dev"]).sources
    assert added["emodb2"].split == "dev" and added["emodb"].split == "train"


def test_a_number_may_be_written_as_people_write_it():
    assert read_recipe("nano", ["stages.answers.loop.lr=1e-4"]).stages["answers"].loop.lr == 1e-4
    assert read_recipe("nano", ["stages.answers.loop.betas=[9e-1, 0.95]"]).stages["answers"].loop.betas == (0.9, 0.95)


def test_an_unknown_recipe_names_the_nearest_one():
    with pytest.raises(ValueError, match=r"'nanno' is neither .* did you mean `nano`"):
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


def test_own_clips_need_a_table():
    with pytest.raises(ValueError, match=r"the sources are none; give your clips with data\.csv"):
        read_recipe("finetune", [])


def test_own_clips_that_no_stage_draws_from_are_an_error():
    with pytest.raises(ValueError, match=r"no stage draws from them; add `mine` to the mixture\.weights"):
        read_recipe("nano", ["data.csv=x.csv"])


def test_held_out_clips_of_your_own_need_the_streams_too(tmp_path, monkeypatch):
    processor = tiny_processor()

    def prepare(sources, *_):
        media = tiny_media(0, streams=("words",) if "mine_dev" in sources else ("voice", "words"))
        row = Row(id="dev-7" if "mine_dev" in sources else "a", corpus="mine", labels=["sad"])
        return {name: [Example(row, processor.tensors(media), 1.0, name)] for name in sources}

    for i in range(2):
        audio_file(tmp_path, "wav", seconds=0.3).rename(tmp_path / f"{i}.wav")
    (tmp_path / "labels.csv").write_text("file,label,split\n0.wav,sad,train\n1.wav,sad,dev\n")
    monkeypatch.setattr(sft, "start", lambda *_: (tiny_model(), processor))
    monkeypatch.setattr(sft, "prepare", prepare)
    monkeypatch.setattr(sft, "train_stage", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(OwnClipsError, match=r"1 clips have no voice once decoded.*: dev-7"):
        main("finetune", [f"data.csv={tmp_path}/labels.csv", f"out={tmp_path}/runs", "data.needs=[voice]",
                          "hardware.device=cpu"])  # fmt: skip


def test_validation_clips_without_a_common_label_cost_the_calibration_and_not_the_model(tmp_path, caplog):
    processor = tiny_processor()
    processor.keep_media(MediaConfig(num_frames=8))
    bored = Example(Row(id="b", corpus="mine", labels=["bored"]), processor.tensors(tiny_media(0)), 1.0, "mine")
    config = SimpleNamespace(init=None, stored="float32")
    folder = finish(tiny_model(), processor, {"mine_dev": [bored]}, config, tmp_path)
    assert "none of the 1 validation clips has one of the common labels" in caplog.text
    assert not (tmp_path / "calibration.json").exists()
    with Analyzer.load(folder) as analyzer:
        assert analyzer.worker.config.num_frames == 8


@pytest.mark.slow
def test_the_shipped_model_is_fine_tuned_on_a_folder_of_clips_and_a_table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for i in range(4):
        audio_file(tmp_path, "wav", seconds=1.0, hz=180 + 40 * i).rename(tmp_path / f"{i}.wav")
    lines = [f"{i}.wav,{'happy' if i % 2 else 'sad'},so it is,p{i},{'dev' if i == 3 else 'train'}" for i in range(4)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,label,transcript,speaker,split", *lines]))
    quick = ["loop.steps=2", "loop.batch_size=2", "loop.log_every=1", "loop.evaluate_every=1", "loop.sample_every=2"]
    options = [f"stages.{stage}.{option}" for stage in ("heads", "answers") for option in quick]
    folder = main("finetune", ["data.csv=labels.csv", "name=mine", "workers=1", "states_cache=states", *options])
    log = [json.loads(line) for line in (folder.parent / "checkpoints/log.jsonl").read_text().splitlines()]
    assert {line["stage"] for line in log} == {"heads", "answers"} and log[-1]["answers/valid/loss"] > 0
    assert read_tables(folder.parent / "checkpoints/samples", "answers")[0]["answer"].endswith("</answer>")
    clip, texts = Clip(path=tmp_path / "0.wav"), {}
    for key, options in {"base": {}, "adapter": {"adapter": "mine"}, "merged": {"model": folder}}.items():
        with Analyzer.load(**options) as analyzer:
            texts[key] = analyzer.analyze(clip)
            if key == "adapter":
                assert analyzer.name == "nano+mine"
                with analyzer.model.adapter.off():
                    texts["off"] = analyzer.analyze(clip)
    assert texts["off"].text == texts["base"].text and texts["off"].distribution == texts["base"].distribution
    for label, share in texts["merged"].distribution.items():
        assert texts["adapter"].distribution[label] == pytest.approx(share, abs=1e-4)
    assert texts["adapter"].distribution != texts["base"].distribution
