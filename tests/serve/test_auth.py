"""Keys, rates, room: who is let in, and who is told to wait."""

import asyncio

import pytest

from cuewise.serve.auth import ANYONE, Gate, Keys, hash_key, new_key
from cuewise.serve.errors import ApiError
from cuewise.serve.settings import Key


@pytest.fixture
def clock():
    return [0.0]


@pytest.fixture
def keys(clock):
    return Keys([Key(name="a", sha256=hash_key("ka"), per_minute=3, at_once=2), Key(name="b", sha256=hash_key("kb"))],
                lambda: clock[0])  # fmt: skip


def test_a_key_is_known_by_its_hash_alone(keys):
    assert keys.client("Bearer ka").name == "a" and keys.client("bearer  kb ").name == "b"
    assert len({new_key() for _ in range(50)}) == 50 and all(len(new_key()) > 40 for _ in range(3))


@pytest.mark.parametrize(
    ("header", "code"),
    [(None, "missing_key"), ("", "missing_key"), ("ka", "missing_key"), ("Basic ka", "missing_key"), ("Bearer ",
    "missing_key"),
     ("Bearer nobody", "invalid_key"), (f"Bearer {hash_key('ka')}", "invalid_key"), ("Bearer ka\u00e4", "invalid_key")],
)  # fmt: skip
def test_everybody_else_is_refused(keys, header, code):
    with pytest.raises(ApiError) as caught:
        keys.client(header)
    assert caught.value.code == code and caught.value.status == 401


def test_a_server_without_keys_lets_everybody_in():
    keys = Keys([])
    assert keys.client(None) is ANYONE
    for _ in range(1000):
        with keys.admitted(ANYONE):
            pass


def test_the_rate_is_per_key_and_per_minute(keys, clock):
    client = keys.client("Bearer ka")
    for _ in range(3):
        with keys.admitted(client):
            pass
    with pytest.raises(ApiError) as caught, keys.admitted(client):
        pass
    assert caught.value.code == "rate_limit" and caught.value.headers() == {"Retry-After": "60"}
    with keys.admitted(keys.client("Bearer kb")):
        pass
    clock[0] = 60.0
    with keys.admitted(client):
        pass


def test_the_concurrency_is_per_key_and_given_back_after_a_failure(keys):
    client = keys.client("Bearer ka")
    with keys.admitted(client):
        with pytest.raises(RuntimeError), keys.admitted(client):
            raise RuntimeError
        with keys.admitted(client):
            with pytest.raises(ApiError) as caught, keys.admitted(client):
                pass
    assert caught.value.code in ("concurrency_limit", "rate_limit") and caught.value.status == 429


def test_the_gate_is_full_at_its_limit_and_drains():
    async def go():
        gate = Gate(2)
        with gate.admitted(), gate.admitted():
            with pytest.raises(ApiError) as full, gate.admitted():
                pass
            assert full.value.code == "overloaded" and 1 <= int(full.value.headers()["Retry-After"]) <= 30
            assert not await gate.drain(0.01)
            with pytest.raises(ApiError) as closed, gate.admitted():
                pass
            assert closed.value.status == 503
        assert await gate.drain(0.01) and gate.in_flight == 0

    asyncio.run(go())
