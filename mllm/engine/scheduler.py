"""Requests before they run: what is refused at once, and the bounded queue of those that wait.

Everything here may be called from any thread; only the thread that steps an engine takes tickets out.
"""

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from cuewise.mllm.engine.base import EngineRequest, Timing, TokenEvent
from cuewise.mllm.engine.errors import QueueFull


@dataclass(slots=True, eq=False)
class Ticket:
    """A request on its way through an engine; times are `time.monotonic()`."""

    request: EngineRequest
    length: int
    """Prompt tokens."""

    submitted: float = field(default_factory=time.monotonic)
    began: float | None = None
    """When its prompt was first worked on."""

    first: float | None = None
    """When its first token could be chosen."""

    cached: int = 0
    cancelled: bool = False
    left: int = 0
    """Samples that have not ended."""

    failed: bool = False

    def __post_init__(self) -> None:
        self.left = self.request.n

    @property
    def deadline(self) -> float:
        limit = self.request.deadline_s
        return float("inf") if limit is None else self.submitted + limit

    def over(self, now: float) -> str | None:
        """``cancelled`` or ``deadline`` when the request must end before it is complete."""
        return "cancelled" if self.cancelled else "deadline" if now > self.deadline else None

    def timing(self) -> Timing:
        now = time.monotonic()
        began = now if self.began is None else self.began
        first = now if self.first is None else self.first
        return Timing(
            queue_s=began - self.submitted, prefill_s=first - began, generate_s=now - first,
            prompt_tokens=self.length, cached_tokens=self.cached,
        )  # fmt: skip


def check_request(request: EngineRequest, vocabulary: int, width: int, max_length: int) -> int:
    """Prompt length of a request that the model can take. Raises ValueError that names what is wrong."""
    length = 0
    for segment in request.segments:
        if isinstance(segment, Tensor):
            if segment.ndim != 2 or segment.shape[1] != width:
                raise ValueError(f"request {request.id!r}: embedding rows of shape {tuple(segment.shape)}, "
                                 f"the model needs [n, {width}]")  # fmt: skip
            if not segment.is_floating_point():
                raise ValueError(f"request {request.id!r}: embedding rows are {segment.dtype}; give floats, or token "
                                 "ids as a list")  # fmt: skip
            if not torch.isfinite(segment).all():
                raise ValueError(f"request {request.id!r}: embedding rows hold values that are not finite")
        elif segment and not 0 <= min(segment) <= max(segment) < vocabulary:
            raise ValueError(f"request {request.id!r}: token ids must lie in 0..{vocabulary - 1}, "
                             f"got {min(segment)}..{max(segment)}")  # fmt: skip
        length += len(segment)
    if request.kinds is not None and len(request.kinds) != length:
        raise ValueError(f"request {request.id!r}: kinds of {len(request.kinds)} positions, the prompt has {length}")
    if not 0 < length < max_length:
        raise ValueError(f"request {request.id!r}: prompt of {length} tokens, allowed are 1..{max_length - 1}")
    return length


class Intake:
    """Tickets that wait, by priority and then by arrival, and the ids of everything in flight.

    Args:
        max_waiting: more waiting requests than this raise `QueueFull`.
    """

    def __init__(self, max_waiting: int = 1024):
        if max_waiting < 1:
            raise ValueError(f"max_waiting must be >= 1, got {max_waiting}")
        self.max_waiting, self.refused = max_waiting, 0
        self._lock = threading.Lock()
        self._order = itertools.count()
        self._heap: list[tuple[int, int, Ticket]] = []
        self._flying: dict[str, Ticket] = {}

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def in_flight(self) -> int:
        """Requests that wait or run."""
        return len(self._flying)

    def put(self, ticket: Ticket) -> None:
        request = ticket.request
        with self._lock:
            if request.id in self._flying:
                raise ValueError(f"request {request.id!r} is already in flight; give each request its own id")
            if len(self._heap) >= self.max_waiting:
                self.refused += 1
                raise QueueFull(f"{len(self._heap)} requests wait already, which is the limit; try again later")
            self._flying[request.id] = ticket
            heapq.heappush(self._heap, (-request.priority, next(self._order), ticket))

    def take(self, fits: Callable[[Ticket], bool] | None = None) -> Ticket | None:
        """The next ticket; None when nobody waits or the next one does not fit yet (nobody overtakes it)."""
        with self._lock:
            if not self._heap or (fits is not None and not fits(self._heap[0][2])):
                return None
            return heapq.heappop(self._heap)[2]

    def sweep(self, now: float) -> list[Ticket]:
        """Take out waiting tickets that were cancelled or whose deadline has passed."""
        if not any(item[2].over(now) for item in self._heap):
            return []
        with self._lock:
            gone = [item[2] for item in self._heap if item[2].over(now)]
            self._heap = [item for item in self._heap if item[2] not in gone]
            heapq.heapify(self._heap)
        return gone

    def cancel(self, request_id: str) -> bool:
        with self._lock:
            ticket = self._flying.get(request_id)
            if ticket is None or ticket.cancelled:
                return False
            ticket.cancelled = True
            return True

    def done(self, ticket: Ticket) -> bool:
        """The request has ended and its id is free again; False when that was said before."""
        with self._lock:
            if self._flying.get(ticket.request.id) is not ticket:
                return False
            del self._flying[ticket.request.id]
            return True

    def clear(self) -> list[Ticket]:
        """Forget everything; returns what was in flight."""
        with self._lock:
            gone = list(self._flying.values())
            self._heap.clear()
            self._flying.clear()
        return gone


class Watch:
    """Whether steps still finish: fails when work is in flight and nothing has finished for `limit_s` seconds."""

    def __init__(self, limit_s: float = 30.0):
        self.limit_s = limit_s
        self.longest_s = 0.0
        self._last = time.monotonic()

    def beat(self) -> None:
        """A step has finished, or the first work has come."""
        self._last = time.monotonic()

    def step_took(self, seconds: float) -> None:
        self.longest_s = max(self.longest_s, seconds)
        self.beat()

    def ok(self, in_flight: int) -> bool:
        return in_flight == 0 or time.monotonic() - self._last < self.limit_s


class Queued:
    """What engines do alike around their queue and their watch; each adds `submit`, `step`, `stats` and `close`."""

    _intake: Intake
    _watch: Watch

    def generate(self, requests: Iterable[EngineRequest]) -> Iterator[TokenEvent]:
        for request in requests:
            self.submit(request)
        while events := self.step():
            yield from events

    def cancel(self, request_id: str) -> bool:
        return self._intake.cancel(request_id)

    def healthy(self) -> bool:
        return self._watch.ok(self._intake.in_flight)

    def _enqueue(self, request: EngineRequest, length: int) -> None:
        """Queue a checked request with its prompt length. Raises QueueFull."""
        if not self._intake.in_flight:
            self._watch.beat()
        self._intake.put(Ticket(request, length))
