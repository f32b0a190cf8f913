"""Where results go: text or JSON lines on standard output, a JSON lines file, a page."""

import json
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from cuewise.errors import UserError
from cuewise.mllm.report import EmotionReport


@dataclass(kw_only=True, slots=True)
class Outputs:
    """What the user asked to be written."""

    json: bool = False
    """JSON lines instead of text on standard output."""

    out: Path | None = None
    """File for the JSON lines."""

    html: Path | None = None
    """File for the page."""

    stream: bool = False
    """Show the answer text while it is generated."""


def check_writable(outputs: Outputs) -> None:
    """Fail before the model is loaded, not after the work is done."""
    for option, path in (("--out", outputs.out), ("--html", outputs.html)):
        if path is None:
            continue
        if path.is_dir():
            raise UserError(f"{option} {path} is a folder; give the name of a file")
        if not path.absolute().parent.is_dir():
            raise UserError(f"{option} {path}: there is no folder {path.parent}; make it first")


def error_line(error: Any) -> dict:
    """The JSON line of a clip that could not be read."""
    return {"clip": error.clip, "error": {"code": error.code, "message": error.message}}


def json_line(result: Any) -> str:
    """One line of JSON for a report or a clip error."""
    if isinstance(result, EmotionReport):
        return result.model_dump_json()
    return json.dumps(error_line(result), ensure_ascii=False)


class Writer:
    """Writes each result as it arrives. Use as a context manager."""

    def __init__(self, outputs: Outputs):
        self.outputs = outputs
        self.written = 0
        self.failed = 0
        self._stack = ExitStack()
        self._lines = None

    def __enter__(self) -> "Writer":
        if self.outputs.out is not None:
            try:
                self._lines = self._stack.enter_context(self.outputs.out.open("w", encoding="utf-8"))
            except OSError as error:
                raise UserError(f"--out {self.outputs.out}: cannot be written ({error.strerror})") from error
        return self

    def __exit__(self, kind: type | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def write(self, result: Any) -> None:
        """Show one report or clip error, and add it to the file."""
        if self._lines is not None:
            self._lines.write(json_line(result) + "\n")
            self._lines.flush()
        if self.outputs.json:
            print(json_line(result), flush=True)
        elif isinstance(result, EmotionReport):
            from cuewise.terminal import render_report

            print(("\n\n" if self.written else "") + render_report(result), flush=True)
        if not isinstance(result, EmotionReport):
            self.failed += 1
            print(f"cuewise: error: {_named(result)}", file=sys.stderr, flush=True)
        self.written += 1

    def stream(self, text: str) -> None:
        """Show a piece of the answer; beside JSON it goes to standard error."""
        print(text, end="", file=sys.stderr if self.outputs.json else sys.stdout, flush=True)


def _named(error: Any) -> str:
    """The message of a clip error on one line, with the clip's name in it."""
    message = " ".join(error.message.split())
    return message if error.clip in message else f"{error.clip}: {message}"
