"""What is wrong with an answer, without knowing the truth: its form, and cues that its own clip contradicts."""

from cuewise.mllm.question import Question
from cuewise.mllm.report import PROBLEM_TEXT, EmotionReport


def report_errors(report: EmotionReport, question: Question, min_confidence: float = 0.0) -> list[str]:
    """One line each; nothing for an answer that passes, and for questions whose answers have no fixed form."""
    if question.statement is not None or question.schema is not None:
        return []
    errors = [problem.message for problem in report.problems
              if problem.code in PROBLEM_TEXT or problem.code == "off_list"]  # fmt: skip
    if report.form == "unparsed" and not errors:
        errors.append(PROBLEM_TEXT["missing_answer"])
    for cue in report.cues:
        if cue.check is not None and cue.check.verdict == "contradicted":
            errors.append(f"the clip contradicts {cue.observation!r} ({cue.check.why})")
    if report.confidence is not None and report.confidence < min_confidence:
        errors.append(f"the answer is too unsure ({report.confidence:.2f}); look again")
    return errors
