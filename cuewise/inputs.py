"""From the arguments of `cuewise analyze` to `Clip`s: files, folders, words alone, and what is known about them."""

import argparse
import math
from collections.abc import Iterable
from pathlib import Path

from cuewise.errors import UserError
from cuewise.mllm.clip import PERSON_RULES, Clip
from cuewise.subtitles import read_subtitles

VIDEO_SUFFIXES = (
    ".mp4",
    ".m4v",
    ".mov",
    ".mkv",
    ".webm",
    ".avi",
    ".mpg",
    ".mpeg",
    ".ts",
    ".flv",
    ".wmv",
    ".3gp",
    ".ogv",
)
AUDIO_SUFFIXES = (".wav", ".flac", ".mp3", ".opus", ".ogg", ".oga", ".m4a", ".aac", ".wma", ".aiff", ".aif")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
MEDIA_SUFFIXES = VIDEO_SUFFIXES + AUDIO_SUFFIXES + IMAGE_SUFFIXES
ONE_CLIP_ONLY = ("audio", "transcript", "subtitles")


def clips_from_args(args: argparse.Namespace) -> list[Clip]:
    """The clips of one command line, in the order in which they are reported."""
    paths = expand(args.clips)
    if args.text is not None and (paths or args.audio):
        raise UserError("--text is for words alone; to give what is said in a clip use --transcript")
    if len(paths) > 1:
        given = [f"--{name}" for name in ONE_CLIP_ONLY if getattr(args, name) is not None]
        if given:
            raise UserError(f"{' and '.join(given)} belong to one clip, but {len(paths)} clips were given")
    if args.transcript is not None and args.subtitles is not None:
        raise UserError("--transcript and --subtitles both say what is spoken; give one of them")
    check_span(args.start, args.end)
    shared = {"start": args.start, "end": args.end, "context": args.context, "person": person(args.person)}
    try:
        if args.text is not None:
            return [Clip(transcript=_not_blank(text_or_file(args.text), "--text"), id="text", **shared)]
        if not paths and args.audio is None:
            raise UserError("nothing to analyze: give a clip, a folder of clips, --audio FILE or --text WORDS")
        known = _spoken(args)
        return [Clip(path=path, audio=args.audio, **shared, **known) for path in (paths or [None])]
    except ValueError as error:
        raise UserError(str(error)) from error


def check_span(start: float | None, end: float | None) -> None:
    """Refuse a span that no file can have, in the words of the command line. Raises UserError."""
    for option, value in (("--start", start), ("--end", end)):
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise UserError(f"{option} must be a number of seconds from 0, got {value:g}")
    if start is not None and end is not None and end <= start:
        raise UserError(f"--end must lie after --start, got --start {start:g} --end {end:g}")


def expand(names: Iterable[str]) -> list[Path]:
    """Files as given; a folder becomes its media files sorted by name (folders inside it are not entered)."""
    paths: list[Path] = []
    for name in names:
        path = Path(name)
        if not path.is_dir():
            paths.append(path)
            continue
        try:
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in MEDIA_SUFFIXES and not p.is_dir())
        except OSError as error:
            raise UserError(f"{path}: the folder cannot be read ({error.strerror})") from error
        if not inside:
            raise UserError(f"{path}: the folder holds no media file; known endings: {' '.join(MEDIA_SUFFIXES)}")
        paths += inside
    return paths


def person(text: str) -> str | int:
    """A person rule, or the number of a person counted from the left, from 0."""
    if text in PERSON_RULES:
        return text
    if text.isdecimal():
        return int(text)
    raise UserError(f"--person must be one of {', '.join(PERSON_RULES)} or a number from 0, got `{text}`")


def text_or_file(text: str) -> str:
    """``@FILE`` is replaced by what stands in the file."""
    if not text.startswith("@"):
        return text
    path = Path(text[1:])
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error


def _spoken(args: argparse.Namespace) -> dict:
    """Transcript and words of the clip, as far as they were given."""
    if args.subtitles is not None:
        words = read_subtitles(args.subtitles)
        return {"words": words, "transcript": " ".join(word.text for word in words)}
    if args.transcript is not None:
        return {"transcript": _not_blank(text_or_file(args.transcript), "--transcript")}
    return {}


def _not_blank(text: str, option: str) -> str:
    text = " ".join(text.split())
    if not text:
        raise UserError(f"{option} is blank; leave it out when nothing is said")
    return text
