"""`Question`: what is asked about one clip, and how long and how freely the answer may be."""

from dataclasses import dataclass, field
from typing import Any, Literal

from cuewise.mllm.report import CHANNELS, EmotionReport, split_labels

Form = Literal["explained", "direct"]
MAX_TOKENS = {"explained": 320, "direct": 64}
JSON_TOKENS = 1024
OPENING = {"explained": "<think>", "direct": "<answer>"}
"""How an answer of each form begins: given to the model, so that the caller's choice of form always holds."""


@dataclass(kw_only=True, slots=True, frozen=True)
class Question:
    """One question; the defaults are the standard question of the form, answered greedily."""

    form: Form = "explained"
    text: str | None = None
    """Replaces the standard question."""

    candidates: tuple[str, ...] = ()
    """Labels to choose from, spelled as answers spell them; the answer names no other. Open vocabulary without."""

    statement: str | None = None
    """A statement to be judged; the answer is then free text without the tags of a form."""

    max_tokens: int | None = None
    """Longest answer in tokens; None is the length of the form."""

    temperature: float = 0.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int = 0
    channels: tuple[str, ...] | None = None
    """Use nothing but these of face, voice, words, scene; None uses all that the clip has."""

    guided: bool = False
    """Let a grammar forbid every answer that is not of the form."""

    hints: str | None = None
    """What small readers say, put first; see `cuewise.mllm.hints`."""

    own_hints: bool = False
    """Put first what the model's own heads and measurements say."""

    addition: str | None = None
    """Text put last, e.g. what was wrong with an answer before."""

    tries: int = 1
    """Attempts at most, where whoever asks verifies answers; see `cuewise.mllm.verify`."""

    schema: dict[str, Any] | None = None
    """JSON schema of the answer, instead of the text of the form; see `cuewise.mllm.json_answer`."""

    json_object: bool = False
    """Give the answer as a JSON object; a model that does not declare `writes_json` writes its usual text for it."""

    def __post_init__(self) -> None:
        if self.form not in OPENING:
            raise ValueError(f"question.form must be explained or direct, got {self.form!r}")
        if self.tries < 1:
            raise ValueError(f"question.tries must be >= 1, got {self.tries}")
        unknown = [name for name in self.channels or () if name not in CHANNELS]
        if unknown:
            raise ValueError(f"unknown channel {unknown[0]!r}; channels are {', '.join(CHANNELS)}")
        object.__setattr__(self, "candidates", tuple(dict.fromkeys(map(candidate, self.candidates))))

    @property
    def limit(self) -> int:
        """Longest answer in tokens."""
        return self.max_tokens or (JSON_TOKENS if self.schema is not None else MAX_TOKENS[self.form])

    @property
    def turned(self) -> bool:
        """Whether the answer is text that is turned into JSON when it is complete."""
        return self.json_object and self.schema is None

    @property
    def opening(self) -> str:
        """Text the answer begins with."""
        return "" if self.statement or self.schema is not None else OPENING[self.form]


def candidate(text: str) -> str:
    """A candidate as an answer spells it. Raises ValueError for what is not one label.

    >>> candidate(" Happy ")
    'happy'
    """
    labels = split_labels(text)
    if len(labels) != 1 or any(sign in labels[0] for sign in "<>"):
        raise ValueError(f"candidates: {text[:64]!r} is not one label; give each by itself, without commas or tags")
    return labels[0]


@dataclass(kw_only=True, slots=True)
class Answer:
    """A report with what was asked and used for it."""

    report: EmotionReport
    prompt: str
    """The prompt for people and logs, media as ``[face]``."""

    usage: dict[str, int]
    """`prompt_tokens`, `completion_tokens`, `media_tokens`."""

    finish_reason: str
    media_tokens: dict[str, int] = field(default_factory=dict)
    """Rows of each stream in the prompt."""
