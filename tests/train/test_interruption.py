"""Runs that are killed at any moment and runs on several processes end with the weights of an undisturbed one."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny_run
import torch
from safetensors.torch import load_file
from tiny_run import train

from cuewise.data_recipes.schema import Row, write_jsonl
from cuewise.train.sft import main


def weights(out: Path) -> dict[str, torch.Tensor]:
    return torch.load(out / "final.pt", weights_only=True)


def killed_after(out: Path, seconds: float, options: dict) -> bool:
    """Train in a child process that is killed after `seconds`; False when it had finished before."""
    child = os.fork()
    if child == 0:
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            torch.set_num_threads(1)
            train(out, options)
        finally:
            os._exit(0 if (out / "final.pt").exists() else 1)
    time.sleep(seconds)
    ended, status = os.waitpid(child, os.WNOHANG)
    if ended:
        assert os.waitstatus_to_exitcode(status) == 0, f"the run in {out} failed"
        return False
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def kill_again_and_again(tmp_path: Path, kills: int, **options) -> None:
    """Kill runs at random moments, `kills` times in all; every run that ends is compared."""
    (tmp_path / "whole").mkdir()
    train(tmp_path / "whole", dict(options))
    wanted, moments = weights(tmp_path / "whole"), random.Random(kills)
    count, run = 0, 0
    while count < kills or not (tmp_path / str(run) / "final.pt").exists():
        out = tmp_path / str(run)
        out.mkdir(exist_ok=True)
        seconds = moments.uniform(0.0, 0.4) if count < kills else 30.0
        if seconds == 30.0:
            train(out, dict(options))
        elif killed_after(out, seconds, options):
            count += 1
        if (out / "final.pt").exists():
            for name, value in weights(out).items():
                assert torch.equal(value, wanted[name]), f"{name} differs after {count} kills"
            leftovers = [path.name for path in out.glob("*.pt")]
            assert "s.pt" in leftovers and "s.best.pt" in leftovers
            run += count < kills


def test_a_run_killed_at_random_moments_ends_with_the_same_weights(tmp_path):
    kill_again_and_again(tmp_path, 5)


@pytest.mark.slow
def test_twenty_kills_with_pauses_that_move_the_moment(tmp_path):
    kill_again_and_again(tmp_path, 20, pause=0.01, steps=40)


def launched(out: Path, *options: str) -> dict[str, torch.Tensor]:
    """The tiny run under `accelerate launch` with two CPU processes; goes on from a checkpoint that lies in `out`."""
    out.mkdir(exist_ok=True)
    launch(tiny_run.__file__, str(out), "evaluate_every=0", *options)
    return weights(out)


def launch(*program: str) -> None:
    """Run a program on two CPU processes."""
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2",
               "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0",
               *program]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp2"])
def test_two_processes_give_the_weights_of_one_with_twice_the_accumulation(tmp_path, parallel):
    two = launched(tmp_path / "two", f"parallel={parallel}")
    (tmp_path / "one").mkdir()
    train(tmp_path / "one", {"micro_batches": 2, "evaluate_every": 0})
    for name, value in weights(tmp_path / "one").items():  # float32 rounding of sums in another order, 24 steps
        torch.testing.assert_close(two[name], value, atol=1e-6, rtol=1e-6)


@pytest.mark.slow
def test_a_sharded_run_goes_on_where_it_stopped(tmp_path):
    whole = launched(tmp_path / "whole", "parallel=fsdp2", "keep_last=100")
    (tmp_path / "resumed").mkdir()
    (tmp_path / "whole" / "s.step-10.pt").rename(tmp_path / "resumed" / "s.pt")
    resumed = launched(tmp_path / "resumed", "parallel=fsdp2", "keep_last=100")
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


STAGE = """
    loop: {steps: 2, batch_size: 4, warmup_steps: 1, log_every: 1}
    mixture: {weights: {a: 1.0}, explained_share: 0.0}
"""


@pytest.mark.slow
def test_a_sharded_recipe_of_several_stages_ends_with_a_model(tmp_path):
    rows = [Row(id=f"{i}", corpus="t", split="train", transcript=f"so it is {i}", labels=["sad" if i % 2 else "happy"])
            for i in range(8)]  # fmt: skip
    write_jsonl(rows, tmp_path / "rows.jsonl")
    source = "{kind: rows, folder: rows.jsonl}"
    (tmp_path / "two.yaml").write_text(f"""
name: two
out: {tmp_path}/runs
cache: {tmp_path}/cache
data_root: {tmp_path}
workers: 1
vocabulary: {{size: 400}}
hardware: {{device: cpu}}
sources: {{a: {source}}}
validation: {{v: {source}}}
stages:
  heads:
    objective: heads
    trains: [words, heads]{STAGE}
  answers:
    trains: [fusion]
    adapters: {{llm: {{r: 2}}}}{STAGE}
""")
    one = main(str(tmp_path / "two.yaml"), ["name=one", *(f"stages.{stage}.loop.micro_batches=2"
                                                          for stage in ("heads", "answers"))])  # fmt: skip
    launch("-m", "cuewise", "train", str(tmp_path / "two.yaml"), "hardware.parallel=fsdp2")
    both = [load_file(folder / "model.safetensors") for folder in (one, tmp_path / "runs/two/model")]
    assert both[0].keys() == both[1].keys()
    for name, value in both[0].items():  # a step moves a weight by 1e-3; of a bias without effect it is half rounding
        torch.testing.assert_close(both[1][name], value, atol=1e-4, rtol=1e-5, msg=name)
    assert (tmp_path / "runs/two/calibration.json").exists() and (tmp_path / "runs/two/adapter").is_dir()
