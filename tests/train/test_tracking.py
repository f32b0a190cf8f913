"""Log names: every name that training logs is documented, and the page says what the code says."""

import json
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from tiny import tiny_media, tiny_model, tiny_processor

from cuewise.data_recipes.schema import Row
from cuewise.mllm.config_tools import from_dict, override
from cuewise.train.curriculum import TASKS, Curriculum, StageConfig
from cuewise.train.examples import Example
from cuewise.train.loop import LoopConfig
from cuewise.train.parallel import HardwareConfig
from cuewise.train.stages import stage_loss
from cuewise.train.tracking import LOG_NAMES, JsonLog, matches, read_tables, write_table

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")


def test_the_page_has_every_log_name_task_and_option_of_the_loop():
    for name, says in LOG_NAMES.items():
        assert f"| `STAGE/{name}` | {says} |" in PAGE
    for name, says in TASKS.items():
        assert f"| `{name}` | {says} |" in PAGE
    missing = [field.name for field in fields(LoopConfig) if f"\n| `{field.name}` | " not in PAGE]
    assert not missing


def test_every_number_that_a_stage_logs_is_documented():
    votes = {"face": {"happy": 1}, "voice": {"happy": 2, "sad": 1}, "words": {"happy": 1}, "all": {"happy": 1}}
    row = Row(id="e", corpus="t", labels=["happy"], transcript="we won", votes=votes, aus={"AU12": 2.0})
    examples = [Example(row, tiny_processor().tensors(tiny_media(i)), 1.0, "t") for i in range(4)]
    model, logged = tiny_model(heads={"aus": ["AU12"]}), set()
    for objective in ("heads", "answers"):
        tasks = {"tasks": {"emotions": 1.0, "transcribe": 1.0}} if objective == "answers" else {}
        values = {"objective": objective, "trains": ["llm"], "loop": {"steps": 1}, "mixture": {"weights": {"a": 1.0}},
                  **tasks}  # fmt: skip
        stage = from_dict(StageConfig, values)
        mixture = Curriculum({"a": examples}, stage, tiny_processor(), (), ["AU12"])
        draw = mixture.heads_batch if objective == "heads" else mixture.answer_batch
        _, stats = stage_loss(model, draw(4, torch.Generator().manual_seed(0)), stage)
        logged |= set(stats)
    unknown = sorted(name for name in logged if not name.startswith("task/") and not [*matches(name)])
    assert not unknown and {"media_rows", "au/loss", "voice/accuracy", "task/transcribe"} <= logged
    assert [*matches("valid/va/ccc")] == ["valid/*"] and not [*matches("valid/nothing")]


def test_a_rewound_log_keeps_other_stages(tmp_path):
    log = JsonLog(tmp_path / "log.jsonl")
    for stage, step in (("a", 1), ("a", 2), ("b", 1), ("b", 2), ("b", 3)):
        log.write(stage, step, {"loss": 0.5})
    log.rewind("b", 1)
    kept = [json.loads(line) for line in log.path.read_text().splitlines()]
    assert [(line["stage"], line["step"]) for line in kept] == [("a", 1), ("a", 2), ("b", 1)]


def test_tables_are_read_back_in_order(tmp_path):
    for step in (20, 3):
        write_table(tmp_path, "s", step, [{"id": "x", "answer": str(step)}])
    assert [row["step"] for row in read_tables(tmp_path, "s")] == [3, 20]
    assert write_table(tmp_path, "s", 4, []) is None


def test_the_word_no_is_a_word_where_an_option_has_it_as_a_choice():
    values = override({"precision": "bf16"}, ["precision=no"])
    assert from_dict(HardwareConfig, values).precision == "no"
    with pytest.raises(ValueError, match="`parallel` must be one of ddp, fsdp2, got False"):
        from_dict(HardwareConfig, {"parallel": False})
