"""ASGI middleware around everything: request ids, bounded bodies, one log line, one shape for every failure."""

import asyncio
import contextlib
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cuewise.serve.errors import ApiError
from cuewise.serve.metrics import Metrics
from cuewise.serve.settings import Settings, is_loopback

_LOG = logging.getLogger("cuewise.serve.access")
LINGER_S, LINGER_BYTES = 2.0, 8 * 2**20
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


@dataclass(slots=True)
class BodyBudget:
    """Bytes of all bodies that are held right now."""

    limit: int
    held: int = 0

    def take(self, count: int) -> None:
        """Raises ApiError 429 when the bodies of all requests together are too much."""
        if self.held + count > self.limit:
            raise ApiError(
                "overloaded", "the bodies of the requests in flight take all the room; try again", retry_after_s=2
            )
        self.held += count

    def give(self, count: int) -> None:
        self.held -= count


class LimitsMiddleware:
    """See above. Every failure that nobody turned into an answer becomes one here, without its details."""

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics):
        self.app, self.metrics = app, metrics
        self.max_body = int(settings.limits.body_mb * 2**20)
        self.body_timeout_s = settings.limits.body_timeout_s
        self.budget = BodyBudget(int(settings.limits.bodies_mb * 2**20))
        self._local_only = is_loopback(settings.host) and not settings.keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        given = headers.get("x-request-id", "")
        request_id = given if _ID.match(given) else f"req-{secrets.token_hex(10)}"
        began = time.perf_counter()
        scope.setdefault("state", {}).update(request_id=request_id, began=began)
        body = _Body(self, receive, headers)
        closes = headers.get("connection", "").lower() == "close" or scope.get("http_version") == "1.0"
        seen = _Seen(request_id, send, body.discard if closes and "expect" not in headers else None)
        try:
            self._check_head(headers)
            await self.app(scope, body.receive, seen.send)
        except ApiError as error:
            await seen.fail(error)
        except Exception:  # the boundary to the client
            _LOG.exception("request %s failed", request_id)
            await seen.fail(ApiError("internal", f"something failed here; report the request id {request_id}"))
        finally:
            self.budget.give(body.counted)
            self._log(scope, seen, time.perf_counter() - began, body.counted)

    def _check_head(self, headers: dict[str, str]) -> None:
        if self._local_only and not _is_local(headers.get("host", "")):
            raise ApiError(
                "bad_host", "this server answers to localhost and 127.0.0.1 only; set `host` and keys to serve others"
            )
        length = headers.get("content-length", "")
        if length.isdigit() and int(length) > self.max_body:
            raise self.too_large(int(length))

    def too_large(self, size: int) -> ApiError:
        return ApiError(
            "payload_too_large", f"the body has {size / 2**20:.1f} MiB or more, the limit limits.body_mb is "
            f"{self.max_body / 2**20:g}; send a shorter or smaller clip",
        )  # fmt: skip

    def _log(self, scope: Scope, seen: "_Seen", seconds: float, received: int) -> None:
        route = route_of(scope)
        self.metrics.requests.labels(route, str(seen.status)).inc()
        self.metrics.seconds.labels(route).observe(seconds)
        state = scope["state"]
        if state.get("error_code"):
            self.metrics.refusals.labels(state["error_code"]).inc()
        _LOG.info(
            "%s %s %s %s %.0f ms %d bytes client=%s%s", seen.request_id, scope["method"], route, seen.status,
            seconds * 1000, received, state.get("client", "-"),
            f" code={state['error_code']}" if state.get("error_code") else "",
        )  # fmt: skip


class _Seen:
    """The answer on its way out."""

    def __init__(self, request_id: str, send: Send, discard: Callable[[], Awaitable[None]] | None = None):
        self.request_id, self.status, self._send, self._discard = request_id, 0, send, discard

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self._discard is not None:
                await self._discard()
            message["headers"] = [
                *message.get("headers", []), (b"x-request-id", self.request_id.encode()),
                (b"x-content-type-options", b"nosniff"),
            ]  # fmt: skip
        await self._send(message)

    async def fail(self, error: ApiError) -> None:
        if self.status:
            return  # the head is out; the connection ends without the end of the body, which clients notice
        await JSONResponse(error.body(), error.status, error.headers())({"type": "http"}, _nothing, self.send)


class _Body:
    """The body on its way in: counted, bounded, and in time."""

    def __init__(self, limits: LimitsMiddleware, receive: Receive, headers: dict[str, str]):
        self._limits, self._receive = limits, receive
        self._over = "content-length" not in headers and "transfer-encoding" not in headers
        self._until: float | None = None
        self.counted = 0

    async def receive(self) -> Message:
        if self._over:
            return await self._receive()
        loop = asyncio.get_running_loop()
        self._until = self._until or loop.time() + self._limits.body_timeout_s
        try:
            async with asyncio.timeout_at(self._until):
                message = await self._receive()
        except TimeoutError:
            raise ApiError("deadline", f"the body did not arrive within limits.body_timeout_s = "
                           f"{self._limits.body_timeout_s:g} s") from None  # fmt: skip
        if message["type"] != "http.request":
            return message
        size = len(message.get("body", b""))
        if self.counted + size > self._limits.max_body:
            raise self._limits.too_large(self.counted + size)
        self._limits.budget.take(size)
        self.counted += size
        self._over = not message.get("more_body", False)
        return message


    async def discard(self) -> None:
        """Read what is left without keeping it, for a moment. A connection that is closed over unread bytes is reset,
        and a client that has not read its answer by then (a proxy, as a rule) loses it."""
        read = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                while not self._over and read < LINGER_BYTES:
                    message = await self._receive()
                    read += len(message.get("body", b""))
                    self._over = not message.get("more_body", False)


def route_of(scope: Scope) -> str:
    """The route as it is written in the code, so that paths from outside name no metric."""
    route: Any = scope.get("route")
    return getattr(route, "path", None) or "other"


def _is_local(host: str) -> bool:
    name = host.rpartition(":")[0] if re.search(r":\d+\Z", host) else host
    return is_loopback(name.strip("[]"))


async def _nothing() -> Message:
    return {"type": "http.disconnect"}
