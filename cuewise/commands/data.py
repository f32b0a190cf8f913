"""`cuewise data synth|build|doctor|list`: make the synthetic corpus, convert real corpora, examine rows."""

import argparse
import json
from pathlib import Path
from typing import Any

from cuewise.errors import EXIT_OK, EXIT_USER, UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One sub-command per job."""
    jobs = parser.add_subparsers(dest="job", metavar="JOB", required=True)

    synth = jobs.add_parser("synth", help="write synthetic clips with exact cue times, and rows.jsonl beside them")
    synth.add_argument("out", type=Path, help="folder to write to")
    synth.add_argument("--count", type=int, default=100, help="how many clips (default 100)")
    synth.add_argument("--seed", type=int, default=0, help="the same seed makes the same corpus (default 0)")
    synth.add_argument("--workers", type=int, default=1, help="processes that draw clips (default 1)")
    synth.add_argument(
        "overrides", nargs="*", metavar="key=value", help="options of the corpus, e.g. conflict_share=0.3"
    )

    build = jobs.add_parser("build", help="convert a downloaded corpus to rows")
    build.add_argument("corpus", help="name of the corpus, as `cuewise data list` prints it")
    build.add_argument("root", type=Path, help="folder of the corpus as released")
    build.add_argument("out", type=Path, help="rows file to write (.jsonl)")

    doctor = jobs.add_parser("doctor", help="examine a rows file: missing media, bad spans, leaks between splits")
    doctor.add_argument("rows", type=Path, help="rows file (.jsonl)")
    doctor.add_argument("--root", type=Path, help="folder that media paths are relative to (default: that of the file)")

    jobs.add_parser("list", help="name the corpora that can be built")


def run(args: argparse.Namespace) -> int:
    """Run the chosen job."""
    return {"synth": _synth, "build": _build, "doctor": _doctor, "list": _list}[args.job](args)


def _synth(args: argparse.Namespace) -> int:
    if args.count < 1:
        raise UserError(f"--count must be at least 1, got {args.count}")
    from cuewise.data_recipes.synthetic.corpus import SynthConfig
    from cuewise.data_recipes.synthetic.writer import write_corpus
    from cuewise.mllm.config_tools import from_dict, override

    try:
        config = from_dict(SynthConfig, override({}, args.overrides))
    except ValueError as error:
        raise UserError(str(error)) from error
    write_corpus(args.out, args.count, args.seed, config, args.workers)
    print(f"{args.count} clips in {args.out}, described in {args.out / 'rows.jsonl'}")
    return EXIT_OK


def _build(args: argparse.Namespace) -> int:
    if not args.root.is_dir():
        raise UserError(f"{args.root} is not a folder; give the folder of the corpus as released")
    from cuewise.data_recipes.build import build

    try:
        result = build(args.corpus, args.root, args.out)
    except (ValueError, OSError) as error:
        raise UserError(str(error)) from error
    _show(result)
    return EXIT_OK


def _doctor(args: argparse.Namespace) -> int:
    if not args.rows.is_file():
        raise UserError(f"{args.rows} is not a file; give a rows file (.jsonl)")
    from cuewise.data_recipes.doctor import examine

    try:
        findings = examine(args.rows, args.root or args.rows.parent)
    except ValueError as error:
        raise UserError(str(error)) from error
    _show(findings)
    return EXIT_OK if not getattr(findings, "errors", None) else EXIT_USER


def _list(args: argparse.Namespace) -> int:
    from cuewise.data_recipes.build import CORPORA

    for name in sorted(CORPORA):
        print(name)
    return EXIT_OK


def _show(result: Any) -> None:
    """Print what a job found: text as it is, anything else as JSON."""
    if result is None:
        return
    print(result if isinstance(result, str) else json.dumps(result, indent=2, ensure_ascii=False, default=str))
