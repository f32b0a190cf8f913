"""`POST /v1/emotion/timeline`: a long clip window by window, as server-sent events or NDJSON."""

from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request

from cuewise.serve import docs, policy
from cuewise.serve.errors import ApiError
from cuewise.serve.reading import make_clip, make_job, make_question
from cuewise.serve.routes.analyze import read_clip
from cuewise.serve.routes.chat import failure, first_piece
from cuewise.serve.schema import TimelineBody
from cuewise.serve.settings import Settings
from cuewise.serve.sse import DONE, EventStream, frame, guarded, line
from cuewise.serve.state import check_model, state_of, visit
from cuewise.serve.timeline import Plan, timeline


def add(app: FastAPI) -> None:
    """Add the route."""

    @app.post(
        "/v1/emotion/timeline", summary="Analyze a long clip window by window", tags=["emotion"],
        openapi_extra=docs.body(TimelineBody, multipart=True), responses=docs.errors(400, 401, 404, 408, 413, 415, 429),
    )  # fmt: skip
    async def over_time(request: Request) -> Any:
        state = state_of(request)
        async with visit(request) as admitted:
            body, picture, sound = await read_clip(request, admitted, TimelineBody)
            check_model(request, body.model)
            if body.transcript:
                raise ApiError("invalid_request", "a timeline needs `words` with times; a plain transcript has none",
                               param="transcript")  # fmt: skip
            if picture is None and sound is None:
                raise ApiError("nothing_to_analyze", "a timeline needs media", param="media")
            question = make_question(
                body, state.settings, max_tokens=body.max_tokens, temperature=body.temperature, top_p=body.top_p,
                seed=body.seed,
            )  # fmt: skip
            job = make_job(admitted, make_clip(body, picture, sound), question, state.settings, body.deadline_s)
            events = timeline(state.backend, job, make_plan(body, state.settings))
            first = await first_piece(request, events)
            admitted.streaming = True
            lines = wants_lines(request, body.format)
            write = line if lines else frame
            frames = guarded(written(first, events, state.settings.show_flagged, write, b"" if lines else DONE),
                             lambda error: failure(error, request, write))  # fmt: skip
            return EventStream(
                frames, ended=admitted.close, media_type="application/x-ndjson" if lines else "text/event-stream",
                **({"keep_alive": b""} if lines else {}),
            )  # fmt: skip


def make_plan(body: TimelineBody, settings: Settings) -> Plan:
    """The windows a request asks for. Raises ApiError."""
    window, hop = body.window_s or settings.timeline.window_s, body.hop_s or settings.timeline.hop_s
    hop = min(hop, window) if body.hop_s is None else hop
    if hop > window:
        raise ApiError("invalid_request", f"hop_s is {hop:g}, but windows of {window:g} s must overlap "
            f"or touch", param="hop_s")
    if window > settings.media.max_seconds:
        raise ApiError("invalid_request", f"window_s is {window:g}, the limit media.max_seconds is "
                       f"{settings.media.max_seconds:g}", param="window_s")  # fmt: skip
    return Plan(window, hop, body.start or 0.0, body.end, settings.limits.timeline_s)


def wants_lines(request: Request, asked: str | None) -> bool:
    """Whether the answer is NDJSON: by the option, else by the Accept header."""
    return asked == "ndjson" if asked else "application/x-ndjson" in request.headers.get("accept", "")


async def written(
    first: dict[str, Any], events: AsyncIterator[dict[str, Any]], show: list[str], write: Any, last: bytes
) -> AsyncIterator[bytes]:
    """Events as bytes, without flagged words."""
    yield write(public(first, show))
    async for event in events:
        yield write(public(event, show))
    if last:
        yield last


def public(event: dict[str, Any], show: list[str]) -> dict[str, Any]:
    """An event as clients may see it; reports become plain values."""
    if "report" in event:
        return event | {"report": policy.apply(event["report"], show).model_dump(mode="json")}
    return event
