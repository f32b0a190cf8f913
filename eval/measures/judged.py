"""Measures on what a judge or an embedder says about the answers: MME-Emotion, EMER, EmoCue-360."""

from typing import Any

from cuewise.eval.embedders import load_embedder
from cuewise.eval.metrics.base import NAN
from cuewise.eval.metrics.emocue import CHANNELS, emocue360
from cuewise.eval.metrics.mme_emotion import mme_emotion
from cuewise.eval.suites.suite import Dataset
from cuewise.mllm.report import Cue

from .base import Measured, Record, mean_measure, subset_statistic

CHANNEL_OF = {"face": "visual", "scene": "visual", "voice": "auditory"}


def mme(records: list[Record], dataset: Dataset) -> list[Measured]:
    """Rec, Rea and CoT pooled over samples, with the tasks in the parts; an answer without scored steps is 0."""
    rows = [(record.gt["task"], record.judged.get("steps")) for record in records]

    def part(key: str) -> Any:
        return lambda drawn: mme_emotion([task for task, _ in drawn], [steps for _, steps in drawn])[key]

    found = mme_emotion([task for task, _ in rows], [steps for _, steps in rows])
    parts = {"tasks": found["tasks"], "judge_parse_rate": found["parse_rate"], "avg_steps": found["avg_steps"]}
    return [Measured(f"mme_{key}", found[key], found["n"], "pooled over samples", True, (),
                     subset_statistic(rows, part(key)), cheap=False, parts=parts if key == "rec" else {})
            for key in ("rec", "rea", "cot")]  # fmt: skip


def emer(records: list[Record], dataset: Dataset) -> list[Measured]:
    """Clue and label overlap, 1 to 10; a reply the judge got wrong is left out and counted."""
    measured = []
    for name in ("clue_overlap", "label_overlap"):
        values = [record.judged.get(name) for record in records]
        read = sum(value is not None for value in values)
        rate = read / len(values) if values else NAN
        found = mean_measure(f"emer_{name}", [None if v is None else float(v) for v in values], judge_parse_rate=rate)
        found.scale = "plain"
        measured.append(found)
    return measured


def emocue(records: list[Record], dataset: Dataset) -> list[Measured]:
    """F1 per channel by the data set's embedder, as published, beside its floor and the strict variant."""
    embed = load_embedder(dataset.embedder)
    gt = [by_channel([Cue.model_validate(cue) for cue in r.gt["cues"]], r.gt["labels"]) for r in records]
    pred = [r.judged.get("cues") or by_channel(r.answer.cues, r.answer.labels) for r in records]
    found = emocue360(gt, pred, embed, embed.name)
    measured = []
    for channel in CHANNELS:
        row = found[channel]
        samples = [emocue360([g], [p], embed, embed.name, shuffles=0)[channel]["f1"] if g.get(channel) else None
                   for g, p in zip(gt, pred)]  # fmt: skip
        scored = mean_measure(f"emocue360_{channel}", samples, averaging="mean over samples of F per sample")
        scored.value, scored.parts = row["f1"], {key: row[key] for key in ("precision", "recall", "floor_f1", "strict")}
        scored.parts["embedder"] = embed.name
        measured.append(scored)
    return measured


def by_channel(cues: list[Cue], labels: list[str]) -> dict[str, list[str]]:
    """Observations by the channels of the benchmark, emotion words as `emotional`; quoted words are in none."""
    lists: dict[str, list[str]] = {channel: [] for channel in CHANNELS} | {"emotional": list(labels)}
    for cue in cues:
        channel = CHANNEL_OF.get(cue.channel)
        if channel in lists:
            lists[channel].append(cue.observation)
    return lists
