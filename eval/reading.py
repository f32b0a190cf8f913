"""From what a system said to what can be scored: one `Answer` per sample, whoever wrote the text.

Text in our answer format goes through the one parser. Other text is read by fixed rules, tried in this order, and the
rule that found the labels is counted in the results: ``tags`` (our format), ``list`` (a short list of words, at least
one of them an emotion), ``words`` (emotion words of the spelling table found in free text). `unread` means none was
found: counted as wrong.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from cuewise.data_recipes.corpora.labels import common_label
from cuewise.eval.metrics.labels import clean_llm_output, parse_labels
from cuewise.eval.suites.suite import Dataset
from cuewise.mllm.report import MAX_LABELS, Cue, parse
from cuewise.mllm.taxonomy import normalise, wheel_table

ReadBy = Literal["tags", "list", "words", "judge", "unread"]
LIST_WORDS_PER_LABEL = 3
LIST_CHARS, LABEL_CHARS = 200, 30
_WORD = re.compile(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*")
_NEGATION = frozenset(("not", "no", "never", "without", "isn't", "neither", "nor"))
NOT_EMOTIONS = frozenset(("emotion", "emotions", "emotional", "feeling", "feelings", "state", "expression", "like",
                          "open", "free", "clear", "strong", "light", "hold", "held", "present"))  # fmt: skip
"""Words of the spelling table that free text uses for other things than an emotion of the person."""


@dataclass(slots=True)
class Answer:
    """What one reply says, in scorable parts. Absent parts are None or empty, never 0."""

    text: str = ""
    labels: list[str] = field(default_factory=list)
    read_by: ReadBy = "unread"
    form: str = "unparsed"
    problems: list[str] = field(default_factory=list)
    confidence: float | None = None
    cues: list[Cue] = field(default_factory=list)
    reasoning: str = ""
    distribution: dict[str, float] = field(default_factory=dict)
    valence: float | None = None
    arousal: float | None = None
    error: str | None = None
    """Code of the failure when there was no answer at all."""

    @property
    def well_formed(self) -> bool:
        return self.form in ("explained", "direct") and not self.problems


def read_answer(text: str, report: dict[str, Any] | None = None, error: str | None = None) -> Answer:
    """Read a reply. `report` is the stored part of an `EmotionReport` where the system gives one."""
    report = report or {}
    parsed = parse(text, report.get("duration"))
    answer = Answer(
        text=text, labels=parsed.labels, read_by="tags" if parsed.labels else "unread", form=parsed.form,
        problems=parsed.problems, confidence=parsed.confidence, cues=parsed.cues, reasoning=parsed.reasoning,
        error=error,
    )  # fmt: skip
    if report:
        answer.cues = [Cue.model_validate(cue) for cue in report.get("cues", ())]
        answer.confidence = report.get("confidence")
        answer.distribution = report.get("distribution") or {}
        answer.valence, answer.arousal = report.get("valence"), report.get("arousal")
    if not answer.labels and parsed.form == "unparsed" and text.strip():
        answer.labels, answer.read_by = free_labels(text)
    return answer


def free_labels(text: str) -> tuple[list[str], ReadBy]:
    """Labels of an answer that is not in our format, and the rule that found them.

    >>> free_labels("[happy, sad]"), free_labels("The man looks furious, not sad.")
    ((['happy', 'sad'], 'list'), (['furious'], 'words'))
    """
    cleaned = clean_llm_output(text)
    pieces = [normalise(piece).strip(" .!") for piece in parse_labels(cleaned)]
    listed = [piece for piece in pieces if piece]
    known = wheel_table("mer2026").roots
    if len(cleaned) <= LIST_CHARS and any(_names_emotion(p, known) for p in listed) and all(map(_short, listed)):
        return list(dict.fromkeys(listed))[:MAX_LABELS], "list"
    words = [match.group().lower().replace("’", "'") for match in _WORD.finditer(text)]
    found = [word for i, word in enumerate(words) if _names_emotion(word, known) and not _negated(words, i)]
    return list(dict.fromkeys(found))[:MAX_LABELS], "words" if found else "unread"


def class_of(word: str, dataset: Dataset) -> str | None:
    """The class of the closed set that a label names: by its words, else by the nearest common label; None if none."""
    exact, common = _class_tables(_frozen(dataset.classes))
    word = normalise(word)
    if word in exact:
        return exact[word]
    near = common_label(word)
    return None if near is None else common.get(near) or (common.get("neutral") if near == "calm" else None)


def exact_class(word: str, dataset: Dataset) -> str | None:
    """The class whose own words hold this one; what a truth must be, where nothing is guessed."""
    return _class_tables(_frozen(dataset.classes))[0].get(normalise(word))


def answered_class(answer: Answer, dataset: Dataset) -> str | None:
    """The class of the first label of an answer; None when it names none."""
    return class_of(answer.labels[0], dataset) if answer.labels else None


def class_names(dataset: Dataset) -> list[str]:
    """The closed label set, in its order."""
    return list(dataset.classes)


def _short(piece: str) -> bool:
    return len(piece.split()) <= LIST_WORDS_PER_LABEL and len(piece) <= LABEL_CHARS


def _names_emotion(word: str, known: dict[str, Sequence[str]]) -> bool:
    return word not in NOT_EMOTIONS and (word in known or word in ("neutral", "calm"))


def _negated(words: list[str], index: int) -> bool:
    return bool(_NEGATION & set(words[max(0, index - 2) : index]))


def _frozen(classes: dict[str, list[str]] | list[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if isinstance(classes, dict):
        return tuple((name, tuple(words or ())) for name, words in classes.items())
    return tuple((name, ()) for name in classes)


@cache
def _class_tables(classes: tuple[tuple[str, tuple[str, ...]], ...]) -> tuple[dict[str, str], dict[str, str]]:
    """Exact words -> class, and common labels -> class (the first class that claims a common label keeps it)."""
    exact: dict[str, str] = {}
    common: dict[str, str] = {}
    for name, words in classes:
        for word in (name, *words):
            exact.setdefault(normalise(word), name)
    for name, words in classes:
        for word in (name, *words):
            near = common_label(word)
            if near is not None:
                common.setdefault(near, name)
    return exact, common
