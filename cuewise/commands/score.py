"""`cuewise score`: exact scores for a file of cases, or for predictions against ground truth. Needs no model."""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from cuewise.errors import EXIT_OK, EXIT_USER, UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A case file, or a metric with two tables."""
    parser.add_argument("cases", nargs="?", metavar="CASES.jsonl", help="lines {id, metric, gt, pred}")
    parser.add_argument("--metric", metavar="NAME", help="score two tables with this metric (see --list)")
    parser.add_argument("--gt", metavar="FILE", help="ground truth: csv, tsv or jsonl with an id and a value column")
    parser.add_argument("--pred", metavar="FILE", help="predictions, in the same form")
    parser.add_argument("--gt-column", metavar="NAME", help="value column of the ground truth when there are several")
    parser.add_argument("--pred-column", metavar="NAME", help="value column of the predictions")
    parser.add_argument("--out", metavar="FILE", help="write the results here instead of printing them")
    parser.add_argument("--list", action="store_true", help="list the metrics")


def run(args: argparse.Namespace) -> int:
    """Score, then write everything at once; every problem is one line on stderr and the exit code is 2."""
    from cuewise.eval.scoring import ScoringError, score_cases, score_tables

    if args.list:
        from cuewise.eval.metrics.registry import METRICS

        print("\n".join(f"{name:28} per {entry.per:8} {entry.summary}" for name, entry in METRICS.items()))
        return EXIT_OK
    _check_arguments(args)
    notes: list[str] = []
    try:
        if args.cases:
            rows = score_cases(Path(args.cases))
        else:
            rows, notes = score_tables(args.metric, Path(args.gt), Path(args.pred), args.gt_column, args.pred_column)
    except ScoringError as error:
        for problem in error.problems:
            print(f"cuewise score: error: {' '.join(problem.split())}", file=sys.stderr)
        return EXIT_USER
    for note in notes:
        print(f"cuewise score: note: {note}", file=sys.stderr)
    text = "".join(_line(row) for row in rows)
    if args.out:
        write_whole(Path(args.out), text)
    else:
        sys.stdout.write(text)
    return EXIT_OK


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is either complete or as it was before."""
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise UserError(f"{path}: cannot be written ({error.strerror})") from None


def _check_arguments(args: argparse.Namespace) -> None:
    tables = {"--metric": args.metric, "--gt": args.gt, "--pred": args.pred}
    given = [name for name, value in tables.items() if value]
    if args.cases and (given or args.gt_column or args.pred_column):
        raise UserError("give either CASES.jsonl or --metric with --gt and --pred, not both")
    if not args.cases and len(given) < 3:
        lacking = [name for name in tables if name not in given]
        raise UserError(f"missing {', '.join(lacking)}; give CASES.jsonl, or --metric NAME --gt FILE --pred FILE")
    inputs = [name for name in (args.cases, args.gt, args.pred) if name]
    if args.out and any(os.path.realpath(args.out) == os.path.realpath(name) for name in inputs):
        raise UserError(f"--out {args.out} would overwrite the input; give another name")


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"
