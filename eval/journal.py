"""The journal of a run: one JSON line per answered sample, written block by block, so that a kill loses nothing.

A block is the unit of work: its samples are answered together, and its lines appear together or not at all. On resume
a torn last block is cut off, every whole block is kept, and the blocks that are asked again are the same ones, so that
an interrupted run ends with the same answers as an undisturbed one.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cuewise.eval.suites.suite import SuiteError

Line = dict[str, Any]


class Journal:
    """Append-only file of answered blocks. `done` maps block number -> its lines."""

    def __init__(self, path: Path):
        self.path = path
        self.done: dict[int, list[Line]] = {}
        if path.exists():
            self._replay()

    def append(self, block: int, lines: Sequence[Line]) -> None:
        """Write a whole block; on return it is on the disk."""
        entries = [line | {"block": block, "of": len(lines)} for line in lines]
        text = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)
        with self.path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        self.done[block] = list(lines)

    def _replay(self) -> None:
        """Read whole blocks; cut off what a kill left half-written."""
        raw = self.path.read_bytes()
        whole, at = 0, 0
        pending: list[Line] = []
        while (end := raw.find(b"\n", at)) >= 0:
            entry = self._entry(raw[at:end], at)
            if entry is None:
                break
            at = end + 1
            if pending and pending[0]["block"] != entry["block"]:
                pending = []
            pending.append(entry)
            if len(pending) == entry["of"]:
                lines = [{k: v for k, v in line.items() if k not in ("block", "of")} for line in pending]
                self.done[entry["block"]] = lines
                whole, pending = at, []
        if whole < len(raw):
            with self.path.open("rb+") as file:
                file.truncate(whole)
                os.fsync(file.fileno())

    def _entry(self, line: bytes, at: int) -> Line | None:
        try:
            entry = json.loads(line)
            if {"block", "of", "dataset", "id"} <= set(entry):
                return entry
        except (ValueError, TypeError):
            pass
        if line.strip() and b"\0" not in line and line.endswith(b"}"):
            raise SuiteError(f"{self.path}: byte {at} holds no line of a journal; the file was changed, start again "
                             "in another folder")  # fmt: skip
        return None
