"""Gold-conditioned synthesis: a scripted model corrects its error, an unfixable row is thrown away."""

import pytest

from cuewise.data_recipes.schema import Row, read_jsonl
from cuewise.data_recipes.targets import target
from cuewise.mllm.evidence.types import Measurements, Reading
from cuewise.mllm.report import Cue, render
from cuewise.mllm.retry import Request, Written
from cuewise.mllm.systems.base import Reply
from cuewise.train.synthesis import Subject, SystemWriter, check_answer, gold_prompt, synthesise

GOOD = (
    "<think>\n[face 0.50-1.50] cheeks clearly raised (AU6) => happy\n"
    "[face 0.50-1.50] lip corners clearly up (AU12) => happy\n"
    "The face shows it.\n</think>\n<answer>happy</answer>"
)


def row(name: str, **values) -> Row:
    return Row(id=name, corpus="c", **({"labels": ["happy"], "aus": {"AU6": 2.0, "AU12": 3.0, "AU4": 0.3}} | values))


class Scripted:
    """Writes the scripted texts of each row in turn, the last one for ever."""

    def __init__(self, scripts: dict[str, list[str]]):
        self.scripts, self.requests = scripts, []

    def __call__(self, requests: list[Request[Subject]]) -> list[Written]:
        self.requests += requests
        texts = [self.scripts[r.item.row.id] for r in requests]
        return [Written(script[min(r.attempt, len(script) - 1)], tokens=7) for r, script in zip(requests, texts)]


def test_an_error_is_fed_back_and_fixed_on_the_second_retry_an_unfixable_row_goes_after_five(tmp_path):
    missing = GOOD.replace("(AU6)", "")
    wrong_label = GOOD.replace("<answer>happy", "<answer>sad")
    model = Scripted({"a": [missing, wrong_label, GOOD], "b": [missing], "c": [GOOD]})
    report = synthesise([row("a"), row("b"), row("c")], model, tmp_path / "round2.jsonl")
    assert [one.id for one in report.kept] == ["a", "c"] and report.discarded == ["b"]
    assert report.attempts == {3: 1, 1: 1} and report.tokens == 7 * (3 + 5 + 1)
    assert report.errors == {"missing_units": 6, "label": 1}
    told = [r.feedback for r in model.requests if r.item.row.id == "a"]
    assert told[0] is None and "AU6 is shown but not named" in told[1]
    assert "the answer is sad but must be happy" in told[2]
    kept = list(read_jsonl(tmp_path / "round2.jsonl"))
    assert kept == report.kept and kept[0].tier == "synthesised" and kept[0].reasoning == "The face shows it."
    assert "discarded 1" in str(report) and "missing_units 6" in str(report)


def test_what_is_kept_is_an_answer_to_train_on():
    kept = synthesise([row("c")], Scripted({"c": [GOOD]})).kept[0]
    assert render(target(kept)) == GOOD


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        (GOOD, []),
        (GOOD.replace("(AU12)", "(AU12+25)"), ["extra_units"]),
        (GOOD.replace("(AU12)", "(AU12), AU25"), ["extra_units"]),
        ("<answer>happy</answer>", ["no_think", "missing_units"]),
        ("", ["empty", "missing_units"]),
        (GOOD.replace("</think>", ""), ["stray_tag", "nested_tag", "truncated", "missing_answer"]),
    ],
)
def test_every_error_has_its_code(text, codes):
    found = [error.partition(":")[0] for error in check_answer(Subject(row("r")), text)]
    assert sorted(found) == sorted(codes)


class Flat:
    """A voice in which nothing changes."""

    def read(self, quantity, spans=None):
        return Reading(150.0 if quantity == "pitch" else 0.2, "?", sum(e - s for s, e in spans or [(0.0, 6.0)]))

    def signals(self):
        return {}


def test_cues_that_the_clip_contradicts_are_errors_too():
    subject = Subject(row("r", aus={}), Measurements(6.0, voice=Flat(), absent={"face": "no face"}), 6.0)
    text = "<think>\n[voice 0.50-1.50] pitch strongly higher => happy\n</think>\n<answer>happy</answer>"
    assert [error.partition(":")[0] for error in check_answer(subject, text)] == ["contradicted"]


def test_the_prompt_holds_label_evidence_and_units_and_a_retry_the_errors():
    cue = Cue(channel="face", observation="lip corners clearly up (AU12)", supports=["happy"])
    subject = Subject(row("r", cues=[cue], transcript="Well."))
    prompt = gold_prompt(subject)
    assert "happy" in prompt and "lip corners clearly up" in prompt and "AU12." in prompt and "AU6" not in prompt

    class Echo:
        """A system that says what it was asked."""

        name = "echo"

        def answer(self, asks):
            return (Reply(id=ask.id, text=ask.prompt, usage={"completion_tokens": 3}) for ask in asks)

    first, second = SystemWriter(Echo())([Request(subject), Request(subject, 1, "AU12 is missing", "so")])
    assert first == Written(prompt, 3)
    assert second.text == f"{prompt}\nYour last answer:\nso\nAU12 is missing"


def test_rows_without_a_label_cannot_be_explained():
    with pytest.raises(ValueError, match="row 'r' has no label"):
        synthesise([row("r", labels=[])], Scripted({}))
