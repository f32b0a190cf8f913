"""`cuewise COMMAND …`: finds the command, runs it, and turns failures into one line and an exit code.

Exit codes: 0 done, 1 a defect of cuewise, 2 something the user can change, 130 stopped with Ctrl-C.
"""

import argparse
import os
import sys
from difflib import get_close_matches
from importlib import import_module
from typing import NoReturn

from cuewise import __version__
from cuewise.commands import COMMANDS
from cuewise.errors import EXIT_BUG, EXIT_OK, EXIT_STOPPED, EXIT_USER, UserError

DEBUG_HELP = "show the whole traceback of an error"


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are `UserError`s, so that they are one line like all others."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (see `{self.prog} --help`)")


def build_parser(command: str | None) -> Parser:
    """The parser of all commands; only `command`'s own options are loaded."""
    parser = Parser(prog="cuewise", description="Reads human emotion from short clips, and shows the evidence.")
    parser.add_argument("--version", action="version", version=f"cuewise {__version__}")
    parser.add_argument("--debug", action="store_true", help=DEBUG_HELP)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, text in COMMANDS.items():
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        sub.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=DEBUG_HELP)
        if name == command:
            import_module(f"cuewise.commands.{name}").add_arguments(sub)
    return parser


def run(argv: list[str]) -> int:
    """Run one command line; failures the user can change are raised as `UserError`."""
    command = next((word for word in argv if not word.startswith("-")), None)
    if command is not None and command not in COMMANDS:
        near = get_close_matches(command, COMMANDS, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"commands: {', '.join(COMMANDS)}"
        raise UserError(f"there is no command `{command}`; {hint}")
    parser = build_parser(command)
    args, rest = parser.parse_known_args(argv)
    take_rest(parser, args, rest)
    if args.command is None:
        parser.print_help()
        return EXIT_OK
    return import_module(f"cuewise.commands.{args.command}").run(args)


def take_rest(parser: argparse.ArgumentParser, args: argparse.Namespace, rest: list[str]) -> None:
    """Words that stand behind options join the list they belong to, e.g. key=value; all else is a UserError."""
    inner = innermost(parser, args)
    wrong = next((word for word in rest if word.startswith("-") and word != "--"), None)
    lists = [action for action in inner._actions if not action.option_strings and action.nargs in ("*", "+")]
    words = [word for word in rest if word != "--"]
    if wrong is None and lists:
        setattr(args, lists[-1].dest, [*(getattr(args, lists[-1].dest) or []), *words])
    elif wrong is not None or words:
        known = [name.removeprefix("--") for action in inner._actions for name in action.option_strings]
        given = wrong.partition("=")[0] if wrong else words[0]
        near = get_close_matches(given.removeprefix("--"), known, n=1) if wrong else []
        hint = f"did you mean `--{near[0]}`?" if near else f"see `{inner.prog} --help`"
        raise UserError(f"there is no option `{given}`; {hint}" if wrong else f"`{given}` is one word too many; {hint}")


def innermost(parser: argparse.ArgumentParser, args: argparse.Namespace) -> argparse.ArgumentParser:
    """The parser of the command, and of its job, that a command line has chosen."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction) and getattr(args, action.dest, None) in action.choices:
            return innermost(action.choices[getattr(args, action.dest)], args)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Entry point of the `cuewise` command; returns the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without UTF-8 must not turn a report into a traceback
    debug = "--debug" in argv
    try:
        return run(argv)
    except SystemExit as stop:  # argparse, after --help and --version
        return stop.code if isinstance(stop.code, int) else EXIT_USER
    except KeyboardInterrupt:
        print("cuewise: stopped", file=sys.stderr)
        return EXIT_STOPPED
    except BrokenPipeError:  # the reader, e.g. `head`, has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except UserError as error:
        if debug:
            raise
        print(f"cuewise: error: {one_line(error)}", file=sys.stderr)
        return EXIT_USER
    except Exception as error:
        if debug:
            raise
        print(
            f"cuewise: defect: {type(error).__name__}: {one_line(error)} (run again with --debug to see where)",
            file=sys.stderr,
        )
        return EXIT_BUG


def one_line(error: Exception) -> str:
    """The message of an error without line breaks."""
    return " ".join(str(error).split())


if __name__ == "__main__":
    sys.exit(main())
