"""The page before the shipped model: a recording of the browser, and a real clip in one piece and in windows."""

import json

import pytest
from live_server import serving
from shared_data import shared_dir

from cuewise.mllm.report import EmotionReport
from cuewise.serve.app import create_app
from cuewise.serve.settings import Settings

pytestmark = pytest.mark.slow

ENDED = (
    "(() => { const r = [...document.querySelectorAll('article.report')].at(-1);"
    " return r && r.dataset.status !== 'running' && r.dataset.status"
    " + (r.querySelector('[role=alert]')?.innerText || ''); })()"
)


@pytest.fixture(scope="module")
def live():
    with serving(create_app(Settings(model="nano", decode_workers=1))) as address:
        yield address + "/"


@pytest.fixture
def page(browser, live):
    browser.errors.clear()
    browser.resize(1280, 900)
    browser.open(live)
    browser.until("document.querySelector('#server').dataset.state === 'ready'", 60)
    yield browser
    assert browser.errors == []


def test_a_recording_of_the_browser_can_be_read_by_the_server(page):
    page.click("#record-camera")
    page.until("document.querySelector('#record-state').textContent.includes('Recording, 2 s')")
    page.click("#stop-recording")
    page.until("document.querySelector('#chosen').textContent.includes('camera-')")
    page.click("#analyze")
    assert page.until(ENDED, 240) == "done"
    name = page.ask("document.querySelector('article h2').innerText").replace(".webm", ".json")
    page.click("button[data-export=json]")
    report = EmotionReport.model_validate_json(page.download(name))
    assert report.streams["voice"].present and report.streams["scene"].present and 1.0 < report.duration < 10.0


def test_a_real_clip_in_one_piece_and_in_windows(page):
    clip = shared_dir("data", "av_clips") / "ravdess_01-01-08-02-02-01-06.mp4"
    page.choose("#file", clip)
    page.until(f"document.querySelector('#chosen').textContent.includes({json.dumps(clip.name)})")
    page.click("#analyze")
    page.until("document.querySelector('.claim, .answer')", 240)
    assert page.until(ENDED, 240) == "done"
    assert page.ask("document.querySelectorAll('.overlay rect').length") == 1
    assert page.ask("document.querySelector('.wave-row') !== null"), "the browser decodes the sound itself"
    page.ask("document.querySelector('select[name=mode]').value = 'timeline'")
    page.ask("document.querySelector('input[name=window]').value = 2")
    page.ask("document.querySelector('input[name=hop]').value = 1")
    page.click("#analyze")
    assert page.until(ENDED, 240) == "done"
    assert page.ask("document.querySelectorAll('.ribbon').length") == 3
