"""What the page does in a real browser; skipped where no Chromium is installed."""

import sys
import wave
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from cuewise.mllm.clip import Clip
from cuewise.page import render_page

sys.path.insert(0, str(Path(__file__).parent))
browser = pytest.importorskip("browser", reason="driving a browser needs aiohttp, which comes with the train extra")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser.find() is None, reason="no Chromium here; the page itself does not need one to be made"),
]
SETTLE = "new Promise(r => setTimeout(r, {ms}))"


def press(key: str) -> str:
    """JavaScript that presses a key while the time ruler has the focus."""
    event = f"new KeyboardEvent('keydown', {{key: '{key}', bubbles: true}})"
    return f"document.querySelector('.ruler').dispatchEvent({event})"


@pytest.fixture
def page(tmp_path, report) -> Path:
    """A page with three seconds of sound."""
    path = tmp_path / "clip.wav"
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes((np.sin(np.arange(24000) / 8) * 8000).astype("<i2").tobytes())
    sound = report.model_copy(update={"streams": {}, "tracks": []})
    render_page([(sound, Clip(path=path))], tmp_path / "page.html")
    return tmp_path / "page.html"


def test_clicking_a_cue_plays_its_span_in_a_loop_and_escape_ends_it(page):
    at = "document.querySelector('audio').currentTime"
    started, marked, *times, stopped, unmarked = browser.evaluate(
        page,
        [
            "new Promise(r => { const a = document.querySelector('audio'); a.readyState > 1 ? r(a.duration) : "
            "a.addEventListener('canplay', () => r(a.duration)); })",
            "(document.querySelector('.cue.contradicted').click(), document.querySelectorAll('.playing').length)",
            *[x for _ in range(6) for x in (SETTLE.format(ms=400), at)],
            f"({press('Escape')}, document.querySelector('audio').paused)",
            "document.querySelectorAll('.playing').length",
        ],
    )
    assert started == pytest.approx(3.0, abs=0.05)
    assert marked == 2, "the segment in the lane and the card"
    heard = times[1::2]
    assert all(0.95 <= t <= 2.15 for t in heard), heard
    assert any(b < a for a, b in pairwise(heard)), f"2.4 s of playing a 1 s span must start over: {heard}"
    assert stopped is True and unmarked == 0


def test_keys_move_in_time_and_the_position_is_told_to_assistive_technology(page):
    told = "document.querySelector('.ruler').getAttribute('aria-valuetext')"
    shown = "document.querySelector('.playhead').style.left"
    keys = ["ArrowRight", "ArrowRight", "End", "Home"]
    assert browser.evaluate(page, [f"({press(key)}, [{told}, {shown}])" for key in keys]) == [
        ["0.10 seconds", "3.33333%"], ["0.20 seconds", "6.66667%"], ["3.00 seconds", "100%"], ["0.00 seconds", "0%"],
    ]  # fmt: skip


def test_the_policy_of_the_page_stops_foreign_script_and_no_error_is_thrown(page):
    text = page.read_text(encoding="utf-8").replace("</main>", "<script>window.owned = 1</script></main>")
    page.write_text(text.replace("<main>", "<main><img src='x' onerror='window.owned = 2'>"), encoding="utf-8")
    owned, ours = browser.evaluate(page, ["typeof window.owned", "typeof Report"])
    assert owned == "undefined" and ours == "function"


def test_narrow_screens_do_not_scroll_sideways(page):
    (width, inner) = browser.evaluate(page, ["document.documentElement.scrollWidth", "window.innerWidth"], width=500)
    assert width <= inner
