"""Prompts that were read before: the same clip asked again, or the same beginning.

What is the same is decided by content alone: a chain of hashes over blocks of token ids and embedding rows. Requests
share only within one `prefix_key`.
"""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor

from cuewise.mllm.engine.base import EngineRequest
from cuewise.mllm.engine.kv import PromptCache

BLOCK = 32
"""Beginnings are compared in blocks of so many tokens."""


def fingerprints(request: EngineRequest) -> list[tuple[int, bytes]]:
    """(tokens covered, hash of all of them) at the end of every block and of the whole prompt."""
    pieces: list[bytes] = []
    for segment in request.segments:
        if isinstance(segment, Tensor):
            name = f"r{segment.dtype}".encode()
            rows = segment.detach().contiguous().cpu().view(torch.uint8).numpy() if len(segment) else []
            pieces += [name + row.tobytes() for row in rows]
        else:
            pieces += [b"t%d," % token for token in segment]
    told = b"" if request.kinds is None else b"|" + bytes(request.kinds)
    found, digest = [], hashlib.blake2b(request.prefix_key.encode() + told, digest_size=16).digest()
    for begin in range(0, len(pieces), BLOCK):
        block = pieces[begin : begin + BLOCK]
        digest = hashlib.blake2b(digest + b"".join(block), digest_size=16).digest()
        found.append((begin + len(block), digest))
    return found


@dataclass(slots=True)
class _Entry:
    cache: PromptCache
    marks: list[tuple[int, bytes]]


class PrefixCache:
    """Whole prompts by content, the least recently used forgotten first.

    Args:
        max_tokens: prompt tokens held; 0 holds nothing.
    """

    def __init__(self, max_tokens: int):
        self.max_tokens, self.tokens = max_tokens, 0
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._at: dict[tuple[int, bytes], bytes] = {}

    def find(self, marks: list[tuple[int, bytes]]) -> tuple[PromptCache | None, int]:
        """The prompt that shares the longest beginning, and how many of its tokens may be used.

        A whole prompt can be used as it is; otherwise at least one token is left to be read.
        """
        for place, mark in enumerate(reversed(marks)):
            name = self._at.get(mark)
            if name is None:
                continue
            entry = self._entries[name]
            self._entries.move_to_end(name)
            whole = place == 0 and entry.cache.length == mark[0]
            if whole or place > 0:
                return entry.cache, mark[0]
        return None, 0

    def store(self, marks: list[tuple[int, bytes]], cache: PromptCache) -> None:
        name = marks[-1][1]
        if cache.length > self.max_tokens or name in self._entries:
            return
        self._entries[name] = _Entry(cache, marks)
        self._at |= dict.fromkeys(marks, name)
        self.tokens += cache.length
        while self.tokens > self.max_tokens:
            gone_name, gone = self._entries.popitem(last=False)
            self.tokens -= gone.cache.length
            for mark in gone.marks:
                if self._at.get(mark) == gone_name:
                    del self._at[mark]

    def nbytes(self) -> int:
        return sum(entry.cache.nbytes() for entry in self._entries.values())

    def clear(self) -> None:
        self._entries.clear()
        self._at.clear()
        self.tokens = 0
