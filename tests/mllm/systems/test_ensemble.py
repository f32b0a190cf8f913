"""Several systems as one: mixed by hand, by weights from validation runs, and asked by a suite like any other."""

import json

import numpy as np
import pytest
import tiny
import yaml
from suite_samples import WORDS, write_suite

from cuewise.eval.asking import RunConfig
from cuewise.eval.fusing import fit_ensemble
from cuewise.eval.runner import run_suite
from cuewise.eval.suites.suite import SuiteError
from cuewise.mllm.clip import Clip
from cuewise.mllm.pipeline import Analyzer
from cuewise.mllm.systems.base import Ask, Reply, ReplyError, SystemLoadError, load_system
from cuewise.mllm.systems.cuewise import CuewiseSystem
from cuewise.mllm.systems.ensemble import EnsembleConfig, EnsembleSystem, shares_of
from cuewise.mllm.taxonomy import LABELS

NAMES = list(WORDS)


class Says:
    """A member that always says the same."""

    def __init__(self, name: str, text: str):
        self.name, self.text = name, text

    def describe(self):
        return {"kind": "test", "model": self.name}

    def answer(self, asks):
        return [Reply(id=ask.id, text=self.text, usage={"completion_tokens": 2}) for ask in asks]

    def close(self):
        self.closed = True


def test_labels_are_mixed_by_the_weights_of_their_class():
    members = [Says("a", "<answer>happy</answer>"), Says("b", "<answer>sad, angry</answer>")]
    ask = Ask(id="x", clip=Clip(transcript="we won"))
    even = EnsembleSystem(members, EnsembleConfig(members=["a", "b"]))
    assert next(iter(even.answer([ask]))).text == "<answer>happy</answer>"
    trusted = EnsembleConfig(members=["a", "b"], weights={"happy": [0.1, 0.9], "sad": [0.0, 1.0]})
    reply = next(iter(EnsembleSystem(members, trusted).answer([ask])))
    assert reply.text == "<answer>sad</answer>" and reply.usage == {"completion_tokens": 4}
    assert even.weights.sum(0) == pytest.approx(np.ones(len(LABELS)))
    assert shares_of(Reply(id="x", text="no label here")) == [1 / len(LABELS)] * len(LABELS)


def test_probabilities_of_reports_are_mixed_and_the_report_says_so():
    with Analyzer(tiny.tiny_model(), tiny.tiny_processor(), name="tiny") as analyzer:
        own = CuewiseSystem(analyzer)
        ensemble = EnsembleSystem([own, Says("b", "<answer>sad</answer>")], EnsembleConfig(members=["a", "b"]))
        ask = Ask(id="x", clip=Clip(transcript="we won"), form="direct", max_tokens=2)
        alone, mixed = next(iter(own.answer([ask]))).report, next(iter(ensemble.answer([ask]))).report
    for label in LABELS:
        wanted = (alone.distribution[label] + (label == "sad")) / 2
        assert mixed.distribution[label] == pytest.approx(wanted, abs=1e-5)
    assert mixed.emotions[0].label == "sad" and mixed.model == "tiny+b"


def test_a_member_that_fails_fails_the_answer_and_closing_closes_all():
    broken = Says("b", "x")
    broken.answer = lambda asks: [Reply(id=ask.id, error=ReplyError("timeout", "late")) for ask in asks]
    ensemble = EnsembleSystem([Says("a", "<answer>sad</answer>"), broken], EnsembleConfig(members=["a", "b"]))
    assert next(iter(ensemble.answer([Ask(id="x", clip=None, prompt="?")]))).error.code == "timeout"
    ensemble.close()
    assert broken.closed


def member_run(tmp_path, name: str, knows: tuple[str, ...]):
    """A run whose member is sure and right about its own classes, and wrong about the others."""
    with (tmp_path / f"{name}.jsonl").open("w") as out:
        for i in range(40):
            truth = NAMES[i % 4]
            said = truth if truth in knows else NAMES[(i + 1 + i // 4 % 2) % 4]
            sure = 0.9 if truth in knows else 0.4
            shares = {label: sure if label == said else (1 - sure) / 3 for label in NAMES}
            line = {"id": f"t{i:04d}", "text": f"<answer>{said}</answer>", "distribution": shares}
            out.write(json.dumps(line) + "\n")
    return run_suite(RunConfig(suite=str(tmp_path / "texts.yaml"), predictions=tmp_path / f"{name}.jsonl",
                               data=[str(tmp_path / "data")], out=tmp_path / f"run-{name}"))  # fmt: skip


def test_weights_come_from_validation_runs_and_the_file_is_a_system(tmp_path):
    write_suite(tmp_path)
    runs = [member_run(tmp_path, "one", ("happy", "sad")), member_run(tmp_path, "two", ("angry", "neutral"))]
    recall = fit_ensemble(runs, ["words", "words"], tmp_path / "ensemble.yaml", draws=200)
    assert recall > 0.95
    written = yaml.safe_load((tmp_path / "ensemble.yaml").read_text())
    assert written["members"] == ["words", "words"] and set(written["weights"]) == set(LABELS)
    system = load_system(tmp_path / "ensemble.yaml")
    assert system.name == "words+words" and next(iter(system.answer([Ask(id="a", clip=None, prompt="I am furious")])))
    with pytest.raises(SuiteError, match="a run for each of two or more members"):
        fit_ensemble(runs[:1], ["words"], tmp_path / "x.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [("members: [words]", "two systems or more"), ("members: [words, words]\nweights: {glee: [1, 1]}", "class `glee`"),
     ("members: [words, words]\nweights: {sad: [1]}", r"weights\.sad must hold 2 numbers"),
     ("members: [words, nowhere]", "nowhere"), ("member: [a, b]", "did you mean `members`")],
)  # fmt: skip
def test_a_wrong_file_is_told_what_is_wrong(tmp_path, text, message):
    (tmp_path / "e.yaml").write_text(text)
    with pytest.raises(SystemLoadError, match=message):
        load_system(tmp_path / "e.yaml")
