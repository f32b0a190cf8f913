"""The tasks of judges: EMER overlaps, label extraction, MME-Emotion steps, EmoCue cues, the reason check.

The wording is ours; the protocols are those of the published benchmarks (docs/judges.md says where we differ).
"""

from typing import Any

from .tasks import (
    MAX_CUE_CHARS,
    MAX_CUES,
    MAX_LABEL_CHARS,
    MAX_LABELS,
    MAX_STEPS,
    Fields,
    InvalidReplyError,
    JudgeTask,
    integer,
    listed,
    quoted,
    schema_of,
    text_list,
    text_or_none,
    texts,
)

CUE_CHANNELS = ("visual", "auditory", "emotional")
SENTIMENTS = ("positive", "negative", "neutral")
_SCORE = {"type": "integer", "minimum": 1, "maximum": 10}
_CLOSING = "Reply with one JSON object and nothing else: "

CLUE_OVERLAP = """Two descriptions of the same person in the same clip follow, each between <<< and >>>.
Compare the evidence they name: what is seen of the face and body, what is heard in the voice, what is said, what
happens around the person. Leave the emotions they conclude, their style and their length out of account.
10 means that the second names all evidence of the first and nothing that contradicts it; 1 means that they share none.

First description (reference): {reference}
Second description: {prediction}

""" + _CLOSING + '{{"score": a whole number from 1 to 10}}'  # fmt: skip

LABEL_OVERLAP = """Two lists of emotion words for the same person follow.
Judge how far they mean the same. Synonyms and different word forms count as equal; words that are missing and words
that do not fit lower the score. 10 means the same emotions, 1 means that nothing is shared.

First list (reference): {reference}
Second list: {prediction}

""" + _CLOSING + '{{"score": a whole number from 1 to 10}}'  # fmt: skip

EXTRACT_LABELS = """A text about a clip follows between <<< and >>>. Which emotions does it ascribe to the main person,
the one it says most about? List single words or short phrases in lower case, the clearest first. Leave out what the
text denies, what it says of other people, and what can only be guessed. When it names no emotion, the list is empty.

Text: {text}

""" + _CLOSING + '{{"labels": ["...", ...]}}'  # fmt: skip

SENTIMENT_WORD = """Somebody's emotions are described by these words: {labels}
Is the person's mood, on the whole, positive, negative or neutral? Without any word it is neutral.

""" + _CLOSING + '{{"sentiment": "positive", "negative" or "neutral"}}'  # fmt: skip

MME_STEPS = """An answer to the question "{question}" follows between <<< and >>>.
Take it apart without adding, correcting or judging anything. `steps` holds its reasoning, one short sentence for each
observation or inference, in the order in which they stand; it is empty when the answer only names a result.
`prediction` is the result the answer comes to, in its own words; null when it refuses or comes to none.

Answer: {answer}

""" + _CLOSING + '{{"steps": ["...", ...], "prediction": "..." or null}}'  # fmt: skip

MME_JUDGE = """You check the reasoning about a clip of a person, step by step.{frames}
What can be heard: {audio_clue}
The right result: {gold}
The reasoning steps:
{steps}
The result they came to: {prediction}

`steps` holds one number for each step, in order: 0 if the step clearly contradicts what can be seen or heard, else 1.
`result` is the number of right labels that the result names, from 0 to {labels}; words of the same meaning count.

""" + _CLOSING + '{{"steps": [0 or 1, ...], "result": a whole number}}'  # fmt: skip

EMOCUE_CUES = """A description of a person in a clip follows between <<< and >>>. Take it apart into its smallest
statements, each a short phrase that can stand alone. `visual` takes what can be seen (face, body, scene), `auditory`
what can be heard (voice, sounds, and also what is said), `emotional` the emotions and moods that are concluded. Use the
words of the description, add nothing, and leave a list empty when there is nothing for it.

Description: {text}

""" + _CLOSING + '{{"visual": ["...", ...], "auditory": ["...", ...], "emotional": ["...", ...]}}'  # fmt: skip

REASON_CHECK = """Somebody explained which emotion a person in a clip shows; the emotion words were taken out. The rest
stands between <<< and >>>. Which emotion does it speak for?{candidates} If it speaks for none, say null.

Explanation: {reason}

""" + _CLOSING + '{{"emotion": "one word" or null}}'  # fmt: skip


def _pair(fields: Fields) -> dict[str, str]:
    return {"reference": quoted(fields["reference"]), "prediction": quoted(fields["prediction"])}


def _lists(fields: Fields) -> dict[str, str]:
    return {"reference": quoted(listed(fields["reference"])), "prediction": quoted(listed(fields["prediction"]))}


def _score(found: Fields, fields: Fields) -> int:
    return integer(found, "score", 1, 10)


def _one_of(found: Fields, fields: Fields) -> str:
    if found["sentiment"] not in SENTIMENTS:
        raise InvalidReplyError(f"sentiment must be one of {', '.join(SENTIMENTS)}, got {found['sentiment']!r:.60}")
    return found["sentiment"]


