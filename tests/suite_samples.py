"""A small suite of texts, written to a folder, and answers to it; shared by the tests of the runner."""

import json
from pathlib import Path

WORDS = {"happy": "What a wonderful day, I love it.", "sad": "I cried all night.", "angry": "How dare you lie to me!",
         "neutral": "The meeting is at ten."}  # fmt: skip

SUITE = """
title: Texts
about: Four emotions in words.
datasets:
  texts:
    source: {{rows: rows.jsonl}}
    truth: label
    form: direct
    classes: [happy, sad, angry, neutral]
    metrics: [{metrics}]
    cluster: speaker
    slices: [speaker]
primary: {{dataset: texts, metric: uar}}
baselines:
  - {{system: Published, dataset: texts, metric: uar, value: 0.5, source: a paper, comparable: "yes"}}
"""


def write_suite(folder: Path, count: int = 40, metrics: str = "uar, war, hit_rate, well_formed, calibration") -> Path:
    """`texts.yaml` with a data folder `data/texts/rows.jsonl` of `count` rows; returns the YAML file."""
    data = folder / "data" / "texts"
    data.mkdir(parents=True)
    names = list(WORDS)
    with (data / "rows.jsonl").open("w") as out:
        for i in range(count):
            label = names[i % len(names)]
            row = {"id": f"t{i:04d}", "corpus": "texts", "transcript": f"{WORDS[label]} Number {i}.",
                   "labels": [label], "speaker": f"s{i % 5}"}  # fmt: skip
            out.write(json.dumps(row) + "\n")
    suite = folder / "texts.yaml"
    suite.write_text(SUITE.format(metrics=metrics))
    return suite


def write_predictions(path: Path, count: int = 40, wrong: int = 10, confidence: float = 0.8) -> Path:
    """One prediction a row, the first `wrong` of them wrong."""
    names = list(WORDS)
    with path.open("w") as out:
        for i in range(count):
            label = names[(i + (i < wrong)) % len(names)]
            text = f"<answer>{label}</answer>\n<confidence>{confidence}</confidence>"
            out.write(json.dumps({"id": f"t{i:04d}", "text": text, "confidence": confidence}) + "\n")
    return path
