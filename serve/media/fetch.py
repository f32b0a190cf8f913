"""Media by address, where the operator allows it: only named hosts, only public addresses, never anywhere else.

A host is resolved once, every address it has must be public, and the very address that was checked is dialled, so that
a name cannot point elsewhere a moment later. Redirects, credentials, other ports than 80 and 443, proxies from the
environment and answers above the limit are refused. IPv6 prefixes that carry IPv4 addresses inside (NAT64, 6to4,
Teredo, mapped and compatible) are refused whole.
"""

import asyncio
import ipaddress
import re
import socket
import ssl
from collections.abc import Awaitable, Callable
from urllib.parse import SplitResult, urlsplit

from cuewise.serve.errors import ApiError
from cuewise.serve.settings import UrlSettings

PORTS = {"http": 80, "https": 443}
MAX_URL_CHARS = 2048
MAX_HEAD_BYTES = 16_384
_CARRIERS = tuple(map(ipaddress.ip_network, (
    "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "::/96", "::ffff:0:0/96", "::ffff:0:0:0/96",
    "fec0::/10", "100::/64", "2001:db8::/32", "3fff::/20", "5f00::/16",
)))  # fmt: skip
_HOST = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")

Resolve = Callable[[str, int], Awaitable[list[str]]]


def is_public(address: str) -> bool:
    """True for an address of the open internet, and for nothing that could be one of our own."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if ip.version == 6 and (ip.scope_id or any(ip in network for network in _CARRIERS)):
        return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved and not ip.is_unspecified


def check_url(url: str, allow: list[str], param: str) -> SplitResult:
    """The parts of an address that may be fetched. Raises ApiError `url_not_allowed`."""
    if not allow:
        raise refused(
            "media by address is turned off here (urls.allow names no host); upload the file or send its bytes", param
        )
    if len(url) > MAX_URL_CHARS or any(
        char <= " " or char == "\x7f" or ord(char) > 126 or char == "\\" for char in url
    ):
        raise refused("the address is too long or holds characters that belong encoded", param)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise refused(f"the address cannot be read ({error})", param) from None
    if parts.scheme not in PORTS:
        raise refused("only http and https addresses can be fetched", param)
    if "@" in parts.netloc or parts.username is not None or parts.password is not None:
        raise refused("addresses with a user name or password are refused", param)
    if port not in (None, PORTS[parts.scheme]):
        raise refused(f"port {port} is refused; {parts.scheme} is fetched from port {PORTS[parts.scheme]}", param)
    host = (parts.hostname or "").lower()
    if not _HOST.match(host) or host.rsplit(".", 1)[-1].isdigit() or host.rsplit(".", 1)[-1].startswith("0x"):
        raise refused("the host must be a plain name; numeric addresses are refused", param)
    if not any(_matches(host, pattern.lower()) for pattern in allow):
        raise refused(f"the host {host} is not among those allowed here", param)
    return parts


def _matches(host: str, pattern: str) -> bool:
    return host.endswith(pattern[1:]) and host != pattern[2:] if pattern.startswith("*.") else host == pattern


class Fetcher:
    """Fetches allowed addresses.

    Args:
        resolve: (host, port) -> all its addresses; tests put their own in.
        tls: context for https; the system's own by default.
    """

    def __init__(self, settings: UrlSettings, resolve: Resolve | None = None, tls: ssl.SSLContext | None = None):
        self.settings, self._resolve, self._tls = settings, resolve or resolve_all, tls

    async def get(self, url: str, param: str) -> tuple[bytes, str]:
        """(content, last part of the path). Raises ApiError."""
        parts = check_url(url, self.settings.allow, param)
        port = PORTS[parts.scheme]
        try:
            async with asyncio.timeout(self.settings.timeout_s):
                addresses = await self._resolve(parts.hostname, port)
                if not addresses or not all(map(is_public, addresses)):
                    raise refused(f"the host {parts.hostname} has an address that is not public", param)
                data = await self._fetch(parts, addresses[0], port, param)
        except TimeoutError:
            raise ApiError("url_failed", f"{parts.hostname} did not answer within urls.timeout_s = "
                f"{self.settings.timeout_s:g} s",
                           param=param) from None  # fmt: skip
        except (OSError, ssl.SSLError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
            raise ApiError("url_failed", f"{parts.hostname} could not be fetched ({type(error).__name__})",
                           param=param) from None  # fmt: skip
        return data, parts.path.rsplit("/", 1)[-1] or "clip"

    async def _fetch(self, parts: SplitResult, address: str, port: int, param: str) -> bytes:
        tls = (self._tls or ssl.create_default_context()) if parts.scheme == "https" else None
        reader, writer = await asyncio.open_connection(
            address, port, ssl=tls, server_hostname=parts.hostname if tls else None, limit=MAX_HEAD_BYTES
        )
        try:
            peer = writer.get_extra_info("peername")[0]
            if ipaddress.ip_address(peer) != ipaddress.ip_address(address):
                raise refused("the connection did not go where it was meant to", param)
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            writer.write(
                f"GET {target} HTTP/1.1\r\nHost: {parts.hostname}\r\nConnection: close\r\nAccept: "
                f"video/*, audio/*, image/*\r\n"
                "Accept-Encoding: identity\r\nUser-Agent: cuewise\r\n\r\n".encode("ascii")
            )
            await writer.drain()
            return await self._read(reader, param)
        finally:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader, param: str) -> bytes:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = head[0].split(" ", 2)
        if len(status) < 2 or not status[0].startswith("HTTP/1.") or status[1] != "200":
            what = "a redirect, which is not followed" if len(status) > 1 and status[1][:1] == "3" else "no success"
            raise ApiError("url_failed", f"the address answered with {what}", param=param)
        fields = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:]) if name
        }
        if fields.get("content-encoding", "identity") != "identity":
            raise ApiError(
                "url_failed", "the address answered with compressed content that was not asked for", param=param
            )
        limit = int(self.settings.max_mb * 2**20)
        if "chunked" in fields.get("transfer-encoding", ""):
            return await self._chunks(reader, limit, param)
        length = fields.get("content-length")
        if length is not None:
            if not length.isdigit():
                raise ValueError("bad content length")
            if int(length) > limit:
                raise self._too_large(param)
            return await reader.readexactly(int(length))
        return await self._all(reader, limit, param)

    async def _all(self, reader: asyncio.StreamReader, limit: int, param: str) -> bytes:
        data = bytearray()
        while piece := await reader.read(65_536):
            data += piece
            if len(data) > limit:
                raise self._too_large(param)
        return bytes(data)

    async def _chunks(self, reader: asyncio.StreamReader, limit: int, param: str) -> bytes:
        data = bytearray()
        while True:
            size = int((await reader.readuntil(b"\r\n")).split(b";")[0].strip(), 16)
            if size < 0 or len(data) + size > limit:
                raise self._too_large(param)
            if size == 0:
                return bytes(data)
            data += await reader.readexactly(size)
            await reader.readexactly(2)

    def _too_large(self, param: str) -> ApiError:
        return ApiError(
            "payload_too_large", f"the address holds more than urls.max_mb = {self.settings.max_mb:g} MiB", param=param
        )


async def resolve_all(host: str, port: int) -> list[str]:
    """All addresses of a host, by the system's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(item[4][0] for item in found))


def refused(message: str, param: str) -> ApiError:
    return ApiError("url_not_allowed", message, param=param)
