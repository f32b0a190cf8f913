"""Reading bodies: JSON into models, multipart into files and fields, options into jobs."""

import asyncio
import json
import re
import time
from difflib import get_close_matches
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from cuewise.mllm.clip import Clip
from cuewise.mllm.prompts import MAX_CONTEXT_CHARS
from cuewise.mllm.question import Question
from cuewise.mllm.retrieval import relevant
from cuewise.serve.errors import ApiError
from cuewise.serve.job import Job
from cuewise.serve.media.files import CHUNK, clean_name
from cuewise.serve.media.source import Found, Sources, too_large
from cuewise.serve.schema import EmotionOptions, MediaRef
from cuewise.serve.settings import Settings
from cuewise.serve.state import Visit

LARGE_BODY = 1 << 18
"""Bodies above this many bytes are parsed in a thread."""

M = TypeVar("M", bound=BaseModel)
_FIELD = re.compile(r"[A-Za-z_]\w{0,63}\Z")
"""A part of a path that is a field, and not the name that pydantic gives to one kind of several."""


def content_type(request: Request) -> str:
    """The media type of the body, without its parameters."""
    return request.headers.get("content-type", "").split(";")[0].strip().lower()


async def read_json(request: Request, model: type[M]) -> M:
    """The JSON body as a model. Raises ApiError 400 that names the field, 415 for another kind of body."""
    kind = content_type(request)
    if kind not in ("application/json", "") and not kind.endswith("+json"):
        raise ApiError("unsupported_media_type", f"the body is {kind[:60]!r}; send application/json")
    body = await request.body()
    if not body:
        raise ApiError("invalid_json", "the body is empty; send a JSON object")
    if len(body) > LARGE_BODY:
        return await asyncio.to_thread(parse_json, body, model)
    return parse_json(body, model)


def parse_json(body: bytes | str, model: type[M]) -> M:
    """JSON text as a model. Raises ApiError."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise as_api_error(error, model) from None


def as_api_error(error: ValidationError, model: type[BaseModel]) -> ApiError:
    """The first fault of a validation of `model`, without the value that was sent."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    if faults[0]["type"] == "json_invalid":
        why = faults[0]["msg"].removeprefix("Invalid JSON: ")
        return ApiError("invalid_json", f"the body is not valid JSON: {why}")
    # Where a field may be of several kinds, the fault that lies deepest belongs to the kind that was meant.
    worst = max(faults, key=lambda fault: len(fault["loc"]))
    path = ".".join(str(part) for part in worst["loc"] if isinstance(part, int) or _FIELD.match(part))[:200]
    why = worst["msg"][:300]
    if worst["type"] == "extra_forbidden":
        *outer, name = path.split(".")
        near = get_close_matches(name, _fields_at(model, outer), n=1)
        meant = ".".join([*outer, near[0]]) if near else ""
        why = "there is no such option" + (f"; did you mean `{meant}`?" if near else "; docs/api.md lists them")
    return ApiError("invalid_request", f"{path or 'body'}: {why}", param=path or None)


def _fields_at(model: type[BaseModel], path: list[str]) -> list[str]:
    """Names of the fields of a model inside `model`; all of the outermost one where the path leads to no model."""
    inner: Any = model
    for name in path:
        field = inner.model_fields.get(name)
        kinds = [] if field is None else [field.annotation, *get_args(field.annotation)]
        inner = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        if inner is None:
            return []
    return list(inner.model_fields)


async def read_form(request: Request) -> FormData:
    """A multipart body; its files are spooled to disk. Raises ApiError."""
    if "boundary=" not in request.headers.get("content-type", ""):
        raise ApiError("invalid_multipart", "the Content-Type of a multipart body names its boundary; none was given")
    try:
        return await request.form(max_files=8, max_fields=64, max_part_size=1 << 20)
    except (MultiPartException, HTTPException) as error:
        why = error.message if isinstance(error, MultiPartException) else error.detail
        raise ApiError("invalid_multipart", f"the multipart body cannot be read: {why}") from None
    except ApiError:
        raise
    except (ValueError, KeyError, AssertionError, UnicodeDecodeError, LookupError) as error:
        raise ApiError("invalid_multipart", f"the multipart body cannot be read ({type(error).__name__})") from None


async def save_upload(upload: UploadFile, sources: Sources, param: str) -> Found:
    """An uploaded file on disk. Raises ApiError."""
    name = clean_name(upload.filename)
    path, size = sources.scratch.path(name), 0
    with path.open("wb") as out:
        while piece := await upload.read(CHUNK):
            size += len(piece)
            if size > sources.max_bytes:
                raise too_large(size, sources.max_bytes, param)
            await asyncio.to_thread(out.write, piece)
    return sources.found(path, name)


async def read_multipart(
    request: Request, model: type[M], sources: Sources
) -> tuple[M, Found | None, Found | None]:  # fmt: skip
    """(options, media, sound) of a multipart body: parts `file` and `audio`, all else options by their names.

    Options that are lists or objects are written as JSON; `options` may hold several of them as one JSON object.
    """
    async with aclosing_form(await read_form(request)) as form:
        values: dict[str, Any] = {}
        files: dict[str, UploadFile] = {}
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                if name not in ("file", "media", "audio") or name in files:
                    raise ApiError("invalid_request", f"unexpected file part {name[:40]!r}; files are "
                        f"`file` and `audio`",
                                   param=name[:40])  # fmt: skip
                files["file" if name == "media" else name] = value
            elif name == "options":
                values |= _object(value)
            else:
                values[name] = _loose(value, name)
        try:
            options = model.model_validate_json(json.dumps(values))
        except ValidationError as error:
            raise as_api_error(error, model) from None
        except ValueError:
            raise ApiError("invalid_request", "a field holds text that cannot be read") from None
        media = await save_upload(files["file"], sources, "file") if "file" in files else None
        audio = await save_upload(files["audio"], sources, "audio") if "audio" in files else None
    return options, media, audio


