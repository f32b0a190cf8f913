"""Files on disk: what one request brings, for as long as it runs, and the store behind /v1/files."""

import asyncio
import re
import secrets
import shutil
import tempfile
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cuewise.serve.errors import ApiError
from cuewise.serve.settings import FileSettings

MAX_NAME_CHARS = 120
CHUNK = 1 << 20
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,5}\Z")


def clean_name(name: str | None, default: str = "clip") -> str:
    """A client's file name as it is shown in reports and messages: one line, no folders, no control characters."""
    base = re.split(r"[/\\]", name or "")[-1]
    base = "".join(char for char in base if char.isprintable()).strip().lstrip(".")
    return base[-MAX_NAME_CHARS:] or default


def suffix_of(name: str) -> str:
    """The extension of a file name, as far as it is harmless on a disk."""
    match = _SUFFIX.search(name)
    return match[0].lower() if match else ""


class Scratch:
    """Files of one request. Everything is gone after `close`."""

    def __init__(self, folder: Path):
        self._folder = Path(tempfile.mkdtemp(prefix="request-", dir=folder))
        self._count = 0

    def path(self, name: str) -> Path:
        """A fresh path for a file that the client calls `name`."""
        self._count += 1
        return self._folder / f"{self._count}{suffix_of(name)}"

    async def put(self, name: str, data: bytes) -> Path:
        """Write bytes to a fresh file."""
        path = self.path(name)
        await asyncio.to_thread(path.write_bytes, data)
        return path

    def close(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of one client. Times in seconds since 1970."""

    id: str
    name: str
    path: Path
    bytes: int
    created: int
    expires: int
    purpose: str
    tenant: str

    def public(self) -> dict[str, Any]:
        """The OpenAI file object."""
        return {
            "id": self.id, "object": "file", "bytes": self.bytes, "created_at": self.created,
            "expires_at": self.expires, "filename": self.name, "purpose": self.purpose, "status": "processed",
        }  # fmt: skip


class FileStore:
    """Files by id, each seen only by the client who sent it, bounded in number, bytes and time.

    Args:
        clock: seconds since 1970; tests put their own in.
    """

    def __init__(self, settings: FileSettings, clock: Callable[[], float] = time.time):
        self.settings, self._clock = settings, clock
        self._own = settings.folder is None
        self.folder = Path(tempfile.mkdtemp(prefix="cuewise-") if self._own else settings.folder)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._own:  # also when nobody closes the store
            weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        self._files: OrderedDict[str, StoredFile] = OrderedDict()

    def __len__(self) -> int:
        return len(self._files)

    @property
    def bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.bytes for file in self._files.values())

    def scratch(self) -> Scratch:
        """A place for the files of one request."""
        return Scratch(self.folder)

    def add(self, source: Path, name: str, purpose: str, tenant: str, expire_s: float | None = None) -> StoredFile:
        """Move a file into the store. Raises ApiError `storage_full`."""
        self.sweep()
        size, limit = source.stat().st_size, self.settings
        if len(self._files) >= limit.max_files or self.bytes + size > limit.total_mb * 2**20:
            raise ApiError(
                "storage_full", f"the store holds {len(self._files)} files with "
                f"{self.bytes / 2**20:.0f} MiB; the limits are "
                f"files.max_files = {limit.max_files} and files.total_mb = {limit.total_mb:g}; delete files or wait",
                retry_after_s=60,
            )  # fmt: skip
        now = self._clock()
        file_id = f"file-{secrets.token_hex(12)}"
        path = self.folder / f"{file_id}{suffix_of(name)}"
        source.replace(path)
        kept = limit.expire_s if expire_s is None else min(expire_s, limit.expire_s)
        file = StoredFile(file_id, name, path, size, int(now), int(now + kept), purpose, tenant)
        self._files[file_id] = file
        return file

    def get(self, file_id: str, tenant: str) -> StoredFile:
        """The file of this client. Raises ApiError `file_not_found`, also for files of others."""
        self.sweep()
        file = self._files.get(file_id)
        if file is None or file.tenant != tenant:
            raise ApiError(
                "file_not_found", f"there is no file {clean_name(file_id, 'without an id')!r}; it may have expired",
                param="file_id",
            )  # fmt: skip
        return file

    def list(self, tenant: str) -> list[StoredFile]:
        """All files of this client, newest first."""
        self.sweep()
        return [file for file in reversed(self._files.values()) if file.tenant == tenant]

    def delete(self, file_id: str, tenant: str) -> None:
        """Forget a file. Raises ApiError `file_not_found`."""
        self._drop(self.get(file_id, tenant))

    def sweep(self) -> None:
        """Drop what has expired."""
        now = self._clock()
        for file in [file for file in self._files.values() if file.expires <= now]:
            self._drop(file)

    def close(self) -> None:
        """Drop all files; a folder made here goes with them."""
        for file in list(self._files.values()):
            self._drop(file)
        if self._own:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _drop(self, file: StoredFile) -> None:
        del self._files[file.id]
        file.path.unlink(missing_ok=True)
