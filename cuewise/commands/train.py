"""`cuewise train RECIPE [key=value …]`: train from a recipe file, or from a shipped one by name."""

import argparse
from pathlib import Path

from cuewise.errors import EXIT_OK, UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A recipe and its overrides."""
    parser.add_argument("recipe", help="a recipe file (.yaml), the name of a shipped recipe, or `list`")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="change an option, e.g. loop.steps=100")


def run(args: argparse.Namespace) -> int:
    """List the recipes, or train."""
    if args.recipe == "list":
        for name, path in shipped_recipes().items():
            print(f"{name:24} {first_comment(path)}".rstrip())
        return EXIT_OK
    from cuewise.train.sft import main

    try:
        folder = main(args.recipe, args.overrides)
    except ValueError as error:
        raise UserError(str(error)) from error
    print(f"trained: {folder}")
    return EXIT_OK


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
