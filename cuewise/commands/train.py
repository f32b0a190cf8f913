"""`cuewise train RECIPE [key=value …]`: train from a recipe file, or from a shipped one by name; audit rewards."""

import argparse
from pathlib import Path

from cuewise.errors import EXIT_OK, EXIT_USER, UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A recipe and its overrides."""
    parser.add_argument("recipe", help="a recipe file (.yaml), the name of a shipped recipe, `list`, or `audit`")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="change an option, e.g. loop.steps=100")
    parser.add_argument("--dry-run", action="store_true", help="check the recipe on the meta device and print its plan")
    parser.add_argument("--gpus", default="1xH100", metavar="NxNAME", help="for --dry-run, e.g. 8xH100")
    audit = parser.add_argument_group("audit", "hold a reward config against known hacks; exit code 2 if one pays")
    audit.add_argument("--rewards", metavar="YAML", help="the config (default: the shipped one)")
    audit.add_argument("--model", help="take the honest answers from this model instead of simulating them")
    audit.add_argument("--measured", action="store_true",
                       help="make the clips' voices and hold cues against what is measured in them")  # fmt: skip
    audit.add_argument("--count", type=int, help="synthetic clips (default 300, measured 100, with a model 24)")
    audit.add_argument("--seed", type=int, default=0, help="of the simulated answers (default 0)")


def run(args: argparse.Namespace) -> int:
    """List the recipes, or train."""
    if args.recipe == "list":
        for name, path in shipped_recipes().items():
            print(f"{name:24} {first_comment(path)}".rstrip())
        return EXIT_OK
    if args.recipe == "audit":
        return _audit(args)
    from cuewise.train.loop import TrainingError
    from cuewise.train.run import main

    try:
        if args.dry_run:
            from cuewise.train.dry_run import plan_of

            print(plan_of(args.recipe, args.overrides, args.gpus))
            return EXIT_OK
        folder = main(args.recipe, args.overrides)
    except (ValueError, TrainingError) as error:
        raise UserError(str(error)) from error
    except OSError as error:
        raise UserError(f"cannot read or write {error.filename or 'a file'}: {error.strerror or error}") from error
    print(f"trained: {folder}")
    return EXIT_OK


def _audit(args: argparse.Namespace) -> int:
    from cuewise.train.rewards import load_config
    from cuewise.train.rewards.audit import model_answers, run_audit

    try:
        config = load_config(args.rewards)
        if args.count is not None and args.count < 1:
            raise UserError(f"--count must be >= 1, got {args.count}")
        count = args.count or (24 if args.model else 100 if args.measured else 300)
        answers = model_answers(args.model, count) if args.model else None
        audits = {step: run_audit(config, count=count, seed=args.seed, answers=answers, step=step,
                                  measured=args.measured) for step in config.turns}  # fmt: skip
    except ValueError as error:
        raise UserError(str(error)) from error
    for step, audit in audits.items():
        print(*([f"weights of step {step}:"] if len(audits) > 1 else []), audit.table(), sep="\n")
    return EXIT_OK if all(audit.passed for audit in audits.values()) else EXIT_USER


def shipped_recipes() -> dict[str, Path]:
    """Name -> file of the recipes that come with the package."""
    from importlib.resources import files

    folder = Path(str(files("cuewise.train") / "recipes"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def first_comment(path: Path) -> str:
    """The first comment line of a recipe, which says in a sentence what it is for."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("#"):
                return line.strip("#: \n")
            if line.strip():
                break
    return ""
