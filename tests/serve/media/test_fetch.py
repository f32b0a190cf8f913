"""What an address may not lead to. Nothing here leaves the machine: names are resolved by the tests."""

import asyncio
import contextlib

import pytest

from cuewise.serve.errors import ApiError
from cuewise.serve.media.fetch import Fetcher, check_url, is_public
from cuewise.serve.settings import UrlSettings

ALLOW = ["media.example.org", "*.cdn.example.net"]

PRIVATE_ADDRESSES = [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "169.254.169.254",
    "169.254.0.1", "100.64.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.7", "203.0.113.9", "224.0.0.1",
    "239.255.255.250", "240.0.0.1", "255.255.255.255", "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:8.8.8.8", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::808:808", "64:ff9b:1::1",
    "64:ff9b:1:ffff::a00:1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "2001:0:7f00:1::", "2001:db8::1", "3fff::1",
    "5f00::1",
    "fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "ff0e::1", "100::1",
    "not an address", "",
]  # fmt: skip

REFUSED_URLS = [
    "file:///etc/passwd", "ftp://media.example.org/a", "gopher://media.example.org/", "data.example.org/a.mp4",
    "//media.example.org/a.mp4", "http:media.example.org", "javascript:alert(1)", "unix:///run/docker.sock",
    "http://localhost/a.mp4", "http://127.0.0.1/a.mp4", "http://[::1]/a.mp4", "http://2130706433/", "http://0x7f000001/",
    "http://0177.0.0.1/", "http://127.1/", "http://0/", "http://[::ffff:127.0.0.1]/", "http://[64:ff9b::7f00:1]/",
    "http://169.254.169.254/latest/meta-data/", "http://metadata.google.internal/", "http://other.example.org/",
    "http://media.example.org.evil.test/", "http://evilmedia.example.org/", "http://media.example.org@evil.test/",
    "http://user@media.example.org/", "http://user:pw@media.example.org/", "http://media.example.org:8080/",
    "http://media.example.org:443/", "https://media.example.org:80/", "https://media.example.org:22/", "http://:80/",
    "http://media.example.org:99999/", "http://media.example.org:x/", "http://media.example.org\\@evil.test/",
    "http://media.example.org/a b", "http://media.example.org/\r\nHost: evil", "http://media.example.org/\tx",
    "http://mediа.example.org/", "http://media.example.org%00.evil.test/", "http://media。example。org/",
    "http://cdn.example.net/", "http://.cdn.example.net/", "http://[v1.x]/", "http://media.example.org" + "/a" * 2000,
    "http://", "http:///a", "https://-a.cdn.example.net/", "https://a_b.cdn.example.net/", "http://media.example.org./",
]  # fmt: skip


def test_the_list_is_as_long_as_promised():
    assert len(PRIVATE_ADDRESSES) + len(REFUSED_URLS) >= 60


@pytest.mark.parametrize("address", PRIVATE_ADDRESSES)
def test_addresses_that_are_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450:4001::1"]
)
def test_addresses_that_are_public(address):
    assert is_public(address)


@pytest.mark.parametrize("url", REFUSED_URLS)
def test_urls_that_are_refused_before_anything_is_resolved(url):
    with pytest.raises(ApiError) as caught:
        check_url(url, ALLOW, "media")
    assert caught.value.code == "url_not_allowed" and caught.value.status == 400


@pytest.mark.parametrize(
    "url", ["https://media.example.org/a.mp4?x=1", "http://a.cdn.example.net/", "http://media.example.org:80/a"]
)
def test_urls_that_are_allowed(url):
    assert check_url(url, ALLOW, "media").hostname


def test_everything_is_refused_while_no_host_is_allowed():
    with pytest.raises(ApiError, match="turned off"):
        check_url("https://media.example.org/a.mp4", [], "media")


