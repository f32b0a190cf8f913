"""An engine beside an event loop: one thread owns the model, any thread and any event loop may ask it.

    engine = AsyncEngine(SlotEngine(...))
    async for event in engine.submit(request):
        ...

Leaving the loop early (a client that disconnects) cancels the request.
"""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator

import torch

from cuewise.mllm.engine.base import Engine, EngineRequest, EngineStats, TokenEvent
from cuewise.mllm.engine.errors import EngineClosed

_LOG = logging.getLogger(__name__)


class _Route:
    """Where the events of one request go."""

    __slots__ = ("deliver", "loop", "open")

    def __init__(self, deliver: Callable[[list[TokenEvent]], None], loop: asyncio.AbstractEventLoop | None, n: int):
        self.deliver, self.loop, self.open = deliver, loop, set(range(n))


class AnswerStream(AsyncIterator[TokenEvent]):
    """Events of one request. It ends after the last sample; `aclose`, or dropping it, cancels the request."""

    def __init__(self, request: EngineRequest, cancel: Callable[[str], bool]):
        self.request_id = request.id
        self._left, self._cancel = request.n, cancel
        self._events: asyncio.Queue[TokenEvent] = asyncio.Queue()

    def __aiter__(self) -> "AnswerStream":
        return self

    async def __anext__(self) -> TokenEvent:
        if not self._left:
            raise StopAsyncIteration
        try:
            event = await self._events.get()
        except asyncio.CancelledError:
            await self.aclose()
            raise
        self._left -= event.finish_reason is not None
        return event

    async def aclose(self) -> None:
        """Cancel the request if it still runs."""
        if self._left:
            self._left = 0
            self._cancel(self.request_id)

    def __del__(self) -> None:
        if self._left:
            self._cancel(self.request_id)

    def _push(self, events: list[TokenEvent]) -> None:
        for event in events:
            self._events.put_nowait(event)


