"""A live server that replays a recorded answer, and a browser that all tests of the page share."""

import importlib.util
import sys
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from live_server import serving

from cuewise.serve.app import create_app
from cuewise.serve.settings import Limits, Settings, Timeline

sys.path.insert(0, str(Path(__file__).parent))
BODY_MB = 0.5


@pytest.fixture(scope="session")
def browser() -> Iterator:
    """A window of Chromium; skips where it, or what drives it, is absent."""
    if importlib.util.find_spec("aiohttp") is None:
        pytest.skip("driving a browser needs aiohttp, which comes with the dev extra")
    import chromium

    if chromium.find() is None:
        pytest.skip("no Chromium here; the page itself does not need one to be served")
    with chromium.Page() as page:
        yield page


@pytest.fixture(scope="session")
def backend():
    from recorded import Recorded

    return Recorded(pause_s=0.01)


@pytest.fixture(scope="session")
def site(backend) -> Iterator[str]:
    """Address of a server with the real routes over a recorded answer."""
    settings = Settings(model="recorded", limits=Limits(body_mb=BODY_MB), timeline=Timeline(window_s=2, hop_s=1))
    with serving(create_app(settings, backend)) as address:
        yield address + "/"


@pytest.fixture
def page(browser, site):
    """The page, freshly loaded. No test may leave an error in its console or ask another host for anything."""
    browser.errors.clear()
    browser.requests.clear()
    browser.resize(1280, 900)
    browser.open(site)
    browser.until("document.querySelector('#server').dataset.state === 'ready'")
    yield browser
    assert browser.errors == []
    foreign = [url for url in browser.requests if not url.startswith((site, f"blob:{site}", "data:"))]
    assert foreign == []


@pytest.fixture
def sound(tmp_path):
    """Writes `name` as some seconds of sound."""

    def write(name: str = "clip.wav", seconds: float = 3.0) -> Path:
        path = tmp_path / name
        with wave.open(str(path), "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(8000)
            out.writeframes((np.sin(np.arange(int(8000 * seconds)) / 8) * 8000).astype("<i2").tobytes())
        return path

    return write
