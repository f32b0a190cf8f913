"""Deployments on Ray: without Ray through the local testing mode, and once on a real, small cluster."""

import asyncio
import base64
import json
import os
import signal
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

ray = pytest.importorskip("ray")
from ray import serve  # noqa: E402

from cuewise.mllm.clip import Clip  # noqa: E402
from cuewise.mllm.question import Answer, Question  # noqa: E402
from cuewise.serve.errors import ApiError  # noqa: E402
from cuewise.serve.job import Job  # noqa: E402
from cuewise.serve.ray_app import APP, Decoder, Encoder, RayBackend, build, start  # noqa: E402
from cuewise.serve.service import Service  # noqa: E402
from cuewise.serve.settings import RaySettings, SettingsError  # noqa: E402


def job(number: int = 0, **changes) -> Job:
    question = Question(form="direct", max_tokens=8)
    return replace(Job(id=f"j{number}", clip=Clip(transcript=f"we won {number}", id="w"), question=question), **changes)


def local(name: str, kind: type, *arguments):
    """The handle of one deployment in this process."""
    return serve.run(serve.deployment(kind, name=name).bind(*arguments), name=name, route_prefix=None,
                     _local_testing_mode=True)  # fmt: skip


@pytest.fixture(scope="module")
def decoder(settings):
    return local("Decoder", Decoder, settings)


def test_replicas_give_the_answers_of_one_process(decoder, settings):
    async def here() -> Answer:
        service = Service(settings)
        await service.start()
        try:
            return await service.answer(job())
        finally:
            await service.close()

    async def there() -> tuple[Answer, list]:
        backend = RayBackend(lambda: decoder)
        return await backend.answer(job()), [piece async for piece in backend.stream(job())]

    whole, pieces = asyncio.run(there())
    assert whole.report.text == asyncio.run(here()).report.text == "".join(pieces[:-1]) == pieces[-1].report.text


def test_a_refusal_keeps_its_code_on_the_way(decoder, tmp_path):
    (tmp_path / "x.mp4").write_bytes(b"\x07" * 300)
    bad = job(clip=Clip(path=str(tmp_path / "x.mp4"), id="x.mp4"))
    with pytest.raises(ApiError) as caught:
        asyncio.run(RayBackend(lambda: decoder).answer(bad))
    assert caught.value.code == "media_undecodable" and str(tmp_path) not in caught.value.message


def test_an_encoder_of_its_own_gives_the_same_answer(decoder, settings, sound):
    encoder = local("Encoder", Encoder, settings)
    asked = job(clip=Clip(path=str(sound), id="s.wav"))

    async def both() -> list[Answer]:
        alone, apart = RayBackend(lambda: decoder), RayBackend(lambda: decoder, lambda: encoder)
        return [await alone.answer(asked), await apart.answer(asked)]

    one, two = asyncio.run(both())
    assert one.report.text == two.report.text and two.report.clip == "s.wav"
    assert two.report.distribution == pytest.approx(one.report.distribution, abs=1e-5)


def test_unknown_settings_are_named():
    with pytest.raises(SettingsError, match=r"did you mean `ray\.replicas`"):
        build({"ray": {"replica": 2}})


@pytest.fixture(scope="module")
def cluster(settings):
    """Two decoder replicas behind HTTP on the loopback, on a Ray of our own that ends with the test."""
    if ray.is_initialized():
        pytest.skip("another Ray runs in this process")
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, configure_logging=False,
             object_store_memory=100 * 2**20)  # fmt: skip
    port = 18_700 + os.getpid() % 1000
    try:
        start(replace(settings, port=port, ray=RaySettings(replicas=2, max_replicas=2, cpus=1)))
        yield f"http://127.0.0.1:{port}"
    finally:
        with suppress(Exception):
            serve.shutdown()
        ray.shutdown()


def post(address: str, number: int) -> httpx.Response:
    return httpx.post(
        f"{address}/v1/emotion/analyze", json={"transcript": f"word {number}", "form": "direct"}, timeout=120
    )


def replicas() -> list[int]:
    """Process numbers of the decoder replicas that this test started."""
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            if f"ServeReplica:{APP}:Decoder" in (folder / "cmdline").read_text() and is_ours(int(folder.name)):
                found.append(int(folder.name))
    return found


def is_ours(pid: int) -> bool:
    """True for processes below this one."""
    while pid > 1:
        if pid == os.getpid():
            return True
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return False


@pytest.mark.slow
def test_routes_streams_and_a_killed_replica(cluster):
    one = post(cluster, 0)
    assert one.status_code == 200 and one.json()["form"] == "direct", one.text
    body = {"messages": [{"role": "user", "content": "we won"}], "stream": True, "emotion": {"form": "direct"}}
    lines = [
        line for line in httpx.post(f"{cluster}/v1/chat/completions", json=body, timeout=120).text.split("\n\n") if line
    ]
    assert lines[-1] == "data: [DONE]" and "emotion" in json.loads(lines[-2].removeprefix("data: "))
    data = base64.b64encode(b"\x07" * 300).decode()
    bad = httpx.post(f"{cluster}/v1/emotion/analyze", json={"media": {"data": data}}, timeout=120)
    assert bad.status_code == 400 and bad.json()["error"]["code"] == "media_undecodable"
    answers: list[httpx.Response] = []
    threads = [threading.Thread(target=lambda n=n: answers.append(post(cluster, n))) for n in range(40)]
    for number, thread in enumerate(threads):
        thread.start()
        if number == 20:
            pids = replicas()
            assert len(pids) == 2, pids
            os.kill(pids[0], signal.SIGKILL)
        time.sleep(0.02)
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [200] * 40, [
        a.text[:200] for a in answers if a.status_code != 200
    ]
    limit = time.monotonic() + 120
    while len(replicas()) < 2 and time.monotonic() < limit:
        time.sleep(0.5)
    assert len(replicas()) == 2 and post(cluster, 1).status_code == 200
