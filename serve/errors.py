"""One exception for every refusal, and the one table of codes that clients see and docs/api.md shows."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from starlette.requests import Request

from cuewise.mllm.media.errors import CODES as MEDIA_CODES

_LOG = logging.getLogger("cuewise.serve")


@dataclass(frozen=True, slots=True)
class Code:
    """What a code means: HTTP status, OpenAI error type, whether the same request may be tried again."""

    status: int
    type: str
    meaning: str
    retry: bool = False


_INVALID, _SERVER = "invalid_request_error", "server_error"
_MEDIA_STATUS = {
    "not_found": 404, "too_large": 413, "too_many_pixels": 413, "too_many_streams": 413, "out_of_memory": 413,
    "timeout": 408,
}  # fmt: skip
CODES: dict[str, Code] = {
    "invalid_json": Code(400, _INVALID, "the body is not valid JSON"),
    "invalid_request": Code(400, _INVALID, "a field is missing, unknown, or has a value that is not "
    "allowed; `param` names it"),
    "invalid_multipart": Code(400, _INVALID, "the multipart body cannot be read"),
    "invalid_base64": Code(400, _INVALID, "base64 or a data URL that cannot be decoded"),
    "invalid_schema": Code(400, _INVALID, "the JSON schema of `response_format` is not one that answers "
    "can be held to"),
    "unsupported_modality": Code(400, _INVALID, "a content part of a type that is not known, or in a "
    "message that cannot hold it"),
    "too_many_media": Code(400, _INVALID, "more pictures, videos or sounds than one question can be about"),
    "nothing_to_analyze": Code(400, _INVALID, "neither media nor words were given"),
    "prompt_too_long": Code(400, _INVALID, "the prompt does not fit the model even without context and transcript"),
    "url_not_allowed": Code(400, _INVALID, "media addresses are off, or this one is not allowed"),
    "url_failed": Code(400, _INVALID, "the media address was allowed but could not be fetched"),
    "bad_host": Code(400, _INVALID, "the Host header names no host this server answers to"),
    "missing_key": Code(401, "authentication_error", "no key was given; send `Authorization: Bearer KEY`"),
    "invalid_key": Code(401, "authentication_error", "the key is not known"),
    "not_found": Code(404, _INVALID, "there is no such route"),
    "model_not_found": Code(404, _INVALID, "there is no model of this name here"),
    "file_not_found": Code(404, _INVALID, "no file with this id, or it has expired"),
    "method_not_allowed": Code(405, _INVALID, "the route does not take this method"),
    "deadline": Code(408, "timeout_error", "the request was not finished within its time"),
    "payload_too_large": Code(413, _INVALID, "the body, a part of it or a file is larger than allowed"),
    "unsupported_media_type": Code(415, _INVALID, "the Content-Type of the body is not one the route takes"),
    "rate_limit": Code(429, "rate_limit_error", "more requests in this minute than the key may send", True),
    "concurrency_limit": Code(429, "rate_limit_error", "more requests at once than the key may have", True),
    "overloaded": Code(429, "rate_limit_error", "the queue of the server is full", True),
    "storage_full": Code(429, "rate_limit_error", "the file store is full; delete files or wait until "
    "some expire", True),
    "client_gone": Code(499, _INVALID, "the client closed the connection before the answer; seen in "
    "logs and metrics only"),
    "internal": Code(500, _SERVER, "a defect of the server; report the request id"),
    "generation_failed": Code(500, _SERVER, "the model failed on this request", True),
    "engine_loading": Code(503, _SERVER, "the model is still being loaded", True),
    "engine_dead": Code(503, _SERVER, "the engine does not answer", True),
    "draining": Code(503, _SERVER, "the server is shutting down", True),
}  # fmt: skip
CODES |= {
    f"media_{code}": Code(_MEDIA_STATUS.get(code, 400), _INVALID, meaning) for code, meaning in MEDIA_CODES.items()
}


class ApiError(Exception):
    """A refusal that the client can act on. `message` says what was wrong, the value seen and what to do."""

    def __init__(self, code: str, message: str, *, param: str | None = None, retry_after_s: float | None = None):
        if code not in CODES:
            near = get_close_matches(code, CODES, n=1)
            raise ValueError(f"unknown error code {code!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        super().__init__(message)
        self.code, self.message, self.param, self.retry_after_s = code, " ".join(message.split()), param, retry_after_s

    @property
    def status(self) -> int:
        return CODES[self.code].status

    def body(self) -> dict[str, Any]:
        """The OpenAI error object."""
        return {"error": {
            "message": self.message, "type": CODES[self.code].type, "param": self.param, "code": self.code,
        }}  # fmt: skip

    def headers(self) -> dict[str, str]:
        """`Retry-After` where trying again makes sense."""
        if self.retry_after_s is None:
            return {}
        return {"Retry-After": str(max(1, round(self.retry_after_s)))}

    def __reduce__(self) -> tuple:
        return _rebuilt, (self.code, self.message, self.param, self.retry_after_s)


def _rebuilt(code: str, message: str, param: str | None, retry_after_s: float | None) -> ApiError:
    return ApiError(code, message, param=param, retry_after_s=retry_after_s)


def table() -> str:
    """All codes as the Markdown table of docs/api.md."""
    rows = ["| status | code | type | meaning |", "|---|---|---|---|"]
    for name, code in sorted(CODES.items(), key=lambda item: (item[1].status, item[0])):
        again = " (may be tried again)" if code.retry else ""
        rows.append(f"| {code.status} | `{name}` | `{code.type}` | {code.meaning}{again} |")
    return "\n".join(rows)


def as_error(error: Exception, request: Request) -> ApiError:
    """An error as the client may see it; what is not ours is logged and told without details."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, ExceptionGroup):
        inner: Sequence[Exception] = error.exceptions
        return as_error(inner[0], request)
    request_id = request.state.request_id
    _LOG.error("request %s failed", request_id, exc_info=error)
    return ApiError("internal", f"something failed here; report the request id {request_id}")
