"""A report opened in Chromium at some width and colour scheme: what it asked for, complained about, looks like."""

import asyncio
import base64
import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run", "--disable-quic", "--remote-debugging-port=0",
)  # fmt: skip
START_S = 30.0


def find() -> str | None:
    """The browser's program, or None where there is none."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


@dataclass
class Opened:
    """What was seen while a page was open."""

    values: list[Any] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


def open_page(page: Path, steps: list[str], width: int = 1200, scheme: str = "light", media: str = "",
              picture: Path | None = None) -> Opened:  # fmt: skip
    """Open `page`, evaluate expressions in order, and optionally save a picture of the whole page."""
    return asyncio.run(_open(page, steps, width, scheme, media, picture))


async def _open(page: Path, steps: list[str], width: int, scheme: str, media: str, picture: Path | None) -> Opened:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = subprocess.Popen([find(), *FLAGS, f"--user-data-dir={profile}", "about:blank"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        try:
            port = await _port(Path(profile) / "DevToolsActivePort")
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json") as answer:
                    target = next(t for t in await answer.json() if t["type"] == "page")
                async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    return await _look(_Link(socket), page, steps, width, scheme, media, picture)
        finally:
            browser.kill()
            browser.wait()


async def _port(file: Path) -> int:
    for _ in range(int(START_S / 0.1)):
        if file.exists() and (text := file.read_text()).strip():
            return int(text.splitlines()[0])
        await asyncio.sleep(0.1)
    raise TimeoutError(f"the browser did not start within {START_S:g} s")


class _Link:
    """Commands with numbers; events are sorted into an `Opened` on the way."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse):
        self.socket, self.number, self.seen, self.loaded = socket, 0, Opened(), False

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        self.number += 1
        await self.socket.send_json({"id": self.number, "method": method, "params": params})
        while True:
            message = await self.next()
            if message.get("id") == self.number:
                assert "error" not in message, f"{method}: {message['error']}"
                return message["result"]

    async def next(self) -> dict[str, Any]:
        message = json.loads((await self.socket.receive(timeout=START_S)).data)
        params, name = message.get("params", {}), message.get("method")
        if name == "Network.requestWillBeSent":
            self.seen.requests.append(params["request"]["url"])
        elif name == "Runtime.exceptionThrown":
            self.seen.complaints.append(str(params["exceptionDetails"]))
        elif name == "Log.entryAdded":
            self.seen.complaints.append(params["entry"]["text"])
        elif name == "Runtime.consoleAPICalled":
            self.seen.complaints.append(str(params["args"]))
        elif name == "Page.loadEventFired":
            self.loaded = True
        return message


async def _look(link: _Link, page: Path, steps: list[str], width: int, scheme: str, media: str,
                picture: Path | None) -> Opened:  # fmt: skip
    for domain in ("Network", "Runtime", "Log", "Page"):
        await link.ask(f"{domain}.enable")
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    await link.ask("Emulation.setEmulatedMedia", media=media, features=features)
    await link.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1,
                   mobile=width < 600)  # fmt: skip
    await link.ask("Page.navigate", url=page.absolute().as_uri())
    while not link.loaded:
        await link.next()
    for step in steps:
        asked = await link.ask("Runtime.evaluate", expression=step, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in asked, f"{step}: {asked['exceptionDetails']}"
        link.seen.values.append(asked["result"].get("value"))
    if picture is not None:
        shot = await link.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        picture.write_bytes(base64.b64decode(shot["data"]))
    return link.seen
