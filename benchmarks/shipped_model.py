"""What a model reaches on people it never saw, and what controls and trivial answers reach.

    python benchmarks/shipped_model.py --model nano --data DATA [--limit N] [--json FILE]

DATA holds the development layout of emodb/, ravdess_speech/, nemo_pl/, london_faces/ and meld_text/; what is missing is
left out. `synthetic` is made on the spot, from people and sentences of the test split. Each row gives the written
answer's first label (`answer`) and the top class of the heads (`heads`), with a 95 % interval resampled by speaker.
Controls: the same answers dealt to other clips (`shuffled`), and always the most frequent class.
"""

import argparse
import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cuewise.data_recipes.corpora import COMMON_LABELS, common_label, read
from cuewise.data_recipes.schema import Row
from cuewise.data_recipes.synthetic.corpus import make_clip
from cuewise.eval.metrics.bootstrap import class_intervals
from cuewise.eval.metrics.cues import cue_counts
from cuewise.mllm.clip import Clip
from cuewise.mllm.pipeline import Analyzer
from cuewise.mllm.report import PROBLEM_TEXT, Cue, EmotionReport

SETS = {
    "emodb": ("emodb", "emodb", "dev"), "ravdess": ("ravdess", "ravdess_speech", "dev"),
    "nemo": ("nemo", "nemo_pl", "dev"), "london_faces": ("london_faces", "london_faces", "dev"),
    "meld": ("meld", "meld_text", "dev"),
}  # fmt: skip
SYNTHETIC_TEST = 2_000_000
"""First seed of the synthetic test split."""

MERGE_CALM = {"meld", "emodb", "nemo", "london_faces"}
"""Sets without the class calm: an answer `calm` counts as neutral there."""


@dataclass(slots=True)
class Answers:
    """First written label and top class of the heads, per clip."""

    written: list[str]
    heads: list[str]
    well_formed: float
    """Share of answers without a format problem."""

    checks: Counter[str] = field(default_factory=Counter)
    """Verdicts on the written cues: supported, contradicted, not_measurable; `unchecked` names no claim."""

    cues: list[list[Cue]] = field(default_factory=list)
    """Written cues per clip."""


def ask(analyzer: Analyzer, clips: Sequence[Clip], merge_calm: bool) -> Answers:
    """Explained answers to all clips; a clip that cannot be read is an empty answer, which is wrong."""
    written, heads, formed = [], [], 0
    checks: Counter[str] = Counter()
    cues: list[list[Cue]] = []
    for report in analyzer.analyze_many(clips):
        if not isinstance(report, EmotionReport):
            written.append("")
            heads.append("")
            cues.append([])
            continue
        cues.append(list(report.cues))
        checks.update(cue.check.verdict if cue.check else "unchecked" for cue in report.cues)
        formed += report.form == "explained" and not PROBLEM_TEXT.keys() & {one.code for one in report.problems}
        first = report.emotions[0].label if report.emotions else ""
        written.append(common_label(first) or first if first else "")
        heads.append(max(report.distribution, key=report.distribution.get) if report.distribution else "")
    if merge_calm:
        written, heads = ([("neutral" if label == "calm" else label) for label in given] for given in (written, heads))
    return Answers(written, heads, formed / max(len(clips), 1), checks, cues)


def corpus_clips(rows: list[Row], root: Path) -> list[Clip]:
    """The clips of real rows; recordings go without their transcript."""
    clips = [row.clip(root) for row in rows]
    for clip in clips:
        if clip.path is not None:
            clip.transcript, clip.words = None, []
    return clips


def synthetic(count: int) -> tuple[list[Row], list[Clip]]:
    """Clips of the synthetic test split, with their words."""
    rows, clips = [], []
    for seed in range(SYNTHETIC_TEST, SYNTHETIC_TEST + count):
        made = make_clip(seed)
        rows.append(made.row)
        clips.append(made.clip())
    return rows, clips


def evaluate(name: str, rows: list[Row], clips: list[Clip], analyzer: Analyzer) -> dict[str, Any]:
    """All numbers of one set."""
    gold = [common_label(row.labels[0]) for row in rows]
    classes = [label for label in COMMON_LABELS if label in set(gold)]
    answers = ask(analyzer, clips, name in MERGE_CALM)
    speakers = [row.speaker or row.id for row in rows] if name != "meld" else None
    found: dict[str, Any] = {"n": len(rows), "classes": classes, "well_formed": answers.well_formed,
                             "checks": dict(answers.checks), "support_rate": support_rate(answers.checks)}
    if name == "synthetic":
        counts = np.sum([cue_counts(row.cues, given) for row, given in zip(rows, answers.cues)], 0).tolist()
        found["cue_f"] = f_score(*counts)
    for kind, given in (("answer", answers.written), ("heads", answers.heads)):
        found[kind] = scores(gold, given, classes, speakers)
    top = Counter(gold).most_common(1)[0][0]
    found["majority"] = scores(gold, [top] * len(gold), classes, speakers)
    shuffled = list(range(len(rows)))
    random.Random(0).shuffle(shuffled)
    found["shuffled"] = scores(gold, [answers.written[i] for i in shuffled], classes, speakers)
    return found


def support_rate(checks: Mapping[str, int]) -> float | None:
    """Share of the cues with a verdict that the measurements support."""
    decided = checks.get("supported", 0) + checks.get("contradicted", 0)
    return round(checks.get("supported", 0) / decided, 4) if decided else None


def f_score(hits: int, written: int, known: int) -> float:
    """F1 of the written cues of all clips."""
    return round(2 * hits / (known + written), 4) if known + written else 0.0


def scores(gold: list[str], given: list[str], classes: list[str], speakers: list[str] | None) -> dict[str, Any]:
    """UAR, WAR and weighted F1 with intervals."""
    intervals = class_intervals(gold, given, classes, groups=speakers)
    return {name: [round(value, 4) for value in (interval.value, interval.low, interval.high)]
            for name, interval in intervals.items() if name in ("uar", "war", "weighted_f1")}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="*", default=[*SETS, "synthetic"])
    parser.add_argument("--limit", type=int, default=0, help="rows per set, evenly spread; 0 takes all")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    results: dict[str, Any] = {}
    with Analyzer.load(args.model) as analyzer:
        for name in args.sets:
            if name == "synthetic":
                rows, clips = synthetic(args.limit or 200)
                results[name] = evaluate(name, rows, clips, analyzer)
                print_set(name, results[name])
                continue
            corpus, folder, split = SETS[name]
            root = args.data / folder
            if not root.is_dir():
                print(f"{name}: no folder {folder}, left out")
                continue
            rows = list(read(corpus, root, split))
            if args.limit and args.limit < len(rows):
                rows = [rows[i * len(rows) // args.limit] for i in range(args.limit)]
            results[name] = evaluate(name, rows, corpus_clips(rows, root), analyzer)
            print_set(name, results[name])
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps({"model": args.model, "limit": args.limit, "sets": results}, indent=1) + "\n")


def print_set(name: str, found: dict[str, Any]) -> None:
    print(f"\n{name}: n {found['n']}, {len(found['classes'])} classes, well-formed {found['well_formed']:.3f}, "
          f"support rate of cues {found['support_rate']} {found['checks']}, cue F {found.get('cue_f')}")
    for kind in ("answer", "heads", "majority", "shuffled"):
        cells = "  ".join(f"{metric} {v[0]:.3f} [{v[1]:.3f}, {v[2]:.3f}]" for metric, v in found[kind].items())
        print(f"  {kind:9} {cells}")


if __name__ == "__main__":
    main()
