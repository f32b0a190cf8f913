"""Whole runs: answers journalled, results written, a stopped run continued, another run refused."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from suite_samples import write_predictions, write_suite

from cuewise.eval import runner
from cuewise.eval.asking import RunConfig
from cuewise.eval.report import read_results, read_samples
from cuewise.eval.runner import run_suite
from cuewise.eval.suites.suite import SuiteError

FILES = ("results.json", "samples.parquet", "report.md", "report.html", "run.json", "journal.jsonl")


def config(tmp_path: Path, **changes) -> RunConfig:
    suite = tmp_path / "texts.yaml"
    if not suite.exists():
        write_suite(tmp_path)
        write_predictions(tmp_path / "answers.jsonl")
    values = {"suite": str(suite), "predictions": tmp_path / "answers.jsonl", "data": [str(tmp_path / "data")],
              "out": tmp_path / "run"}  # fmt: skip
    return RunConfig(**(values | changes))


def test_a_run_leaves_everything_that_is_needed_to_believe_its_numbers(tmp_path):
    folder = run_suite(config(tmp_path))
    assert all((folder / name).stat().st_size for name in FILES)
    results, samples = read_results(folder), read_samples(folder)
    assert (results.n, results.answered, results.parse_rate, len(samples)) == (40, 40, 1.0, 40)
    uar = results.metric("texts", "uar")
    assert uar.value == pytest.approx(0.75) and uar.low < 0.75 < uar.high
    assert "5 speakers" in uar.interval and uar.averaging == "macro over classes present in the truth"
    assert results.metric("texts", "hit_rate").beside == "hit_rate_cuewise2026"
    ece = results.metric("texts", "ece")
    assert ece.value == pytest.approx(0.05) and ece.direction == "lower is better"
    assert results.baselines[0].system == "Published" and results.system["kind"] == "predictions"
    assert [sample.scores["right"] for sample in samples[:12]] == [0.0] * 10 + [1.0] * 2


def test_progress_counts_samples(tmp_path):
    seen = []

    def progress(total, answered):
        seen.append((total, answered))
        return seen.append

    run_suite(config(tmp_path), progress)
    assert seen == [(40, 0), 16, 16, 8]
    run_suite(config(tmp_path), progress)
    assert seen[4:] == [(40, 40)]


def test_a_run_that_was_stopped_ends_like_one_that_was_not(tmp_path, monkeypatch):
    whole = run_suite(config(tmp_path, out=tmp_path / "whole"))
    answered = []
    real = runner.answer_block

    def stop_in_the_third(block, *args):
        if block.number == 2:
            raise KeyboardInterrupt
        answered.append(block.number)
        return real(block, *args)

    monkeypatch.setattr(runner, "answer_block", stop_in_the_third)
    with pytest.raises(KeyboardInterrupt):
        run_suite(config(tmp_path))
    assert not (tmp_path / "run" / "results.json").exists()
    with (tmp_path / "run" / "journal.jsonl").open("a") as journal:
        journal.write('{"dataset": "texts", "id": "t0032", "te')  # what a kill in the middle of a write leaves

    def count(block, *args):
        answered.append(block.number)
        return real(block, *args)

    monkeypatch.setattr(runner, "answer_block", count)
    folder = run_suite(config(tmp_path))
    assert answered == [0, 1, 2]
    for name in ("results.json", "journal.jsonl", "report.md"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()


def test_another_run_in_the_same_folder_is_refused(tmp_path):
    run_suite(config(tmp_path))
    with pytest.raises(SuiteError, match="holds another run \\(its seed differ"):
        run_suite(config(tmp_path, seed=1))
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    with pytest.raises(SuiteError, match="not empty and holds no run"):
        run_suite(config(tmp_path, out=other))


def test_scoring_may_change_without_asking_again(tmp_path, monkeypatch):
    first = read_results(run_suite(config(tmp_path)))
    monkeypatch.setattr(runner, "answer_block", None)
    again = read_results(run_suite(config(tmp_path, set=["datasets.texts.metrics=[uar, macro_f1]"])))
    assert again.metric("texts", "macro_f1") and not first.metric("texts", "macro_f1")
    assert again.config_hash != first.config_hash
    with pytest.raises(SuiteError, match="gives no number `uar`; did you mean `war`"):
        run_suite(config(tmp_path, set=["datasets.texts.metrics=[war]"]))


def test_a_changed_journal_is_refused(tmp_path):
    folder = run_suite(config(tmp_path))
    journal = folder / "journal.jsonl"
    journal.write_text(journal.read_text().replace('"id": "t0001"', '"id": "t9999"'))
    with pytest.raises(SuiteError, match="block 0 holds other samples"):
        run_suite(config(tmp_path))


def test_two_processes_do_not_run_in_one_folder(tmp_path):
    folder = run_suite(config(tmp_path))
    with runner.locked(folder), pytest.raises(SuiteError, match="another process"):
        run_suite(config(tmp_path))


def test_missing_predictions_are_wrong_and_counted(tmp_path):
    run = config(tmp_path)
    lines = (tmp_path / "answers.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "answers.jsonl").write_text("".join(lines[:30]))
    results = read_results(run_suite(run))
    assert (results.answered, results.errors) == (30, {"no_prediction": 10})
    assert results.parse_rate == 0.75 and results.metric("texts", "war").value == pytest.approx(0.5)


def test_the_limit_spreads_over_the_data(tmp_path):
    results = read_samples(run_suite(config(tmp_path, limit=4)))
    assert [sample.id for sample in results] == ["t0000", "t0010", "t0020", "t0030"]


@pytest.mark.slow
def test_a_killed_run_of_a_model_resumes_to_the_same_bytes(tmp_path):
    write_suite(tmp_path, count=96)
    command = [sys.executable, "-m", "cuewise", "eval", str(tmp_path / "texts.yaml"), "--data", str(tmp_path / "data"),
               "--system", "nano", "--out"]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1"}

    def start(out: Path) -> subprocess.Popen:
        return subprocess.Popen([*command, str(out)], env=environment, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)  # fmt: skip

    assert start(tmp_path / "whole").wait(300) == 0
    killed = start(tmp_path / "killed")
    journal = tmp_path / "killed" / "journal.jsonl"
    while killed.poll() is None and not (journal.exists() and journal.stat().st_size):
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait(30)
    answered = len(journal.read_text().splitlines())
    assert answered > 0
    assert start(tmp_path / "killed").wait(300) == 0
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    assert len({line["id"] for line in lines}) == len(lines) == 96
    assert (tmp_path / "killed/results.json").read_bytes() == (tmp_path / "whole/results.json").read_bytes()


@pytest.mark.slow
def test_ray_workers_give_the_same_results(tmp_path):
    pytest.importorskip("ray")
    write_suite(tmp_path, count=40)
    write_predictions(tmp_path / "answers.jsonl")
    here = run_suite(config(tmp_path, out=tmp_path / "here"))
    spread = run_suite(config(tmp_path, out=tmp_path / "spread", ray=2))
    assert (spread / "results.json").read_bytes() == (here / "results.json").read_bytes()
