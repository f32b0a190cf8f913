"""What validation looks at under each objective: every clip once, as it is."""

import pytest
import torch
from tiny import tiny_config, tiny_media, tiny_model, tiny_processor

from cuewise.data_recipes.action_words import in_words
from cuewise.data_recipes.schema import Dialogue, Row
from cuewise.mllm.config_tools import from_dict
from cuewise.train.curriculum import StageConfig
from cuewise.train.examples import Example
from cuewise.train.objectives import OBJECTIVES, attached
from cuewise.train.parallel import Parallel
from cuewise.train.stages import objective_of, validator
from cuewise.train.validation import Given

LABELS = ("happy", "sad", "angry")
STAGES = {
    "affect_words": (["llm"], {}), "conclude": (["llm"], {"sources": ["a"]}),
    "contrastive": (["face", "voice"], {"against": "both"}), "dialogue": (["dialogue"], {"turns": 3}),
    "heatmap": (["face"], {}), "masked": (["face", "voice"], {"streams": ["face", "voice"]}),
    "told_actions": (["context.encoder"], {"invented": 0.9}),
}  # fmt: skip
"""Objective -> scopes and options."""


def parts():
    plain = tiny_config().streams
    context = {**plain["words"], "encoder": {**plain["words"]["encoder"], "max_tokens": 96}}
    model = tiny_model(streams={**plain, "context": context}, heads={"dialogue": {"hidden": 16, "heads": 2}})
    return model, tiny_processor(model.config)


def examples(processor) -> list[Example]:
    """A dialogue of four turns, one of three, and clips of none; an odd number, all apart."""
    made, place = [], [("d0", 0), ("d0", 1), ("d0", 2), ("d0", 3), ("d1", 0), ("d1", 1), ("d1", 2), None, None]
    for i, where in enumerate(place):
        aus = {"AU12": 0.5 + i % 3, "AU4": 2.5 - i % 3}
        row = Row(id=f"e{i}", corpus="t", labels=[LABELS[i % 3]], media={"video": f"{i}.mp4"}, aus=aus, speaker="p",
                  context=in_words(aus), dialogue=Dialogue(id=where[0], turn=where[1]) if where else None)  # fmt: skip
        made.append(Example(row, processor.tensors(tiny_media(i, streams=("face", "voice"))), 1.0, "valid_of_a"))
    return made


def stage(name: str) -> StageConfig:
    trains, options = STAGES[name]
    return from_dict(StageConfig, {
        "objective": name, "trains": trains, "options": options,
        "loop": {"steps": 2, "batch_size": 4, "warmup_steps": 1},
        "mixture": {"weights": {"a": 1.0}, "stream_dropout": 0.9},
    })  # fmt: skip


def built(name: str):
    model, processor = parts()
    model.train_only(*STAGES[name][0])
    return model, processor, objective_of("s", stage(name), model, processor, 0)


@torch.no_grad()
@pytest.mark.parametrize("name", STAGES)
def test_every_clip_counts_once_and_the_numbers_stay(name, monkeypatch):
    model, processor, objective = built(name)
    seen, batch = [], type(objective).batch

    def watched(self, *asked):
        seen.append(batch(self, *asked))
        return seen[-1]

    monkeypatch.setattr(type(objective), "batch", watched)
    clips = examples(processor)
    check = validator(clips, stage(name), processor, [], 4, Parallel(), objective)
    with attached(model, objective):
        first = check(model.eval())
        assert sorted(key for one in seen for key in one.ids) == [one.row.id for one in clips]
        assert first == check(model) and first["valid/loss"] == first["valid/loss"]


def test_every_objective_is_looked_at():
    assert {*STAGES, "distil"} == {*OBJECTIVES.names()}  # `distil` needs a teacher; it draws as `contrastive` does


def given(name: str, processor, clips: list[Example]) -> Given:
    mixture = Given(clips, stage(name), processor)
    mixture.given = clips
    return mixture


def test_dialogues_are_scored_whole_or_in_stretches_that_follow_each_other():
    _, processor, objective = built("dialogue")
    clips = examples(processor)
    assert [[one.row.id for one in part] for part in objective.parts(clips[::-1], 4)] == [
        ["e8", "e7", "e4", "e5", "e6"], ["e0", "e1", "e2", "e3"]]  # fmt: skip
    batch = objective.batch(given("dialogue", processor, clips[:4]), 4, torch.Generator().manual_seed(0))
    assert batch.more["dialogues"] == [3, 1] and batch.ids == ["e0", "e1", "e2", "e3"]


def test_validation_of_told_actions_has_no_invented_faces():
    _, processor, objective = built("told_actions")
    clips = examples(processor)
    batch = objective.batch(given("told_actions", processor, clips), 9, torch.Generator().manual_seed(0))
    assert batch.more["targets"].known["context"].all()
