"""`cuewise eval SUITE …`: a whole suite through a system, resumable, with results and a report; list and compare."""

import argparse
import sys
from pathlib import Path
from typing import Any

from cuewise.errors import EXIT_OK, EXIT_USER, UserError

EPILOG = """\
examples:
  cuewise eval list
  cuewise eval synthetic
  cuewise eval ravdess --data DATA --system nano-research
  cuewise eval meld --data meld=PATH --predictions answers.jsonl
  cuewise eval ravdess --data DATA --system openai:MODEL@http://127.0.0.1:8000/v1
  cuewise eval open-conflict --data DATA --dry-run
  cuewise eval compare runs/eval/A runs/eval/B
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A suite with its options, or `list`, or `compare A B`."""
    parser.epilog, parser.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    parser.add_argument("suite", metavar="SUITE", help="a suite's name, a YAML file, `list`, or `compare`")
    parser.add_argument("runs", nargs="*", metavar="RUN", help="for compare: the folders of two runs")
    parser.add_argument("--system", default="nano", metavar="NAME",
                        help="shipped model, model folder, or openai:MODEL@URL (default: nano)")  # fmt: skip
    parser.add_argument("--predictions", type=Path, metavar="FILE",
                        help="score this file of answers (id, and text or labels) instead of asking a system")
    parser.add_argument("--data", action="append", default=[], metavar="ROOT|NAME=PATH",
                        help="folder that holds the data sets, or where one of them lies; may be repeated")  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="folder of the run; goes on with a run there")
    parser.add_argument("--limit", type=int, default=0, metavar="N", help="samples per data set, evenly spread")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                        help="change the suite, e.g. datasets.ravdess.source.split=test")  # fmt: skip
    parser.add_argument("--option", action="append", default=[], metavar="KEY=VALUE",
                        help="option of the system, e.g. device=cuda")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="seed of intervals and sampled answers")
    parser.add_argument("--temperature", type=float, default=0.0, help="0 (default) is greedy")
    parser.add_argument("--judge", metavar="NAME", help="reads free text and scores it: stub, local:FOLDER, "
                        "openai:MODEL@URL or system:FOLDER")
    parser.add_argument("--embedder", metavar="NAME", help="offline, hf:FOLDER or sentence-transformers:FOLDER")
    parser.add_argument("--selection", metavar="TEXT", help="how this system was chosen; printed with every number")
    parser.add_argument("--ray", type=int, default=0, metavar="N", help="answer with N Ray workers")
    parser.add_argument("--dry-run", action="store_true", help="check the data and say what would be asked")
    parser.add_argument("--force", action="store_true", help="for compare: go on when the runs differ in more")


def run(args: argparse.Namespace) -> int:
    """List, compare, or run a suite; every problem is one line on stderr and the exit code is 2."""
    from cuewise.eval.suites.suite import SuiteError

    try:
        if args.suite == "list":
            return _list()
        if args.suite == "compare":
            return _compare(args)
        if args.runs:
            raise UserError(f"unexpected {args.runs[0]!r}; only `compare` takes folders of runs")
        return _dry_run(args) if args.dry_run else _run(args)
    except SuiteError as error:
        for problem in error.shown:
            print(f"cuewise eval: error: {' '.join(problem.split())}", file=sys.stderr)
        return EXIT_USER


def _list() -> int:
    from cuewise.eval.suites.suite import load_suite, suite_names

    for name in suite_names():
        suite = load_suite(name)
        print(f"{name:16} {suite.title}\n{'':16} data sets: {', '.join(suite.datasets)}; headline: "
              f"{suite.primary.metric} of {suite.primary.dataset}; {suite.licence}")  # fmt: skip
    return EXIT_OK


def _config(args: argparse.Namespace) -> Any:
    from cuewise.eval.asking import RunConfig
    from cuewise.mllm.config_tools import override

    try:
        options = override({}, args.option)
    except ValueError as error:
        raise UserError(f"--option: {error}") from None
    if args.limit < 0 or args.ray < 0:
        raise UserError("--limit and --ray must be 0 or more")
    if not 0 <= args.temperature < 100:
        raise UserError(f"--temperature must be 0 (greedy) or more, got {args.temperature:g}")
    if args.selection is not None and not args.selection.strip():
        raise UserError("--selection is empty; say how the system was chosen, or leave the option out")
    chosen = {"selection": args.selection} if args.selection else {}
    return RunConfig(
        suite=args.suite, system=args.system, predictions=args.predictions, out=args.out, data=args.data, set=args.set,
        limit=args.limit, seed=args.seed, temperature=args.temperature, judge=args.judge, embedder=args.embedder,
        ray=args.ray, options=options, **chosen,
    )  # fmt: skip


def _dry_run(args: argparse.Namespace) -> int:
    from collections import Counter

    from cuewise.eval.runner import plan_suite
    from cuewise.eval.samples import missing_media

    args.predictions = args.predictions or Path()
    suite, samples = plan_suite(_config(args))
    for name, dataset in suite.datasets.items():
        rows = [sample for sample in samples if sample.dataset == name]
        without = sum(sample.synthetic_seed is None and missing_media(sample) is not None for sample in rows)
        print(f"{name}: {len(rows)} samples, truth: {dataset.truth}, metrics: {', '.join(dataset.metrics)}")
        subsets = Counter(row.gt["subset"] for row in rows if isinstance(row.gt, dict) and "subset" in row.gt)
        for subset, count in subsets.most_common():
            print(f"  {subset}: {count}")
        if without:
            print(f"  {without} of them have no media here and can only be scored from --predictions")
    return EXIT_OK


def _run(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from cuewise.eval.report.results import read_results
    from cuewise.eval.runner import run_suite
    from cuewise.running import quiet_transformers

    quiet_transformers()
    bars: list[Any] = []

    def progress(total: int, answered: int) -> Any:
        if answered:
            print(f"cuewise eval: {answered} of {total} samples are answered already", file=sys.stderr)
        bars.append(tqdm(total=total, initial=answered, unit="sample", file=sys.stderr))
        return bars[0].update

    try:
        folder = run_suite(_config(args), progress)
    finally:
        for bar in bars:
            bar.close()
    print_headline(read_results(folder))
    print(f"results: {folder / 'results.json'}\nreport:  {folder / 'report.html'}")
    return EXIT_OK


def print_headline(results: Any) -> None:
    """The numbers of a run, each with n, averaging and interval."""
    print(f"{results.suite} · {results.system_name} · n {results.n} · parse rate {results.parse_rate:.1%} · "
          f"{results.selection_rule}")  # fmt: skip
    for dataset in results.datasets:
        print(f"{dataset.name} (n {dataset.n}, parse rate {dataset.parse_rate:.1%})")
        for metric in dataset.metrics:
            value = "undefined" if metric.value is None else f"{metric.value:.4f}"
            spread = "" if metric.low is None else f" [{metric.low:.4f}, {metric.high:.4f}]"
            print(f"  {metric.name:28} {value:>9}{spread:20} n {metric.n} {metric.unit}, {metric.averaging}")


def _compare(args: argparse.Namespace) -> int:
    from cuewise.eval.report.compare import compare_folders
    from cuewise.eval.report.compare_text import render_text
    from cuewise.eval.report.results import ResultsError

    if len(args.runs) != 2:
        raise UserError(f"compare takes the folders of two runs, got {len(args.runs)}")
    try:
        found = compare_folders(Path(args.runs[0]), Path(args.runs[1]), out=args.out, force=args.force)
    except ResultsError as error:
        raise UserError(str(error)) from error
    print(render_text(found))
    return EXIT_OK
