"""A small model of ours reads each clip first; any other system decides with its candidates at the head of the prompt.

After HEF: emotion comes from small encoders, reasoning from the language model. The time of both parts is logged and
stands in each reply.
"""

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from cuewise.mllm.pipeline import BATCH_SIZE, Analyzer
from cuewise.mllm.systems.base import Ask, Reply, System

_LOG = logging.getLogger(__name__)


class HintedSystem:
    """Closes both the system and the reader."""

    def __init__(self, system: System, reader: Analyzer):
        self.system, self.reader = system, reader
        self.name = f"{system.name}+{reader.name}"

    def describe(self) -> dict[str, Any]:
        return {**self.system.describe(), "hints": self.reader.name}

    def answer(self, asks: Iterable[Ask]) -> Iterator[Reply]:
        """Replies in order. An ask without a clip, or with a clip that cannot be read, goes on without hints."""
        waiting = iter(asks)
        while some := list(islice(waiting, BATCH_SIZE)):
            began = time.perf_counter()
            clips = [ask.clip for ask in some if ask.clip is not None]
            hints = iter(self.reader.hints(clips))
            hinted = [ask if ask.clip is None else replace(ask, hints=next(hints)) for ask in some]
            read = time.perf_counter()
            replies = list(self.system.answer(hinted))
            spent = {"hints": (read - began) * 1000 / len(some),
                     "answer": (time.perf_counter() - read) * 1000 / len(some)}  # fmt: skip
            _LOG.info("%d asks: hints %.1f ms, answer %.1f ms each", len(some), spent["hints"], spent["answer"])
            for reply in replies:
                reply.timing_ms = {**reply.timing_ms, **{name: round(value, 2) for name, value in spent.items()}}
                yield reply

    def close(self) -> None:
        self.system.close()
        self.reader.close()
