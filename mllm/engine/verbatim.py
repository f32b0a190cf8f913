"""Quotations word by word: inside the quotation marks of a `[words]` cue only what was said may be written.

A small language model quotes what people often say. A `QuoteMatcher` follows the answer as it is written and, from the
opening quotation mark to the closing one, forbids every token that does not go on along the transcript; which words are
quoted stays the model's own choice. Everywhere else it is idle. docs/engine.md says more.

Positions are bytes of the transcript; tokens are read by a byte-level tokenizer's own table.
"""

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from cuewise.mllm.engine.base import EngineRequest
from cuewise.mllm.engine.detokenize import byte_table, token_bytes
from cuewise.mllm.engine.grammar import Grammars, Matcher
from cuewise.mllm.evidence.words import CJK

LONGEST = 60
"""Bytes after which a quotation ends with the word in which it is."""

LONGEST_WORD = 40
"""Longer words, and words with a character that an answer cannot hold, are not quoted."""

_QUOTE = ord('"')
_OPENING = re.compile(
    rb'^[\s*\xe2\x80\xa2-]*\[\s*(?:words?|text|transcript|subtitles?)\b[^\]\n]*\]\s*"$', re.IGNORECASE
)
_WORD = re.compile(rf"[{CJK}]|[^\s{CJK}]+")
_CORE = re.compile(r"\w(?:.*\w)?", re.DOTALL)
_BAD = re.compile(r'["<>\x00-\x1f\x7f-\x9f]')


class Said:
    """A transcript as what can be quoted of it: `text`, where words begin and where they end, and `limits`, the last
    position that a quotation from each begin may reach."""

    def __init__(self, transcript: str):
        folded = " ".join(transcript.split())
        self.text = folded.encode()
        self.starts: list[int] = []
        self.ends: set[int] = set()
        runs: list[list[tuple[int, int]]] = [[]]
        for found in _WORD.finditer(folded):
            core = _CORE.search(found.group())
            size = len(found.group().encode())
            if size > LONGEST_WORD or _BAD.search(found.group()):
                runs.append([])
            elif core is not None:
                begin, end = found.start() + core.start(), found.start() + core.end()
                runs[-1].append((len(folded[:begin].encode()), len(folded[:end].encode())))
        self.limits: dict[int, int] = {}
        for run in runs:
            ends = [end for _, end in run]
            for start, _ in run:
                self.limits[start] = ends[min(bisect_left(ends, start + LONGEST), len(ends) - 1)]
            self.starts += [start for start, _ in run]
            self.ends.update(ends)


class QuoteVocabulary:
    """The tokens of a byte-level tokenizer by their bytes."""

    def __init__(self, table: list[bytes]):
        self.table = table
        self.ids: dict[bytes, list[int]] = defaultdict(list)
        self.closers: dict[bytes, list[int]] = defaultdict(list)
        """Tokens that hold a quotation mark, by what stands before it."""

        for token, piece in enumerate(table):
            if b'"' in piece:
                self.closers[piece[: piece.index(b'"')]].append(token)
            elif piece:
                self.ids[piece].append(token)
        self.longest = max(map(len, [*self.ids, *self.closers]), default=0)


class QuoteMatcher:
    """State of one answer: where it stands in the transcript while it quotes. The request's grammar holds as well."""

    def __init__(self, vocabulary: QuoteVocabulary, said: Said, grammar: Matcher | None = None):
        self._vocabulary, self._said, self._grammar = vocabulary, said, grammar
        self._line = bytearray()
        self._size = 0
        self._open: list[int] | None = None

    @property
    def idle(self) -> bool:
        """Whether any token may follow."""
        return self._grammar is None and self._open is None

    def constrain(self, logits: Tensor) -> Tensor:
        """Logits [vocabulary] with every token that is forbidden here at minus infinity.

        Raises ValueError when the grammar allows none of the words that were said.
        """
        if self._grammar is not None:
            logits = self._grammar.constrain(logits)
        if self._open is None:
            return logits
        allowed = torch.tensor(sorted(self._allowed()))
        kept = torch.full_like(logits, -torch.inf)
        kept[allowed] = logits[allowed]
        if not torch.isfinite(kept.max()):
            raise ValueError("the grammar allows none of the words that were said")
        return kept

    def accept(self, token: int) -> bool:
        """Go on by a token; True when the answer is complete and nothing may follow."""
        done = self._grammar is not None and self._grammar.accept(token)
        for byte in token_bytes(self._vocabulary.table, token):
            self._push(byte)
        return done

    def _push(self, byte: int) -> None:
        if self._open is not None and byte != _QUOTE:
            self._size += 1
            text = self._said.text
            self._open = [p for p in self._open if text[p + self._size - 1 : p + self._size] == bytes([byte])] or None
            self._line.append(byte)
        elif byte == 10:
            self._line.clear()
        else:
            was_open, self._open = self._open is not None, None
            self._line.append(byte)
            if byte == _QUOTE and not was_open and self._said.starts and _OPENING.match(self._line):
                self._open, self._size = [*self._said.starts], 0

    def _allowed(self) -> set[int]:
        """Tokens that go on along the transcript, or end the quotation behind a word."""
        found: set[int] = set()
        said, tokens = self._said, self._vocabulary
        for start in self._open or ():
            place = start + self._size
            for end in range(place, min(place + tokens.longest, said.limits[start]) + 1):
                piece = said.text[place:end]
                found.update(tokens.ids.get(piece, ()))
                if end > start and end in said.ends:
                    found.update(tokens.closers.get(piece, ()))
        return found


def matcher_of(request: EngineRequest, grammars: Grammars) -> Matcher | QuoteMatcher | None:
    """What one answer to this request is held to."""
    grammar = None if request.grammar is None else grammars.matcher(request.grammar)
    return quote_matcher(request, grammars.tokenizer, grammar)


def quote_matcher(
    request: EngineRequest, tokenizer: PreTrainedTokenizerBase | None, grammar: Matcher | None = None
) -> Matcher | QuoteMatcher | None:
    """The grammar, and word-by-word quotations where the request asks for them and the tokenizer is byte-level."""
    vocabulary = _vocabulary(tokenizer) if request.quotes and tokenizer is not None else None
    return grammar if vocabulary is None else QuoteMatcher(vocabulary, _said(request.quotes), grammar)


def held_tokens(quotes: str | None, tokenizer: PreTrainedTokenizerBase | None, token_ids: Sequence[int]) -> list[bool]:
    """Which tokens of an answer were written while it could not choose freely."""
    vocabulary = _vocabulary(tokenizer) if quotes and tokenizer is not None else None
    if vocabulary is None:
        return [False] * len(token_ids)
    matcher, held = QuoteMatcher(vocabulary, _said(quotes)), []
    for token in token_ids:
        held.append(not matcher.idle)
        matcher.accept(token)
    return held


@lru_cache(maxsize=8)
def _vocabulary(tokenizer: PreTrainedTokenizerBase) -> QuoteVocabulary | None:
    table = byte_table(tokenizer)
    return None if table is None else QuoteVocabulary(table)


_said = lru_cache(maxsize=64)(Said)
