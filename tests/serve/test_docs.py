"""The pages say what the code does, and their curl examples run."""

import re
import shlex
import shutil
import subprocess
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import get_type_hints

import pytest
import yaml

from cuewise.mllm.config_tools import from_dict
from cuewise.serve.app import create_app
from cuewise.serve.errors import CODES, ApiError, table
from cuewise.serve.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
API = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
SERVING = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
CURLS = re.findall(r"```bash\n(curl .*?)```", API + README, re.DOTALL)


def test_the_page_has_every_error_code_as_the_code_has_it():
    assert table() in API


def test_every_code_that_is_raised_is_in_the_table():
    raised = set()
    for path in (ROOT / "serve").rglob("*.py"):
        raised |= set(re.findall(r'ApiError\(\s*"(\w+)"', path.read_text(encoding="utf-8")))
    assert raised and raised <= set(CODES)
    with pytest.raises(ValueError, match="did you mean 'overloaded'"):
        ApiError("overloadet", "x")


def options(kind: type, path: str = "") -> list[str]:
    """Every option by its whole name; the media stage has its own page."""
    hints, found = get_type_hints(kind), []
    for field in fields(kind):
        inner = hints[field.name]
        if field.name == "media":
            continue
        found += options(inner, f"{path}{field.name}.") if is_dataclass(inner) else [f"{path}{field.name}"]
    return found


def test_the_page_names_every_setting():
    text = SERVING.replace("`", " ").replace(",", " ").split()
    missing = [name for name in options(Settings) if name not in text and f".{name.split('.')[-1]}" not in text]
    missing = [name for name in missing if name != "log_level"]
    assert not missing


def test_the_page_names_every_route(settings):
    app = create_app(settings)
    app.state.cuewise.files.close()
    for route in app.openapi()["paths"]:
        assert route.split("{")[0].rstrip("/").replace("/v1/files/", "") in API, route


@pytest.mark.parametrize("name", ["local", "ray", "ray-cluster"])
def test_the_shipped_configurations_are_settings(name):
    values = yaml.safe_load((ROOT / "serve" / "config" / f"{name}.yaml").read_text())
    for args in [app["args"] for app in values["applications"]] if "applications" in values else [values]:
        assert isinstance(from_dict(Settings, args), Settings)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("command", CURLS, ids=range(len(CURLS)))
def test_the_curl_examples_run(command, address, video, tmp_path):
    shutil.copy(video, tmp_path / "clip.mp4")
    command = command.replace("\\\n", " ").replace("http://127.0.0.1:8000", address)
    done = subprocess.run(
        [*shlex.split(command), "-sS", "--fail", "--max-time", "240"], cwd=tmp_path, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()[-300:]
    assert done.stdout.startswith((b"{", b"data: {")) and b'"error"' not in done.stdout
