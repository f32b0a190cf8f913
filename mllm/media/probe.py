"""Look at a file's header and refuse what may not be decoded, before any of it is decoded.

`inspect` answers with a `Header` or raises a `MediaError` that names the limit. Only formats on a list are opened, so
that a text file cannot make the demuxer follow addresses written in it.
"""

import errno
import io
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cuewise.mllm.media.config import MediaConfig
from cuewise.mllm.media.errors import MediaError, MediaNotFound, MediaTooLarge, MediaUnreadable

Source = str | Path | bytes
Kind = Literal["video", "image", "animation", "audio"]

CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,ogg,wav,w64,aiff,au,mp3,flac,aac,mpegts,mpeg,asf,caf,amr,ac3,eac3"
)
IMAGE_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "PPM")
_IMAGE_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"P5", b"P6")
_EXTENSIONS = {
    "video": {"mp4", "m4v", "mov", "webm", "mkv", "avi", "flv", "ts", "mpg", "mpeg", "3gp", "wmv", "ogv"},
    "audio": {"wav", "flac", "mp3", "m4a", "aac", "ogg", "opus", "oga", "aiff", "aif", "au", "wma", "amr", "caf"},
    "image": {"jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff", "gif", "avif"},
}
_EXTENSIONS["video"] |= {"ogg"}
_MAX_RATE_HZ = 768_000


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself. Times in seconds from the begin of the file."""

    name: str
    kind: Kind
    container: str
    duration_s: float | None = None
    """None when the header does not say."""

    width: int = 0
    """Width in pixels as coded, before rotation."""

    height: int = 0
    video_stream: int | None = None
    audio_stream: int | None = None
    video_codec: str = ""
    video_offset_s: float = 0.0
    """When the picture begins."""
    audio_offset_s: float = 0.0
    """When the sound begins."""
    wrong_extension: str = ""
    """The extension, when it promises something else than the bytes hold."""


def source_name(source: Source) -> str:
    """What the source is called in messages."""
    return "bytes" if isinstance(source, bytes) else str(source)


def opened(source: Source) -> str | io.BytesIO:
    """The source as a reader wants it: an absolute path, or a fresh stream over the bytes."""
    # Absolute, because "concat:a|b" or "http://..." would otherwise be read as an address and not as a file name.
    return io.BytesIO(source) if isinstance(source, bytes) else str(Path(source).absolute())


def inspect(source: Source, config: MediaConfig) -> Header:
    """Read the header of `source` and hold it against the limits of `config`."""
    head = _first_bytes(source, config)
    name = source_name(source)
    if head.startswith(_IMAGE_MAGIC) or head[8:12] == b"WEBP" or head[4:12] in (b"ftypavif", b"ftypavis"):
        return _with_extension(_inspect_image(source, name, config), source)
    return _with_extension(_inspect_streams(source, name, config), source)


def check_length(name: str, seconds: float, config: MediaConfig, selected: bool = False) -> None:
    """Refuse a clip, or the span `selected` of it, that is longer than `max_seconds`."""
    if seconds > config.max_seconds * (1 + 1e-6):
        what = "the span asked for" if selected else "the clip"
        raise MediaTooLarge(
            f"{name}: {what} is {seconds:.1f} s long, the limit media.max_seconds is {config.max_seconds:g} s; "
            "name a shorter span with start and end, or raise the limit", "too_long"
        )  # fmt: skip


def check_pixels(name: str, width: int, height: int, limit: int, option: str) -> None:
    """Refuse a picture of more than `limit` pixels."""
    if width * height > limit:
        raise MediaTooLarge(
            f"{name}: the picture is {width}x{height} = {width * height:,} pixels, the limit media.{option} is "
            f"{limit:,}; scale it down or raise the limit", "too_many_pixels"
        )  # fmt: skip


def _first_bytes(source: Source, config: MediaConfig) -> bytes:
    """The first 64 bytes; raises when nothing can be read or there is too much."""
    name, limit = source_name(source), config.max_file_mb
    if isinstance(source, bytes):
        size, head = len(source), source[:64]
    else:
        try:
            status = Path(source).stat()
            if stat.S_ISDIR(status.st_mode):
                raise MediaNotFound(f"{name}: this is a directory; name a media file in it", "is_directory")
            if not stat.S_ISREG(status.st_mode):
                raise MediaNotFound(f"{name}: this is a device, socket or pipe, not a file", "not_a_file")
            with Path(source).open("rb") as file:
                size, head = status.st_size, file.read(64)
        except (OSError, ValueError) as error:
            raise _cannot_open(name, error) from None
    if size == 0:
        raise MediaUnreadable(f"{name}: the file is empty (0 bytes); media files have at least a header", "empty_file")
    if size > limit * 2**20:
        raise MediaTooLarge(
            f"{name}: the file has {size / 2**20:.1f} MiB, the limit media.max_file_mb is {limit:g} MiB", "too_large"
        )
    return head


def _cannot_open(name: str, error: OSError | ValueError) -> MediaError:
    number = getattr(error, "errno", None)
    if number in (errno.EACCES, errno.EPERM):
        return MediaNotFound(f"{name}: no permission to read this file", "no_permission")
    reason = getattr(error, "strerror", None) or str(error)
    if number in (errno.ENOENT, errno.ENOTDIR) or isinstance(error, ValueError):
        return MediaNotFound(f"{name!r}: there is no such file ({reason})" if "\0" in name else
                             f"{name}: there is no such file")  # fmt: skip
    return MediaNotFound(f"{name}: the file cannot be opened ({reason})", "not_found")


def _inspect_image(source: Source, name: str, config: MediaConfig) -> Header:
    from PIL import Image

    try:
        with open_image(source) as image:
            # Headers are read lazily: nothing is decoded yet, so a bomb costs nothing up to here.
            width, height = image.size
            check_pixels(name, width, height, config.max_image_pixels, "max_image_pixels")
            frames = _count_frames(image)
            # Pillow decodes a PNG to find its EXIF block, so a turned PNG is only noticed when it is read.
            turned = image.format != "PNG" and image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
            kind: Kind = "animation" if frames > 1 and image.format in ("GIF", "WEBP", "PNG", "AVIF") else "image"
            container = str(image.format).lower()
    except Image.DecompressionBombError as error:
        limit = f"the limit media.max_image_pixels is {config.max_image_pixels:,}"
        raise MediaTooLarge(f"{name}: {error}; {limit}", "too_many_pixels") from None
    except MediaError:
        raise
    except Exception as error:  # Pillow's parsers raise almost any type on damaged headers
        raise MediaUnreadable(f"{name}: starts like an image but cannot be read ({_reason(error)})") from None
    if kind == "animation" and frames > config.max_frames:
        limit = f"the limit media.max_frames is {config.max_frames:,}"
        raise MediaTooLarge(f"{name}: the animation has {frames:,} frames, {limit}", "too_long")
    width, height = (height, width) if turned else (width, height)
    return Header(name, kind, container, 0.0 if kind == "image" else None, width, height)


def _count_frames(image) -> int:
    """Frames of an image; 2 when it is damaged before that can be known, so that it is read frame by frame."""
    try:
        return int(getattr(image, "n_frames", 1))
    except Exception:  # Pillow's parsers raise almost any type on damaged data
        return 2


def open_image(source: Source):
    """`PIL.Image.Image`, header read, pixels not; the bomb check is ours, so Pillow's warning is not shown."""
    import warnings

    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Image.open(opened(source), formats=IMAGE_FORMATS)


