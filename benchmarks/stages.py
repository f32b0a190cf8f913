"""What each training stage adds, on synthetic people that no stage has seen: every model beside the one it is held to.

    python benchmarks/stages.py sft=runs/nano/model longer=runs/longer/model dpo=runs/nano-dpo/model:sft \\
        grpo=runs/nano-grpo/model:longer --clips 200 --json benchmarks/results/stages.json

NAME=MODEL[:OTHER]: a shipped model or a folder, and the name of the model it is compared with (the one before it by
default). Each runs through `cuewise eval synthetic` (seeds of the test split); differences are those of
`cuewise eval compare`, a paired bootstrap over the same clips with 95 % intervals. Runs are kept in --out and gone on
with.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from cuewise.eval.asking import RunConfig
from cuewise.eval.metrics.bootstrap import paired_bootstrap
from cuewise.eval.metrics.calibration import ece
from cuewise.eval.report.compare import compare_folders
from cuewise.eval.report.results import read_results
from cuewise.eval.runner import run_suite
from cuewise.mllm.configuration import CuewiseConfig
from cuewise.mllm.folders import model_folder

SHOWN = ("cue_f1", "cue_grounding", "ew_level1", "label_overlap", "support_rate", "well_formed", "ece")
"""Metrics of the printed table; the JSON has all."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of the table."""

    name: str
    model: str
    other: str | None


def entries(given: list[str]) -> list[Entry]:
    """NAME=MODEL[:OTHER] in order. Raises SystemExit for a name that stands twice or is not known."""
    found: list[Entry] = []
    for item in given:
        name, _, rest = item.partition("=")
        model, _, other = rest.partition(":")
        known = [entry.name for entry in found]
        if not name or not model or name in known or (other and other not in known):
            raise SystemExit(f"{item!r} is not NAME=MODEL[:OTHER] with a new NAME and an OTHER of {', '.join(known)}")
        found.append(Entry(name, model, other or (known[-1] if known else None)))
    return found


def numbers(folder: Path) -> dict[str, list[float | None]]:
    """metric -> [value, low, high] of a run."""
    (dataset,) = read_results(folder).datasets
    return {metric.name: [metric.value, metric.low, metric.high] for metric in dataset.metrics}


def differences(folder: Path, other: Path) -> dict[str, dict[str, Any]]:
    """metric -> difference from the other run, its interval and p-value."""
    found = compare_folders(folder, other, force=True)
    return {one.metric: {"difference": one.difference, "low": one.low, "high": one.high, "p": one.p_value,
                         "verdict": one.verdict} for one in found.differences}  # fmt: skip


def calibrated(folder: Path, model: str) -> dict[str, Any]:
    """ECE of the run, and what it would be without the model's calibration: with the temperature taken back."""
    temperature = CuewiseConfig.from_pretrained(model_folder(model)).calibration_config.temperature
    rows = pq.read_table(folder / "samples.parquet", columns=["scores", "parsed"]).to_pylist()
    right = np.array([json.loads(row["scores"])["right"] for row in rows])
    shares = [np.array([*json.loads(row["parsed"])["distribution"].values()]) for row in rows]
    sure = {"with": np.array([max(one, default=0.0) for one in shares])}
    sure["without"] = np.array([float((one**temperature).max() / (one**temperature).sum()) for one in shares])

    def statistic(kind: str) -> Callable[[np.ndarray], float]:
        return lambda indices: ece(right[indices].tolist(), sure[kind][indices].tolist()).value

    found = paired_bootstrap(statistic("with"), statistic("without"), len(rows))
    return {"temperature": temperature, "ece": statistic("with")(np.arange(len(rows))),
            "ece_without": statistic("without")(np.arange(len(rows))), "difference": found.difference,
            "low": found.low, "high": found.high, "p": found.p_value}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="NAME=MODEL[:OTHER]")
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("runs/stages"))
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    table: dict[str, Any] = {}
    for entry in entries(args.models):
        folder = run_suite(RunConfig(suite="synthetic", system=entry.model, out=args.out / entry.name,
                                     set=[f"datasets.synthetic.source.synthetic={args.clips}"]))  # fmt: skip
        against = {} if entry.other is None else differences(folder, args.out / entry.other)
        table[entry.name] = {"model": entry.model, "against": entry.other, "numbers": numbers(folder),
                             "differences": against}  # fmt: skip
        print(f"\n{entry.name} ({entry.model})" + (f", against {entry.other}" if entry.other else ""))
        for metric in [name for name in SHOWN if name in table[entry.name]["numbers"]]:
            value, low, high = table[entry.name]["numbers"][metric]
            line = f"  {metric:20} " + ("undefined" if value is None else f"{value:.3f}")
            line += "" if low is None else f" [{low:.3f}, {high:.3f}]"
            if metric in against:
                one = against[metric]
                line += f"   {one['difference']:+.3f} [{one['low']:+.3f}, {one['high']:+.3f}] p {one['p']:.3f}"
            print(line)
        gain = table[entry.name]["calibration"] = calibrated(folder, entry.model)
        print(f"  calibration lowers ece by {-gain['difference']:.3f} [{-gain['high']:.3f}, {-gain['low']:.3f}] "
              f"from {gain['ece_without']:.3f}, p {gain['p']:.3f}")  # fmt: skip
    if args.json:
        args.json.write_text(json.dumps({"clips": args.clips, "models": table}, indent=1) + "\n")


if __name__ == "__main__":
    main()
