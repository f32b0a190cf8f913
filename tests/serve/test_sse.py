"""Streams: the first text at once, the rest in pieces, a failure as a frame, and nothing left running."""

import asyncio

import pytest

from cuewise.serve.errors import ApiError
from cuewise.serve.sse import EventStream, coalesced, frame, guarded, until_gone, with_keep_alive


async def pieces(*items, every_s: float = 0.0):
    for item in items:
        await asyncio.sleep(every_s)
        yield item


async def collected(iterator) -> list:
    return [item async for item in iterator]


def test_nothing_is_lost_and_the_first_piece_does_not_wait():
    async def go():
        return await collected(coalesced(pieces(*"abcdefgh", 7, "i"), 0.05))

    got = asyncio.run(go())
    assert got[0] == "a" and "".join(x for x in got if isinstance(x, str)) == "abcdefghi"
    assert got[-2:] == [7, "i"] and len(got) <= 5


def test_a_slow_text_is_not_held_longer_than_asked():
    async def go():
        return await collected(coalesced(pieces(*"abc", every_s=0.05), 0.01))

    assert asyncio.run(go()) == ["a", "b", "c"]


def test_a_failure_becomes_the_last_frame():
    async def broken():
        yield b"one"
        raise ApiError("engine_dead", "gone")

    got = asyncio.run(collected(guarded(broken(), lambda error: frame(error.body()))))
    assert got[0] == b"one" and b'"code":"engine_dead"' in got[1]


def test_silence_is_filled_with_comments():
    async def go():
        return await collected(with_keep_alive(pieces(b"a", every_s=0.2), b": x\n\n", every_s=0.05))

    got = asyncio.run(go())
    assert got[-1] == b"a" and set(got[:-1]) == {b": x\n\n"}


def test_work_ends_when_its_client_goes():
    ended = []

    async def work():
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    async def receive():
        await asyncio.sleep(0.01)
        return {"type": "http.disconnect"}

    with pytest.raises(ApiError, match="closed the connection"):
        asyncio.run(until_gone(receive, work()))
    assert ended == [True]


def test_a_stream_ends_when_its_client_goes_also_while_it_is_silent():
    log = []

    async def frames():
        try:
            yield b"first"
            await asyncio.sleep(60)
        finally:
            log.append("closed")

    async def receive():
        await asyncio.sleep(0.05)
        return {"type": "http.disconnect"}

    async def send(message):
        log.append(message.get("body", message["type"]))

    response = EventStream(frames(), ended=lambda: log.append("ended"))
    asyncio.run(asyncio.wait_for(response({"type": "http"}, receive, send), 5))
    assert log == ["http.response.start", b"first", "closed", "ended"]


def test_a_connection_that_breaks_while_sending_is_no_error():
    async def send(message):
        raise OSError("broken pipe")

    async def receive():
        await asyncio.sleep(60)

    ended = []
    response = EventStream(pieces(b"a"), ended=lambda: ended.append(1))
    asyncio.run(asyncio.wait_for(response({"type": "http"}, receive, send), 5))
    assert ended == [1]


def test_text_of_any_script_is_one_line():
    assert frame({"a": "é\n日"}) == 'data: {"a":"é\\n日"}\n\n'.encode()
