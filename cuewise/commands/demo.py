"""`cuewise demo`: draws and speaks a short synthetic clip, analyzes it and writes a page; needs no file at all."""

import argparse
from pathlib import Path

from cuewise.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to write and which clip to make."""
    parser.add_argument(
        "--out", type=Path, default=Path("out/demo"), help="folder for clip and page (default out/demo)"
    )
    parser.add_argument("--seed", type=int, default=7, help="another number is another person and emotion (default 7)")
    parser.add_argument("--model", default="nano", help="nano (default), nano-research, or the folder of a model")


def run(args: argparse.Namespace) -> int:
    """Make the clip, then the same road as `cuewise analyze CLIP --html`."""
    from cuewise.data_recipes.schema import read_jsonl
    from cuewise.data_recipes.synthetic.corpus import SynthConfig
    from cuewise.data_recipes.synthetic.writer import write_corpus
    from cuewise.outputs import Outputs
    from cuewise.running import report_on

    try:
        args.out.mkdir(parents=True, exist_ok=True)
        write_corpus(args.out, 1, args.seed, SynthConfig(), 1)
    except OSError as error:
        raise UserError(f"--out {args.out}: cannot be written ({error.strerror})") from error
    row = next(read_jsonl(args.out / "rows.jsonl"))
    page = args.out / "demo.html"
    print(f"a synthetic clip, made to show: {', '.join(row.labels)}\n")
    code = report_on([row.clip(args.out)], Outputs(html=page), model=args.model)
    print(f"\nOpen {page} in a browser to see the clip with its evidence.")
    return code
