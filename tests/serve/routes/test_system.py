"""What a server says of itself, and who may hear it."""

import asyncio

import httpx
import pytest

from cuewise.serve.app import create_app
from cuewise.serve.auth import hash_key
from cuewise.serve.settings import Key, Settings


def test_models_say_what_is_served_and_what_scores_mean(client):
    model = client.get("/v1/models").json()["data"][0]
    assert model["id"] == "tiny" and model["object"] == "model" and model["engine"] == "slot" and model["attention"]
    assert "no lie detector" in model["notice"].replace("no diagnosis and ", "") and model["limits"]["body_mb"] == 4
    assert client.get("/v1/models/tiny").json()["id"] == "tiny"


def test_health(client):
    assert client.get("/healthz").json() == {"status": "alive"} and client.get("/readyz").json() == {"status": "ready"}


def test_the_description_names_bodies_and_errors(client):
    description = client.get("/openapi.json").json()
    analyze = description["paths"]["/v1/emotion/analyze"]["post"]
    assert set(analyze["requestBody"]["content"]) == {"application/json", "multipart/form-data"}
    assert {"200", "400", "401", "413", "429", "503"} <= set(analyze["responses"])
    assert "no diagnosis" in description["info"]["description"] and "$ref" not in str(analyze["requestBody"])


@pytest.fixture
def locked(settings):
    keys = [Key(name="a", sha256=hash_key("ka"), per_minute=2), Key(name="b", sha256=hash_key("kb"))]
    app = create_app(Settings(model=settings.model, media=settings.media, keys=keys))
    yield app
    app.state.cuewise.files.close()


def ask(app, *requests: tuple) -> list[httpx.Response]:
    async def go():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://any.host") as client:
            return [await client.request(method, path, **more) for method, path, more in requests]

    return asyncio.run(go())


def bearer(key: str) -> dict:
    return {"headers": {"authorization": f"Bearer {key}"}}


@pytest.mark.parametrize("path", ["/v1/models", "/v1/files", "/metrics", "/v1/files/x/content"])
def test_with_keys_set_nothing_is_told_without_one(locked, path):
    refused, wrong = ask(locked, ("GET", path, {}), ("GET", path, bearer("kx")))
    assert refused.status_code == wrong.status_code == 401
    assert (refused.json()["error"]["code"], wrong.json()["error"]["code"]) == ("missing_key", "invalid_key")


@pytest.mark.parametrize("path", ["/v1/emotion/analyze", "/v1/chat/completions", "/v1/emotion/timeline", "/v1/files"])
def test_nothing_is_done_without_a_key(locked, path):
    assert ask(locked, ("POST", path, {"json": {}}))[0].status_code == 401


def test_probes_need_no_key(locked):
    alive, ready = ask(locked, ("GET", "/healthz", {}), ("GET", "/readyz", {}))
    assert alive.status_code == 200 and ready.status_code == 503


def test_a_rate_is_per_key_and_files_are_private(locked):
    send = {"files": {"file": ("a.wav", b"RIFF")}}
    mine, again, over, other = ask(
        locked, *[("POST", "/v1/files", send | bearer("ka"))] * 3, ("POST", "/v1/files", send | bearer("kb"))
    )
    assert [mine.status_code, again.status_code, over.status_code, other.status_code] == [200, 200, 429, 200]
    assert over.json()["error"]["code"] == "rate_limit" and int(over.headers["retry-after"]) > 50
    seen, hidden = ask(locked, ("GET", f"/v1/files/{mine.json()['id']}", bearer("ka")),
                       ("GET", f"/v1/files/{mine.json()['id']}", bearer("kb")))  # fmt: skip
    assert (seen.status_code, hidden.status_code) == (200, 404)
