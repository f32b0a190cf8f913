"""`cuewise serve` as people start it: ready soon, refuses what is not safe, and ends without losing anybody."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from cuewise.__main__ import main
from cuewise.serve.auth import hash_key

BENCHMARKS = str(Path(__file__).resolve().parents[2] / "benchmarks")


@pytest.mark.parametrize(
    ("args", "part"),
    [(["--host", "0.0.0.0"], "no key is set"), (["--port", "99999"], "0..65535"), (["prot=1"], "did you mean `port`"),
     (["--config", "nowhere.yaml"], "nowhere.yaml"), (["--model", "nowhere"], "nowhere")],
)  # fmt: skip
def test_what_cannot_be_served_is_one_line(args, part, capsys):
    assert main(["serve", *args]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("cuewise: error:") and part in error


def test_a_new_key_is_shown_once_beside_its_hash(capsys):
    assert main(["serve", "--new-key", "alice"]) == 0
    shown = capsys.readouterr().out
    key = shown.split("client): ")[1].split()[0]
    assert hash_key(key) in shown and "name: alice" in shown


@pytest.mark.parametrize("module", ["local", "app", "ray_app"])
def test_what_answers_http_loads_no_torch(module):
    heavy = "('torch', 'transformers', 'cv2')"
    probe = f"import sys, cuewise.serve.{module}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.fixture
def process(model_folder):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "cuewise", "serve", "--port", str(port), "--model", model_folder,
    "decode_workers=1",
               "media.detector=none", "media.num_frames=4"]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1"})
    process.address = f"http://127.0.0.1:{port}"
    limit = time.monotonic() + 240
    while time.monotonic() < limit:
        try:
            if httpx.get(f"{process.address}/readyz").status_code == 200:
                break
        except httpx.TransportError:
            assert process.poll() is None, process.stderr.read().decode()[-500:]
        time.sleep(0.05)
    yield process
    process.kill()
    process.wait()


@pytest.mark.slow
def test_sigterm_lets_a_stream_finish_and_nobody_else_in(process):
    body = {"messages": [{"role": "user", "content": "we won"}], "stream": True, "max_tokens": 300}
    frames: list[str] = []
    started = threading.Event()

    def read() -> None:
        with httpx.stream("POST", f"{process.address}/v1/chat/completions", json=body, timeout=240) as answer:
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    frames.append(line.removeprefix("data: "))
                    started.set()

    reader = threading.Thread(target=read)
    reader.start()
    assert started.wait(120)
    process.send_signal(signal.SIGTERM)
    try:
        late = httpx.post(f"{process.address}/v1/emotion/analyze", json={"transcript": "x"}, timeout=60)
        assert late.status_code == 503 and late.json()["error"]["code"] == "draining"
    except httpx.TransportError:
        pass  # the stream was over so soon that the port is closed already
    reader.join(120)
    assert frames[-1] == "[DONE]" and "emotion" in json.loads(frames[-2])
    assert process.wait(60) == 0
