"""Suites with a judge: labels of free text, scored steps, overlaps; every reply kept, and the judge named."""

import json

import pytest
import yaml

from cuewise.eval.asking import RunConfig
from cuewise.eval.report import read_results
from cuewise.eval.runner import run_suite
from cuewise.eval.suites.suite import SuiteError

ANSWERS = {
    "a": "He smiles broadly. His voice is bright and fast. So he must be happy.",
    "b": "Her brows are lowered and she shouts. She is angry.",
    "c": "",
}
ROWS = [
    {"id": "a", "corpus": "x", "task": "ER-Lab", "labels": ["happy"], "transcript": "We won!",
     "reasoning": "He smiles and his voice is bright. He is happy.",
     "cues": [{"channel": "face", "observation": "lip corners clearly up (AU12)"}]},
    {"id": "b", "corpus": "x", "task": "ER-Wild", "labels": ["sad"], "transcript": "Go away!",
     "reasoning": "She cries.", "cues": [{"channel": "face", "observation": "brows clearly lowered (AU4)"}]},
    {"id": "c", "corpus": "x", "task": "ER-Wild", "labels": ["sad"], "transcript": "Oh.", "reasoning": "Silence.",
     "cues": [{"channel": "voice", "observation": "pitch clearly lower"}]},
]  # fmt: skip


def task(tmp_path, truth: str, metrics: list[str], primary: str, **changes) -> RunConfig:
    data = tmp_path / "data" / "d"
    data.mkdir(parents=True, exist_ok=True)
    (data / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    suite = {"title": "t", "about": "a", "datasets": {"d": {"source": {"rows": "rows.jsonl"}, "truth": truth,
             "metrics": metrics}}, "primary": {"dataset": "d", "metric": primary}}  # fmt: skip
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(suite))
    lines = [json.dumps({"id": key, "text": text}) for key, text in ANSWERS.items()]
    (tmp_path / "p.jsonl").write_text("\n".join(lines))
    values = {"suite": str(tmp_path / "s.yaml"), "predictions": tmp_path / "p.jsonl", "out": tmp_path / "run",
              "data": [str(tmp_path / "data")], "judge": "stub"}  # fmt: skip
    return RunConfig(**(values | changes))


def test_steps_are_scored_and_the_judge_is_named(tmp_path):
    folder = run_suite(task(tmp_path, "task_label", ["mme_emotion"], "mme_cot"))
    results = read_results(folder)
    rec, rea, cot = (results.metric("d", f"mme_{name}").value for name in ("rec", "rea", "cot"))
    assert cot == pytest.approx((rec + rea) / 2) and rec == pytest.approx(1 / 3)
    assert results.judge["kind"] == "stub" and results.judge["counts"]["mme_steps"]["asked"] == 3
    assert set(results.metric("d", "mme_rec").parts["tasks"]) == {"ER-Lab", "ER-Wild"}
    stored = [json.loads(path.read_text()) for path in (folder / "judge").rglob("*.json")]
    assert stored and all({"model", "prompt_hash", "temperature", "reply"} <= set(record) for record in stored)


def test_a_judge_reads_labels_out_of_free_text(tmp_path):
    results = read_results(run_suite(task(tmp_path, "labels", ["label_overlap"], "label_overlap")))
    assert results.metric("d", "label_overlap").value == pytest.approx(2 / 9)  # "bright" is an emotion word to rules
    assert any("by the judge 2" in note for note in results.notes)


def test_overlaps_with_a_reference_are_means_of_readable_replies(tmp_path):
    results = read_results(run_suite(task(tmp_path, "reasoning", ["emer"], "emer_clue_overlap")))
    metric = results.metric("d", "emer_clue_overlap")
    assert metric.scale == "plain" and 1 <= metric.value <= 10 and metric.parts["judge_parse_rate"] > 0


def test_cues_are_compared_by_a_named_embedder(tmp_path):
    results = read_results(run_suite(task(tmp_path, "cues", ["emocue360"], "emocue360_visual")))
    visual = results.metric("d", "emocue360_visual")
    assert results.embedder == "offline" and visual.parts["embedder"] and "floor_f1" in visual.parts


def test_a_suite_that_needs_a_judge_says_so_before_anything_is_asked(tmp_path):
    with pytest.raises(SuiteError, match="metric mme_emotion needs a judge; give --judge"):
        run_suite(task(tmp_path, "task_label", ["mme_emotion"], "mme_cot", judge=None))
    with pytest.raises(SuiteError, match="unknown judge 'stubb'"):
        run_suite(task(tmp_path, "task_label", ["mme_emotion"], "mme_cot", judge="stubb"))
