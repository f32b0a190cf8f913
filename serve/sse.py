"""Server-sent events: the first text at once, then in pieces of some milliseconds; a failure is always a frame.

Also here: work that ends when its client has gone.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from cuewise.serve.errors import ApiError

DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": still working\n\n"
KEEP_ALIVE_S = 10.0
COALESCE_S = 0.03
"""Text that comes within this time goes out together; a frame for every token would cost most of the throughput."""

HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}

T = TypeVar("T")


def frame(value: Any) -> bytes:
    """One event without a name: clients of chat streams take named events for ordinary chunks."""
    return b"data: " + json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


def line(value: Any) -> bytes:
    """One line of NDJSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


class EventStream(Response):
    """Sends what `frames` yields, and stops it as soon as the client has gone.

    Args:
        frames: ready bytes; it has to turn its own errors into frames (see `guarded`).
        ended: called once when the stream is over, for whatever reason.
    """

    def __init__(
        self, frames: AsyncIterator[bytes], *, media_type: str = "text/event-stream", keep_alive: bytes = KEEP_ALIVE,
        ended: Callable[[], None] | None = None, headers: dict[str, str] | None = None,
    ):  # fmt: skip
        super().__init__(headers={**HEADERS, **(headers or {})}, media_type=media_type)
        del self.headers["content-length"]
        self._frames, self._keep_alive, self._ended = frames, keep_alive, ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                sender = group.create_task(self._send(send))
                watcher = group.create_task(gone(receive))
                watcher.add_done_callback(lambda _: sender.cancel())
                sender.add_done_callback(lambda _: watcher.cancel())
        except* OSError:  # the connection broke while a frame was sent
            pass
        finally:
            with contextlib.suppress(Exception):
                await self._frames.aclose()
            if self._ended is not None:
                self._ended()

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for data in with_keep_alive(self._frames, self._keep_alive):
            await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def gone(receive: Receive) -> None:
    """Return when the client has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def until_gone(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is cancelled when the client goes. Raises ApiError `client_gone` then."""
    task, watcher = asyncio.ensure_future(work), asyncio.ensure_future(gone(receive))
    try:
        await asyncio.wait({task, watcher}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ApiError("client_gone", "the client closed the connection before the answer was ready")
        return task.result()
    finally:
        for one in (task, watcher):
            one.cancel()
        await asyncio.gather(task, watcher, return_exceptions=True)


async def guarded(frames: AsyncIterator[bytes], on_error: Callable[[Exception], bytes]) -> AsyncIterator[bytes]:
    """`frames`, and whatever it raises as one last frame, so that no broken stream looks complete."""
    try:
        async for data in frames:
            yield data
    except Exception as error:  # the boundary to the client: every failure has to reach it as a frame
        yield on_error(error)


async def with_keep_alive(
    frames: AsyncIterator[bytes], comment: bytes, every_s: float = KEEP_ALIVE_S
) -> AsyncIterator[bytes]:
    """`frames`, with a comment whenever nothing came for `every_s` seconds."""
    iterator = frames.__aiter__()
    pending: asyncio.Future[bytes] | None = None
    try:
        while True:
            pending = pending or asyncio.ensure_future(_next(iterator))
            done, _ = await asyncio.wait({pending}, timeout=every_s)
            if not done:
                if comment:
                    yield comment
                continue
            try:
                data = pending.result()
            except StopAsyncIteration:
                return
            finally:
                pending = None
            yield data
    finally:
        if pending is not None:
            pending.cancel()
            await asyncio.gather(pending, return_exceptions=True)


async def coalesced(pieces: AsyncIterator[Any], within_s: float = COALESCE_S) -> AsyncIterator[Any]:
    """Texts of `pieces` joined: the first goes out at once, later ones at most every `within_s` seconds.

    What is no text passes through, after the text before it.
    """
    loop = asyncio.get_running_loop()
    iterator = pieces.__aiter__()
    held, next_at = "", 0.0
    pending: asyncio.Future[Any] | None = None
    try:
        while True:
            pending = pending or asyncio.ensure_future(_next(iterator))
            wait = max(0.0, next_at - loop.time()) if held else None
            done, _ = await asyncio.wait({pending}, timeout=wait)
            if not done:
                yield held
                held, next_at = "", loop.time() + within_s
                continue
            try:
                piece = pending.result()
            except StopAsyncIteration:
                break
            finally:
                pending = None
            if not isinstance(piece, str):
                if held:
                    yield held
                    held = ""
                yield piece
                continue
            held += piece
            if held and loop.time() >= next_at:
                yield held
                held, next_at = "", loop.time() + within_s
        if held:
            yield held
    finally:
        if pending is not None:
            pending.cancel()
            await asyncio.gather(pending, return_exceptions=True)


async def _next(iterator: AsyncIterator[Any]) -> Awaitable[Any]:
    return await iterator.__anext__()
