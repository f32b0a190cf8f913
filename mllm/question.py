"""`Question`: what is asked about one clip, and how long and how freely the answer may be."""

from dataclasses import dataclass
from typing import Literal

from cuewise.mllm.report import EmotionReport

Form = Literal["explained", "direct"]
MAX_TOKENS = {"explained": 320, "direct": 64}
OPENING = {"explained": "<think>", "direct": "<answer>"}
"""How an answer of each form begins: given to the model, so that the caller's choice of form always holds."""


@dataclass(kw_only=True, slots=True, frozen=True)
class Question:
    """One question; the defaults are the standard question of the form, answered greedily."""

    form: Form = "explained"
    text: str | None = None
    """Replaces the standard question."""

    candidates: tuple[str, ...] = ()
    """Labels to choose from; open vocabulary without."""

    statement: str | None = None
    """A statement to be judged; the answer is then free text without the tags of a form."""

    max_tokens: int | None = None
    """Longest answer in tokens; None is the length of the form."""

    temperature: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.form not in OPENING:
            raise ValueError(f"question.form must be explained or direct, got {self.form!r}")

    @property
    def limit(self) -> int:
        """Longest answer in tokens."""
        return self.max_tokens or MAX_TOKENS[self.form]

    @property
    def opening(self) -> str:
        """Text the answer begins with."""
        return "" if self.statement else OPENING[self.form]


@dataclass(kw_only=True, slots=True)
class Answer:
    """A report with what was asked and used for it."""

    report: EmotionReport
    prompt: str
    """The prompt for people and logs, media as ``[face]``."""

    usage: dict[str, int]
    """`prompt_tokens`, `completion_tokens`, `media_tokens`."""

    finish_reason: str
