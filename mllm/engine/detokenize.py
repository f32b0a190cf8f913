"""Token ids to text as they arrive: whole characters only, and nothing that may still turn into a stop text."""

from transformers import PreTrainedTokenizerBase

_WINDOW = 8
_UNFINISHED = "\ufffd"


class Detokenizer:
    """Text of one sample. `push` returns what can be shown now; `stopped` tells that a stop text was met."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, stop: tuple[str, ...] = ()):
        self.tokenizer = tokenizer
        self.stop = stop
        self.stopped = False
        self._ids: list[int] = []
        self._read = 0
        self._held = ""

    def push(self, token_id: int) -> str:
        self._ids.append(token_id)
        begin = max(0, self._read - _WINDOW)
        known = self._decode(self._ids[begin : self._read])
        text = self._decode(self._ids[begin:])
        if text.endswith(_UNFINISHED):
            return ""
        self._read = len(self._ids)
        return self._release(text[len(known) :])

    def flush(self) -> str:
        """The rest, when the sample ends without a stop text."""
        begin = max(0, self._read - _WINDOW)
        tail = self._decode(self._ids[begin:])[len(self._decode(self._ids[begin : self._read])) :]
        self._read = len(self._ids)
        text = self._release(tail) + ("" if self.stopped else self._held)
        self._held = ""
        return text

    def _decode(self, ids: list[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)

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


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that begins `stop`."""
    for size in range(min(len(text), len(stop) - 1), 0, -1):
        if stop.startswith(text[-size:]):
            return size
    return 0
