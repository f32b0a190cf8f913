"""Any OpenAI-compatible endpoint: hosted models, vLLM, SGLang, llama.cpp, or a cuewise server.

Frames go as JPEG data URLs (`image_url`), sound as WAV (`input_audio`), or, when asked, the whole file as `video_url`.
The API key is read from an environment variable and never written anywhere.
"""

import base64
import io
import os
import re
import wave
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from cuewise.mllm.media import MediaConfig, MediaWorker
from cuewise.mllm.media.types import SAMPLE_RATE_HZ
from cuewise.mllm.systems.base import SHOWN_MEDIA, Ask, Reply, ReplyError, SystemLoadError
from cuewise.mllm.systems.seen import Seen, look
from cuewise.mllm.systems.versions import versions
from cuewise.mllm.systems.wording import ask_text

_SPEC = re.compile(r"openai:(?P<model>.+)@(?P<url>https?://\S+)")
JPEG_QUALITY = 90
VIDEO_TYPES = {
    ".mp4": "mp4", ".m4v": "mp4", ".mov": "quicktime", ".webm": "webm", ".mkv": "x-matroska", ".avi": "x-msvideo",
}  # fmt: skip


class OpenAISystem:
    """A model behind `POST {base_url}/chat/completions`, asked several questions at a time, answers in order.

    Args:
        api_key_env: name of the environment variable with the key; None reads OPENAI_API_KEY if it is set.
        concurrency: requests in flight at once.
        timeout_s, retries: per request; 408, 409, 429, 5xx and lost connections are tried again, waiting longer
            each time.
        hears: send the sound; switch it off for models that refuse it.
        whole_video: send the file itself instead of frames and sound, where the clip is a whole file.
        token_field: name of the field that limits the answer; newer hosted models want ``max_completion_tokens``.
        extra: more fields of the request body, e.g. ``{"top_p": 0.9}``.
    """

    def __init__(
        self, model: str, base_url: str, *, api_key_env: str | None = None, media: MediaConfig | None = None,
        concurrency: int = 4, timeout_s: float = 120.0, retries: int = 4, max_tokens: int = 512, hears: bool = True,
        whole_video: bool = False, token_field: str = "max_tokens", reports: bool = False,
        extra: dict[str, Any] | None = None,
    ):  # fmt: skip
        if concurrency < 1:
            raise SystemLoadError(f"concurrency must be >= 1, got {concurrency}")
        self.name, self.base_url = model, base_url.rstrip("/")
        self.client = make_client(self.base_url, api_key_env, timeout_s, retries)
        self.worker = MediaWorker(media or SHOWN_MEDIA)
        self.concurrency, self.max_tokens, self.token_field = concurrency, max_tokens, token_field
        self.hears, self.whole_video, self.reports, self.extra = hears, whole_video, reports, dict(extra or {})

    @classmethod
    def from_spec(cls, spec: str, **options: Any) -> "OpenAISystem":
        """From ``openai:MODEL@http://host:port/v1``. Raises SystemLoadError."""
        model, url = split_spec(spec)
        return cls(model, url, **options)

    def describe(self) -> dict[str, Any]:
        media = self.worker.config
        return {
            "kind": "openai", "model": self.name, "base_url": self.base_url, "weights_sha256": None,
            "versions": versions("cuewise", "openai"), "senses": ["sees", *(["hears"] if self.hears else [])],
            "whole_video": self.whole_video, "frames": media.num_frames, "frame_size": media.frame_size,
            "sampler": media.sampler, "max_tokens": self.max_tokens, "extra": self.extra,
        }  # fmt: skip

    def answer(self, asks: Iterable[Ask]) -> Iterator[Reply]:
        """Replies in order; the next clips are decoded while earlier requests are under way."""
        asks = iter(asks)
        waiting: deque[Reply | Future[Reply]] = deque()
        with ThreadPoolExecutor(self.concurrency) as pool:
            while some := list(islice(asks, self.concurrency)):
                for ask, seen in look(self.worker, some, sees=True, hears=self.hears):
                    failed = isinstance(seen, ReplyError)
                    waiting.append(Reply(id=ask.id, error=seen) if failed else pool.submit(self._reply, ask, seen))
                while len(waiting) > self.concurrency or (waiting and _done(waiting[0])):
                    yield _result(waiting.popleft())
            while waiting:
                yield _result(waiting.popleft())

    def close(self) -> None:
        self.worker.close()
        self.client.close()

    def __enter__(self) -> "OpenAISystem":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _reply(self, ask: Ask, seen: Seen) -> Reply:
        text = ask_text(ask, seen)
        prompt = f"{seen.media_text()} {text}".strip()
        try:
            content = [*self._media_parts(ask, seen), {"type": "text", "text": text}]
            answer = self.client.chat.completions.create(
                model=self.name, messages=[{"role": "user", "content": content}], temperature=ask.temperature,
                seed=ask.seed, **{self.token_field: ask.max_tokens or self.max_tokens}, extra_body=self.extra or None,
            )  # fmt: skip
            choice = answer.choices[0]
        except Exception as error:  # the boundary to whatever an endpoint may answer
            return Reply(id=ask.id, prompt=prompt, error=error_of(error))
        text = choice.message.content or ""
        usage = {} if answer.usage is None else {"prompt_tokens": answer.usage.prompt_tokens,
                                                 "completion_tokens": answer.usage.completion_tokens}  # fmt: skip
        report = self._report(ask, seen, text) if self.reports and seen.media is not None else None
        return Reply(id=ask.id, text=text, prompt=prompt, report=report, usage=usage,
                     finish_reason=choice.finish_reason)  # fmt: skip

    def _media_parts(self, ask: Ask, seen: Seen) -> list[dict[str, Any]]:
        whole = whole_file(ask) if self.whole_video else None
        if whole is not None and seen.frames is not None:
            url = f"data:video/{VIDEO_TYPES[whole.suffix.lower()]};base64,{_base64(whole.read_bytes())}"
            return [{"type": "video_url", "video_url": {"url": url}}]
        frames = () if seen.frames is None else seen.frames
        parts = [{"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{_base64(jpeg(frame))}"}}
                 for frame in frames]  # fmt: skip
        if seen.samples is not None:
            parts.append({"type": "input_audio", "input_audio": {"data": _base64(wav(seen.samples)), "format": "wav"}})
        return parts

    def _report(self, ask: Ask, seen: Seen, text: str):
        from cuewise.mllm.systems.reporting import report_on_text

        channels = {"scene": seen.frames, "voice": seen.samples}
        shown = {name: 0 for name, given in channels.items() if given is not None}
        return report_on_text(ask.clip.name, self.name, text, seen.media, shown,
                              {"decode": seen.media.timing_ms.get("decode", 0.0)})  # fmt: skip


