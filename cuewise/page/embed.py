"""The clip inside the page: the file itself where a browser can play it and it is small enough, and still frames."""

import base64
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from cuewise.mllm.clip import Clip
from cuewise.page.markup import Markup, tag

MAX_FILE_BYTES = 20 * 1024 * 1024
MAX_PAGE_BYTES = 80 * 1024 * 1024
POSTERS = 10
POSTER_SIDE = 200
POSTER_QUALITY = 72
TYPES = {
    ".mp4": "video/mp4", ".m4v": "video/mp4", ".mov": "video/mp4", ".webm": "video/webm", ".ogv": "video/ogg",
    ".mkv": "video/webm", ".wav": "audio/wav", ".flac": "audio/flac", ".mp3": "audio/mpeg", ".opus": "audio/ogg",
    ".ogg": "audio/ogg", ".oga": "audio/ogg", ".m4a": "audio/mp4", ".aac": "audio/aac", ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp", ".gif": "image/gif", ".bmp": "image/bmp",
}  # fmt: skip
"""File ending -> media type, for what browsers can show. Matroska is tried as WebM, QuickTime as MP4."""


@dataclass(frozen=True, slots=True)
class Poster:
    """One still frame."""

    time: float
    uri: str


@dataclass(slots=True)
class Budget:
    """Bytes of media that one page may still take in."""

    left: int = MAX_PAGE_BYTES


def data_uri(raw: bytes, kind: str) -> str:
    """Bytes as a ``data:`` address."""
    return f"data:{kind};base64,{base64.b64encode(raw).decode('ascii')}"


def player(clip: Clip, budget: Budget, has_picture: bool) -> tuple[Markup | None, str]:
    """The player element and the reason when there is none. A separate sound file gets a player of its own."""
    parts, why = [], ""
    for source, role in ((clip.path, "main"), (clip.audio if isinstance(clip.audio, str | Path) else None, "sound")):
        if source is None:
            continue
        uri, problem = _file_uri(Path(source), budget)
        if uri is None:
            why = why or problem
            continue
        parts.append(_element(uri, muted=role == "main" and clip.audio is not None, sound=role == "sound"))
    if not parts and not why:
        why = "the clip was given as data, not as a file" if has_picture else ""
    return (tag("div", *parts, class_="player") if parts else None), why


def _element(uri: str, muted: bool, sound: bool) -> Markup:
    kind = uri[5 : uri.index("/")]
    role = "sound" if sound else "main"
    if kind == "image":
        return tag("div", tag("img", src=uri, alt="the analyzed picture", data_role=role), class_="stage")
    if kind == "audio":
        return tag("audio", src=uri, controls=True, preload="auto", data_role=role)
    video = tag("video", src=uri, controls=True, playsinline=True, preload="auto", muted=muted, data_role=role)
    return tag("div", video, class_="stage")


def _file_uri(path: Path, budget: Budget) -> tuple[str | None, str]:
    kind = TYPES.get(path.suffix.lower())
    if kind is None:
        return None, f"browsers do not play {path.suffix or 'files without an ending'}"
    try:
        size = path.stat().st_size
        if size > min(MAX_FILE_BYTES, budget.left):
            limit = MAX_FILE_BYTES if size > MAX_FILE_BYTES else MAX_PAGE_BYTES
            return None, f"the file of {size / 2**20:.0f} MB is left out of the page (limit {limit / 2**20:.0f} MB)"
        raw = path.read_bytes()
    except OSError as error:
        return None, f"the file cannot be read ({error.strerror})"
    budget.left -= len(raw)
    return data_uri(raw, kind), ""


def still_frames(clip: Clip) -> list[Poster]:
    """Frames at even steps, decoded in the media worker like for the model; none where nothing can be decoded."""
    from cuewise.mllm.media import MediaError, MediaWorker
    from cuewise.mllm.media.config import MediaConfig

    if clip.path is None and clip.frames is None and clip.data is None:
        return []
    config = MediaConfig(num_frames=POSTERS, frame_size=POSTER_SIDE, detector="none", sampler="uniform")
    try:
        with MediaWorker(config) as worker:
            media = worker.load(clip)
    except MediaError:
        return []
    if media.frames is None or media.frame_times_s is None:
        return []
    return [Poster(float(time), _jpeg(frame)) for time, frame in zip(media.frame_times_s, media.frames)]


def _jpeg(frame: object) -> str:
    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(frame).save(buffer, "JPEG", quality=POSTER_QUALITY)
    return data_uri(buffer.getvalue(), "image/jpeg")
