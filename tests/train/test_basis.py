"""A run that was changed is refused by its own name; one that only logs, keeps or looks at more goes on."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file
from tiny import tiny_media, tiny_processor
from torch import nn

from cuewise.data_recipes.schema import Row
from cuewise.train.basis import (
    ROWS,
    ChangedRunError,
    basis_of,
    changes,
    recorded,
    rows_digest,
    weights_digest,
    write_rows,
)
from cuewise.train.examples import Example
from cuewise.train.loop import LoopConfig, run_stage

LOOP = LoopConfig(steps=4, batch_size=2, warmup_steps=1, save_every=2)


class Batch:
    ids = ("a", "b")


def train(folder, loop=LOOP, seed=0) -> nn.Module:
    torch.manual_seed(0)
    net = nn.Linear(2, 1)
    run_stage("s", net, lambda _step, _generator: Batch(), lambda net, _batch: (net(torch.ones(2, 2)).sum(), {}), loop,
              folder, run_seed=seed)  # fmt: skip
    return net


def example(**changes) -> Example:
    media = tiny_media(0, streams=("voice", "words"))
    row = Row(**{"id": "a", "corpus": "t", "labels": ["happy"], "media": {"audio": "a.wav"}} | changes)
    return Example(row, tiny_processor().tensors(media), 1.0, "mine")


def recipe(run, **stage) -> None:
    """A recipe of two stages as `main` leaves it in a run folder; options go to the second stage."""
    loop = {"steps": 4, "lr": 0.1, "log_every": 1}
    stages = {
        "first": {"objective": "heads", "loop": loop, "mixture": {"weights": {"theirs": 1.0}}},
        "s": {"objective": "answers", "loop": loop, "mixture": {"weights": {"mine": 1.0}}, **stage},
    }
    run.mkdir(exist_ok=True)
    (run / "recipe.json").write_text(json.dumps({"name": "x", "seed": 1, "workers": 2, "stages": stages}))


@pytest.mark.parametrize(
    ("loop", "seed", "told"),
    [
        (replace(LOOP, lr=0.5), 0, r"loop\.lr was 0\.001, now 0\.5"),
        (replace(LOOP, steps=3), 0, r"loop\.steps was 4, now 3"),
        (replace(LOOP, average=0.9), 0, r"loop\.average was not set, now 0\.9"),
        (LOOP, 3, "seed was not set, now 3"),
    ],
)
def test_a_finished_stage_of_other_options_is_not_used_again(tmp_path, loop, seed, told):
    train(tmp_path)
    with pytest.raises(ChangedRunError, match=rf"trained on other data or options \(.*{told}.*\); use another name, or "
                                              rf"remove {tmp_path}"):  # fmt: skip
        train(tmp_path, loop, seed)


def test_more_logging_and_smaller_parts_go_on(tmp_path):
    first = train(tmp_path)
    again = train(tmp_path, replace(LOOP, log_every=1, save_every=1, keep_last=3, sample_every=1, micro_batches=2))
    assert torch.equal(first.weight, again.weight)


def test_a_checkpoint_that_says_nothing_goes_on_with_a_warning(tmp_path, caplog):
    first = train(tmp_path)
    old = torch.load(tmp_path / "s.pt", weights_only=True)
    del old["basis"]
    torch.save(old, tmp_path / "s.pt")
    assert torch.equal(first.weight, train(tmp_path, replace(LOOP, lr=0.5)).weight)
    assert "does not say what it was trained on" in caplog.text


def test_rows_options_and_earlier_stages_decide_and_places_do_not(tmp_path):
    def basis(**stage):
        recipe(tmp_path, **stage)
        return basis_of(tmp_path, "s", LOOP, 0)

    write_rows({"mine": [example()], "theirs": [], "unused": []}, tmp_path)
    first = basis()
    assert {"rows of mine", "rows of theirs", "stages.first.loop.lr", "stages.s.objective"} <= {*first}
    assert not {"rows of unused", "name", "workers", "stages.s.loop.log_every"} & {*first}
    assert changes(first, basis(packed=True, validation=["v"])) == ""
    assert changes(first, basis(head_weight=0.5)) == "stages.s.head_weight was not set, now 0.5"
    write_rows({"mine": [example(labels=["sad"])], "theirs": [], "unused": []}, tmp_path)
    assert changes(first, basis()) == "rows of mine"
    write_rows({"mine": [example()], "theirs": [], "unused": [example()]}, tmp_path)
    assert changes(first, basis()) == ""


def test_a_recipe_without_stages_counts_whole(tmp_path):
    def basis(**options):
        (tmp_path / "recipe.json").write_text(json.dumps({"kind": "grpo", "loop": {"lr": 9}, "policy": {"kl": 0.1},
                                                          "hardware": {"device": "cpu"}} | options))  # fmt: skip
        return basis_of(tmp_path, "grpo", LOOP, 0)

    first = basis()
    assert changes(first, basis(policy={"kl": 0.2})) == "policy.kl was 0.1, now 0.2"
    assert changes(first, basis(sources={"a": {"split": "dev"}})) == 'sources.a.split was not set, now "dev"'
    assert changes(first, basis(hardware={}, alarms={"action": "stop"})) == ""


def test_a_row_counts_by_what_it_says_and_what_was_measured_not_by_its_place():
    first, louder = example(), example()
    louder.tensors.streams["voice"].values.mul_(2)
    assert rows_digest([first]) == rows_digest([example(media={"audio": "elsewhere/a.wav"})])
    assert len({rows_digest(rows) for rows in ([first], [louder], [example(id="b")], [first, first])}) == 4


def test_other_weights_to_start_from_are_another_run(tmp_path):
    recipe(tmp_path)
    folder = tmp_path / "init"
    folder.mkdir()

    def basis(value: float):
        save_file({"w": torch.full((3,), value)}, folder / "model.safetensors")
        write_rows({"mine": [example()]}, tmp_path, folder)
        return basis_of(tmp_path, "s", LOOP, 0)

    first = basis(1.0)
    assert changes(first, basis(1.0)) == ""
    assert changes(first, basis(2.0)) == "weights of init"
    first.pop("weights of init")
    assert changes(first, basis(2.0)) == ""


def test_a_refused_run_leaves_what_its_folder_said(tmp_path):
    run = tmp_path / "run"

    def begin(lr: float, rows: list, error: type[BaseException]):
        with recorded(replace(LOOP, lr=lr), run):
            write_rows({"mine": rows}, run)
            raise error

    with pytest.raises(KeyboardInterrupt):
        begin(0.1, [example()], KeyboardInterrupt)
    kept = [(run / name).read_bytes() for name in ("recipe.json", ROWS)]
    assert json.loads(kept[0])["lr"] == 0.1
    with pytest.raises(ChangedRunError):
        begin(0.2, [], ChangedRunError)
    assert [(run / name).read_bytes() for name in ("recipe.json", ROWS)] == kept
    with pytest.raises(KeyboardInterrupt):
        begin(0.2, [], KeyboardInterrupt)
    assert json.loads((run / "recipe.json").read_text())["lr"] == 0.2


def test_a_run_that_fails_before_its_first_checkpoint_leaves_its_rows_too(tmp_path):
    run = tmp_path / "run"

    def begin(rows: str, *, checkpoint: bool) -> None:
        def first() -> None:
            (run / "data").mkdir(parents=True, exist_ok=True)
            (run / "data" / "train.jsonl").write_text(rows)

        with recorded(LOOP, run, first=first):
            if checkpoint:
                (run / "checkpoints").mkdir(exist_ok=True)
                (run / "checkpoints" / f"{rows}.pt").touch()
            raise ValueError("no such source")

    for rows, checkpoint, kept in (("a", True, "a"), ("b", False, "a"), ("c", True, "c")):
        with pytest.raises(ValueError, match="no such source"):
            begin(rows, checkpoint=checkpoint)
        assert (run / "data" / "train.jsonl").read_text() == kept


def test_weights_of_any_format_are_looked_at(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(b"one")
    first = weights_digest(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"two")
    assert weights_digest(tmp_path) != first
