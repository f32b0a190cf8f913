"""The words we ask with: every prompt, for every task and answer form, is built here and nowhere else.

A prompt is a list of plain strings and `StreamSlot`s. A slot is a Python object, not a text tag, so nothing that a user
writes can become one; the processor turns slots into placeholder ids and strings into text ids. Prompts are short,
because the shipped model is small and each token costs. docs/prompts.md shows each of them.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from cuewise.mllm.report import CHANNELS, Word

Form = Literal["explained", "direct"]
Stream = Literal["scene", "face", "voice"]
STREAMS: tuple[Stream, ...] = ("scene", "face", "voice")
"""Media streams in the order in which a prompt shows them; the words follow."""

FORMS: dict[str, str] = {
    "explained": "Which emotions, by which cues?",
    "direct": "Which emotions?",
}
TASKS: dict[str, str] = {
    "emotions": "",
    "cues": "Describe the cues.",
    "cues_face": "Describe the face cues.",
    "cues_voice": "Describe the voice cues.",
    "cues_words": "Quote the telling words.",
    "cues_scene": "Describe the scene cues.",
    "transcribe": "What is said?",
    "sentiment": "Positive, negative or neutral?",
    "statement": "Correct or Incorrect?",
    "factual": "What happens?",
    "abstract": "What does it mean?",
    "intent": "What does the person want?",
}
"""Task -> its question. `emotions` takes the question of its form; the cue tasks are answered by cue lines alone."""

MAX_TRANSCRIPT_CHARS = 2000
MAX_CONTEXT_CHARS = 1000
MAX_ADDITION_CHARS = 2000
_OUR_TAG = re.compile(
    r"<(\s*/?\s*(?:transcript|context|candidates|hints|statement|think|answer|confidence)\s*)>", re.IGNORECASE
)
_SPECIAL = re.compile(r"<(\|[^<>]*\|)>")


@dataclass(frozen=True, slots=True)
class StreamSlot:
    """The place in a prompt where the tokens of one stream stand."""

    stream: Stream


Prompt = list[str | StreamSlot]


def build(
    present_streams: Iterable[str], form: Form = "explained", *, transcript: str | None = None,
    words: Sequence[Word] = (), context: str | None = None, task: str = "emotions", duration_s: float | None = None,
    candidates: Sequence[str] = (), statement: str | None = None, question: str | None = None,
    hints: str | None = None, addition: str | None = None,
) -> Prompt:  # fmt: skip
    """What the model is shown and asked about one clip.

    Args:
        present_streams: the streams that have tokens, of scene, face, voice (`words` is read from the transcript,
            `context` from the context).
        transcript, words: what is said; without a transcript it is put together from the words.
        context: free text of the caller, e.g. what happened before.
        task: one of `TASKS`.
        duration_s: length of the clip, which the model needs to write times.
        candidates: labels to choose from; open vocabulary without them.
        statement: the statement to judge, for the task `statement`.
        question: replaces the question of the task.
        hints: what small readers say, which stands first; see `cuewise.mllm.hints`.
        addition: text that stands last, e.g. what was wrong with an answer before; see `cuewise.mllm.retry`.
    """
    present = set(present_streams)
    unknown = present - {*STREAMS, "words", "context"}
    if unknown:
        raise ValueError(f"unknown stream {sorted(unknown)[0]!r}; streams are {', '.join(STREAMS)}, words, context")
    if form not in FORMS:
        raise ValueError(f"unknown answer form {form!r}; forms are {', '.join(FORMS)}")
    if task not in TASKS:
        raise ValueError(f"unknown task {task!r}; tasks are {', '.join(TASKS)}")
    if task == "statement" and not statement:
        raise ValueError("the task `statement` needs the statement to judge; pass statement='...'")
    said = spoken(transcript, words)
    parts: Prompt = [_section("hints", hints, MAX_CONTEXT_CHARS)] if hints else []
    parts += [] if duration_s is None else [f"clip {duration_s:.2f} s\n"]
    for stream in STREAMS:
        if stream in present:
            parts += [f"{stream} ", StreamSlot(stream), "\n"]
    if said:
        parts.append(_section("transcript", said, MAX_TRANSCRIPT_CHARS))
    missing = [name for name in CHANNELS if name not in present and not (name == "words" and said)]
    if missing:
        parts.append(f"no {', '.join(missing)}\n")
    if context and context.strip():
        parts.append(_section("context", context, MAX_CONTEXT_CHARS))
    if candidates:
        parts.append(_section("candidates", ", ".join(candidates), MAX_CONTEXT_CHARS))
    if statement and task == "statement":
        parts.append(_section("statement", statement, MAX_CONTEXT_CHARS))
    parts.append(neutral(question) if question else TASKS[task] or FORMS[form])
    if addition:
        parts.append(f"\n{neutral(addition)[:MAX_ADDITION_CHARS]}")
    return _joined(parts)


def spoken(transcript: str | None, words: Sequence[Word] = ()) -> str:
    """What is said: the transcript, else the words put together; empty when nobody speaks."""
    return (transcript or "").strip() or " ".join(word.text for word in words).strip()


def neutral(text: str) -> str:
    """User text that can neither close our sections nor spell a special token of a tokenizer; else unchanged."""
    return _SPECIAL.sub(r"‹\1›", _OUR_TAG.sub(r"‹\1›", text))


def text_of(prompt: Prompt, slot: str = "[{stream}]") -> str:
    """The prompt as one string for people and logs; never for the model."""
    return "".join(part if isinstance(part, str) else slot.format(stream=part.stream) for part in prompt)


def _section(name: str, text: str, limit: int) -> str:
    """Text of a user between markers, white space folded, cut at a word."""
    text = " ".join(neutral(text).split())
    if len(text) > limit:
        text = text[:limit].rsplit(" ", 1)[0] + " …"
    return f"<{name}>{text}</{name}>\n"


def _joined(parts: Prompt) -> Prompt:
    """Neighbouring strings as one, so that a tokenizer sees the text whole."""
    joined: Prompt = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        else:
            joined.append(part)
    return joined
