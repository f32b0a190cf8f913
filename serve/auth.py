"""Who may ask: hashed keys, and how often and how much at once each may."""

import asyncio
import hashlib
import hmac
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from cuewise.serve.errors import ApiError
from cuewise.serve.settings import Key

WINDOW_S = 60.0
ANYONE = Key(name="anyone", sha256="0" * 64, per_minute=10**9, at_once=10**9)
"""The client of a server without keys, which is bound to this machine alone."""


def hash_key(key: str) -> str:
    """SHA-256 of a key, as it stands in the settings."""
    return hashlib.sha256(key.encode()).hexdigest()


def new_key() -> str:
    """A fresh key of 256 random bits."""
    return f"cw-{secrets.token_urlsafe(32)}"


class Keys:
    """The keys of a server with their running counts. Not for use from several threads.

    Args:
        clock: seconds that only grow; tests put their own in.
    """

    def __init__(self, keys: Sequence[Key], clock: Callable[[], float] = time.monotonic):
        self._keys, self._clock = list(keys), clock
        self._sent: dict[str, deque[float]] = {key.name: deque() for key in keys}
        self._now: dict[str, int] = {key.name: 0 for key in keys}

    def client(self, authorization: str | None) -> Key:
        """The client behind an `Authorization` header. Raises ApiError 401."""
        if not self._keys:
            return ANYONE
        scheme, _, given = (authorization or "").strip().partition(" ")
        if scheme.lower() != "bearer" or not given.strip():
            raise ApiError("missing_key", "this server needs a key; send the header `Authorization: Bearer KEY`")
        digest = hash_key(given.strip())
        # Every key is compared, each in constant time, so that the time tells nothing about any of them.
        found = [key for key in self._keys if hmac.compare_digest(key.sha256, digest)]
        if not found:
            raise ApiError("invalid_key", "this key is not known here; check it, or ask whoever runs the server")
        return found[0]

    @contextmanager
    def admitted(self, client: Key) -> Iterator[None]:
        """Count a request of `client` while it runs. Raises ApiError 429 above its rate or concurrency."""
        if client is ANYONE:
            yield
            return
        now, sent = self._clock(), self._sent[client.name]
        while sent and now - sent[0] >= WINDOW_S:
            sent.popleft()
        if len(sent) >= client.per_minute:
            wait = WINDOW_S - (now - sent[0])
            raise ApiError(
                "rate_limit", f"{client.per_minute} requests a minute are allowed for this key; try "
                f"again in {wait:.0f} s",
                retry_after_s=wait,
            )  # fmt: skip
        if self._now[client.name] >= client.at_once:
            raise ApiError(
                "concurrency_limit", f"{client.at_once} requests at once are allowed for this key; wait for one to end",
                retry_after_s=1,
            )  # fmt: skip
        sent.append(now)
        self._now[client.name] += 1
        try:
            yield
        finally:
            self._now[client.name] -= 1


class Gate:
    """Requests in flight, of all clients together.

    Args:
        limit: most requests at once; more are refused at once with 429.
    """

    def __init__(self, limit: int):
        self.limit, self.in_flight, self.draining = limit, 0, False
        self._mean_s = 1.0
        self._empty = asyncio.Event()
        self._empty.set()

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Count a request while it runs. Raises ApiError 429 when full, 503 while the server shuts down."""
        if self.draining:
            raise ApiError("draining", "the server is shutting down; send the request to another one", retry_after_s=5)
        if self.in_flight >= self.limit:
            raise ApiError(
                "overloaded", f"{self.in_flight} requests are in flight, the limit limits.in_flight is "
                f"{self.limit}; try again",
                retry_after_s=min(30.0, max(1.0, self._mean_s)),
            )  # fmt: skip
        self.in_flight += 1
        self._empty.clear()
        began = time.monotonic()
        try:
            yield
        finally:
            self.in_flight -= 1
            self._mean_s += 0.1 * (time.monotonic() - began - self._mean_s)
            if not self.in_flight:
                self._empty.set()

    @contextmanager
    def looking(self) -> Iterator[None]:
        """For probes: not counted, but refused while the server shuts down."""
        if self.draining:
            raise ApiError("draining", "the server is shutting down", retry_after_s=5)
        yield

    async def drain(self, timeout_s: float) -> bool:
        """Let nobody in, wait for those inside; False when some are left after `timeout_s`."""
        self.draining = True
        try:
            await asyncio.wait_for(self._empty.wait(), timeout_s)
        except TimeoutError:
            return False
        return True
