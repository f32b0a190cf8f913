"""Replies of judges on disk, by content: one small file per reply, safe for any number of readers and writers.

A file appears whole or not at all, and the first one written stays, so that every process scores the same reply.
"""

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any


class ReplyCache:
    """Records by key (hex text) below a folder, which is made when needed."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)

    def get(self, key: str) -> dict[str, Any] | None:
        """The record of a key; None when there is none, or when its file is damaged."""
        try:
            record = json.loads(self._path(key).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return record if isinstance(record, dict) and isinstance(record.get("reply"), str) else None

    def put(self, key: str, record: dict[str, Any]) -> dict[str, Any]:
        """Store a record; returns the one that counts, which is another writer's if that was there before."""
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                json.dump(record, stream, ensure_ascii=False)
                stream.flush()
                os.fsync(stream.fileno())
            try:
                os.link(name, path)
            except FileExistsError:
                if (stored := self.get(key)) is not None:
                    return stored
                os.replace(name, path)  # a damaged file gives way
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
        return record

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"