def split_spec(spec: str) -> tuple[str, str]:
    """(model, base URL) of ``openai:MODEL@URL``; model names may hold ``@``, ``/`` and ``:``."""
    found = _SPEC.fullmatch(spec)
    if not found:
        raise SystemLoadError(f"{spec!r} names no endpoint; write openai:MODEL@http://host:port/v1")
    return found["model"], found["url"]


def make_client(base_url: str, api_key_env: str | None, timeout_s: float, retries: int) -> Any:
    """A client of the `openai` package. Raises SystemLoadError when it, or the key asked for, is missing."""
    try:
        import openai
    except ImportError as error:
        raise SystemLoadError("endpoints need the package openai; install cuewise[eval]") from error
    key = os.environ.get(api_key_env or "OPENAI_API_KEY")
    if api_key_env and not key:
        raise SystemLoadError(f"the environment variable {api_key_env} holds no API key; set it, or drop the option")
    return openai.OpenAI(base_url=base_url, api_key=key or "none", timeout=timeout_s, max_retries=retries)


def error_of(error: Exception) -> ReplyError:
    """What went wrong with a request, by a stable code."""
    import openai

    kinds = (
        (openai.APITimeoutError, "timeout"), (openai.APIConnectionError, "unreachable"),
        (openai.RateLimitError, "rate_limited"), (openai.AuthenticationError, "unauthorized"),
        (openai.PermissionDeniedError, "unauthorized"), (openai.NotFoundError, "not_found"),
        (openai.BadRequestError, "refused"), (openai.UnprocessableEntityError, "refused"),
        (openai.APIStatusError, "endpoint_error"),
    )  # fmt: skip
    code = next((code for kind, code in kinds if isinstance(error, kind)), "bad_reply")
    return ReplyError(code, " ".join(f"{type(error).__name__}: {error}".split())[:500])


def whole_file(ask: Ask) -> Path | None:
    """The file of a clip that can be sent as it is: a film on disk, without a span and without other sound."""
    clip = ask.clip
    if clip is None or clip.path is None or clip.audio is not None or clip.samples is not None:
        return None
    path = Path(clip.path)
    return path if clip.start is None and clip.end is None and path.suffix.lower() in VIDEO_TYPES else None


def jpeg(frame: np.ndarray) -> bytes:
    """uint8 [h, w, 3] RGB as a JPEG file."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(frame).save(out, "JPEG", quality=JPEG_QUALITY)
    return out.getvalue()


def wav(samples: np.ndarray, rate_hz: int = SAMPLE_RATE_HZ) -> bytes:
    """float [n] in [-1, 1] as a mono WAV file of 16 bits."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes((np.clip(samples, -1, 1) * 32767).round().astype("<i2").tobytes())
    return out.getvalue()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _done(item: "Reply | Future[Reply]") -> bool:
    return isinstance(item, Reply) or item.done()


def _result(item: "Reply | Future[Reply]") -> Reply:
    return item if isinstance(item, Reply) else item.result()
