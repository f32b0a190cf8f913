"""Chromium without a window, driven over its DevTools connection; only for tests of what the page does."""

import asyncio
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--mute-audio", "--remote-debugging-port=0",
    "--autoplay-policy=no-user-gesture-required",
)  # fmt: skip
START_S = 30.0


def find() -> str | None:
    """The browser's program, or None where there is none."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


def evaluate(page: Path, steps: list[str], width: int = 1200) -> list[Any]:
    """Open a page, run JavaScript expressions one after another (promises are awaited), return their values."""
    return asyncio.run(_evaluate(page, steps, width))


async def _evaluate(page: Path, steps: list[str], width: int) -> list[Any]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = subprocess.Popen(
            [find(), *FLAGS, f"--window-size={width},900", f"--user-data-dir={profile}", page.absolute().as_uri()],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            port = await _port(Path(profile) / "DevToolsActivePort")
            async with aiohttp.ClientSession() as session:
                return await _run(session, port, page.absolute().as_uri(), steps)
        finally:
            browser.kill()
            browser.wait()


async def _port(file: Path) -> int:
    for _ in range(int(START_S / 0.1)):
        if file.exists() and (text := file.read_text()).strip():
            return int(text.splitlines()[0])
        await asyncio.sleep(0.1)
    raise TimeoutError(f"the browser did not start within {START_S:g} s")


async def _run(session: aiohttp.ClientSession, port: int, address: str, steps: list[str]) -> list[Any]:
    async with session.get(f"http://127.0.0.1:{port}/json") as answer:
        target = next(t for t in await answer.json() if t["type"] == "page")
    async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
        number, ready = 0, f"location.href === {json.dumps(address)} && document.readyState === 'complete'"
        while not await _ask(socket, number, ready):
            number += 1
            assert number < START_S / 0.1, f"the browser did not open {address} within {START_S:g} s"
            await asyncio.sleep(0.1)
        return [await _ask(socket, number + i, step) for i, step in enumerate(steps, 1)]


async def _ask(socket: aiohttp.ClientWebSocketResponse, number: int, step: str) -> Any:
    """The value of one expression, promises awaited; what it throws is an AssertionError here."""
    asked = {"expression": step, "awaitPromise": True, "returnByValue": True, "userGesture": True}
    await socket.send_json({"id": number, "method": "Runtime.evaluate", "params": asked})
    while True:
        message = json.loads((await socket.receive()).data)
        if message.get("id") == number:
            break
    result = message["result"]
    assert "exceptionDetails" not in result, f"{step}: {result['exceptionDetails']}"
    return result["result"].get("value")
