"""The judge `stub`: rules instead of a model. Deterministic, offline, and no measure of quality.

It is there so that every suite runs and is tested without a model. Its numbers are comparable with nothing but
themselves, and every result says that they are its.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

from cuewise.eval.judges.base import JudgeAsk, Written
from cuewise.eval.judges.questions import CUE_CHANNELS, gold_labels
from cuewise.eval.judges.tasks import MAX_CUE_CHARS, MAX_CUES, MAX_STEPS, Fields, JudgeTask
from cuewise.eval.judges.words import emotion_words
from cuewise.eval.metrics.classification import set_f1
from cuewise.eval.metrics.emer import roots
from cuewise.mllm.report import parse
from cuewise.mllm.taxonomy import normalise, same_core, sentiment

VERSION = "1"
_SENTENCE = re.compile(r"(?<=[.!?。！？])\s+|\n+")
_STEP = re.compile(r"^\s*(?:step\s*\d+\s*[:.)]|\d+\s*[.)]|[-*•])\s*", re.IGNORECASE)
_REFUSAL = re.compile(
    r"\b(?:cannot|can't|unable to|not able to|won't)\b.{0,60}\b(?:determine|tell|help|say|assist|identify)",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W_]{3,}")
_FILLING = "the and with her his she their they that this from into over for are was has have while"
_COMMON = frozenset(_FILLING.split())
_HEARD = re.compile(
    r"\b(?:voice|tone|pitch|loud\w*|volume|spe(?:ak|ech)\w*|spoke|sa(?:y|id)\w*|sound\w*|laugh\w*|cr(?:y|ies)\w*|sigh\w*|"
    r"whisper\w*|shout\w*|subtitle\w*|text\w*|words?|hear\w*|audio|audible)\b", re.IGNORECASE,
)  # fmt: skip
_CHANNEL = {"face": "visual", "scene": "visual", "voice": "auditory", "words": "auditory"}


class StubWriter:
    """Answers each task by a rule of its own, as JSON like any other judge."""

    name, identity, looks = "stub", f"stub-{VERSION}", False

    def write(self, asks: Sequence[JudgeAsk], prompts: Sequence[str], tasks: Sequence[JudgeTask]) -> list[Written]:
        return [Written(json.dumps(RULES[ask.task](ask.fields), ensure_ascii=False)) for ask in asks]

    def describe(self) -> dict[str, Any]:
        return {"kind": "stub", "model": "stub", "version": VERSION,
                "note": "rules, not a model: for tests and offline runs, comparable with nothing else"}  # fmt: skip

    def close(self) -> None:
        pass


def _graded(share: float) -> dict[str, int]:
    """A share in [0, 1] as a score from 1 to 10."""
    return {"score": 1 + round(9 * share)}


def _clue_overlap(fields: Fields) -> dict[str, int]:
    sides = []
    for name in ("reference", "prediction"):
        named = set(emotion_words(fields[name]))
        sides.append({word for word in _WORD.findall(fields[name].lower()) if word not in _COMMON | named})
    return _graded(set_f1(*map(sorted, sides))[2])


def _label_overlap(fields: Fields) -> dict[str, int]:
    return _graded(set_f1(roots(list(fields["reference"])), roots(list(fields["prediction"])))[2])


def _sentiment(fields: Fields) -> dict[str, str]:
    signs = [sign for label in fields["labels"] if (sign := sentiment(label)) is not None]
    balance = signs.count("positive") - signs.count("negative")
    return {"sentiment": "positive" if balance > 0 else "negative" if balance < 0 else "neutral"}


def _mme_steps(fields: Fields) -> dict[str, Any]:
    text = fields["answer"]
    if not text.strip() or _REFUSAL.search(text):
        return {"steps": [], "prediction": None}
    answer = parse(text)
    if answer.form != "unparsed":
        steps = [cue.observation for cue in answer.cues] + ([answer.reasoning] if answer.reasoning else [])
        prediction = ", ".join(answer.labels) or None
    else:
        pieces = [_STEP.sub("", piece).strip() for piece in _SENTENCE.split(text)]
        *steps, prediction = [piece for piece in pieces if piece] or [None]
    return {"steps": [_cut(step) for step in steps[:MAX_STEPS]], "prediction": prediction and _cut(prediction)}


def _mme_judge(fields: Fields) -> dict[str, Any]:
    gold = gold_labels(fields)
    return {
        "steps": [0 if _contradicts(step, gold) else 1 for step in fields["steps"]],
        "result": sum(any(_same(label, named) for named in _named(fields["prediction"])) for label in gold),
    }


def _contradicts(step: str, gold: list[str]) -> bool:
    """A step that names an emotion of the opposite sentiment contradicts; other steps are not doubted."""
    signs = {sentiment(label) for label in gold} & {"positive", "negative"}
    found = {sentiment(word) for word in emotion_words(step)} & {"positive", "negative"}
    return bool(signs) and bool(found) and not signs & found


def _named(prediction: str) -> list[str]:
    pieces = [normalise(piece) for piece in re.split(r"[,;\n]", prediction)]
    return [*pieces, *emotion_words(prediction)]


def _same(label: str, named: str) -> bool:
    return same_core(label, named) if emotion_words(label) else normalise(label) == normalise(named)


def _emocue_cues(fields: Fields) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {channel: [] for channel in CUE_CHANNELS}
    answer = parse(fields["text"])
    if answer.form != "unparsed":
        for cue in answer.cues:
            found[_CHANNEL[cue.channel]].append(cue.observation)
        found["emotional"] = list(answer.labels)
    else:
        for piece in re.split(r"(?<=[.!?;,。！？])\s+|\n+", fields["text"]):
            piece = _STEP.sub("", piece).strip(" .,;!?")
            named = emotion_words(piece)
            if piece and not named:
                found["auditory" if _HEARD.search(piece) else "visual"].append(piece)
            found["emotional"] += [word for word in named if word not in found["emotional"]]
    return {channel: [_cut(cue, MAX_CUE_CHARS) for cue in cues[:MAX_CUES]] for channel, cues in found.items()}


def _reason_check(fields: Fields) -> dict[str, Any]:
    named = emotion_words(fields["reason"])
    among = [c for c in fields.get("candidates") or () if any(same_core(c, word) for word in named)]
    return {"emotion": among[0] if among else named[0] if named else None}


def _cut(text: str, chars: int = 2 * MAX_CUE_CHARS) -> str:
    return " ".join(text.split())[:chars].strip()


RULES = {
    "clue_overlap": _clue_overlap, "label_overlap": _label_overlap, "sentiment_word": _sentiment,
    "extract_labels": lambda fields: {"labels": [_cut(word, 64) for word in emotion_words(fields["text"])]},
    "mme_steps": _mme_steps, "mme_judge": _mme_judge, "emocue_cues": _emocue_cues, "reason_check": _reason_check,
}  # fmt: skip
