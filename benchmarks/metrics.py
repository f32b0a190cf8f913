"""How fast is scoring? Emotion-wheel level 1 over five wheels, 1,000 samples, one core, process CPU time.

    python benchmarks/metrics.py [--samples 1000] [--repeats 7]

Compared in the same run: our bit masks, and the published procedure written down straightforwardly with dictionaries
and sets (`reference_level1` below; every label is looked up anew, tables already in memory for both). Both must give
the same numbers. The published program itself, measured elsewhere on one busy server core, takes 60-120 ms per 1,000
samples plus 2.5 s for loading its tables; its whole process takes 4.2 s (median).
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from cuewise.eval.metrics.ew import level_mean, set_scores
from cuewise.eval.metrics.hits import hit_rate
from cuewise.eval.metrics.labels import parse_labels
from cuewise.mllm.taxonomy import LEVEL1_IDS, METRIC_IDS, wheel_table
from cuewise.mllm.taxonomy.wheels import LabelMasks, WheelTable

OFFICIAL_MS = (60, 120)
"""Published program, marginal milliseconds per 1,000 samples at one level."""


def make_samples(count: int, vocabulary: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Label strings in the style models write them: 2 to 4 words of a vocabulary, a tenth of the labels unknown."""
    rng = random.Random(seed)
    words = [word for word in sorted(wheel_table().roots) if "'" not in word and "," not in word]
    words = rng.sample(words, min(vocabulary, len(words)))

    def label() -> str:
        return rng.choice(words) if rng.random() < 0.9 else f"unknown{rng.randrange(vocabulary)}"

    def value() -> str:
        return "[" + ", ".join(label() for _ in range(rng.randint(2, 4))) + "]"

    return [value() for _ in range(count)], [value() for _ in range(count)]


def reference_level1(gt: list[str], pred: list[str], table: WheelTable) -> list[float]:
    """[F, P, R] by the published procedure, word by word."""
    spelling_to_roots = {spelling: set(roots) for spelling, roots in table.roots.items()}
    rows = []
    for metric_id in LEVEL1_IDS:
        lookup = table.lookups[metric_id]

        def mapped(value: str, lookup: dict[str, str] = lookup) -> set[str]:
            found = set()
            for label in parse_labels(value):
                roots = spelling_to_roots.get(label.lower().strip(), set())
                candidates = sorted({word for root in roots for word in table.wheel_words[root]})
                known = [word for word in candidates if word in lookup]
                if known:
                    found.add(lookup[known[0]])
            return found

        precisions, recalls = [], []
        for g, p in zip(gt, pred):
            truth, named = mapped(g), mapped(p)
            if truth:
                precisions.append(len(truth & named) / len(named) if named else 0.0)
                recalls.append(len(truth & named) / len(truth))
        precision, recall = sum(precisions) / len(precisions), sum(recalls) / len(recalls)
        rows.append([2 * precision * recall / (precision + recall), precision, recall])
    return [sum(column) / len(rows) for column in zip(*rows)]


def fresh_level1(gt: list[str], pred: list[str], table: WheelTable) -> list[float]:
    """Our score with an empty label cache, so that every distinct label is looked up in the timed part."""
    table._masks = {LEVEL1_IDS: LabelMasks(table, LEVEL1_IDS)}
    return level_mean(set_scores(gt, pred, LEVEL1_IDS), 1)


def cpu_ms(work: Callable[[], Any], repeats: int) -> float:
    """Median process CPU milliseconds of one call."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(1000 * (time.process_time() - start))
    return median(times)


def command_cpu_s(gt: list[str], pred: list[str], repeats: int) -> float:
    """Median CPU seconds of a whole `cuewise score` process that scores the samples at all twelve metric ids."""
    import json
    import resource

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "cases.jsonl")
        path.write_text(json.dumps({"id": "a", "metric": "ew_dataset", "gt": gt, "pred": pred}) + "\n")
        times = []
        for _ in range(repeats):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, "-m", "cuewise", "score", str(path), "--out", f"{path}.out"], check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    table = wheel_table()
    load = cpu_ms(_load_tables, args.repeats)
    print(f"emotion-wheel level 1, five wheels, {args.samples} samples, median of {args.repeats}, process CPU time")
    print(f"{'':52}{'ms':>9}{'speed-up':>10}")
    for vocabulary in (7000, 600):
        gt, pred = make_samples(args.samples, vocabulary)
        ours, theirs = fresh_level1(gt, pred, table), reference_level1(gt, pred, table)
        if max(abs(a - b) for a, b in zip(ours, theirs)) > 1e-9:
            raise SystemExit(f"the two implementations disagree: {ours} against {theirs}")
        reference = cpu_ms(lambda gt=gt, pred=pred: reference_level1(gt, pred, table), args.repeats)
        cold = cpu_ms(lambda gt=gt, pred=pred: fresh_level1(gt, pred, table), args.repeats)
        warm = cpu_ms(lambda gt=gt, pred=pred: set_scores(gt, pred, LEVEL1_IDS), args.repeats)
        for name, value in (
            ("published procedure, sets", reference),
            ("ours, first call", cold),
            ("ours, again", warm),
        ):
            print(f"{f'{name}; vocabulary {vocabulary}':52}{value:9.2f}{reference / value:9.1f}x")
    per_1000 = cold * 1000 / args.samples
    low, high = OFFICIAL_MS
    print(f"published program (anchor, other machine): {low}-{high} ms per 1,000; ours is 1/{low / per_1000:.0f} "
          f"to 1/{high / per_1000:.0f} of that")  # fmt: skip
    print(f"hit rate: {cpu_ms(lambda: hit_rate(gt, pred), args.repeats):.2f} ms, "
          f"twelve metric ids: {cpu_ms(lambda: set_scores(gt, pred, METRIC_IDS), args.repeats):.2f} ms, "
          f"loading the tables: {load:.2f} ms (published program: 2,500 ms)")  # fmt: skip
    print(f"whole `cuewise score` process: {command_cpu_s(gt, pred, 5):.2f} s CPU (published program: 4.2 s wall)")


def _load_tables() -> None:
    from cuewise.mllm.taxonomy import wheels

    wheels._read_spellings.cache_clear()
    wheels._read_wheels.cache_clear()
    WheelTable("affectgpt2025")


if __name__ == "__main__":
    main()