class AsyncEngine:
    """Runs an engine in a thread of its own from `start` (or the first request) until `close`.

    Args:
        engine: any engine of this package; nobody else may step it.
        threads: compute threads of torch in the engine thread; None leaves torch's own number.
    """

    def __init__(self, engine: Engine, *, threads: int | None = None):
        self.engine, self.threads = engine, threads
        self._routes: dict[str, _Route] = {}
        self._lock = threading.Lock()
        self._wake, self._idle = threading.Event(), threading.Condition(self._lock)
        self._closed: str | None = None
        self._died: str | None = None
        self._thread: threading.Thread | None = None

    # Asking

    def submit(self, request: EngineRequest) -> AnswerStream:
        """Queue a request from a running event loop.

        Raises ValueError for a request the model cannot take, QueueFull when too many wait, EngineClosed when the
        engine drains, is closed or has died; all of them at once, before the first event.
        """
        stream = AnswerStream(request, self.cancel)
        try:
            self._send(request, _Route(stream._push, asyncio.get_running_loop(), request.n))
        except BaseException:
            stream._left = 0
            raise
        return stream

    def generate(self, requests: Iterable[EngineRequest]) -> Iterator[TokenEvent]:
        """Run requests to the end from a plain thread, yielding events as they come. Raises as `submit` does."""
        events: queue.SimpleQueue[list[TokenEvent]] = queue.SimpleQueue()
        left: dict[str, int] = {}
        try:
            for request in requests:
                self._send(request, _Route(events.put, None, request.n))
                left[request.id] = request.n
            while left:
                for event in events.get():
                    if event.finish_reason is not None:
                        left[event.request_id] -= 1
                        if not left[event.request_id]:
                            del left[event.request_id]
                    yield event
        finally:
            for request_id in left:
                self.cancel(request_id)

    def cancel(self, request_id: str) -> bool:
        """End a request; its last events say ``cancelled``. False when it is not in flight."""
        found = self.engine.cancel(request_id)
        self._wake.set()
        return found

    # Watching

    def stats(self) -> EngineStats:
        return self.engine.stats()

    @property
    def in_flight(self) -> int:
        """Requests that wait or run."""
        return len(self._routes)

    def check_health(self) -> None:
        """Raises EngineClosed when requests cannot be answered: dead, closed, or no step finished for too long."""
        if self._died:
            raise EngineClosed(f"the engine has died: {self._died}")
        if self._closed:
            raise EngineClosed(self._closed)
        if self._thread is not None and not self._thread.is_alive():
            raise EngineClosed("the engine thread has ended")
        if not self.engine.healthy():
            raise EngineClosed("work is in flight but no step finishes; the engine hangs")

    def healthy(self) -> bool:
        try:
            self.check_health()
        except EngineClosed:
            return False
        return True

    # Starting and ending

    def start(self) -> "AsyncEngine":
        """Start the thread, once."""
        with self._lock:
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
                self._thread.start()
        return self

    async def drain(self, timeout_s: float) -> bool:
        """Take no new requests and wait for those in flight; True when all have ended."""
        return await asyncio.to_thread(self.wait_drained, timeout_s)

    def wait_drained(self, timeout_s: float) -> bool:
        """`drain` for plain threads."""
        limit = time.monotonic() + timeout_s
        with self._lock:
            self._closed = self._closed or "the engine drains and takes no new requests"
            while self._routes and (rest := limit - time.monotonic()) > 0:
                self._idle.wait(rest)
            return not self._routes

    def close(self) -> None:
        """Cancel what is in flight, end the thread and close the engine."""
        with self._lock:
            self._closed = "the engine is closed"
            running = list(self._routes)
            thread = self._thread
        for request_id in running:
            self.engine.cancel(request_id)
        self._wake.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=30)
        self.engine.close()

    # The thread

    def _send(self, request: EngineRequest, route: _Route) -> None:
        self.start()
        with self._lock:
            if self._died or self._closed:
                raise EngineClosed(f"the engine has died: {self._died}" if self._died else self._closed)
            if request.id in self._routes:
                raise ValueError(f"request {request.id!r} is already in flight; give each request its own id")
            self._routes[request.id] = route
        try:
            self.engine.submit(request)
        except BaseException:
            self._forget([request.id])
            raise
        self._wake.set()

    def _run(self) -> None:
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        try:
            while True:
                self._wake.clear()
                events = self.engine.step()
                if events:
                    self._dispatch(events)
                elif self._closed == "the engine is closed" or (self._closed and not self._routes):
                    return
                else:
                    self._wake.wait(timeout=0.5 if self._closed else None)
        except Exception as error:  # a process boundary: nobody may wait for a dead thread
            _LOG.exception("the engine thread has died")
            self._die(f"{type(error).__name__}: {error}")

    def _dispatch(self, events: list[TokenEvent]) -> None:
        """Give events to their requests, with one call into each event loop."""
        by_request: dict[str, list[TokenEvent]] = {}
        for event in events:
            by_request.setdefault(event.request_id, []).append(event)
        by_loop: dict[asyncio.AbstractEventLoop | None, list[tuple[_Route, list[TokenEvent]]]] = {}
        ended = []
        for request_id, own in by_request.items():
            route = self._routes.get(request_id)
            if route is None:
                continue
            route.open -= {event.sample for event in own if event.finish_reason is not None}
            if not route.open:
                ended.append(request_id)
            by_loop.setdefault(route.loop, []).append((route, own))
        self._forget(ended)
        _deliver(by_loop.pop(None, []))
        for loop, pairs in by_loop.items():
            try:
                loop.call_soon_threadsafe(_deliver, pairs)
            except RuntimeError:  # the event loop is closed: nobody listens any more
                for request_id in {own[0].request_id for _, own in pairs} - set(ended):
                    self.engine.cancel(request_id)

    def _forget(self, request_ids: list[str]) -> None:
        if request_ids:
            with self._lock:
                for request_id in request_ids:
                    self._routes.pop(request_id, None)
                if not self._routes:
                    self._idle.notify_all()

    def _die(self, reason: str) -> None:
        with self._lock:
            self._died = reason
            routes = dict(self._routes)
        for request_id, route in routes.items():
            self._dispatch([
                TokenEvent(request_id, i, None, "", None, "error", f"the engine has died: {reason}")
                for i in sorted(route.open)
            ])  # fmt: skip


def _deliver(pairs: list[tuple[_Route, list[TokenEvent]]]) -> None:
    for route, events in pairs:
        route.deliver(events)
