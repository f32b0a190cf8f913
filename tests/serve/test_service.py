"""Many at once: the same answers, one failure for one bad request, nothing left behind by those who leave."""

import asyncio
import base64
import shutil
import time

import httpx
import pytest
from live_server import serving
from media_samples import audio_file

from cuewise.mllm.clip import Clip
from cuewise.mllm.processing import CuewiseProcessor
from cuewise.mllm.question import Question
from cuewise.serve.app import create_app
from cuewise.serve.job import Job
from cuewise.serve.service import Service
from cuewise.serve.settings import Limits, Settings

ROUTE, CHAT = "/v1/emotion/analyze", "/v1/chat/completions"


def at_once(address: str, requests: list[dict], timeout: float = 300) -> list[httpx.Response]:
    """Answers to requests that are all sent at the same time."""

    async def go():
        limits = httpx.Limits(max_connections=100)
        async with httpx.AsyncClient(base_url=address, timeout=timeout, limits=limits) as client:
            return await asyncio.gather(*(client.post(ROUTE, **request) for request in requests))

    return asyncio.run(go())


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sounds")
    return [audio_file(folder, kind, seconds=0.5, hz=hz).read_bytes() for kind, hz in (("wav", 200), ("flac", 300))]


def test_answers_to_many_at_once_equal_answers_one_by_one(address, client, sounds):
    asked = [{"json": {"transcript": f"sentence {i}", "form": "direct"}} for i in range(8)]
    asked += [{"files": {"file": (f"{i}.wav", data)}, "data": {"form": "direct"}} for i, data in enumerate(sounds * 3)]
    together = at_once(address, asked)
    assert [answer.status_code for answer in together] == [200] * len(asked)
    for request, answer in zip(asked, together):
        alone = client.post(ROUTE, **request).json()
        assert alone["text"] == answer.json()["text"]
        assert alone["distribution"] == pytest.approx(answer.json()["distribution"], abs=1e-4)


def test_one_bad_request_among_sixteen_fails_alone(address, sounds):
    bad = {"files": {"file": ("bad.wav", sounds[0][:60] + b"\xff" * 50)}}
    good = {"files": {"file": ("good.wav", sounds[0])}, "data": {"form": "direct"}}
    answers = at_once(address, [good] * 8 + [bad] + [good] * 7)
    assert [a.status_code for a in answers] == [200] * 8 + [400] + [200] * 7


def running(address: str) -> dict[str, float]:
    lines = httpx.get(f"{address}/metrics").text.splitlines()
    names = ("cuewise_in_flight", "cuewise_engine_running", "cuewise_engine_waiting")
    return {name: float(line.split()[1]) for line in lines for name in names if line.startswith(name + " ")}


def test_streams_whose_clients_leave_free_everything(address, app, sounds):
    body = {"stream": True, "max_tokens": 512, "messages": [{"role": "user", "content": [
        {"type": "input_audio", "input_audio": {"data": base64.b64encode(sounds[0]).decode(), "format": "wav"}}]}],
    }  # fmt: skip
    with httpx.Client(base_url=address, timeout=120) as client:
        for _ in range(12):
            with client.stream("POST", CHAT, json=body) as answer:
                assert answer.status_code == 200
                next(answer.iter_bytes())
    limit = time.monotonic() + 30
    while any(running(address).values()) and time.monotonic() < limit:
        time.sleep(0.05)
    assert running(address) == {"cuewise_in_flight": 0, "cuewise_engine_running": 0, "cuewise_engine_waiting": 0}
    assert not list(app.state.cuewise.files.folder.glob("request-*")), "the files of those requests are gone"


def test_a_deadline_ends_a_request_with_408(client, sounds):
    answer = client.post(ROUTE, files={"file": ("a.wav", sounds[0])}, data={"deadline_s": "0.001"})
    assert answer.status_code == 408 and answer.json()["error"]["code"] == "deadline"
    answer = client.post(ROUTE, files={"file": ("a.wav", sounds[0])}, data={"form": "direct"})
    assert answer.status_code == 200, answer.text


def test_overload_gives_answers_or_429_and_nothing_else(model_folder, media_config):
    settings = Settings(model=model_folder, media=media_config, decode_workers=1, limits=Limits(in_flight=3))
    with serving(create_app(settings)) as address:
        answers = at_once(address, [{"json": {"transcript": f"word {i}", "form": "direct"}} for i in range(24)])
        codes = [answer.status_code for answer in answers]
        assert set(codes) <= {200, 429} and codes.count(200) >= 3
        for answer in answers:
            if answer.status_code == 429:
                assert int(answer.headers["retry-after"]) >= 1 and answer.json()["error"]["code"] == "overloaded"
        assert httpx.post(f"{address}{ROUTE}", json={"transcript": "after"}, timeout=60).status_code == 200


def test_while_the_model_is_loaded_and_while_draining_the_answer_is_503(settings):
    async def go():
        app = create_app(settings)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            early = await client.get("/readyz")
            refused = await client.post(ROUTE, json={"transcript": "x"})
            app.state.cuewise.gate.draining = True
            late = await client.post(ROUTE, json={"transcript": "x"})
        app.state.cuewise.files.close()
        return [early, refused, late]

    answers = asyncio.run(go())
    assert [a.status_code for a in answers] == [503] * 3 and all(a.headers["retry-after"] for a in answers)
    assert [a.json()["error"]["code"] for a in answers] == ["engine_loading", "engine_loading", "draining"]


def test_the_time_a_request_spent_on_its_body_is_part_of_its_report(settings):
    job = Job(id="j", clip=Clip(transcript="we won"), question=Question(form="direct", max_tokens=4), waited_s=60.0)

    async def go():
        service = Service(settings)
        await service.start()
        try:
            return (await service.answer(job)).report.timing_ms
        finally:
            await service.close()

    timing = asyncio.run(go())
    assert timing["queue"] >= 60_000 and timing["total"] == pytest.approx(
        sum(ms for name, ms in timing.items() if name != "total"), abs=0.1)  # fmt: skip


def test_clips_are_read_as_the_model_was_trained(model_folder, media_config, tmp_path):
    folder = shutil.copytree(model_folder, tmp_path / "model")
    processor = CuewiseProcessor.from_pretrained(folder)
    processor.media = {"num_frames": 3, "frame_size": 96}
    processor.save_pretrained(folder)

    async def go():
        service = Service(Settings(model=str(folder), media=media_config, decode_workers=1))
        await service.start()
        try:
            return service.media, (await service._pool.load(Clip(transcript="we won"))).transcript
        finally:
            await service.close()

    media, transcript = asyncio.run(go())
    assert (media.num_frames, media.frame_size, media.detector) == (4, 96, "none") and transcript == "we won"
