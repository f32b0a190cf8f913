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
    if args.seed < 0:
        raise UserError(f"--seed must be 0 or more, got {args.seed}")
    from cuewise.data_recipes.synthetic.corpus import SynthConfig, make_clip
    from cuewise.data_recipes.synthetic.writer import write_clip
    from cuewise.mllm.report import render_cue
    from cuewise.outputs import Outputs
    from cuewise.running import report_on

    config = SynthConfig(absent_share=0.0, other_languages_share=0.0, second_person_share=0.0, occluder_share=0.0)
    clip = make_clip(args.seed, config)
    try:
        files = write_clip(clip, args.out / "demo")
    except OSError as error:
        raise UserError(f"--out {args.out}: cannot be written ({error.strerror})") from error
    print(f"A synthetic clip, made to show: {', '.join(clip.row.labels)}. Its ground truth:")
    for cue in clip.row.cues:
        print(f"  {render_cue(cue)}")
    print()
    page = args.out / "demo.html"
    row = clip.row.model_copy(update={"media": files})
    code = report_on([row.clip(args.out)], Outputs(html=page), model=args.model)
    print(f"\nOpen {page} in a browser to see the clip with its evidence.")
    return code
