"""A few hundred broken bodies and a schema-driven fuzz; the whole runs are in benchmarks/serve_fuzz.py."""

import importlib.util
import random
import sys
from pathlib import Path

import httpx
import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def fuzz():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        spec = importlib.util.spec_from_file_location("serve_fuzz", BENCHMARKS / "serve_fuzz.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(BENCHMARKS))


def test_broken_bodies_are_refused_and_the_next_good_one_is_answered(fuzz, address):
    rng = random.Random(5)
    with httpx.Client(base_url=address, timeout=120) as client:
        for _ in range(250):
            route, body, headers = fuzz.broken_body(rng)
            answer = client.post(route, content=body, headers=headers)
            assert answer.status_code < 500, (route, body[:200], answer.text)
            if answer.status_code >= 400:
                assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
        good = client.post("/v1/emotion/analyze", json={"transcript": "we won", "form": "direct"})
        assert good.status_code == 200 and good.json()["form"] == "direct"


def test_broken_media_is_refused_or_read_and_never_an_error_of_the_server(fuzz, address, video, sound):
    rng = random.Random(6)
    with httpx.Client(base_url=address, timeout=120) as client:
        for source in [video.read_bytes(), sound.read_bytes()] * 20:
            files = {"file": ("x.mp4", fuzz.broken_media(source, rng))}
            answer = client.post("/v1/emotion/analyze", files=files, data={"form": "direct", "max_tokens": "2"})
            assert answer.status_code in (200, 400, 408, 413), answer.text
            assert "/tmp" not in answer.text or answer.status_code == 200


@pytest.mark.slow
def test_no_request_made_from_the_description_is_a_server_error(address):
    schemathesis = pytest.importorskip("schemathesis")
    from hypothesis import HealthCheck, settings

    description = schemathesis.openapi.from_url(f"{address}/openapi.json")
    seen = 0
    for found in description.get_all_operations():
        operation = found.ok()

        @settings(max_examples=12, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        def attack(case):
            answer = case.call(base_url=address, timeout=120)
            assert answer.status_code < 500, (case.path, answer.text[:300])

        operation.as_strategy().example  # noqa: B018  a description that makes no requests shows here
        from hypothesis import given

        given(case=operation.as_strategy())(attack)()
        seen += 1
    assert seen >= 12
