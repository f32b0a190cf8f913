"""What off-the-shelf systems are asked: our own words around a suite's question, or our own emotion question.

Our question asks for the answer format of docs/answer-format.md, so that one parser reads every system.
"""

from collections.abc import Callable

from cuewise.mllm.systems.base import Ask
from cuewise.mllm.systems.seen import Seen

DIRECT = (
    "Which emotions does the person express? Write emotion words, separated by commas and the strongest first, "
    "between <answer> and </answer>, and nothing else."
)
EXPLAINED = (
    "Which emotions does the person express, and by which cues? First write <think>, then one line for each cue in the "
    "form [channel start-end] what can be observed => emotion, where channel is face, voice, words or scene and the "
    "times are seconds, then one sentence that weighs the cues, then </think>. After that write emotion words, "
    "separated by commas and the strongest first, between <answer> and </answer>."
)
STATEMENT = "Is this statement about the clip right? Answer with one word, Correct or Incorrect."
MAX_CHARS = 4000


def ask_text(ask: Ask, seen: Seen, clean: Callable[[str], str] = str) -> str:
    """The text part of a prompt; media stand before it.

    Args:
        clean: takes the special tokens of a tokenizer out of text that users wrote.
    """
    parts = [f"Small readers suggest: {clean(_folded(ask.hints))}. Decide for yourself."] if ask.hints else []
    parts += [_shown(seen)] if seen.media is not None else []
    if seen.transcript:
        parts.append(f'What is said: "{clean(_folded(seen.transcript))}"')
    if seen.context:
        parts.append(f"Known besides: {clean(_folded(seen.context))}")
    if ask.candidates:
        parts.append(f"Choose from these labels only: {clean(', '.join(ask.candidates))}.")
    if ask.statement:
        parts.append(f'Statement: "{clean(_folded(ask.statement))}"')
    standard = STATEMENT if ask.statement else EXPLAINED if ask.form == "explained" else DIRECT
    parts.append(clean(ask.prompt) if ask.prompt else standard)
    parts += [clean(ask.addition)] if ask.addition else []
    return "\n".join(parts).encode("utf-8", "replace").decode("utf-8")


def _shown(seen: Seen) -> str:
    """One sentence on what the system has before it."""
    things = []
    if seen.frames is not None:
        count = len(seen.frames)
        things.append("one picture" if count == 1 else f"{count} frames in order of time")
    if seen.samples is not None:
        things.append("the sound")
    if not things:
        return "Of a clip, only the words are known."
    length = f" of {seen.duration_s:.2f} s" if seen.duration_s else ""
    return f"You are given {' and '.join(things)} of a clip{length}."


def _folded(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= MAX_CHARS else text[:MAX_CHARS].rsplit(" ", 1)[0] + " …"
