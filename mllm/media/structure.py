"""Is a file as long as its own structure says? Finds downloads and copies that stopped early, without decoding."""

import io
from pathlib import Path
from typing import BinaryIO

from cuewise.mllm.media.probe import Source

_TAIL = 1 << 16


def missing_bytes(source: Source) -> str:
    """What is missing at the end of the file, in words; empty when nothing is, or when the format does not tell."""
    with io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        head = file.read(12)
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"wide"):
            end = _boxes_end(file, size)
        elif head[:4] == b"RIFF":
            length = int.from_bytes(head[4:8], "little")
            end = length + 8 if 0 < length < 0xFFFFFFF0 else size
        elif head[:4] == b"\x1a\x45\xdf\xa3":
            end = _segment_end(file, size)
        elif head[:4] == b"OggS":
            return "" if _ogg_ends(file, size) else "its last page is missing or cut"
        elif head[:8] == b"\x89PNG\r\n\x1a\n":
            file.seek(max(0, size - _TAIL))
            return "" if b"IEND" in file.read() else "its end mark is missing"
        else:
            return ""
    return f"its structure is {end:,} bytes long, the file {size:,}" if end > size else ""


def _boxes_end(file: BinaryIO, size: int) -> int:
    """End of the last top-level box of an MP4 or MOV file."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length, kind = int.from_bytes(head[:4], "big"), head[4:8]
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length == 0 or not kind.isalnum() or not kind.isascii():
            return size
        if length < 8:
            return size
        at += length
    return at


def _segment_end(file: BinaryIO, size: int) -> int:
    """End of the segment of a Matroska or WebM file; live recordings do not tell it."""
    file.seek(4)
    header = _ebml_number(file)
    if header is None:
        return size
    file.seek(header, io.SEEK_CUR)
    if file.read(4) != b"\x18\x53\x80\x67":
        return size
    length = _ebml_number(file)
    return size if length is None else file.tell() + length


def _ebml_number(file: BinaryIO) -> int | None:
    """A variable-length size; None when it is marked unknown or damaged."""
    first = file.read(1)
    if not first or first[0] == 0:
        return None
    width = 9 - first[0].bit_length()
    rest = file.read(width - 1)
    value = int.from_bytes(bytes([first[0] & (0xFF >> width)]) + rest, "big")
    return None if value == (1 << 7 * width) - 1 else value


def _ogg_ends(file: BinaryIO, size: int) -> bool:
    """True when the last page of an Ogg file is whole and marked as the end of its stream."""
    file.seek(max(0, size - _TAIL))
    tail = file.read()
    page = tail.rfind(b"OggS")
    head = tail[page : page + 27]
    if page < 0 or len(head) < 27:
        return False
    lengths = tail[page + 27 : page + 27 + head[26]]
    return bool(head[5] & 4) and page + 27 + head[26] + sum(lengths) <= len(tail)
