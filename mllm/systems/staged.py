"""Long texts in stages, around any system: find the parts that matter in the text itself, note what they show, answer.

After the collaborative emotional modelling of LongEmotion: cut, rank, enrich, rank again, answer. The text that is
searched is the ask's own transcript or context; each stage is logged, with its time in the reply.
"""

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from cuewise.mllm.retrieval import chunks, nearest_chunks
from cuewise.mllm.systems.base import Ask, Reply, System

_LOG = logging.getLogger(__name__)
NOTE = "Which emotions does this passage show, and in which words? Answer in one sentence."
NOTE_TOKENS = 64


@dataclass(kw_only=True, slots=True, frozen=True)
class StagedConfig:
    chunk_words: int = 60
    """Words of a part."""

    first: int = 6
    """Parts that the first ranking keeps and that notes are written about."""

    kept: int = 2
    """Parts that the answer sees."""

    enrich: bool = True
    """Whether the system first says in a sentence what each part shows."""

    def __post_init__(self) -> None:
        if not 1 <= self.kept <= self.first or self.chunk_words < 1:
            raise ValueError(f"staged needs 1 <= kept <= first and chunk_words >= 1, got {self.kept}, {self.first} and "
                             f"{self.chunk_words}")  # fmt: skip


class StagedSystem:
    """Short texts are asked about as they are."""

    def __init__(self, system: System, config: StagedConfig | None = None):
        self.system, self.config = system, config or StagedConfig()
        self.name = f"{system.name}+staged"

    def describe(self) -> dict[str, Any]:
        config = self.config
        return {**self.system.describe(), "staged": [config.chunk_words, config.first, config.kept, config.enrich]}

    def answer(self, asks: Iterable[Ask]) -> Iterator[Reply]:
        """Replies in order, one ask after the other."""
        for ask in asks:
            yield self._one(ask)

    def _one(self, ask: Ask) -> Reply:
        field = self._long_field(ask)
        if field is None:
            return next(iter(self.system.answer([ask])))
        spent: dict[str, float] = {}
        said = ask.clip.transcript if field == "context" else None
        query = ask.prompt or ask.statement or said or "emotion feeling"
        with _stage(ask, "cut", spent) as told:
            parts = chunks(getattr(ask.clip, field), self.config.chunk_words)
            told["parts"] = len(parts)
        with _stage(ask, "rank", spent) as told:
            told["kept"] = first = nearest_chunks(parts, query, min(self.config.first, len(parts)))
        notes: dict[int, str] = {}
        if self.config.enrich:
            with _stage(ask, "enrich", spent) as told:
                notes = self._notes(ask, {index: parts[index] for index in first})
                told["notes"] = len(notes)
        with _stage(ask, "rerank", spent) as told:
            known = [f"{parts[index]} {notes.get(index, '')}" for index in first]
            told["kept"] = kept = sorted(first[i] for i in nearest_chunks(known, query, self.config.kept))
        with _stage(ask, "answer", spent):
            said = "\n".join(f"{parts[index]} [{notes[index]}]" if notes.get(index) else parts[index] for index in kept)
            reply = next(iter(self.system.answer([replace(ask, clip=replace(ask.clip, **{field: said}))])))
        return replace(reply, timing_ms={**reply.timing_ms, **spent})

    def _long_field(self, ask: Ask) -> str | None:
        """Whether transcript or context is long enough to be searched; timed words stay as they are."""
        if ask.clip is None:
            return None
        names = ("context",) if ask.clip.words else ("transcript", "context")
        limit = self.config.kept * self.config.chunk_words
        lengths = {name: len((getattr(ask.clip, name) or "").split()) for name in names}
        longest = max(names, key=lengths.get)
        return longest if lengths[longest] > limit else None

    def _notes(self, ask: Ask, parts: dict[int, str]) -> dict[int, str]:
        """What the system says about each part; a part about which it fails has no note."""
        asks = [Ask(id=f"{ask.id}#note{index}", clip=None, prompt=f'"{text}"\n{NOTE}', max_tokens=NOTE_TOKENS,
                    seed=ask.seed) for index, text in parts.items()]  # fmt: skip
        replies = self.system.answer(asks)
        return {index: " ".join(reply.text.split()) for index, reply in zip(parts, replies)
                if reply.error is None and reply.text.strip()}  # fmt: skip

    def close(self) -> None:
        self.system.close()


@contextmanager
def _stage(ask: Ask, name: str, spent: dict[str, float]) -> Iterator[dict[str, Any]]:
    """Time a stage and log what it found."""
    began, told = time.perf_counter(), {}
    yield told
    spent[name] = round((time.perf_counter() - began) * 1000, 2)
    facts = ", ".join(f"{key} {value}" for key, value in told.items())
    _LOG.info("%s: %s %.1f ms%s", ask.id, name, spent[name], f", {facts}" if facts else "")
