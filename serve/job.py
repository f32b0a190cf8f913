"""What travels between the routes and whoever does the work: plain values that can be sent to another process."""

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path

from cuewise.mllm.clip import Clip
from cuewise.mllm.media.errors import MediaError
from cuewise.mllm.question import Question
from cuewise.serve.errors import ApiError

MEDIA_FIELDS = ("path", "data", "audio")


@dataclass(kw_only=True, slots=True)
class Job:
    """One question about one clip of one client."""

    id: str
    clip: Clip
    question: Question = field(default_factory=Question)
    deadline_s: float = 120.0
    """Seconds it may take, from the moment it is handed over."""

    tenant: str = ""
    """Client; nothing is shared between tenants."""

    cache: bool = True
    """Whether the encoded clip is kept for the next who sends the same bytes."""

    waited_s: float = 0.0
    """Seconds since the request came, most of them spent on its body; part of the time that its report tells."""

    names: dict[str, str] = field(default_factory=dict)
    """Path of an uploaded file -> the name the client gave it, which messages show instead."""

    def packed(self) -> "Job":
        """The same with the content of its files in place of their paths, for another machine."""
        clip = self.clip
        data = Path(clip.path).read_bytes() if clip.path is not None else clip.data
        audio = Path(clip.audio).read_bytes() if isinstance(clip.audio, str | Path) else clip.audio
        fields = {name: getattr(clip, name) for name in Clip.__dataclass_fields__}
        clip = Clip(**fields | {"path": None, "data": data, "audio": audio, "id": clip.name})
        return replace(self, clip=clip, names={})

    def without_media(self) -> "Job":
        """The question alone, for who gets the encoded clip beside it."""
        return replace(self, clip=Clip(transcript="encoded elsewhere", id=self.clip.name), names={})

    def content_key(self) -> str:
        """SHA-256 of everything that decides what is encoded: bytes, span, words, person, channels, tenant."""
        clip, total = self.clip, hashlib.sha256()
        rest = (
            self.tenant, clip.name, clip.start, clip.end, clip.transcript,
            [word.model_dump() for word in clip.words], clip.language, clip.context, clip.person,
            self.question.channels,
        )  # fmt: skip
        total.update(repr(rest).encode("utf-8", "replace"))
        for name in MEDIA_FIELDS:
            value = getattr(clip, name)
            total.update(f"|{name}|".encode())
            if isinstance(value, bytes):
                total.update(value)
            elif value is not None:
                total.update(Path(value).suffix.encode())
                with Path(value).open("rb") as file:
                    total.update(hashlib.file_digest(file, "sha256").digest())
        return total.hexdigest()

    def refusal(self, error: MediaError) -> ApiError:
        """A media error as the client sees it: with its own file names, never with ours."""
        message = str(error)
        for path, name in self.names.items():
            message = message.replace(path, name)
        return ApiError(f"media_{error.code}", message, param="media")
