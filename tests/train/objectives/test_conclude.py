"""Answers that follow the readings of the heads, where these waver."""

import json
from dataclasses import replace

import pytest
import torch
from tiny import tiny_media, tiny_model, tiny_processor

from cuewise.data_recipes.corpora import COMMON_LABELS
from cuewise.data_recipes.schema import Row
from cuewise.data_recipes.targets import target
from cuewise.mllm.config_tools import from_dict
from cuewise.mllm.report import Cue
from cuewise.train.curriculum import StageConfig
from cuewise.train.data import Mixture
from cuewise.train.examples import Example
from cuewise.train.objectives.conclude import Conclude, ConcludeConfig, concluding
from cuewise.train.parallel import HardwareConfig, Parallel
from cuewise.train.stages import add_adapters, train_stage


def examples(label: str, source: str = "a", count: int = 8) -> list[Example]:
    made = []
    for i in range(count):
        row = Row(id=f"{source}{i}", corpus="t", labels=[label], media={"audio": "x.wav"})
        made.append(Example(row, tiny_processor().tensors(tiny_media(i, streams=("voice",))), 1.0, source))
    return made


def concluded(answer: str) -> str:
    return answer.rpartition("<answer>")[2].removesuffix("</answer>").strip()


def stage(**changes) -> StageConfig:
    return from_dict(StageConfig, {
        "objective": "conclude", "trains": ["llm", "voice.projector"], "packed": True,
        "loop": {"steps": 40, "batch_size": 8, "lr": 0.01, "warmup_steps": 2, "log_every": 1, "save_every": 40},
        "mixture": {"weights": {"a": 1.0}, "augment": {"voice": False}}, **changes,
    })  # fmt: skip


def batch_of(model, given: dict[str, list[Example]], **options):
    config = replace(stage().mixture, weights=dict.fromkeys(given, 1.0))
    mixture = Mixture(given, config, tiny_processor(model.config))
    objective = Conclude(ConcludeConfig(**options), model, tiny_processor(model.config))
    return objective, objective.batch(mixture, 12, torch.Generator().manual_seed(0))


def test_the_reading_is_what_is_written_where_it_differs_from_the_label():
    model = tiny_model().eval()
    clips = examples("happy")
    objective, batch = batch_of(model, {"a": clips})
    read = dict(zip([one.row.id for one in clips], objective.readings([one.tensors for one in clips])))
    assert {*read.values()} <= {*COMMON_LABELS} and {*read.values()} != {"happy"}
    for name, answer in zip(batch.ids, batch.answers):
        assert concluded(answer) == read[name]
    changed = sum(label != "happy" for label in map(read.get, batch.ids))
    assert batch.stats["readings/followed"] == pytest.approx(changed / 12) and changed


def test_sources_that_are_not_followed_keep_their_labels():
    _, batch = batch_of(tiny_model().eval(), {"a": examples("sad"), "b": examples("angry", "b")}, sources=["b"])
    kept = [answer for name, answer in zip(batch.ids, batch.answers) if name.startswith("a")]
    assert kept and {*map(concluded, kept)} == {"sad"}
    others = [answer for name, answer in zip(batch.ids, batch.answers) if name.startswith("b")]
    assert {*map(concluded, others)} - {"angry"}
    with pytest.raises(ValueError, match=r"options\.sources names `c`, but the mixture has a"):
        batch_of(tiny_model(), {"a": examples("sad")}, sources=["c"])


def test_modality_experts_learn_what_is_read_with_their_regulariser(tmp_path):
    model = tiny_model()
    config = stage(packed=False, trains=[], experts={"r": 2, "balance": 1.0},
                   loop={"steps": 1, "batch_size": 4, "warmup_steps": 1, "log_every": 1})  # fmt: skip
    add_adapters(model, {"s": config}, 0)
    train_stage("s", config, model, tiny_processor(model.config), {"a": examples("happy")}, {}, tmp_path, 0,
                parallel=Parallel(HardwareConfig(device="cpu")))  # fmt: skip
    (line,) = (json.loads(line) for line in (tmp_path / "checkpoints/log.jsonl").read_text().splitlines())
    assert line["s/loss"] == pytest.approx(line["s/answer_loss"] + line["s/balance_loss"], rel=1e-4)
    assert line["s/balance_loss"] > 0


def test_no_other_process_draws_what_the_model_reads(tmp_path):
    model = tiny_model()
    with pytest.raises(ValueError, match=r"stage 's': conclude draws its batches with the model .*batch_workers=0"):
        train_stage("s", stage(), model, tiny_processor(model.config), {"a": examples("happy")}, {}, tmp_path, 0,
                    parallel=Parallel(HardwareConfig(device="cpu", batch_workers=1)))  # fmt: skip


def test_cues_of_a_real_clip_stay_and_speak_for_the_reading():
    cue = Cue(channel="voice", start=0.0, end=1.0, observation="pitch clearly higher", supports=["angry"])
    row = Row(id="a", corpus="t", labels=["angry"], media={"audio": "x.wav"}, cues=[cue], votes={"voice": {"angry": 3}})
    answer = target(concluding(row, "happy"), "explained", ["voice"])
    assert answer.form == "explained" and answer.labels == ["happy"] and answer.cues[0].supports == ["happy"]
    assert answer.cues[0].observation == "pitch clearly higher" and "angry" not in answer.reasoning
    mixed = row.model_copy(update={"cues": [cue, cue.model_copy(update={"supports": ["sad"]})]})
    direct = target(concluding(mixed, "happy"), "explained", ["voice"])
    assert direct.form == "direct" and direct.labels == ["happy"]


def test_a_packed_stage_learns_to_write_what_is_read(tmp_path):
    model = tiny_model()
    names = set(model.state_dict())
    train_stage("s", stage(), model, tiny_processor(model.config), {"a": examples("happy")}, {}, tmp_path, 0,
                parallel=Parallel(HardwareConfig(device="cpu")))  # fmt: skip
    log = [json.loads(line) for line in (tmp_path / "checkpoints/log.jsonl").read_text().splitlines()]
    assert sum(line["s/loss"] for line in log[-5:]) < 0.5 * sum(line["s/loss"] for line in log[:5])
    assert log[0]["s/readings/followed"] > 0 and log[0]["s/media_rows"] > 0
    assert set(model.state_dict()) == names


def test_drawing_leaves_no_trace_in_a_model_that_learns():
    model = tiny_model()
    model.train_only("llm", "voice")
    model.train()
    before = {name: value.clone() for name, value in model.named_buffers()}
    state = torch.get_rng_state()
    drawn = [batch_of(model, {"a": examples("happy")})[1].answers for _ in range(2)]
    assert drawn[0] == drawn[1] and torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(before[name], value) for name, value in model.named_buffers())
    assert model.media.towers["voice"].encoder.training and not model.media.towers["face"].encoder.training
