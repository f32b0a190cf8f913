"""Whole dialogues through the stage runner: turns in order, labels chained, unlabelled turns kept."""

import json

import pytest
import torch
from tiny import tiny_media, tiny_model, tiny_processor

from cuewise.data_recipes.schema import Dialogue, Row
from cuewise.mllm.config_tools import from_dict
from cuewise.train.curriculum import StageConfig
from cuewise.train.data import Mixture
from cuewise.train.examples import Example
from cuewise.train.objectives.dialogue import DialogueObjective, DialogueObjectiveConfig
from cuewise.train.parallel import HardwareConfig, Parallel
from cuewise.train.stages import train_stage

HEADS = {"dialogue": {"hidden": 16, "heads": 2}}


def turn(dialogue: int, number: int, label: str | None) -> Example:
    row = Row(id=f"d{dialogue}t{number}", corpus="t", labels=[label] if label else [], speaker="ab"[number % 2],
              dialogue=Dialogue(id=f"d{dialogue}", turn=number), media={"audio": "x.wav"})  # fmt: skip
    media = tiny_media(10 * dialogue + number, streams=("voice",))
    return Example(row, tiny_processor().tensors(media), 1.0, "t")


def dialogues() -> list[Example]:
    moods = [("happy", "sad"), ("angry", "happy"), ("sad", None)]
    made = [turn(d, n, moods[d][n % 2]) for d in range(3) for n in range(4)]
    return made[::-1]  # a source need not be in order


def stage(**options) -> StageConfig:
    return from_dict(StageConfig, {
        "objective": "dialogue", "options": options, "trains": ["dialogue", "voice"],
        "loop": {"steps": 70, "batch_size": 6, "lr": 0.01, "warmup_steps": 2, "log_every": 1, "save_every": 70,
                 "schedule": "constant"},
        "mixture": {"weights": {"a": 1.0}, "augment": {"voice": False}},
    })  # fmt: skip


def test_the_chain_learns_through_the_stage_runner(tmp_path):
    model = tiny_model(heads=HEADS)
    train_stage("s", stage(), model, tiny_processor(model.config), {"a": dialogues()}, {}, tmp_path, 0,
                parallel=Parallel(HardwareConfig(device="cpu")))  # fmt: skip
    log = [json.loads(line) for line in (tmp_path / "checkpoints/log.jsonl").read_text().splitlines()]
    assert sum(line["s/loss"] for line in log[-5:]) < 0.5 * sum(line["s/loss"] for line in log[:5])
    assert sum(line["s/accuracy"] for line in log[-5:]) / 5 > 0.8


def test_turns_come_in_order_whole_and_with_their_speakers():
    model = tiny_model(heads=HEADS)
    objective = DialogueObjective(DialogueObjectiveConfig(turns=3), model, tiny_processor(model.config))
    mixture = Mixture({"a": dialogues()}, stage().mixture, tiny_processor())
    batch = objective.batch(mixture, 6, torch.Generator().manual_seed(0))
    assert batch.more["dialogues"] == [3, 3]
    for begin in (0, 3):
        ids = batch.ids[begin : begin + 3]
        assert len({key[:2] for key in ids}) == 1 and [int(key[3]) for key in ids] == sorted(int(key[3]) for key in ids)
        assert batch.more["speakers"][begin : begin + 3] == ["ab"[int(key[3]) % 2] for key in ids]
    unnamed = [label for key, label in zip(batch.ids, batch.more["labels"]) if key in ("d2t1", "d2t3")]
    assert all(label is None for label in unnamed)


def test_of_a_dialogue_with_many_people_the_stretch_that_the_chain_can_hold_is_learnt_from():
    model = tiny_model(heads=HEADS)
    objective = DialogueObjective(DialogueObjectiveConfig(), model, tiny_processor(model.config))
    crowd = [turn(0, number, "happy") for number in range(16)]
    for number, one in enumerate(crowd):
        one.row.speaker = f"p{number % 8}"
    mixture = Mixture({"a": crowd}, stage().mixture, tiny_processor())
    batch = objective.batch(mixture, 4, torch.Generator().manual_seed(0))
    assert 4 <= batch.more["dialogues"][0] < 16
    loss, _ = objective.loss(model, batch)
    assert loss.isfinite()
    stretches = objective._whole(crowd)
    assert len(stretches) > 1 and [one for part in stretches for one in part] == crowd


def test_a_model_without_the_head_is_told_what_to_add():
    with pytest.raises(ValueError, match=r"give the model heads: \{dialogue: \{\}\}"):
        DialogueObjective(DialogueObjectiveConfig(), tiny_model(), tiny_processor())
