"""A chat conversation -> one question about one clip.

The picture and the sound of the last user message that holds any are the clip. With a clip, the text of the last user
message is the question; without one, it is what is said. System messages and earlier turns are context.
"""

from dataclasses import dataclass, field

from cuewise.serve.errors import ApiError
from cuewise.serve.media.source import Found, Sources
from cuewise.serve.schema import (
    AudioContent,
    AudioUrlContent,
    ChatBody,
    FileContent,
    ImageContent,
    Message,
    Part,
    TextContent,
    VideoContent,
)

AUDIO_FORMATS = ("wav", "mp3", "flac", "opus", "ogg", "m4a", "aac", "webm", "pcm16")
_SOUND_SUFFIXES = {".wav", ".mp3", ".flac", ".opus", ".ogg", ".oga", ".m4a", ".aac"}


@dataclass(slots=True)
class Asked:
    """What a conversation asks."""

    picture: Found | None = None
    sound: Found | None = None
    text: str = ""
    """Text of the last user message."""

    context: list[str] = field(default_factory=list)


async def read_conversation(body: ChatBody, sources: Sources, media_items: int) -> Asked:
    """Bring the media of a conversation to disk. Raises ApiError that names the part."""
    if body.messages[-1].role != "user":
        raise ApiError("invalid_request", "the last message must come from the user", param="messages")
    asked = Asked(text=text_of(body.messages[-1]))
    holder = None
    for number, message in enumerate(body.messages):
        media = media_of(message)
        if media and message.role != "user":
            raise ApiError("unsupported_modality", f"a message of the role {message.role} holds text only",
                           param=f"messages[{number}].content")  # fmt: skip
        if media:
            holder = number
        if number < len(body.messages) - 1 and (text := text_of(message)):
            asked.context.append(text)
    if holder is not None:
        await _read_media(media_of(body.messages[holder]), f"messages[{holder}].content", asked, sources, media_items)
    return asked


def parts_of(message: Message) -> list[Part]:
    """The content parts of a message."""
    if isinstance(message.content, str):
        return [TextContent(type="text", text=message.content)]
    return message.content or []


def text_of(message: Message) -> str:
    """The text parts of a message, one under the other."""
    return "\n".join(part.text for part in parts_of(message) if isinstance(part, TextContent)).strip()


def media_of(message: Message) -> list[tuple[int, Part]]:
    """(number, part) of everything in a message that is no text."""
    return [(i, part) for i, part in enumerate(parts_of(message)) if not isinstance(part, TextContent)]


async def _read_media(
    parts: list[tuple[int, Part]], where: str, asked: Asked, sources: Sources, media_items: int
) -> None:
    if len(parts) > media_items:
        raise ApiError("too_many_media", f"{len(parts)} pieces of media, the limit limits.media_items is {media_items}",
                       param=where)  # fmt: skip
    for number, part in parts:
        param = f"{where}[{number}].{part.type}"
        found, sound = await _read_part(part, param, sources)
        if sound and asked.sound is None:
            asked.sound = found
        elif not sound and asked.picture is None:
            asked.picture = found
        else:
            kind = "sound" if sound else "picture or video"
            raise ApiError("too_many_media", f"a second {kind}; a question is about one clip, which has "
                f"one picture or video "
                           "and one sound", param=param)  # fmt: skip


async def _read_part(part: Part, param: str, sources: Sources) -> tuple[Found, bool]:
    """(file, whether it is sound alone) of one content part."""
    match part:
        case ImageContent():
            return await sources.url(part.image_url.url, param), False
        case VideoContent():
            return await sources.url(part.video_url.url, param), False
        case AudioUrlContent():
            return await sources.url(part.audio_url.url, param), True
        case AudioContent():
            given = part.input_audio
            if given.format.lower() not in AUDIO_FORMATS or given.format == "pcm16":
                raise ApiError("unsupported_modality", f"input_audio.format {given.format[:16]!r} is "
                    f"not known; formats are "
                               f"{', '.join(AUDIO_FORMATS[:-1])}", param=param)  # fmt: skip
            return await sources.base64(given.data, param, extension=f".{given.format.lower()}"), True
        case FileContent():
            given = part.file
            found = (await sources.file(given.file_id, param) if given.file_id is not None
                     else await sources.base64(given.file_data, param, given.filename))  # fmt: skip
            return found, found.path.suffix in _SOUND_SUFFIXES
    raise ApiError("unsupported_modality", "this content part is not known", param=param)
