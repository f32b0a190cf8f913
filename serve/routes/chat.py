"""`POST /v1/chat/completions`: the OpenAI form, whole or streamed, with the typed report as `emotion`."""

import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse

from cuewise.mllm.question import Answer, Question
from cuewise.serve import docs, policy
from cuewise.serve.errors import ApiError, as_error
from cuewise.serve.job import Job
from cuewise.serve.messages import Asked, read_conversation
from cuewise.serve.reading import make_clip, make_job, make_question, read_json
from cuewise.serve.schema import ChatBody, ResponseFormat
from cuewise.serve.settings import Settings
from cuewise.serve.sse import DONE, EventStream, coalesced, frame, guarded, until_gone
from cuewise.serve.state import NOTICE, State, Visit, check_model, state_of, visit

FINISH = {"stop": "stop", "length": "length"}


def add(app: FastAPI) -> None:
    """Add the route."""

    @app.post(
        "/v1/chat/completions", summary="Ask about one clip in the OpenAI form", tags=["chat"],
        openapi_extra=docs.body(ChatBody), responses=docs.errors(400, 401, 404, 408, 413, 415, 429),
    )  # fmt: skip
    async def chat(request: Request) -> Any:
        state = state_of(request)
        async with visit(request) as admitted:
            body = await read_json(request, ChatBody)
            model = check_model(request, body.model)
            job = await make_chat_job(body, admitted, state.settings)
            head = {"id": f"chatcmpl-{job.id.removeprefix('req-')}", "created": int(time.time()), "model": model}
            if body.stream:
                usage = bool(body.stream_options and body.stream_options.include_usage)
                pieces = coalesced(state.backend.stream(job))
                first = await first_piece(request, pieces)
                admitted.streaming = True
                frames = guarded(chunks(head, first, pieces, state, usage), lambda error: failure(error, request))
                return EventStream(frames, ended=admitted.close)
            answer = await until_gone(request.receive, state.backend.answer(job))
            return JSONResponse(completion(head, answer, state.settings))


async def make_chat_job(body: ChatBody, admitted: Visit, settings: Settings) -> Job:
    """The job that a conversation describes. Raises ApiError."""
    asked = await read_conversation(body, admitted.sources, settings.limits.media_items)
    options = body.emotion
    alone = asked.picture is None and asked.sound is None
    said = asked.text or None if alone and not (options.transcript or options.words) else None
    if alone and not (said or options.transcript or options.words):
        raise ApiError("nothing_to_analyze", "the conversation holds neither media nor text", param="messages")
    clip = make_clip(options, asked.picture, asked.sound, transcript=said, context=context_of(asked, options.context))
    question = chat_question(body, settings, None if said is not None else asked.text or None)
    return make_job(admitted, clip, question, settings, options.deadline_s)


def context_of(asked: Asked, given: str | None) -> str | None:
    """What the caller says besides, and earlier turns."""
    return "\n".join([*asked.context, *([given] if given else [])]) or None


def chat_question(body: ChatBody, settings: Settings, text: str | None) -> Question:
    """The question of a conversation. Raises ApiError."""
    wanted = body.response_format
    stop = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
    return make_question(
        body.emotion, settings, text=text, max_tokens=body.max_completion_tokens or body.max_tokens,
        temperature=body.temperature or 0.0, top_p=body.top_p or 1.0, seed=body.seed or 0, stop=stop,
        presence_penalty=body.presence_penalty or 0.0, frequency_penalty=body.frequency_penalty or 0.0,
        schema=answer_schema(body.response_format), json_object=wanted is not None and wanted.type == "json_object",
    )  # fmt: skip


def answer_schema(wanted: ResponseFormat | None) -> dict[str, Any] | None:
    """The JSON schema of the caller, which the answer is held to."""
    return wanted.json_schema.schema_ if wanted is not None and wanted.json_schema else None


def completion(head: dict[str, Any], answer: Answer, settings: Settings) -> dict[str, Any]:
    """The whole answer as a chat completion."""
    report = policy.apply(answer.report, settings.show_flagged)
    message = {"role": "assistant", "content": report.text, "refusal": None, "emotion": report.model_dump(mode="json"),
               "notice": NOTICE}  # fmt: skip
    choice = {
        "index": 0,
        "message": message,
        "finish_reason": FINISH.get(answer.finish_reason, "stop"),
        "logprobs": None,
    }
    return {
        **head,
        "object": "chat.completion",
        "choices": [choice],
        "usage": usage_of(answer),
        "system_fingerprint": None,
    }


async def first_piece(request: Request, pieces: AsyncIterator[Any]) -> Any:
    """The first piece of a stream; what is refused before it is an ordinary error with its status."""
    return await until_gone(request.receive, pieces.__anext__())


async def chunks(
    head: dict[str, Any], first: Any, pieces: AsyncIterator[Any], state: State, include_usage: bool
) -> AsyncIterator[bytes]:
    """The frames of a streamed answer. The report rides on the chunk that ends the answer."""
    redactor = policy.Redactor(state.settings.show_flagged)

    def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return frame({**head, "object": "chat.completion.chunk", "choices": [choice], **more})

    yield chunk({"role": "assistant", "content": ""})
    piece: Any = first
    while not isinstance(piece, Answer):
        if text := redactor.push(piece):
            yield chunk({"content": text})
        piece = await anext(pieces)
    if text := redactor.flush():
        yield chunk({"content": text})
    report = policy.apply(piece.report, state.settings.show_flagged).model_dump(mode="json")
    yield chunk({"emotion": report, "notice": NOTICE}, FINISH.get(piece.finish_reason, "stop"), emotion=report)
    if include_usage:
        yield frame({**head, "object": "chat.completion.chunk", "choices": [], "usage": usage_of(piece)})
    yield DONE


def failure(error: Exception, request: Request, write: Callable[[Any], bytes] = frame) -> bytes:
    """An error inside a stream as its last frame."""
    known = as_error(error, request)
    request.state.error_code = known.code
    return write(known.body())


def usage_of(answer: Answer) -> dict[str, Any]:
    """Token counts in the OpenAI form; face and scene count as video."""
    prompt, written = answer.usage["prompt_tokens"], answer.usage["completion_tokens"]
    rows = answer.media_tokens
    pictures = rows.get("face", 0) + rows.get("scene", 0)
    return {
        "prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written,
        "prompt_tokens_details": {
            "audio_tokens": rows.get("voice", 0), "video_tokens": pictures, "image_tokens": 0,
            "cached_tokens": answer.usage.get("cached_tokens", 0),
        },
    }  # fmt: skip