def aclosing_form(form: FormData) -> Any:
    """Closes the spooled files of a form at the end of a block."""

    class _Closing:
        async def __aenter__(self) -> FormData:
            return form

        async def __aexit__(self, *_: object) -> None:
            await form.close()

    return _Closing()


async def find(ref: MediaRef | None, sources: Sources, param: str) -> Found | None:
    """A media reference on disk."""
    if ref is None:
        return None
    if ref.file_id is not None:
        return await sources.file(ref.file_id, param)
    if ref.url is not None:
        return await sources.url(ref.url, param, ref.filename)
    return await sources.base64(ref.data, param, ref.filename)


def make_clip(
    options: EmotionOptions, picture: Found | None, sound: Found | None, *, transcript: str | None = None,
    context: str | None = None,
) -> Clip:  # fmt: skip
    """The clip of a request. Raises ApiError."""
    if picture is None and sound is not None:
        picture, sound = sound, None
    context = context or options.context
    if options.retrieve and context:
        query = " ".join(filter(None, (options.question, options.statement, transcript or options.transcript)))
        context = relevant(context, query, MAX_CONTEXT_CHARS)
    name = options.name or next((found.name for found in (picture, sound) if found and found.name), None)
    try:
        return Clip(
            path=None if picture is None else str(picture.path), audio=None if sound is None else str(sound.path),
            start=options.start, end=options.end, transcript=transcript or options.transcript, words=options.words,
            language=options.language, context=context, person=options.person,
            id=clean_name(name) if name else "clip",
        )  # fmt: skip
    except ValueError as error:
        code = "nothing_to_analyze" if "needs media" in str(error) else "invalid_request"
        named = re.match(r"clip\.(\w+)", str(error))
        message = str(error).replace("clip.", "")
        raise ApiError(code, message, param=named.group(1) if named else "media") from None


def make_question(options: EmotionOptions, settings: Settings, *, max_tokens: int | None, **sampling: Any) -> Question:
    """The question of a request. Raises ApiError."""
    if max_tokens is not None and max_tokens > settings.limits.max_tokens:
        raise ApiError("invalid_request", f"max_tokens is {max_tokens}, the limit limits.max_tokens is "
                       f"{settings.limits.max_tokens}", param="max_tokens")  # fmt: skip
    if options.tries > settings.retry.tries:
        raise ApiError("invalid_request", f"tries is {options.tries}, the limit retry.tries is {settings.retry.tries}",
                       param="tries")  # fmt: skip
    text = sampling.pop("text", None) or options.question
    if options.statement is not None:
        _only_a_statement(options, text, sampling)
    try:
        return Question(
            form=options.form, text=text, candidates=tuple(options.candidates), statement=options.statement,
            channels=None if options.channels is None else tuple(dict.fromkeys(options.channels)),
            guided=options.guided or options.statement is not None, own_hints=options.hints, tries=options.tries,
            max_tokens=max_tokens, **sampling,
        )  # fmt: skip
    except ValueError as error:
        param = "candidates" if str(error).startswith("candidates") else None
        raise ApiError("invalid_request", str(error), param=param) from None


def _only_a_statement(options: EmotionOptions, text: str | None, sampling: dict[str, Any]) -> None:
    """Refuse what cannot stand beside a statement, whose answer is one of two words. Raises ApiError."""
    beside = {
        "form": "form" in options.model_fields_set, "candidates": bool(options.candidates), "question": bool(text),
        "response_format": bool(sampling.get("schema") or sampling.get("json_object")),
    }  # fmt: skip
    for name in (name for name, given in beside.items() if given):
        raise ApiError("invalid_request", f"a statement is judged with Correct or Incorrect; leave out {name}, or ask "
                       "without the statement", param=name)  # fmt: skip


def make_job(visit: Visit, clip: Clip, question: Question, settings: Settings, deadline_s: float | None) -> Job:
    """One job of an admitted request."""
    return Job(
        id=visit.request_id, clip=clip, question=question, tenant=visit.client.name, names=visit.sources.names,
        deadline_s=min(deadline_s or settings.limits.deadline_s, settings.limits.deadline_s),
        waited_s=time.perf_counter() - visit.began,
    )  # fmt: skip


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise ApiError("invalid_json", "the part `options` is not valid JSON", param="options") from None
    if not isinstance(value, dict):
        raise ApiError("invalid_request", "the part `options` must be a JSON object", param="options")
    return value


_TEXT_FIELDS = frozenset({
    "model", "name", "transcript", "language", "context", "form", "question", "statement", "format",
})  # fmt: skip


def _loose(text: str, name: str) -> Any:
    """A form field as JSON would hold it: numbers, truth values, and comma-separated lists."""
    if name in _TEXT_FIELDS:
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return [item.strip() for item in text.split(",")] if name in ("channels", "candidates") else text