def _inspect_streams(source: Source, name: str, config: MediaConfig) -> Header:
    container = open_container(source)
    with container:
        streams = list(container.streams)
        if len(streams) > config.max_streams:
            raise MediaTooLarge(
                f"{name}: the file has {len(streams)} streams, the limit media.max_streams is {config.max_streams}",
                "too_many_streams",
            )
        video, audio = _picture_stream(streams), _sound_stream(streams)
        if video is None and audio is None:
            raise _nothing_to_decode(name, streams)
        width = height = 0
        if video is not None:
            width, height = video.codec_context.width, video.codec_context.height
            check_pixels(name, width, height, config.max_pixels, "max_pixels")
        return Header(
            name, "audio" if video is None else "video", container.format.name, _duration(container, video, audio),
            width, height, None if video is None else video.index, None if audio is None else audio.index,
            "" if video is None else video.codec_context.name, _offset(container, video), _offset(container, audio),
        )  # fmt: skip


def _nothing_to_decode(name: str, streams: list) -> MediaUnreadable:
    kinds = sorted({stream.type for stream in streams})
    if "video" in kinds or "audio" in kinds:
        return MediaUnreadable(f"{name}: no decoder can read this file (its {' and '.join(kinds)} streams are damaged)")
    found = ", ".join(kinds) or "none"
    return MediaUnreadable(f"{name}: the file holds neither picture nor sound (streams: {found})", "no_streams")


def open_container(source: Source):
    """`av.container.InputContainer` over a file or bytes; only formats on the list, only the file itself."""
    import av

    av.logging.set_level(av.logging.PANIC)
    name = source_name(source)
    try:
        # Bytes have no name, so a format can only be recognised by its content, as decord does too.
        return av.open(opened(source), "r", metadata_errors="replace",
                       container_options={"format_whitelist": CONTAINERS, "protocol_whitelist": "file"})  # fmt: skip
    except MemoryError:
        raise
    except Exception as error:  # process boundary to C: PyAV maps ffmpeg codes to many builtin types
        raise MediaUnreadable(f"{name}: no decoder can read this file ({_reason(error)})") from None


def _picture_stream(streams: list):
    """The first video stream that is no cover picture and has a decoder."""
    from av.stream import Disposition

    for stream in streams:
        cover = stream.type == "video" and stream.disposition & Disposition.attached_pic
        if stream.type == "video" and not cover and stream.codec_context is not None and stream.codec_context.width > 0:
            return stream
    return None


def _sound_stream(streams: list):
    for stream in streams:
        context = stream.codec_context if stream.type == "audio" else None
        if context is not None and 0 < context.sample_rate <= _MAX_RATE_HZ:
            return stream
    return None


def _duration(container, video, audio) -> float | None:
    """Seconds: the container's word, else the longest stream's."""
    if container.duration is not None and container.duration > 0:
        return container.duration / 1e6
    lengths = [float(s.duration * s.time_base) for s in (video, audio) if s is not None and s.duration]
    return max(lengths, default=None)


def _offset(container, stream) -> float:
    """Seconds from the begin of the file to the begin of the stream."""
    if stream is None or stream.start_time is None or container.start_time is None:
        return 0.0
    return max(0.0, float(stream.start_time * stream.time_base) - container.start_time / 1e6)


def _with_extension(header: Header, source: Source) -> Header:
    """Note an extension that promises another kind of file than the bytes are."""
    from dataclasses import replace

    if isinstance(source, bytes):
        return header
    extension = Path(source).suffix.lower().lstrip(".")
    kind = "image" if header.kind == "animation" else header.kind
    known = any(extension in names for names in _EXTENSIONS.values())
    fits = extension in _EXTENSIONS[kind] or (kind == "audio" and extension in header.container.split(","))
    return header if fits or not known else replace(header, wrong_extension=extension)


def _reason(error: BaseException) -> str:
    """The gist of a foreign exception in a few words, without its file name."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    text = "the header is damaged" if "cannot identify image" in text else text
    return " ".join(text.split())[:120]
