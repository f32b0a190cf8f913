"""Token ids to text as they arrive: whole characters only, and nothing that may still turn into a stop text."""

import codecs
from functools import lru_cache

from tokenizers import decoders
from transformers import PreTrainedTokenizerBase

_WINDOW = 8
_UNFINISHED = "\ufffd"


class Detokenizer:
    """Text of one sample. `push` returns what can be shown now; `stopped` tells that a stop text was met.

    Byte-level tokenizers are read through a table of bytes per token; others by decoding a window of tokens.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, stop: tuple[str, ...] = ()):
        self.stop = stop
        self.stopped = False
        self._held = ""
        table = byte_table(tokenizer)
        self._text = _Window(tokenizer) if table is None else _Bytes(table)

    def push(self, token_id: int) -> str:
        text = self._text.push(token_id)
        return self._release(text) if self.stop else text

    def flush(self) -> str:
        """The rest, when the sample ends without a stop text."""
        text = self._release(self._text.flush())
        if not self.stopped:
            text += self._held
        self._held = ""
        return text

    def _release(self, text: str) -> str:
        text, self._held = self._held + text, ""
        found = [text.find(stop) for stop in self.stop if stop in text]
        if found:
            self.stopped = True
            return text[: min(found)]
        keep = max((_overlap(text, stop) for stop in self.stop), default=0)
        if keep:
            text, self._held = text[:-keep], text[-keep:]
        return text


class _Bytes:
    """Tokens of a byte-level tokenizer: their bytes, read as UTF-8 as they come."""

    def __init__(self, table: list[bytes]):
        self._table = table
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token_id: int) -> str:
        return self._utf8.decode(token_bytes(self._table, token_id))

    def flush(self) -> str:
        return self._utf8.decode(b"", True)


class _Window:
    """Any other tokenizer: the last few tokens decoded with and without the new one."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase):
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._read = 0

    def push(self, token_id: int) -> str:
        self._ids.append(token_id)
        text, known = self._tail()
        if text.endswith(_UNFINISHED):
            return ""
        self._read = len(self._ids)
        return text[len(known) :]

    def flush(self) -> str:
        text, known = self._tail()
        self._read = len(self._ids)
        return text[len(known) :]

    def _tail(self) -> tuple[str, str]:
        begin = max(0, self._read - _WINDOW)
        return self._decode(self._ids[begin:]), self._decode(self._ids[begin : self._read])

    def _decode(self, ids: list[int]) -> str:
        return self._tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)


@lru_cache(maxsize=8)
def _table_of(backend: object, size: int) -> list[bytes] | None:
    if not isinstance(backend.decoder, decoders.ByteLevel):
        return None
    byte_of = {char: byte for byte, char in enumerate(_byte_characters())}
    table = []
    for token_id in range(size):
        piece = backend.id_to_token(token_id) or ""
        # As the library decodes: a token with a character outside the alphabet of bytes stands for itself.
        known = all(char in byte_of for char in piece)
        table.append(bytes(byte_of[char] for char in piece) if known else piece.encode())
    return table


def byte_table(tokenizer: PreTrainedTokenizerBase) -> list[bytes] | None:
    """Bytes of every token of a byte-level tokenizer; None for tokenizers of another kind."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return None if backend is None else _table_of(backend, len(tokenizer))


def token_bytes(table: list[bytes], token_id: int) -> bytes:
    """Bytes of a token; none for an id beyond the tokenizer, which a padded vocabulary can give."""
    return table[token_id] if token_id < len(table) else b""


def _byte_characters() -> list[str]:
    """The printable character that stands for each byte (Radford et al. 2019, byte-level BPE)."""
    plain = {*range(33, 127), *range(161, 173), *range(174, 256)}
    spare = iter(range(256, 512))
    return [chr(byte) if byte in plain else chr(next(spare)) for byte in range(256)]


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that begins `stop`."""
    for size in range(min(len(text), len(stop) - 1), 0, -1):
        if stop.startswith(text[-size:]):
            return size
    return 0
