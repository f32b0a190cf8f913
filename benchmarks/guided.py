"""Are answers well formed, with and without the grammar of our own report form? Synthetic test clips.

    python benchmarks/guided.py [--clips 24] [--models nano nano-research] [--json out.json]

Well formed means that the parser found no problem at all: every tag in place, every cue with a known channel and an
observation, every time inside the clip. The grammar decides the form of an answer, never what it says.
"""

import argparse
import json
import sys
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import torch

from cuewise.data_recipes.synthetic.corpus import make_clip
from cuewise.data_recipes.synthetic.plan import SPLIT_SEEDS
from cuewise.mllm.clip import Clip
from cuewise.mllm.pipeline import Analyzer
from cuewise.mllm.question import Question
from cuewise.mllm.report import parse


def synthetic(count: int) -> list[Clip]:
    """Clips of the synthetic test split, with their words."""
    first = SPLIT_SEEDS["test"][0]
    return [make_clip(seed).clip() for seed in range(first, first + count)]


def measure(analyzer: Analyzer, clips: list[Clip], form: str, temperature: float, guided: bool) -> dict[str, Any]:
    """Share of well-formed answers, and every problem with its count."""
    asked = [(clip, Question(form=form, temperature=temperature, seed=i, guided=guided))
             for i, clip in enumerate(clips)]  # fmt: skip
    good, problems = 0, Counter()
    for answer in analyzer.answer_many(asked):
        read = parse(answer.report.text, answer.report.duration)
        good += read.form == form and not read.problems
        problems.update(read.problems)
    return {"form": form, "temperature": temperature, "guided": guided, "well_formed": good / len(clips),
            "problems": dict(problems.most_common())}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--models", nargs="+", default=["nano", "nano-research"])
    parser.add_argument("--temperatures", nargs="+", type=float, default=[0.0, 1.0])
    parser.add_argument("--forms", nargs="+", default=["explained", "direct"])
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    torch.set_num_threads(1)
    clips, figures = synthetic(options.clips), {}
    for name in options.models:
        with Analyzer.load(name) as analyzer:
            figures[name] = []
            for form, temperature, guided in product(options.forms, options.temperatures, (False, True)):
                row = measure(analyzer, clips, form, temperature, guided)
                figures[name].append(row)
                print(f"{name:14s} {form:10s} temperature {temperature}  guided {guided!s:5s}  "
                      f"well formed {row['well_formed']:.3f}  {row['problems'] or ''}", flush=True)  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps({"clips": len(clips), "models": figures}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
