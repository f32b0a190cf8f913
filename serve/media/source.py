"""From what a request names (upload, data URL, file id, address) to a bounded file on disk."""

import asyncio
import base64
import binascii
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote_to_bytes

from cuewise.serve.errors import ApiError
from cuewise.serve.media.fetch import Fetcher
from cuewise.serve.media.files import FileStore, Scratch, clean_name

_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)?((?:;[\w.+-]+=[^;,]{0,100})*)(;base64)?,", re.ASCII)
_EXTENSION = {
    "video/mp4": ".mp4", "video/quicktime": ".mov", "video/webm": ".webm", "video/x-matroska": ".mkv",
    "audio/wav": ".wav", "audio/x-wav": ".wav", "audio/wave": ".wav", "audio/mpeg": ".mp3", "audio/mp3": ".mp3",
    "audio/flac": ".flac", "audio/ogg": ".ogg", "audio/webm": ".webm", "audio/mp4": ".m4a", "image/jpeg": ".jpg",
    "image/png": ".png", "image/webp": ".webp", "image/gif": ".gif",
}  # fmt: skip


@dataclass(slots=True)
class Found:
    """One piece of media on disk."""

    path: Path
    name: str | None
    """What the client calls it; None when it has no name."""


@dataclass(slots=True)
class Sources:
    """Brings the media of one request to disk.

    Args:
        tenant: whose stored files may be named.
        max_bytes: largest piece, in bytes.
    """

    store: FileStore
    scratch: Scratch
    fetcher: Fetcher
    tenant: str
    max_bytes: int
    names: dict[str, str] = field(default_factory=dict)
    """Path -> name for messages."""

    async def url(self, url: str, param: str, name: str | None = None) -> Found:
        """A data URL, or an address where the operator allows it."""
        if url[:5].lower() == "data:":
            data, kind = await asyncio.to_thread(read_data_url, url, param)
            return await self.bytes(data, name or f"clip{_EXTENSION.get(kind, '')}", param, named=name is not None)
        data, remote = await self.fetcher.get(url, param)
        return await self.bytes(data, name or remote, param)

    async def base64(self, text: str, param: str, name: str | None = None, extension: str = "") -> Found:
        """Plain base64, as in `input_audio` and `file` parts (which may hold a data URL as well)."""
        if text[:5].lower() == "data:":
            return await self.url(text, param, name)
        data = await asyncio.to_thread(read_base64, text, param)
        return await self.bytes(data, name or f"clip{extension}", param, named=name is not None)

    async def file(self, file_id: str, param: str) -> Found:
        """A stored file of this client."""
        file = self.store.get(file_id, self.tenant)
        return self.found(file.path, file.name)

    async def bytes(self, data: bytes, name: str, param: str, named: bool = True) -> Found:
        if len(data) > self.max_bytes:
            raise too_large(len(data), self.max_bytes, param)
        shown = clean_name(name)
        return self.found(await self.scratch.put(shown, data), shown if named else None)

    def found(self, path: Path, name: str | None) -> Found:
        """A file that already lies on disk."""
        self.names[str(path)] = name or "clip"
        return Found(path, name)


def read_data_url(url: str, param: str) -> tuple[bytes, str]:
    """(content, media type) of a data URL. Raises ApiError."""
    head = _DATA_URL.match(url[:512])
    if head is None:
        raise ApiError("invalid_base64", "a data URL looks like `data:video/mp4;base64,AAAA…`", param=param)
    body = url[head.end() :]
    data = read_base64(body, param) if head[3] else unquote_to_bytes(body)
    return data, (head[1] or "").lower()


def read_base64(text: str, param: str) -> bytes:
    """Strict base64; white space is let pass, as mail programs wrap lines. Raises ApiError."""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ApiError("invalid_base64", f"the base64 cannot be decoded ({error})", param=param) from None


def too_large(size: int, limit: int, param: str | None) -> ApiError:
    return ApiError(
        "payload_too_large", f"{size / 2**20:.1f} MiB were sent, the limit is {limit / 2**20:g} MiB", param=param
    )
