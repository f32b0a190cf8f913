"""`cuewise data synth|build|make|describe|explain|doctor|list`: make and convert corpora, make rows of rows."""

import argparse
from pathlib import Path

from cuewise.errors import EXIT_OK, UserError


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
    build.add_argument("--split", help="only this split: train, dev or test")

    doctor = jobs.add_parser("doctor", help="examine a rows file (missing media, bad spans, leaks) or a media cache")
    doctor.add_argument("rows", type=Path, help="rows file (.jsonl), or the folder of a media cache")
    doctor.add_argument("--prune", action="store_true", help="media cache: remove damaged entries and cut-off writes")
    doctor.add_argument("--max-gb", type=float, metavar="GB", help="media cache, with --prune: keep no more than this")
    doctor.add_argument("--root", type=Path, help="folder that media paths are relative to (default: that of the file)")

    make = jobs.add_parser("make", help="make rows of rows: statements, preferences, a route by text, ...")
    make.add_argument("kind", help="statements, preferences, text, features, route, three_part, viewers or unique")
    make.add_argument("rows", type=Path, help="rows file to read (.jsonl)")
    make.add_argument("out", type=Path, help="rows file to write (.jsonl)")
    make.add_argument("--seed", type=int, default=0, help="the same seed makes the same rows (default 0)")
    make.add_argument("--measured", action="store_true", help="decode each clip and use what is measured in it")

    describe = jobs.add_parser("describe", help="let systems describe clips; keep what independent readers agree with")
    describe.add_argument("rows", type=Path, help="rows file to read (.jsonl)")
    describe.add_argument("out", type=Path, help="rows file to write (.jsonl)")
    describe.add_argument("--see", required=True, metavar="SYSTEM", help="describes the pictures")
    describe.add_argument("--hear", required=True, metavar="SYSTEM", help="describes the sound")
    describe.add_argument("--join", required=True, metavar="SYSTEM", help="joins both with the words and the label")
    describe.add_argument("--crowd", action="append", default=[], metavar="SYSTEM", help="reads alone; may be repeated")
    describe.add_argument("--agree", type=float, default=0.5, help="least share of the crowd that agrees (default 0.5)")

    explain = jobs.add_parser("explain", help="let a system explain known labels; keep what is exactly right")
    explain.add_argument("rows", type=Path, help="rows file to read (.jsonl)")
    explain.add_argument("out", type=Path, help="rows file to write (.jsonl)")
    explain.add_argument("--system", default="nano", help="who explains (default nano)")
    explain.add_argument("--tries", type=int, default=5, help="attempts for each row (default 5)")

    jobs.add_parser("list", help="name the corpora that can be built")


def run(args: argparse.Namespace) -> int:
    """Run the chosen job."""
    jobs = {"synth": _synth, "build": _build, "make": _make, "describe": _describe, "explain": _explain,
            "doctor": _doctor, "list": _list}  # fmt: skip
    return jobs[args.job](args)


def _synth(args: argparse.Namespace) -> int:
    from cuewise.data_recipes.synthetic.corpus import SynthConfig
    from cuewise.data_recipes.synthetic.writer import write_corpus
    from cuewise.mllm.config_tools import from_dict, override

    try:
        config = from_dict(SynthConfig, override({}, args.overrides))
        rows = write_corpus(args.out, args.count, args.seed, config, args.workers)
    except (ValueError, OSError) as error:
        raise UserError(str(error)) from error
    print(f"{args.count} clips in {args.out}, described in {rows}")
    return EXIT_OK


def _build(args: argparse.Namespace) -> int:
    from cuewise.data_recipes.build import build

    try:
        print(build(args.corpus, args.root, args.out, args.split))
    except (ValueError, OSError) as error:
        raise UserError(str(error)) from error
    return EXIT_OK


def _make(args: argparse.Namespace) -> int:
    from cuewise.data_recipes.made import make

    try:
        print(make(args.kind, args.rows, args.out, seed=args.seed, measured=args.measured))
    except (ValueError, OSError) as error:
        raise UserError(str(error)) from error
    return EXIT_OK


def _describe(args: argparse.Namespace) -> int:
    from cuewise.data_recipes.described import described, filter_described
    from cuewise.data_recipes.made import moved
    from cuewise.data_recipes.schema import read_jsonl, write_jsonl
    from cuewise.mllm.systems.base import load_system

    try:
        systems = {name: load_system(name) for name in dict.fromkeys([args.see, args.hear, args.join, *args.crowd])}
        items = described(read_jsonl(args.rows), args.rows.parent, systems[args.see], systems[args.hear],
                          systems[args.join], {name: systems[name] for name in args.crowd})  # fmt: skip
        report = filter_described(items, agree=args.agree)
        write_jsonl(moved(report.kept, args.rows, args.out), args.out)
    except (ValueError, OSError) as error:
        raise UserError(str(error)) from error
    print(report)
    return EXIT_OK


def _explain(args: argparse.Namespace) -> int:
    from cuewise.data_recipes.made import moved
    from cuewise.data_recipes.schema import read_jsonl, write_jsonl
    from cuewise.mllm.systems.base import load_system
    from cuewise.train.synthesis import SystemWriter, synthesise

    try:
        writer = SystemWriter(load_system(args.system), args.rows.parent)
        report = synthesise(list(read_jsonl(args.rows)), writer, tries=args.tries)
        write_jsonl(moved(report.kept, args.rows, args.out), args.out)
    except (ValueError, OSError) as error:
        raise UserError(str(error)) from error
    print(report)
    return EXIT_OK


def _doctor(args: argparse.Namespace) -> int:
    from cuewise.data_recipes.doctor import examine

    if args.rows.is_dir():
        return _cache_doctor(args)
    try:
        findings = examine(args.rows, args.root)
    except ValueError as error:
        raise UserError(str(error)) from error
    print(findings)
    return findings.status


def _cache_doctor(args: argparse.Namespace) -> int:
    from cuewise.mllm.cache import examine_cache, is_cache

    if not is_cache(args.rows):
        raise UserError(f"{args.rows} is a folder but no media cache; give a rows file (.jsonl) or a cache's folder")
    if args.max_gb is not None and not args.prune:
        raise UserError(f"--max-gb {args.max_gb:g} removes entries; say --prune as well")
    report = examine_cache(args.rows, prune=args.prune,
                           max_bytes=None if args.max_gb is None else int(args.max_gb * 2**30))  # fmt: skip
    print(report)
    return report.status


def _list(args: argparse.Namespace) -> int:
    from cuewise.data_recipes.corpora import CORPORA

    for name, corpus in sorted(CORPORA.items()):
        print(f"{name:16} {corpus.title}")
    return EXIT_OK
