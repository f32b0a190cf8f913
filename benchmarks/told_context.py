"""What a model makes of a context: measured face actions told in our words and in those of others, and plain prose.

    python benchmarks/told_context.py --model nano --clips 80 --json benchmarks/results/told_context.json

Synthetic people of the dev split, as they are heard: voice and words, the face only as it is told in the context.
Printed for each wording: how often the emotion of the clip is read by the context alone, by all streams together, and
concluded by the written answer.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import torch

from cuewise.data_recipes.action_words import OTHERS, OURS, Wording, in_words
from cuewise.data_recipes.corpora import COMMON_LABELS, common_label
from cuewise.data_recipes.synthetic.corpus import SynthConfig, SyntheticClip, make_clip
from cuewise.mllm.pipeline import Analyzer
from cuewise.mllm.tensors import ClipTensors

FIRST_SEED = 1_900_000
PROSE = "She has just arrived."
WAYS: dict[str, Wording | str | None] = {
    "no context": None, "ours": OURS, **{name: OTHERS[name] for name in ("openface", "names", "codes")}, "prose": PROSE,
}  # fmt: skip
BATCH = 40


def heard_people(count: int) -> list[SyntheticClip]:
    """Clips with a voice, and face actions that are known but not shown."""
    made, seed = [], FIRST_SEED
    while len(made) < count:
        clip = make_clip(seed, SynthConfig(), pictures=False)
        seed += 1
        if clip.row.aus and clip.samples is not None:
            made.append(clip)
    return made


def context_of(made: SyntheticClip, way: Wording | str | None) -> str | None:
    return way if way is None or isinstance(way, str) else in_words(made.row.aus, way)


def alone(analyzer: Analyzer, people: list[SyntheticClip], way: Wording | str | None) -> float | None:
    """Share of clips whose emotion the context alone reads."""
    if way is None:
        return None
    hits, processor = 0, analyzer.processor
    for start in range(0, len(people), BATCH):
        part = people[start : start + BATCH]
        clips = [processor.with_context(ClipTensors({}), context_of(made, way)) for made in part]
        with torch.no_grad():
            read = analyzer.model.encode_batch(processor.collate(clips)).streams["context"].reading.logits.argmax(1)
        hits += sum(COMMON_LABELS[k] == truth(made) for k, made in zip(read.tolist(), part))
    return hits / len(people)


def truth(made: SyntheticClip) -> str | None:
    return common_label(made.row.labels[0])


def measured(analyzer: Analyzer, people: list[SyntheticClip], way: Wording | str | None) -> dict[str, float | None]:
    """Shares of clips whose emotion is read and concluded with this context."""
    clips = [replace(made.clip(), context=context_of(made, way)) for made in people]
    together = concluded = 0
    for made, report in zip(people, analyzer.analyze_many(clips)):
        together += max(report.distribution, key=report.distribution.get) == truth(made)
        concluded += bool(report.emotions) and common_label(report.emotions[0].label) == truth(made)
    return {"context": alone(analyzer, people, way), "together": together / len(people),
            "answer": concluded / len(people)}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="nano")
    parser.add_argument("--clips", type=int, default=80)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    people, found = heard_people(args.clips), {}
    print(f"{'context':12} {'alone':>7} {'together':>9} {'answer':>7}")
    with Analyzer.load(args.model) as analyzer:
        for name, way in WAYS.items():
            found[name] = one = measured(analyzer, people, way)
            cells = [f"{'–' if value is None else format(value, '.3f')}" for value in one.values()]
            print(f"{name:12} {cells[0]:>7} {cells[1]:>9} {cells[2]:>7}", flush=True)
    result = {"model": args.model, "clips": args.clips, "wordings": found}
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
