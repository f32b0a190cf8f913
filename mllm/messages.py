"""Messages in the form of Qwen2.5-VL and Qwen3-VL -> clips and text.

A local file becomes a `Clip` that the media stage decodes, within its limits, like any other. What only exists inside
the message (lists of frames, pictures as base64 or PIL) is read by `qwen-vl-utils`, which is imported when it is
needed. Remote addresses are refused: whoever serves a model decides what it may fetch.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cuewise.mllm.clip import Clip

VIDEO_KINDS, AUDIO_KINDS = ("image", "image_url", "video", "video_url"), ("audio", "audio_url", "input_audio")
LIST_FPS = 2.0
"""Frame rate that the message form assumes for a list of frames without `sample_fps`, in Hz."""


@dataclass(slots=True)
class MessageRequest:
    """What a conversation asks."""

    clips: list[Clip] = field(default_factory=list)
    """Media in the order of the messages; sound joins the picture it stands with."""

    question: str = ""
    """Text of the last user message."""

    system: str = ""
    """Text of the system messages."""

    history: list[tuple[str, str]] = field(default_factory=list)
    """(role, text) of earlier user and assistant messages."""


def read_messages(messages: Sequence[dict[str, Any]]) -> MessageRequest:
    """Messages ``[{role, content: text | [{type, ...}]}]`` of one conversation. Raises ValueError naming the part."""
    if not messages or not all(isinstance(message, dict) and "role" in message for message in messages):
        raise ValueError("messages must be a list of {role, content} with at least one message")
    request = MessageRequest()
    turns: list[tuple[str, str]] = []
    for number, message in enumerate(messages):
        role, content = message["role"], message.get("content", "")
        if role not in ("system", "user", "assistant"):
            raise ValueError(f"messages[{number}].role must be system, user or assistant, got {role!r}")
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
        text = _text(parts, number)
        request.clips += _clips(parts, number)
        if role == "system":
            request.system = f"{request.system}\n{text}".strip()
        else:
            turns.append((role, text))
    if not turns or turns[-1][0] != "user":
        raise ValueError("the last message must come from the user")
    request.question, request.history = turns[-1][1], turns[:-1]
    return request


def _kind(part: dict[str, Any]) -> str:
    """Type of a content part; in this message form it may also be told by the key that is there."""
    known = ("text", *VIDEO_KINDS, *AUDIO_KINDS)
    return part.get("type") or next((key for key in known if key in part), "text")


def _text(parts: list[dict[str, Any]], number: int) -> str:
    for part in parts:
        if _kind(part) not in ("text", *VIDEO_KINDS, *AUDIO_KINDS):
            raise ValueError(f"messages[{number}]: unknown content type {part.get('type')!r}")
    return "\n".join(str(part.get("text", "")) for part in parts if _kind(part) == "text").strip()


def _clips(parts: list[dict[str, Any]], number: int) -> list[Clip]:
    pictures = [_picture(part, f"messages[{number}]") for part in parts if _kind(part) in VIDEO_KINDS]
    sounds = [_sound(part, f"messages[{number}]") for part in parts if _kind(part) in AUDIO_KINDS]
    if not pictures:
        return [Clip(**({"path": sound["audio"]} if isinstance(sound.get("audio"), str | Path) else sound))
                for sound in sounds]  # fmt: skip
    if sounds and len(sounds) != len(pictures):
        raise ValueError(
            f"messages[{number}] has {len(pictures)} pictures or videos and {len(sounds)} sounds; "
            "give each picture its own sound, or put sound alone into a message of its own"
        )
    return [Clip(**picture, **sound) for picture, sound in zip(pictures, sounds or [{}] * len(pictures))]


def _picture(part: dict[str, Any], where: str) -> dict[str, Any]:
    """Arguments of `Clip` for an image or video part."""
    kind = _kind(part)
    key = next((key for key in (kind, "video", "image", "image_url", "video_url") if key in part), kind)
    value = part.get(key)
    value = value.get("url") if isinstance(value, dict) else value
    span = {"start": part.get("video_start"), "end": part.get("video_end")}
    if isinstance(value, Path):
        return {"path": value, **span}
    if isinstance(value, str):
        _refuse_remote(value, f"{where}.{key}")
        if not value.startswith("data:"):
            return {"path": value.removeprefix("file://"), **span}
        if value.startswith("data:video"):
            return {"data": _base64(value.partition("base64,")[2], f"{where}.{key}"), **span}
        return {"frames": _still(value), "fps": 1.0}
    if isinstance(value, list | tuple) and value:
        for item in value:
            if isinstance(item, str):
                _refuse_remote(item, f"{where}.{key}")
        return {"frames": _frames(part, value), "fps": float(part.get("sample_fps", LIST_FPS))}
    if value is None or isinstance(value, int | float | bool | list | tuple):
        raise ValueError(f"{where}.{key} must be a file, a data address, a picture or a list of frames, got {value!r}")
    return {"frames": _still(value), "fps": 1.0}


def _still(value: Any) -> np.ndarray:
    """One picture, as base64 text or PIL image -> uint8 [1, H, W, 3]."""
    from qwen_vl_utils import fetch_image

    return np.asarray(fetch_image({"image": value}), dtype=np.uint8)[None]


def _frames(part: dict[str, Any], frames: Sequence[Any]) -> np.ndarray:
    """A list of frames (paths, base64 text or PIL images) -> uint8 [T, H, W, 3]."""
    from qwen_vl_utils import fetch_video

    options = {key: part[key] for key in ("resized_height", "resized_width", "min_pixels", "max_pixels") if key in part}
    video = fetch_video({"video": list(frames), **options})
    # The reader repeats the last frame to make their number even.
    return video[: len(frames)].clamp(0, 255).byte().permute(0, 2, 3, 1).contiguous().numpy()


def _sound(part: dict[str, Any], where: str) -> dict[str, Any]:
    """Arguments of `Clip` for an audio part."""
    kind = _kind(part)
    value = part.get(kind, part.get("audio"))
    if isinstance(value, dict):
        value = value.get("url") or _base64(value.get("data", ""), f"{where}.{kind}")
    if isinstance(value, np.ndarray):
        return {"samples": value, "sample_rate": int(part.get("sampling_rate", 16_000))}
    if isinstance(value, bytes | Path):
        return {"audio": value}
    if not isinstance(value, str):
        raise ValueError(f"{where}.{kind} must be a file, bytes, base64 or an array of samples, got {value!r}")
    _refuse_remote(value, f"{where}.{kind}")
    if value.startswith("data:"):
        return {"audio": _base64(value.partition("base64,")[2], f"{where}.{kind}")}
    return {"audio": value.removeprefix("file://")}


def _refuse_remote(value: str, where: str) -> None:
    if value.startswith(("http://", "https://", "ftp://")):
        raise ValueError(f"{where} is a remote address; fetch {value[:80]} yourself and pass the file or its bytes")


def _base64(text: str, where: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError(f"{where} is not valid base64") from None
