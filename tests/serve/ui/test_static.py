"""What can be said of the page without a browser: its headers, its words, and that it names no other host."""

import asyncio
import re
from pathlib import Path

import httpx
import pytest

from cuewise.serve import web
from cuewise.serve.app import create_app
from cuewise.serve.errors import CODES
from cuewise.serve.settings import Settings
from cuewise.serve.state import NOTICE

FILES = sorted(web.FOLDER.iterdir())
SCRIPTS = [file for file in FILES if file.suffix == ".js"]


class Silent:
    """A backend that is asked nothing."""

    async def ready(self) -> None:
        return None


@pytest.fixture
def client():
    transport = httpx.ASGITransport(create_app(Settings(), backend=Silent()))
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")


def answer(client: httpx.AsyncClient, path: str, method: str = "GET") -> httpx.Response:
    return asyncio.run(client.request(method, path))


@pytest.mark.parametrize("path", ["/", *(f"/ui/{file.name}" for file in FILES)])
def test_every_file_is_served_under_the_policy_of_the_page(client, path):
    found = answer(client, path)
    assert found.status_code == 200
    policy = dict(part.strip().split(" ", 1) for part in found.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'" and policy["script-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in found.headers["content-security-policy"]
    assert found.headers["x-content-type-options"] == "nosniff" and found.headers["cache-control"] == "no-cache"
    kinds = {".js": "javascript", ".css": "text/css", ".html": "text/html"}
    assert kinds[Path(path).suffix or ".html"] in found.headers["content-type"]


@pytest.mark.parametrize(("path", "method", "status"), [
    ("/nothing", "GET", 404), ("/ui/nothing.js", "GET", 404), ("/ui/../app.py", "GET", 404),
    ("/ui/%2e%2e/app.py", "GET", 404), ("/v1/emotion/analyze", "GET", 405), ("/v1/nothing", "POST", 404),
])  # fmt: skip
def test_the_page_hides_no_error_of_the_api(client, path, method, status):
    found = answer(client, path, method)
    assert found.status_code == status and found.json()["error"]["code"] in ("not_found", "method_not_allowed")


def test_the_page_says_what_the_server_says_of_scores():
    page = re.sub(r"\s+", " ", (web.FOLDER / "index.html").read_text(encoding="utf-8"))
    assert NOTICE in page


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_file_names_another_host_or_reads_text_as_html(file):
    text = file.read_text(encoding="utf-8")
    known = ("http://www.w3.org/", "http://www.mpi.nl/tools/elan/")
    assert [url for url in re.findall(r"(?:https?:)?//[\w.-]+\.\w+\S*", text) if not url.startswith(known)] == []
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text)
    assert not re.search(r'<[^>]*\s(?:style|on\w+)=', text) or file.suffix == ".js"
    assert len(text.splitlines()) <= 400


@pytest.mark.parametrize("file", SCRIPTS, ids=lambda file: file.name)
def test_what_a_script_imports_is_exported_there(file):
    for names, source in re.findall(r'import \{([^}]*)\} from "\./([\w.]+)"', file.read_text(encoding="utf-8")):
        there = (web.FOLDER / source).read_text(encoding="utf-8")
        for name in (one.strip() for one in names.split(",") if one.strip()):
            found = re.search(rf"export (?:async )?(?:const|let|function\*?|class) {name}\b", there)
            assert found, f"{name} in {source}"


def test_errors_that_have_their_own_words_are_errors_of_the_api():
    text = (web.FOLDER / "faults.js").read_text(encoding="utf-8")
    titles = re.findall(r"^  (\w+): \[", text, re.MULTILINE)
    assert len(titles) > 20
    assert set(titles) - set(CODES) == {"server_away", "broken_off"}


def test_every_element_a_script_looks_up_is_in_the_page():
    page = (web.FOLDER / "index.html").read_text(encoding="utf-8")
    ids = set(re.findall(r'\bid="([\w-]+)"', page))
    looked_up = set(re.findall(r'byId\("([\w-]+)"\)', (web.FOLDER / "app.js").read_text(encoding="utf-8")))
    assert looked_up and looked_up <= ids
