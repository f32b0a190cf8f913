"""What can be wrong with an answer without knowing the truth."""

import pytest

from cuewise.mllm.question import Question
from cuewise.mllm.report import PROBLEM_TEXT, Check, Cue, EmotionReport, Problem
from cuewise.mllm.verify import report_errors


def report(**changes) -> EmotionReport:
    values = {"model": "m", "clip": "c", "duration": 2.0, "form": "explained", "emotions": [], "confidence": 0.4}
    return EmotionReport(**(values | changes))


def test_form_contradicted_cues_and_doubt_are_errors_and_other_problems_are_not():
    cue = Cue(channel="voice", observation="pitch higher", supports=["happy"],
              check=Check(verdict="contradicted", why="it is lower"))  # fmt: skip
    fine = cue.model_copy(update={"check": Check(verdict="supported")})
    problems = [Problem(code="no_cue", message="the reasoning names no cue"), Problem(code="cut_short", message="x")]
    found = report_errors(report(problems=problems, cues=[cue, fine]), Question(), 0.5)
    assert found == ["the reasoning names no cue", "the clip contradicts 'pitch higher' (it is lower)",
                     "the answer is too unsure (0.40); look again"]  # fmt: skip
    assert report_errors(report(cues=[fine]), Question()) == []
    assert report_errors(report(form="unparsed"), Question()) == [PROBLEM_TEXT["missing_answer"]]


@pytest.mark.parametrize("question", [Question(statement="She is sad."), Question(schema={"type": "object"})])
def test_answers_without_our_form_always_pass(question):
    assert report_errors(report(form="unparsed", problems=[Problem(code="empty", message="x")]), question, 0.9) == []