def fetch(resolve, url: str = "http://media.example.org/a.mp4", **settings):
    async def go():
        return await Fetcher(UrlSettings(allow=ALLOW, timeout_s=2, **settings), resolve).get(url, "media")

    return asyncio.run(go())


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["64:ff9b::a00:1"], []])
def test_a_name_with_one_private_address_is_refused_and_nothing_is_dialled(addresses, monkeypatch):
    dialled = []

    async def resolve(host: str, port: int) -> list[str]:
        return addresses

    async def connect(*where, **options):
        dialled.append(where)
        raise OSError

    monkeypatch.setattr(asyncio, "open_connection", connect)
    with pytest.raises(ApiError) as caught:
        fetch(resolve)
    assert caught.value.code == "url_not_allowed" and not dialled


def test_the_checked_address_is_dialled_and_the_name_is_resolved_once(monkeypatch):
    asked, dialled = [], []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["93.184.216.34"] if len(asked) == 1 else ["127.0.0.1"]

    async def connect(address, port, **options):
        dialled.append((address, port))
        raise ConnectionRefusedError

    monkeypatch.setattr(asyncio, "open_connection", connect)
    with pytest.raises(ApiError) as caught:
        fetch(resolve)
    assert caught.value.code == "url_failed"
    assert asked == ["media.example.org"] and dialled == [("93.184.216.34", 80)]


ANSWERS = {
    "whole": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    "until the end": (b"HTTP/1.0 200 OK\r\n\r\nhello", b"hello"),
    "chunked": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", b"hello"),
    "redirect": (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\n\r\n", "redirect, which is not followed"),
    "not found": (b"HTTP/1.1 404 Not Found\r\n\r\n", "no success"),
    "too long by header": (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", "urls.max_mb"),
    "too long by content": (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1_200_000, "urls.max_mb"),
    "too long by chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffff\r\n", "urls.max_mb"),
    "negative chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n", "urls.max_mb"),
    "compressed": (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx", "compressed"),
    "no http": (b"SSH-2.0-OpenSSH\r\n\r\n", "no success"),
    "cut": (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", "could not be fetched"),
    "bad length": (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhello", "could not be fetched"),
    "endless head": (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 9000, "could not be fetched"),
}  # fmt: skip


@pytest.mark.parametrize("kind", ANSWERS)
def test_answers_of_a_server(kind, monkeypatch):
    """A server on the loopback plays the public one; only the way to it is changed."""
    said, want = ANSWERS[kind]
    heard = []

    async def serve(reader, writer):
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(said)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()

    async def go():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port, real = server.sockets[0].getsockname()[1], asyncio.open_connection

        async def connect(address, _, **options):
            options["ssl"] = options["server_hostname"] = None
            reader, writer = await real("127.0.0.1", port, **options)
            monkeypatch.setattr(writer, "get_extra_info", lambda name: (address, 80))
            return reader, writer

        monkeypatch.setattr(asyncio, "open_connection", connect)

        async def resolve(host: str, _: int) -> list[str]:
            return ["93.184.216.34"]

        settings = UrlSettings(allow=ALLOW, max_mb=1, timeout_s=5)
        return await Fetcher(settings, resolve).get("http://media.example.org/x/a.mp4?k=1", "media")

    if isinstance(want, bytes):
        assert asyncio.run(go()) == (want, "a.mp4")
        assert heard[0].startswith(b"GET /x/a.mp4?k=1 HTTP/1.1\r\nHost: media.example.org\r\n")
    else:
        with pytest.raises(ApiError, match=want):
            asyncio.run(go())


def test_a_server_that_never_answers_is_given_up(monkeypatch):
    async def resolve(host: str, port: int) -> list[str]:
        await asyncio.sleep(60)
        return []

    async def go():
        return await Fetcher(UrlSettings(allow=ALLOW, timeout_s=0.05), resolve).get(
            "http://media.example.org/", "media"
        )

    with pytest.raises(ApiError, match=r"urls\.timeout_s = 0\.05"):
        asyncio.run(go())
