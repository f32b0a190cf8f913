"""`cuewise plan RECIPE --gpus 8xH100`: what a recipe needs, without allocating a weight."""

import argparse

from cuewise.errors import EXIT_OK, UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A recipe, the GPUs, and the clip that numbers are given for."""
    parser.add_argument("recipe", help="a recipe file (.yaml), or the name of a shipped or published one, or `list`")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="change an option of the recipe")
    parser.add_argument("--gpus", default="1xH100", metavar="NxNAME", help="e.g. 8xH100, 4xA100, 1xRTX4090")
    parser.add_argument("--seconds", type=float, default=6.0, help="length of the clip (default 6)")
    parser.add_argument("--frames", type=int, help="frames of the clip (default: those of the recipe)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")


def run(args: argparse.Namespace) -> int:
    """Print the plan."""
    if args.recipe == "list":
        for name, says in listed_recipes().items():
            print(f"{name:22} {says}".rstrip())
        return EXIT_OK
    from cuewise.running import quiet_transformers
    from cuewise.train.dry_run import plan_of

    quiet_transformers()
    try:
        print(plan_of(args.recipe, args.overrides, args.gpus, seconds=args.seconds, frames=args.frames,
                      as_json=args.json))  # fmt: skip
    except ValueError as error:
        raise UserError(str(error)) from error
    return EXIT_OK


def listed_recipes() -> dict[str, str]:
    """Name -> what its first comment says, of the shipped recipes and those of published systems."""
    from cuewise.commands.train import first_comment, shipped_recipes
    from cuewise.train.published import published_recipes

    return {name: first_comment(path) for name, path in shipped_recipes().items()} | published_recipes()