def _labels(found: Fields, fields: Fields) -> list[str]:
    return list(dict.fromkeys(label.lower() for label in texts(found, "labels", MAX_LABELS, MAX_LABEL_CHARS)))


def _steps(found: Fields, fields: Fields) -> dict[str, Any]:
    return {"steps": texts(found, "steps", MAX_STEPS, MAX_CUE_CHARS * 2),
            "prediction": text_or_none(found, "prediction", MAX_CUE_CHARS * 2)}  # fmt: skip


def gold_labels(fields: Fields) -> list[str]:
    """The right labels of an ask of `mme_judge`."""
    gold = fields["gold"]
    return [gold] if isinstance(gold, str) else list(gold)


def _judged(fields: Fields) -> dict[str, str]:
    steps = "\n".join(f"{number}. {quoted(step)}" for number, step in enumerate(fields["steps"], 1))
    return {
        "frames": " Frames of it are shown." if fields.get("frames_shown") else "",
        "audio_clue": quoted(fields.get("audio_clue") or "(not known)"), "gold": quoted(listed(gold_labels(fields))),
        "steps": steps or "(none)", "prediction": quoted(fields["prediction"]), "labels": str(len(gold_labels(fields))),
    }  # fmt: skip


def _step_scores(found: Fields, fields: Fields) -> list[float]:
    """Scores of the steps, the result last, as `cuewise.eval.metrics.mme_emotion` takes them."""
    scores, wanted = found["steps"], len(fields["steps"])
    if not isinstance(scores, list) or len(scores) != wanted:
        raise InvalidReplyError(f"steps must hold {wanted} numbers, got {scores!r:.60}")
    if any(isinstance(score, bool) or score not in (0, 1) for score in scores):
        raise InvalidReplyError(f"each step is scored 0 or 1, got {scores!r:.60}")
    labels = len(gold_labels(fields))
    return [*map(float, scores), integer(found, "result", 0, labels) / labels]


def _cues(found: Fields, fields: Fields) -> dict[str, list[str]]:
    return {channel: texts(found, channel, MAX_CUES, MAX_CUE_CHARS) for channel in CUE_CHANNELS}


def _reason(fields: Fields) -> dict[str, str]:
    candidates = fields.get("candidates") or ()
    among = f" Choose among {quoted(listed(candidates))}." if candidates else ""
    return {"reason": quoted(fields["reason"]), "candidates": among}


def _emotion(found: Fields, fields: Fields) -> str:
    """The emotion, or an empty text when the reason speaks for none."""
    return (text_or_none(found, "emotion", MAX_LABEL_CHARS) or "").lower()


def _nullable(chars: int) -> dict[str, Any]:
    return {"anyOf": [{"type": "string", "minLength": 1, "maxLength": chars}, {"type": "null"}]}


def _step_schema(fields: Fields) -> dict[str, Any]:
    count = len(fields["steps"])
    return schema_of(
        steps={"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 1}, "minItems": count,
               "maxItems": count},
        result={"type": "integer", "minimum": 0, "maximum": len(gold_labels(fields))},
    )  # fmt: skip


def _fixed(**properties: dict[str, Any]):
    schema = schema_of(**properties)
    return lambda fields: schema


TASKS = {task.name: task for task in (
    JudgeTask("clue_overlap", CLUE_OVERLAP, _pair, _fixed(score=_SCORE), _score, 32),
    JudgeTask("label_overlap", LABEL_OVERLAP, _lists, _fixed(score=_SCORE), _score, 32),
    JudgeTask("extract_labels", EXTRACT_LABELS, lambda f: {"text": quoted(f["text"])},
              _fixed(labels=text_list(MAX_LABELS, MAX_LABEL_CHARS)), _labels),
    JudgeTask("sentiment_word", SENTIMENT_WORD, lambda f: {"labels": quoted(listed(f["labels"]))},
              _fixed(sentiment={"enum": list(SENTIMENTS)}), _one_of, 32),
    JudgeTask("mme_steps", MME_STEPS,
              lambda f: {"question": f.get("question") or "What is the emotion?", "answer": quoted(f["answer"])},
              _fixed(steps=text_list(MAX_STEPS, MAX_CUE_CHARS * 2), prediction=_nullable(MAX_CUE_CHARS * 2)),
              _steps, 1024),
    JudgeTask("mme_judge", MME_JUDGE, _judged, _step_schema, _step_scores, 256),
    JudgeTask("emocue_cues", EMOCUE_CUES, lambda f: {"text": quoted(f["text"])},
              _fixed(**{channel: text_list(MAX_CUES, MAX_CUE_CHARS) for channel in CUE_CHANNELS}), _cues, 1024),
    JudgeTask("reason_check", REASON_CHECK, _reason, _fixed(emotion=_nullable(MAX_LABEL_CHARS)), _emotion, 32),
)}  # fmt: skip
