"""What every test of the page does: send a clip, wait for its end, look at what is shown."""

import json

SHOWN = "[...document.querySelectorAll('article.report')].at(-1)"


def send(page, *files) -> None:
    """Choose a file and press Analyze."""
    for file in files:
        page.choose("#file", file)
        page.until(f"document.querySelector('#chosen').textContent.includes({json.dumps(file.name)})")
    page.click("#analyze")


def finish(page, timeout_s: float = 60) -> str:
    """Wait until the run in front has ended; how it ended."""
    return page.until(
        f"(() => {{ const r = {SHOWN}; return r && r.dataset.status !== 'running' && r.dataset.status; }})()", timeout_s
    )


def text(page, selector: str) -> str:
    return page.ask(f"document.querySelector({json.dumps(selector)}).innerText")


def count(page, selector: str) -> int:
    return page.ask(f"document.querySelectorAll({json.dumps(selector)}).length")
