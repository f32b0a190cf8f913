"""Subtitle files (SubRip .srt, WebVTT .vtt) read into words with times in seconds from the beginning of the file.

A subtitle gives one span to several words. WebVTT may time single words inside a line (``<00:00:01.500>``); otherwise
the span is shared out in proportion to the length of the words, which is as good as it gets without listening.
"""

import html
import re
from pathlib import Path

from cuewise.errors import UserError
from cuewise.mllm.report import Word

MAX_BYTES = 4 * 1024 * 1024

_STAMP = r"(?:(\d{1,3}):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_SPAN = re.compile(rf"^\s*{_STAMP}\s*-->\s*{_STAMP}(?:\s.*)?$")
_INLINE_STAMP = re.compile(rf"<{_STAMP}>")
_MARKUP = re.compile(r"<[^<>]*>|\{\\[^{}]*\}")


def read_subtitles(path: str | Path) -> list[Word]:
    """All words of a subtitle file in order. Raises UserError naming the file and the line."""
    path = Path(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: subtitles cannot be read ({error.strerror})") from error
    if len(raw) > MAX_BYTES:
        raise UserError(f"{path}: {len(raw):,} bytes of subtitles, the limit is {MAX_BYTES:,}")
    words = parse_subtitles(_decode(raw), str(path))
    if not words:
        raise UserError(f"{path}: no subtitle found; lines like 00:00:01,000 --> 00:00:02,500 are needed")
    return words


def parse_subtitles(text: str, name: str = "subtitles") -> list[Word]:
    """Words of subtitle text; `name` is how errors call it."""
    words: list[Word] = []
    lines = text.lstrip("\ufeff").splitlines()
    index = 0
    while index < len(lines):
        match = _SPAN.match(lines[index])
        index += 1
        if match is None:
            continue
        start, end = _seconds(match.groups()[:4]), _seconds(match.groups()[4:])
        if end <= start:
            raise UserError(
                f"{name}, line {index}: subtitle from {start:g} s to {end:g} s; it must end after its begin"
            )
        body = []
        while index < len(lines) and lines[index].strip() and not _SPAN.match(lines[index]):
            body.append(lines[index])
            index += 1
        words += _timed_words(" ".join(body), start, end)
    return words


def _timed_words(text: str, start: float, end: float) -> list[Word]:
    """Words of one subtitle; stamps inside the text cut the span into pieces."""
    pieces, begin, position = [], start, 0
    for stamp in _INLINE_STAMP.finditer(text):
        moment = min(max(_seconds(stamp.groups()), begin), end)
        pieces.append((text[position : stamp.start()], begin, moment))
        begin, position = moment, stamp.end()
    pieces.append((text[position:], begin, end))
    return [word for piece in pieces for word in _share_out(*piece)]


def _share_out(text: str, start: float, end: float) -> list[Word]:
    """The words of `text` with the span divided by their length; no time where the span is empty."""
    tokens = html.unescape(_MARKUP.sub("", text)).split()
    total = sum(len(token) for token in tokens)
    words, moment = [], start
    for token in tokens:
        until = moment + (end - start) * len(token) / total
        timed = until > moment
        words.append(
            Word(text=token, start=round(moment, 3) if timed else None, end=round(until, 3) if timed else None)
        )
        moment = until
    return words


def _seconds(stamp: tuple[str | None, ...]) -> float:
    hours, minutes, seconds, fraction = stamp
    return int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + float(f"0.{fraction}")


def _decode(raw: bytes) -> str:
    """UTF-8, UTF-16 with a mark, else Latin-1, in which every byte is a character."""
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", errors="replace")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")
