"""A small client of `cuewise serve`: typed reports, streamed text, timelines. Needs httpx and nothing else of serving.

>>> from cuewise.client import Client
>>> with Client("http://127.0.0.1:8000") as client:                 # doctest: +SKIP
...     report = client.analyze("clip.mp4", transcript="We won!")
...     print(report.emotions[0].label)
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from cuewise.mllm.report import EmotionReport


class ServerError(Exception):
    """A refusal of the server. `code` is stable and listed in docs/api.md."""

    def __init__(self, status: int, code: str, message: str, request_id: str = "", retry_after_s: float | None = None):
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.request_id, self.retry_after_s = request_id, retry_after_s


class Client:
    """One connection pool to one server. Use it as a context manager, or `close` it.

    Args:
        address: of the server, without a path.
        key: the key that the operator gave, where one is needed.
        timeout_s: longest wait for an answer.
    """

    def __init__(self, address: str = "http://127.0.0.1:8000", *, key: str | None = None, timeout_s: float = 180.0):
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(base_url=address.rstrip("/"), headers=headers, timeout=timeout_s, trust_env=False)

    def analyze(self, clip: str | Path | bytes | None = None, **options: Any) -> EmotionReport:
        """Report on one clip, or on words alone (`transcript`).

        Args:
            clip: a file, its bytes, or the id of a stored file (``file-…``).
            options: `transcript`, `start`, `end`, `form`, `channels`, `context`, … (see docs/api.md).

        Raises ServerError.
        """
        with _Request(clip, options) as request:
            return EmotionReport.model_validate(self._post("/v1/emotion/analyze", request).json())

    def stream(self, clip: str | Path | bytes | None = None, **options: Any) -> Iterator[str | EmotionReport]:
        """Pieces of the answer's text as they are written, then the report. Raises ServerError."""
        file_id = clip if _is_file_id(clip) else self.upload(clip) if clip is not None else None
        parts = [{"type": "file", "file": {"file_id": file_id}}] if file_id else []
        text = options.pop("transcript", None) if not file_id else None
        content = parts or [{"type": "text", "text": text or ""}]
        body = {"messages": [{"role": "user", "content": content}], "stream": True, "emotion": _plain(options)}
        for event in self._events("POST", "/v1/chat/completions", json=body):
            if "emotion" in event:
                yield EmotionReport.model_validate(event["emotion"])
            elif event["choices"] and (piece := event["choices"][0]["delta"].get("content")):
                yield piece

    def timeline(self, clip: str | Path | bytes, **options: Any) -> Iterator[dict[str, Any]]:
        """Events of a long clip as they are ready: `window`, `segment`, `gap`, `end`. Raises ServerError."""
        with _Request(clip, options) as request:
            yield from self._events("POST", "/v1/emotion/timeline", **request.arguments)

    def upload(self, clip: str | Path | bytes) -> str:
        """Store a file for later questions; its id. Raises ServerError."""
        with _Request(clip, {"purpose": "user_data"}) as request:
            return self._post("/v1/files", request).json()["id"]

    def delete(self, file_id: str) -> None:
        """Forget a stored file. Raises ServerError."""
        _checked(self._http.delete(f"/v1/files/{file_id}"))

    def models(self) -> list[dict[str, Any]]:
        """The models of the server, with their limits. Raises ServerError."""
        return _checked(self._http.get("/v1/models")).json()["data"]

    def ready(self) -> bool:
        """True when the server answers requests."""
        try:
            return self._http.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: type | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _post(self, path: str, request: "_Request") -> httpx.Response:
        return _checked(self._http.post(path, **request.arguments))

    def _events(self, method: str, path: str, **arguments: Any) -> Iterator[dict[str, Any]]:
        with self._http.stream(method, path, **arguments) as answer:
            if answer.status_code >= 400:
                answer.read()
                _checked(answer)
            for line in answer.iter_lines():
                data = line.removeprefix("data: ")
                if data == line or data == "[DONE]":
                    continue
                event = json.loads(data)
                if "error" in event and "type" not in event:
                    raise _error(200, event["error"], answer.headers)
                yield event


class _Request:
    """A clip and options as arguments of httpx; its file is open while the block lasts."""

    def __init__(self, clip: str | Path | bytes | None, options: dict[str, Any]):
        self._clip, self._options, self._stack = clip, _plain(options), ExitStack()
        self.arguments: dict[str, Any] = {}

    def __enter__(self) -> "_Request":
        clip = self._clip
        if clip is None or _is_file_id(clip):
            self.arguments = {"json": self._options | ({"media": {"file_id": clip}} if clip else {})}
            return self
        fields = {key: _field(value) for key, value in self._options.items()}
        if isinstance(clip, bytes):
            file: Any = ("clip", clip)
        else:
            file = (Path(clip).name, self._stack.enter_context(Path(clip).open("rb")))
        self.arguments = {"files": {"file": file}, "data": fields}
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    """Options as JSON values; what is None is left out."""
    return {
        name: [item.model_dump() if hasattr(item, "model_dump") else item for item in value]
        if isinstance(value, list | tuple) else value
        for name, value in options.items() if value is not None
    }  # fmt: skip


def _field(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _is_file_id(clip: Any) -> bool:
    return isinstance(clip, str) and clip.startswith("file-") and not Path(clip).exists()


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.status_code < 400:
        return answer
    try:
        error = answer.json()["error"]
    except (ValueError, KeyError, TypeError):
        error = {"code": "internal", "message": f"the server answered {answer.status_code} without an explanation"}
    raise _error(answer.status_code, error, answer.headers)


def _error(status: int, error: dict[str, Any], headers: httpx.Headers) -> ServerError:
    wait = headers.get("retry-after")
    return ServerError(status, error["code"], error["message"], headers.get("x-request-id", ""),
                       float(wait) if wait else None)  # fmt: skip
