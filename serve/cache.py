"""Encoded clips by content: the same bytes are decoded and encoded once, also when they come at the same time."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cuewise.mllm.stages import Work


@dataclass(slots=True)
class _Entry:
    done: "asyncio.Future[Work]"
    bytes: int = 0
    orphaned: bool = False
    """Whoever brought the clip has gone before it was made, and the file perhaps with them."""


class WorkCache:
    """Keeps the last `size` clips, and no more than `max_bytes` of their pictures and sounds.

    Args:
        on_look_up: told ``hit``, ``joined`` (someone is making it right now) or ``miss``.
    """

    def __init__(
        self, size: int, max_bytes: int = 256 * 2**20, on_look_up: Callable[[str], None] = lambda result: None
    ):
        self.size, self.max_bytes, self._on_look_up = size, max_bytes, on_look_up
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    async def get(self, key: str, make: "Callable[[], Awaitable[Work]]") -> "tuple[Work, bool]":
        """The work under `key`, made by the first who asks; True when it was there already. Failures are not kept."""
        if not self.size:
            return await make(), False
        while (entry := self._entries.get(key)) is not None:
            self._on_look_up("hit" if entry.done.done() else "joined")
            self._entries.move_to_end(key)
            try:
                # Making is not ended by a caller who leaves, and its failure is that of everybody who waits.
                return await asyncio.shield(entry.done), True
            except Exception:
                if not entry.orphaned:
                    raise
        self._on_look_up("miss")
        entry = self._entries[key] = _Entry(asyncio.ensure_future(make()))
        entry.done.add_done_callback(lambda done: self._made(key, entry, done))
        try:
            return await asyncio.shield(entry.done), False
        except asyncio.CancelledError:
            entry.orphaned = True
            raise

    def _made(self, key: str, entry: _Entry, done: "asyncio.Future[Work]") -> None:
        if done.cancelled() or done.exception() is not None:
            if self._entries.get(key) is entry:
                del self._entries[key]
            return
        entry.bytes = work_bytes(done.result())
        self.bytes += entry.bytes
        while len(self._entries) > self.size or self.bytes > self.max_bytes:
            oldest = next((name for name, item in self._entries.items() if item.done.done()), None)
            if oldest is None:
                break
            self.bytes -= self._entries.pop(oldest).bytes


def work_bytes(work: "Work") -> int:
    """Memory of the arrays of one work, roughly."""
    media, found = work.media, work.measurements
    arrays = [media.frames, media.samples, media.face.crops if media.face is not None else None]
    arrays += [item.values for item in work.tensors.streams.values()]
    arrays += work.tokens.tokens.values() if work.tokens is not None else []
    for measures in (found.face, found.voice) if found is not None else ():
        arrays += [value for value in vars(measures).values() if hasattr(value, "nbytes")] if measures else []
    return sum(array.nbytes for array in arrays if array is not None)
