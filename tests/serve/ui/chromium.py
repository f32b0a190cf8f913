"""Chromium without a window, driven over its DevTools connection: a page at an address, with all it asks for noted."""

import asyncio
import base64
import json
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--mute-audio", "--remote-debugging-port=0",
    "--autoplay-policy=no-user-gesture-required", "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream", "--hide-scrollbars",
)  # fmt: skip
START_S = 60.0
LOUD = ("error", "assert")


def find() -> str | None:
    """The browser's program, or None where there is none."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Page:
    """One page in a browser of its own. Use it as a context manager; `ask` runs JavaScript in it.

    Attributes:
        errors: messages of exceptions nobody caught, of `console.error`, and of the content policy.
        requests: addresses of everything the page asked for.
    """

    def __init__(self, address: str = "about:blank", width: int = 1280, height: int = 900, scheme: str = "light"):
        self.address, self.width, self.height, self.scheme = address, width, height, scheme
        self.errors: list[str] = []
        self.requests: list[str] = []
        self._number = 0
        self._waiting: dict[int, asyncio.Future] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> "Page":
        self._thread.start()
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.downloads = Path(self._profile.name) / "downloads"
        self.downloads.mkdir()
        self._browser = subprocess.Popen(
            [find(), *FLAGS, f"--user-data-dir={self._profile.name}/profile", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            self._run(self._connect(), START_S * 2)
            self.resize(self.width, self.height)
            self.command("Emulation.setEmulatedMedia", features=[
                {"name": "prefers-color-scheme", "value": self.scheme},
                {"name": "prefers-reduced-motion", "value": "reduce"},
            ])  # fmt: skip
            if self.address != "about:blank":
                self.open(self.address)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._browser.kill()
        self._browser.wait()
        if hasattr(self, "_session"):
            self._run(self._close(), 10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._profile.cleanup()

    def open(self, address: str) -> None:
        """Load an address and wait until it is there."""
        self.address = address
        self.command("Page.navigate", url=address)
        self.until(f"location.href.startsWith({json.dumps(address)}) && document.readyState === 'complete'", START_S)

    def ask(self, expression: str, timeout_s: float = 60.0) -> Any:
        """The value of an expression, promises awaited; what it throws is an AssertionError here."""
        result = self.command(
            "Runtime.evaluate", timeout_s, expression=expression, awaitPromise=True, returnByValue=True,
            userGesture=True,
        )  # fmt: skip
        assert "exceptionDetails" not in result, f"{expression}: {result['exceptionDetails']}"
        return result["result"].get("value")

    def until(self, expression: str, timeout_s: float = 120.0) -> Any:
        """Wait until an expression is true; its value."""
        wait = (
            f"new Promise((done, late) => {{ const end = Date.now() + {timeout_s * 1000}; const look = () => {{"
            f" const value = (() => {expression})(); if (value) done(value);"
            f" else if (Date.now() > end) late(new Error('not within {timeout_s:g} s: '"
            " + document.body.innerText.slice(0, 400)));"
            " else setTimeout(look, 50); }; look(); })"
        )
        return self.ask(wait, timeout_s + 30)

    def click(self, selector: str) -> None:
        """Click the first element that a CSS selector finds, as a mouse would."""
        self.ask(f"document.querySelector({json.dumps(selector)}).scrollIntoView({{block: 'center'}})")
        x, y = self.ask(
            f"(() => {{ const b = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
            " return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.command("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str, shift: bool = False) -> None:
        """Press and release a key where the focus is."""
        text = {"Space": " ", "Enter": "\r"}.get(key, key if len(key) == 1 else "")
        name = " " if key == "Space" else key
        code = f"Key{key.upper()}" if key.isalpha() and len(key) == 1 else key
        virtual = {"Space": 32, "Enter": 13, "Tab": 9, "Escape": 27}.get(key, 0)
        held = {"modifiers": 8} if shift else {}
        down = {"type": "keyDown" if text else "rawKeyDown", **({"text": text} if text else {})}
        for kind in (down, {"type": "keyUp"}):
            self.command("Input.dispatchKeyEvent", key=name, code=code, windowsVirtualKeyCode=virtual, **kind, **held)

    def choose(self, selector: str, *files: Path) -> None:
        """Put files into a file field."""
        root = self.command("DOM.getDocument")["root"]["nodeId"]
        node = self.command("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.command("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    def download(self, name: str, timeout_s: float = 20.0) -> bytes:
        """The content of a file that the page has saved."""
        path, waited = self.downloads / name, 0.0
        while not path.exists() or path.stat().st_size == 0 or list(self.downloads.glob("*.crdownload")):
            assert waited < timeout_s, f"{name} was not saved; there are {[p.name for p in self.downloads.iterdir()]}"
            threading.Event().wait(0.1)
            waited += 0.1
        return path.read_bytes()

    def screenshot(self, path: Path, full: bool = True) -> None:
        """A picture of the page, down to its end or of the window alone."""
        if full:
            height = self.ask("document.documentElement.scrollHeight")
            self.resize(self.width, max(self.height, min(height, 6000)))
        data = self.command("Page.captureScreenshot", 60, format="png")["data"]
        path.write_bytes(base64.b64decode(data))
        if full:
            self.resize(self.width, self.height)

    def resize(self, width: int, height: int) -> None:
        """Another window size."""
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                     mobile=width < 500)  # fmt: skip

    def command(self, method: str, timeout_s: float = 30.0, /, **params: Any) -> dict[str, Any]:
        """One DevTools command and its result."""
        return self._run(self._command(method, params), timeout_s)

    def _run(self, work: Coroutine[Any, Any, Any], timeout_s: float) -> Any:
        return asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, timeout_s), self._loop).result()

    async def _connect(self) -> None:
        port = await _port(Path(self._profile.name) / "profile" / "DevToolsActivePort")
        self._session = aiohttp.ClientSession()
        async with self._session.get(f"http://127.0.0.1:{port}/json") as answer:
            target = next(t for t in await answer.json() if t["type"] == "page")
        self._socket = await self._session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0)
        self._reader = asyncio.ensure_future(self._read())
        for domain in ("Page", "Runtime", "Network", "DOM", "Log"):
            await self._command(f"{domain}.enable", {})
        await self._command("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(self.downloads)})

    async def _command(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        number = self._number
        self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": params})
        return await self._waiting[number]

    async def _read(self) -> None:
        async for message in self._socket:
            seen = json.loads(message.data)
            waiting = self._waiting.pop(seen.get("id"), None)
            if waiting is not None and not waiting.done():
                if "error" in seen:
                    waiting.set_exception(AssertionError(seen["error"]["message"]))
                else:
                    waiting.set_result(seen["result"])
            elif "method" in seen:
                self._note(seen["method"], seen["params"])

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in LOUD:
            self.errors.append(" ".join(str(a.get("value", a.get("description"))) for a in params["args"]))
        elif method == "Log.entryAdded":
            entry = params["entry"]
            if entry["level"] == "error" and entry["source"] != "network":  # the page shows refusals of the server
                self.errors.append(entry["text"])

    async def _close(self) -> None:
        self._reader.cancel()
        await self._session.close()


async def _port(file: Path) -> int:
    for _ in range(int(START_S / 0.1)):
        if file.exists() and (text := file.read_text()).strip():
            return int(text.splitlines()[0])
        await asyncio.sleep(0.1)
    raise TimeoutError(f"the browser did not start within {START_S:g} s")
