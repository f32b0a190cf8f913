"""The dry run stops at what would stop the run, and says the same."""

import pytest
import torch
from media_samples import audio_file
from stage_samples import example, stage
from tiny import tiny_model, tiny_processor

from cuewise.train.dry_run import check_metric, plan_of, validation_names
from cuewise.train.parallel import Parallel
from cuewise.train.stages import add_adapters, validator

CHECKED = "stages.face.loop.evaluate_every=10"


@pytest.mark.parametrize(
    ("recipe", "overrides", "message"),
    [
        ("nano", ["workers=0"], "workers must be >= 1, got 0"),
        ("nano-grpo", ["workers=-1"], "workers must be >= 1"),
        ("nano", ["stages.face.loop.betas=[0.9, 1.5]"], r"betas are two decays in \[0, 1\)"),
        ("nano", ["stages.face.mixture.streams=[fase]"], r"'face'.*mixture\.streams names `fase`.*did you mean `face`"),
        ("nano", ["stages.face.validation=[emodb]"], "validated on `emodb`, but `validation` has"),
        ("nano", ["validation={}", CHECKED], "'face' has evaluate_every 10 but no validation source"),
        ("nano", [CHECKED, "stages.face.loop.metric=valid/face/acuracy"], "did you mean `valid/face/accuracy`"),
        ("nano", [CHECKED, "stages.face.loop.metric=valid/token_accuracy"], "'face': no validation number is named"),
        ("nano", ["stages.answers.loop.lr_scale={vioce: 0.1}"], "lr_scale names `vioce`.*did you mean `voice`"),
        ("nano-research", ["hardware.batch_workers=2"], "conclude draws its batches with the model that learns"),
        ("nano-grpo", ["hardware.parallel=fsdp2"], "a grpo recipe needs the whole model .* hardware.parallel=ddp"),
        ("nano-dpo", ["hardware.batch_workers=1"], "a dpo recipe draws its batches with the model that learns"),
        ("nano-dpo", ["requires=[voise]"], "requires names `voise`.*did you mean `voice`"),
        ("nano-dpo", ["loop.lr_scale={lllm: 2}"], "lr_scale names `lllm`"),
        ("nano-grpo", ["weights={drawn: 0}"], "at least one of them > 0"),
        ("nano-grpo", ["adapters={lllm: {}}"], "unknown scope `lllm`"),
        ("nano-grpo", ["rolout.group=2"], "did you mean `rollout`"),
        ("nano-dpo", ["kind=critic"], "plans exist for supervised, grpo and dpo recipes; this one is of kind `critic`"),
        ("nano-dpo", ["kind=talk"], "this one is of kind `talk`"),
    ],
)  # fmt: skip
def test_what_would_stop_the_run_stops_the_dry_run(recipe, overrides, message):
    with pytest.raises(ValueError, match=message):
        plan_of(recipe, overrides, "1xH100")


def table(folder, text: str) -> str:
    for i in range(2):
        audio_file(folder, "wav", seconds=0.5, hz=200 + 20 * i).rename(folder / f"{i}.wav")
    (folder / "labels.csv").write_text(text, encoding="utf-8")
    return f"data.csv={folder / 'labels.csv'}"


GIVEN = "file,label,split\n0.wav,happy,train\n1.wav,sad,{}\n"


def test_a_table_of_own_clips_is_read_as_training_reads_it(tmp_path):
    before = table(tmp_path, GIVEN.format("dev"))
    files = sorted(tmp_path.iterdir())
    assert "answers" in plan_of("finetune", [before, f"out={tmp_path / 'runs'}"], "1xH100")
    assert sorted(tmp_path.iterdir()) == files


@pytest.mark.parametrize(
    ("options", "message"),
    [(["data.csv={}/no.csv"], r"data\.csv: .*no such file"), (["data.csv={}"], "this is a folder, not a table"),
     (["data.csv={}/labels.csv", "data.label=emotion"], "column `emotion` is missing"),
     (["data.csv={}/labels.csv", "data.needs=[face]"], "0.wav has no pictures")],
)  # fmt: skip
def test_a_table_that_cannot_be_used_is_named(tmp_path, options, message):
    table(tmp_path, GIVEN.format("dev"))
    with pytest.raises(ValueError, match=message):
        plan_of("finetune", [option.format(tmp_path) for option in options], "1xH100")


def test_a_stage_is_not_validated_on_clips_that_the_table_does_not_leave(tmp_path):
    csv = table(tmp_path, GIVEN.format("train"))
    with pytest.raises(ValueError, match=r"'heads' is validated on `mine_dev`, for which .* leaves no clip"):
        plan_of("finetune", [csv, "stages.heads.validation=[mine_dev]"], "1xH100")
    with pytest.raises(ValueError, match="evaluate_every 5 but no validation source"):
        plan_of("finetune", [csv, "stages.heads.loop.evaluate_every=5"], "1xH100")


@pytest.mark.parametrize(
    "options",
    [{"objective": "heads", "trains": ["heads"]}, {"tasks": {"transcribe": 1.0, "statement": 1.0}},
     {"head_weight": 0.5, "packed": True}, {"experts": {"r": 2}}],
)  # fmt: skip
def test_every_number_of_a_validation_may_be_the_metric(options):
    config, model = stage(**options), tiny_model(heads={"aus": ["AU12"]})
    add_adapters(model, {"s": config}, seed=0)
    examples = [example(i, labels=[label], valence=0.1 * i, arousal=0.2, aus={"AU12": 1.0})
                for i, label in enumerate(("happy", "sad"))]  # fmt: skip
    with torch.no_grad():
        found = validator(examples, config, tiny_processor(), ["AU12"], 2, Parallel())(model)
    assert {name.removeprefix("valid/") for name in found} <= validation_names(config)
    for config.loop.metric in found:
        check_metric("s", config)


def test_objectives_of_their_own_have_names_that_cannot_be_told():
    config = stage(objective="contrastive", trains=["voice"], loop={"steps": 1, "evaluate_every": 1, "metric": "loss"})
    assert validation_names(config) is None
    with pytest.raises(ValueError, match="no validation number is named `loss`; their names begin with `valid/`"):
        check_metric("s", config)
    config.loop.metric = "valid/anything"
    check_metric("s", config)
