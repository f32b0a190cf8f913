"""`cuewise train RECIPE [key=value …]`: train from a recipe file, or from a shipped one by name."""

import argparse
from difflib import get_close_matches
from pathlib import Path

from cuewise.errors import EXIT_OK, UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A recipe and its overrides."""
    parser.add_argument("recipe", help="a recipe file (.yaml), the name of a shipped recipe, or `list`")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="change an option, e.g. loop.steps=100")


def run(args: argparse.Namespace) -> int:
    """List the recipes, or train."""
    shipped = shipped_recipes()
    if args.recipe == "list":
        for name, path in shipped.items():
            print(f"{name:24} {first_comment(path)}".rstrip())
        return EXIT_OK
    recipe = find_recipe(args.recipe, shipped)
    from cuewise.train.sft import main

    try:
        code = main(recipe, args.overrides)
    except ValueError as error:
        raise UserError(str(error)) from error
    return code if isinstance(code, int) else EXIT_OK


def shipped_recipes() -> dict[str, Path]:
    """Name -> file of the recipes that come with the package."""
    from importlib.resources import files

    folder = Path(str(files("cuewise.train") / "recipes"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_recipe(name: str, shipped: dict[str, Path]) -> Path:
    """The recipe file that the user means; an existing file goes before a shipped name."""
    if Path(name).is_file():
        return Path(name)
    if name in shipped:
        return shipped[name]
    near = get_close_matches(name, shipped, n=1)
    hint = f"did you mean `{near[0]}`?" if near else f"shipped recipes: {', '.join(shipped) or 'none'}"
    raise UserError(f"no recipe `{name}`: it is neither a file nor a shipped recipe; {hint}")


def first_comment(path: Path) -> str:
    """The first comment line of a recipe, which says in a sentence what it is for."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("#"):
                return line.lstrip("# ").strip()
            if line.strip():
                break
    return ""
