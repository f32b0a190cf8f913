"""Whole protocols that need a judge: from answers to the numbers of a benchmark, with the judge named in each result.

An invalid or missing reply leaves its sample out of a mean of judge scores (it is the judge's failure), and is counted
in `judge.counts`. Where the published protocol scores steps or cues, a sample without them counts as 0.
"""

from collections.abc import Sequence
from typing import Any

from cuewise.eval.judges.base import Judge, JudgeAsk, JudgeReply
from cuewise.eval.metrics.base import Score, plain, score_of
from cuewise.eval.metrics.emer import label_overlap
from cuewise.eval.metrics.emocue import Embedder, emocue360
from cuewise.eval.metrics.mme_emotion import mme_emotion
from cuewise.eval.metrics.reasons import doubly_right, without_labels
from cuewise.mllm.clip import Clip
from cuewise.mllm.taxonomy import same_core


def ask_all(
    judge: Judge, task: str, fields: Sequence[dict[str, Any]], ids: Sequence[str] | None = None,
    clips: Sequence[Clip | None] | None = None, temperature: float = 0.0, seed: int = 0,
) -> list[JudgeReply]:  # fmt: skip
    """One task over many samples, in order."""
    ids = ids or [str(number) for number in range(len(fields))]
    clips = clips or [None] * len(fields)
    return judge.ask([
        JudgeAsk(id=name, task=task, fields=given, clip=clip, temperature=temperature, seed=seed)
        for name, given, clip in zip(ids, fields, clips, strict=True)
    ])  # fmt: skip


def extract_labels(judge: Judge, texts: Sequence[str], ids: Sequence[str] | None = None) -> list[list[str] | None]:
    """Emotion labels of free-text answers (the extraction step of MER-UniBench); None where the judge failed."""
    return [reply.value for reply in ask_all(judge, "extract_labels", [{"text": text} for text in texts], ids)]


def sentiment_words(judge: Judge, labels: Sequence[Sequence[str]]) -> list[str | None]:
    """positive, negative or neutral for each list of labels (the second step for sentiment sets)."""
    return [reply.value for reply in ask_all(judge, "sentiment_word", [{"labels": list(found)} for found in labels])]


def emer(judge: Judge, references: Sequence[str], predictions: Sequence[str]) -> dict[str, Any]:
    """Clue overlap and label overlap, 1 to 10, with the companion that scores the extracted labels without a judge."""
    clues = ask_all(judge, "clue_overlap", _pairs(references, predictions))
    named = [extract_labels(judge, side) for side in (references, predictions)]
    both = [i for i, pair in enumerate(zip(*named)) if None not in pair]
    lists = [{"reference": named[0][i], "prediction": named[1][i]} for i in both]
    scores: list[float | None] = [None] * len(references)
    for i, reply in zip(both, ask_all(judge, "label_overlap", lists)):
        scores[i] = reply.value
    set_scores = label_overlap([named[0][i] for i in both], [named[1][i] for i in both])
    return plain({
        "clue_overlap": judged("clue_overlap", [reply.value for reply in clues]).as_dict(),
        "label_overlap": judged("label_overlap", scores).as_dict(),
        "label_overlap_set_f1": set_scores.as_dict(), "judge": judge.describe(),
    })  # fmt: skip


def judged(metric: str, values: Sequence[float | None]) -> Score:
    """Mean of judge scores over the replies that could be read, with their share in `judge_parse_rate`."""
    read = sum(value is not None for value in values)
    rate = read / len(values) if values else float("nan")
    return score_of(metric, [None if value is None else float(value) for value in values], judge_parse_rate=rate)


def mme(
    judge: Judge, tasks: Sequence[str], answers: Sequence[str], golds: Sequence[str | Sequence[str]], *,
    audio_clues: Sequence[str | None] | None = None, clips: Sequence[Clip | None] | None = None, alpha: float = 0.5,
) -> dict[str, Any]:  # fmt: skip
    """MME-Emotion: answers are taken apart into steps, then each step is judged. Rec, Rea, CoT per task and pooled.

    A refusal, and an answer whose steps the judge could not read, count as 0 and lower `parse_rate`.
    """
    steps, scores = step_scores(judge, answers, golds, audio_clues=audio_clues, clips=clips)
    return plain({**mme_emotion(tasks, scores, alpha), "steps": steps, "scores": scores, "judge": judge.describe()})


def step_scores(
    judge: Judge, answers: Sequence[str], golds: Sequence[str | Sequence[str]], *,
    audio_clues: Sequence[str | None] | None = None, clips: Sequence[Clip | None] | None = None,
) -> tuple[list[dict[str, Any] | None], list[list[float] | None]]:  # fmt: skip
    """The steps of each answer and the score of each step; None where there is no prediction or the judge failed."""
    count = len(answers)
    clues, shown = audio_clues or [None] * count, clips or [None] * count
    steps = [reply.value for reply in ask_all(judge, "mme_steps", [{"answer": answer} for answer in answers])]
    usable = [i for i, found in enumerate(steps) if found and found["prediction"]]
    looks = judge.writer.looks
    fields = [{**steps[i], "gold": golds[i], "audio_clue": clues[i],
               "frames_shown": looks and shown[i] is not None} for i in usable]  # fmt: skip
    replies: list[list[float] | None] = [None] * count
    for i, reply in zip(usable, ask_all(judge, "mme_judge", fields, clips=[shown[i] for i in usable])):
        replies[i] = reply.value
    return steps, replies


def emocue(
    judge: Judge, references: Sequence[Any], predictions: Sequence[Any], embed: Embedder, embedder: str
) -> dict[str, Any]:
    """EmoCue-360 from descriptions, or from cue lists that are there already. A failed extraction has no cues."""
    sides = [cue_lists(judge, side) for side in (references, predictions)]
    return plain({**emocue360(*sides, embed, embedder), "judge": judge.describe()})


def cue_lists(judge: Judge, side: Sequence[Any]) -> list[dict[str, list[str]]]:
    """Cue lists of descriptions; lists that are there already are kept, a failed extraction has no cues."""
    texts = [i for i, given in enumerate(side) if isinstance(given, str)]
    found = list(side)
    for i, reply in zip(texts, ask_all(judge, "emocue_cues", [{"text": side[i]} for i in texts])):
        found[i] = reply.value or {}
    return found


def explained(
    judge: Judge, golds: Sequence[str], answers: Sequence[str], reasons: Sequence[str],
    candidates: Sequence[str] = (),
) -> dict[str, Any]:  # fmt: skip
    """Doubly-right: from each reason, its label words removed, the judge names an emotion; agreement is at level 1.

    A reason that speaks for nothing, and one the judge failed on, is a wrong reason.
    """
    fields = [{"reason": without_labels(reason, (gold, answer)), "candidates": tuple(candidates)}
              for gold, answer, reason in zip(golds, answers, reasons, strict=True)]  # fmt: skip
    named = [reply.value for reply in ask_all(judge, "reason_check", fields)]
    right = [bool(word) and same_core(word, gold) for word, gold in zip(named, golds)]
    answered = [same_core(answer, gold) for answer, gold in zip(answers, golds)]
    return plain({**doubly_right(answered, right), "named": named, "judge": judge.describe()})


def _pairs(references: Sequence[str], predictions: Sequence[str]) -> list[dict[str, Any]]:
    return [{"reference": r, "prediction": p} for r, p in zip(references, predictions, strict=True)]
