"""A realistic finished run from a seed: labels of the taxonomy, confidences, speakers, cues; scored by the metrics."""

import random
from typing import Any

from cuewise.eval.assemble import dataset_result
from cuewise.eval.measures import measure_all
from cuewise.eval.report import Results, SampleRecord, build_figures
from cuewise.eval.report.results import DatasetResult
from cuewise.eval.report.statistics import record_of
from cuewise.eval.suites.suite import Dataset, Source
from cuewise.mllm.report import Check, Claim, Cue, ParsedAnswer, parse, render
from cuewise.mllm.taxonomy import same_core

CLASSES = ("neutral", "happy", "sad", "angry", "fearful", "disgust", "surprised")
NEAR = {
    "neutral": ["calm", "sad", "thoughtful"], "happy": ["joyful", "excited", "surprised", "proud"],
    "sad": ["disappointed", "neutral", "lonely"], "angry": ["furious", "annoyed", "frustrated", "disgust"],
    "fearful": ["anxious", "worried", "surprised", "scared"], "disgust": ["contempt", "angry", "disappointed"],
    "surprised": ["amazed", "fearful", "confused"],
}  # fmt: skip
SEEN = {
    "face": [("the brows draw together", "brow_lower"), ("the lip corners rise", "lip_corner_pull")],
    "voice": [("the voice rises towards the end", "pitch"), ("she speaks louder than before", "loudness")],
    "words": [("“I told you twice”", "negative_words")],
}
SUBSETS = ("consistent", "consistent", "video_aligned", "audio_aligned")
QUESTION = "[face 8 frames] [voice 3.2 s]\nWhich emotions does the person express, and by which cues?"


def make_records(seed: int = 0, n: int = 400, skill: float = 0.6, dataset: str = "acted") -> list[SampleRecord]:
    """`n` answered samples by 24 speakers. The truth depends on n alone, the answers on `seed` and `skill`."""
    truth, luck = random.Random(n), random.Random(seed)
    return [_record(i, truth, luck, skill, dataset) for i in range(n)]


def _record(i: int, truth: random.Random, luck: random.Random, skill: float, dataset: str) -> SampleRecord:
    gold, subset, person = truth.choice(CLASSES), truth.choice(SUBSETS), truth.randrange(24)
    groups = {"speaker": f"s{person:02}", "gender": "fm"[person % 2], "language": ("en", "de", "zh")[person % 3],
              "subset": subset}  # fmt: skip
    base = {"id": f"{dataset}_{i:05}", "dataset": dataset, "gt": gold, "groups": groups,
            "prompt": QUESTION, "prompt_tokens": 180 + i % 40}  # fmt: skip
    if luck.random() < 0.01:
        return SampleRecord(**base, error="no_streams: the clip has neither picture nor sound", scores={"right": 0.0})
    chance = skill + {"video_aligned": 0.12, "audio_aligned": -0.22, "consistent": 0.1}[subset] - 0.01 * (person % 5)
    sure_share = luck.random()
    hit = luck.random() < chance * (0.55 + 0.75 * sure_share)
    first = gold if hit and luck.random() < 0.7 else luck.choice(NEAR[gold]) if hit else luck.choice(CLASSES)
    labels = list(dict.fromkeys([first, *luck.sample(NEAR.get(first, NEAR["neutral"]), luck.randrange(3))]))
    confidence = round(min(0.99, 0.35 + 0.6 * sure_share), 2) if luck.random() < 0.95 else None
    answer = ParsedAnswer(form="explained", labels=labels, confidence=confidence, cues=_cues(luck, first),
                          reasoning=f"Taken together this reads as {first}.")  # fmt: skip
    text = render(answer)
    length = luck.random() < 0.03
    if length:
        text = text[: len(text) // 2]
    read = parse(text)
    right = float(bool(read.labels) and same_core(read.labels[0], gold))
    cues = [cue.model_dump(mode="json") for cue in answer.cues]
    parsed: dict[str, Any] = {"labels": read.labels, "confidence": read.confidence, "problems": read.problems,
                              "form": read.form, "cues": cues}  # fmt: skip
    ended = "length" if length else "stop"
    return SampleRecord(**base, text=text, parsed=parsed, scores={"right": right}, finish_reason=ended,
                        completion_tokens=40 + len(text) // 4)  # fmt: skip


def _cues(luck: random.Random, label: str) -> list[Cue]:
    cues = []
    for channel in luck.sample(sorted(SEEN), luck.randrange(1, 4)):
        words, attribute = luck.choice(SEEN[channel])
        verdict = luck.choice(["supported", "supported", "contradicted", "not_measurable"])
        why = "too few voiced frames" if verdict == "not_measurable" else ""
        claim, check = Claim(attribute=attribute, direction="up"), Check(verdict=verdict, why=why)
        cues.append(Cue(channel=channel, start=0.5, end=1.75, observation=words, supports=[label], claim=claim,
                        check=check))  # fmt: skip
    return cues


def _scored(records: list[SampleRecord], name: str) -> DatasetResult:
    """The numbers of one data set; the samples take their own scores."""
    dataset = Dataset(source=Source(synthetic=1), truth="label", metrics=["ew_level1", "uar", "war"], cluster="speaker",
                      classes=list(CLASSES))  # fmt: skip
    rows = [record_of(record) for record in records]
    measured = measure_all(rows, dataset)
    for found in measured:
        for record, value in zip(records, found.samples):
            record.scores[found.name] = value
    return dataset_result(name, rows, dataset, measured)


def make_run(seed: int = 0, n: int = 400, skill: float = 0.6, **changes: Any) -> tuple[Results, list[SampleRecord]]:
    """A whole run: two data sets, published rows (invented for the test), figures. `changes` replace fields."""
    records, datasets = [], []
    for name, size in (("acted", n), ("spoken", max(20, n // 4))):
        rows = make_records(seed, size, skill, name)
        datasets.append(_scored(rows, name))
        records += rows
    problems: dict[str, int] = {}
    for record in records:
        for code in record.parsed.get("problems", ()):
            problems[code] = problems.get(code, 0) + 1
    failed = sum(record.error is not None for record in records)
    values = {
        "suite": "made-up", "system": {"name": f"model-{seed}", "kind": "ours", "dtype": "float32",
                                       "weights": "sha256:5f0c…"},
        "config_hash": "a81f03c2", "created_with": {"cuewise": "0.1.0", "torch": "2.14.1"}, "seed": seed,
        "selection_rule": "the system as given; nothing was chosen on these data", "n": len(records),
        "answered": len(records) - failed, "errors": {"no_streams": failed} if failed else {},
        "parse_rate": sum(bool(r.labels) for r in records) / len(records), "problems": problems, "datasets": datasets,
        "primary": {"dataset": "acted", "metric": "ew_level1"},
        "baselines": [
            {"system": "Published A (A,V,T)", "dataset": "acted", "metric": "ew_level1", "value": 0.6252,
             "source": "made-up paper, table 2", "comparable": "partly", "note": "best checkpoint on the test set"},
            {"system": "Published B (V,T)", "dataset": "acted", "metric": "ew_level1", "value": 0.4818,
             "source": "made-up paper, table 2", "comparable": "yes"},
            {"system": "Published C", "dataset": "acted", "metric": "uar", "value": 0.7344, "n": 7442,
             "source": "another made-up paper", "comparable": "no", "note": "folds share speakers"},
        ],
        "figures": build_figures(records, datasets[0].metrics[0], "acted", resamples=200),
        "notes": ["Rows of this run are made from a seed; nobody published them."],
    }  # fmt: skip
    return Results(**(values | changes)), records
